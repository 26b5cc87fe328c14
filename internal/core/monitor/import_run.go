package monitor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
)

func replaceQuote(name string) string { return strings.ReplaceAll(name, `"`, `""`) }

// importedModel is the model version that an imported log's rows are of.
func importedModel(name string) string { return "imported/" + name }

// importRelease is their release.
const importRelease = "imported"

// importRows takes in the rows of a log and decides about all its days.
func (s *Service) importRows(ctx context.Context, projectName string, plan ImportPlan, l *requestLog) (ImportReport, error) {
	r := plan.rules()
	report := ImportReport{Endpoint: plan.Name, Rows: int64(len(l.rows)), Reference: int64(l.training.Rows.Rows), Window: r.blocks, IgnoredRow: l.ignored}
	if len(l.rows) == 0 {
		return report, slipway.Errorf(slipway.Invalid, "no rows are left after the reference").WithHint("choose a shorter one with --reference-days")
	}
	ref, err := newReference(l.training, r.zone)
	if err != nil {
		return report, err
	}
	body, err := ref.pack()
	if err != nil {
		return report, err
	}
	k := modelKey{projectName, importedModel(plan.Name)}
	if err := s.storeReference(ctx, k, body); err != nil {
		return report, err
	}
	s.mu.Lock()
	s.references[k] = ref
	s.mu.Unlock()
	var found []finding
	gateway := "import " + projectName + "/" + plan.Name
	for n, rows := range numbered(slices.Chunk(l.rows, intakeRows)) {
		in := newIntake()
		in.imported = true
		in.segments[gateway] = span{int64(n), int64(n) + 1}
		b := plan.batch(projectName, l, rows)
		if err := s.take(ctx, in, b); err != nil {
			return report, err
		}
		more, err := s.finish(ctx, in)
		if err != nil {
			return report, err
		}
		found = append(found, more...)
		if err := s.commit(ctx, in, nil); err != nil {
			return report, err
		}
		if plan.Label != "" {
			count, err := s.insertLabels(ctx, projectName, plan.labels(b, l, rows))
			if err != nil {
				return report, err
			}
			report.Labels += count.New
		}
	}
	for more := true; more; {
		if more, err = s.joinLabels(ctx); err != nil {
			return report, err
		}
	}
	err = s.concludeImport(ctx, projectName, plan, r, found, &report)
	return report, err
}

// numbered counts what a sequence yields, from 0.
func numbered[T any](seq func(func(T) bool)) func(func(int, T) bool) {
	return func(yield func(int, T) bool) {
		n := 0
		seq(func(v T) bool { n++; return yield(n-1, v) })
	}
}

// batch makes the logged predictions of some rows.
func (p *ImportPlan) batch(projectName string, l *requestLog, rows []int) *slipway.PredictionBatch {
	n := len(rows)
	b := &slipway.PredictionBatch{Project: projectName, Endpoint: p.Name, Release: importRelease, Role: slipway.Champion, Model: importedModel(p.Name),
		ID: make([]string, n), Key: make([]string, n), Time: make([]time.Time, n), At: make([]time.Time, n),
		Latency: make([]time.Duration, n), Failure: make([]string, n),
		Input: &slipway.Frame{Rows: n}, Output: &slipway.Frame{Rows: n}}
	key := l.frame.Column(p.Key)
	for k, i := range rows {
		t := time.UnixMicro(int64(l.time.Float[i])).UTC()
		b.ID[k], b.Time[k], b.At[k] = newID(), t, t
		if p.Key != "" && !key.Missing(i) {
			b.Key[k] = cell(key, i)
		}
	}
	pickRows := func(s *slipway.Series, name string, t slipway.Type) slipway.Series {
		c := newSeries(name, t, n)
		for _, i := range rows {
			c.copy(s, i)
		}
		return c.done()
	}
	for _, c := range l.training.Signature.Input {
		b.Input.Series = append(b.Input.Series, pickRows(l.frame.Column(c.Name), c.Name, c.Type))
	}
	for i, c := range l.training.Signature.Output {
		if i < len(l.output) {
			b.Output.Series = append(b.Output.Series, pickRows(l.output[i], c.Name, slipway.Float))
		}
	}
	return b
}

// labels are the rows' truths; they count as known when the request came.
func (p *ImportPlan) labels(b *slipway.PredictionBatch, l *requestLog, rows []int) []labelRow {
	s := l.frame.Column(p.Label)
	var out []labelRow
	for k, i := range rows {
		if s.Missing(i) {
			continue
		}
		value := any(cell(s, i))
		if s.Text == nil {
			value = s.Float[i]
		}
		text, err := checkLabel(slipway.Label{Prediction: b.ID[k], Value: value})
		if err == nil {
			out = append(out, labelRow{subject: "#" + b.ID[k], time: b.Time[k], value: text})
		}
	}
	return out
}

// concludeImport decides about every day and gathers the report.
func (s *Service) concludeImport(ctx context.Context, projectName string, plan ImportPlan, r rules, found []finding, report *ImportReport) error {
	e, err := s.endpointNamed(ctx, projectName, plan.Name)
	if err != nil {
		return err
	}
	end := addDays(dayOf(e.seen, r.zone), 1, r.zone)
	var ignored []finding // begin and end of drift stand in the verdicts
	if err := s.decideBy(ctx, e, r, end.Add(r.maturity()), &ignored); err != nil {
		return err
	}
	if err := s.pack(ctx, end.Add(2*day)); err != nil {
		return err
	}
	all, err := s.variants(ctx, e.number)
	if err != nil || len(all) == 0 {
		return err
	}
	report.From, report.To = all[0].First, all[0].Last
	verdicts, err := s.verdictsOf(ctx, e.number, time.Time{}, endOfTime)
	if err != nil {
		return err
	}
	report.drift(verdicts)
	report.Feeds = []Freshness{}
	for _, f := range found {
		if x, ok := f.data.(Freshness); ok && f.firing {
			report.Feeds = append(report.Feeds, x)
		}
	}
	report.Quality, err = s.windowsOf(ctx, e.number, "", "", time.Time{}, endOfTime)
	report.Quality = orEmpty(report.Quality)
	return err
}

// drift sums verdicts up by feature.
func (r *ImportReport) drift(verdicts []FeatureDrift) {
	at := map[string]int{}
	r.Features = []ImportFeature{}
	for _, v := range verdicts {
		k, known := at[v.Feature]
		if !known {
			k, at[v.Feature] = len(r.Features), len(r.Features)
			r.Features = append(r.Features, ImportFeature{Feature: v.Feature})
		}
		f := &r.Features[k]
		if v.Verdict == InsufficientReference || v.Verdict == NotEnoughData {
			if f.Windows == 0 && r.Undecided == "" {
				r.Undecided = v.Detail.Reason
			}
			continue
		}
		f.Windows++
		if v.Verdict == Drifted {
			if f.Drifted++; f.Drifted == 1 {
				f.First = v.Day
			}
		}
		if value := known64(v.Detail.Value); value != nil && (f.Worst == nil || *value > *f.Worst) {
			f.Worst, f.Limit, f.Reason = value, known64(v.Detail.Limit), v.Detail.Reason
		}
	}
	slices.SortStableFunc(r.Features, func(a, b ImportFeature) int {
		return cmp.Or(cmp.Compare(b.Drifted, a.Drifted), cmp.Compare(a.Feature, b.Feature))
	})
	if slices.ContainsFunc(r.Features, func(f ImportFeature) bool { return f.Windows > 0 }) {
		r.Undecided = ""
	}
}

// Summary says in a sentence what a log shows.
func (r *ImportReport) Summary() string {
	drifted := 0
	for _, f := range r.Features {
		if f.Drifted > 0 {
			drifted++
		}
	}
	switch {
	case r.Undecided != "":
		return "drift is undecided: " + r.Undecided
	case drifted == 0:
		return fmt.Sprintf("none of %d features drifted", len(r.Features))
	}
	return fmt.Sprintf("%d of %d features drifted in some window", drifted, len(r.Features))
}
