package retrain

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/slipway-ml/slipway/internal/stat"
)

// Report compares retraining policies on the same rows.
type Report struct {
	Project string      `json:"project"`
	Metric  string      `json:"metric"`
	Higher  bool        `json:"higher_is_better"`
	Rows    string      `json:"rows"` // the output that was scored
	Batch   []time.Time `json:"batch"`
	End     time.Time   `json:"end"`
	Policy  []Policy    `json:"policy"` // never first
	Oracle  Policy      `json:"oracle"` // the best trial of every batch, known only afterwards
	Verdict string      `json:"verdict"`
}

// Policy is what one policy would have lived through.
type Policy struct {
	Name    string         `json:"name"`
	Trained int            `json:"trained"`        // retrainings after the first training
	Value   stat.Estimate  `json:"value"`          // the metric over all batches, by day
	Gain    *stat.Estimate `json:"gain,omitempty"` // over never, paired on the same rows; positive is better
	Regret  float64        `json:"regret"`         // how much better the oracle did
	ByBatch []float64      `json:"by_batch"`
	Window  []string       `json:"window"` // which training window answered each batch
	Trial   []time.Time    `json:"trained_at"`
	Verdict string         `json:"verdict"` // wins, loses, undecided or same: against never
}

// day is the block of intervals and differences.
const day = 24 * time.Hour

// reportLevel is the confidence of a report's intervals.
const reportLevel = 0.95

// compare walks every policy through the history.
func (s *Service) compare(ctx context.Context, h *history, windows []string) (Report, error) {
	r := Report{Project: h.test.Project, Metric: h.metric.Name, Higher: h.metric.HigherIsBetter,
		Rows: h.test.Rows.String(), Batch: h.batches(), End: h.cuts[len(h.cuts)-1]}
	never := h.always("never", func(int) int { return 0 }, everything)
	base, err := s.follow(ctx, h, never)
	if err != nil {
		return r, err
	}
	paths := []path{never}
	for _, w := range windows {
		paths = append(paths, h.always(w+", every batch", func(batch int) int { return batch }, w))
	}
	for _, w := range windows {
		p, err := s.byDrift(ctx, h, w)
		if err != nil {
			return r, err
		}
		paths = append(paths, p)
	}
	oracle, err := s.oracle(ctx, h, windows)
	if err != nil {
		return r, err
	}
	if r.Oracle, err = s.judge(ctx, h, oracle, never, base, math.NaN()); err != nil {
		return r, err
	}
	for _, p := range paths {
		judged, err := s.judge(ctx, h, p, never, base, r.Oracle.Value.Value)
		if err != nil {
			return r, err
		}
		r.Policy = append(r.Policy, judged)
	}
	r.Verdict = h.conclude(r.Policy)
	return r, nil
}

// always is the path of a policy that answers batch i with the trial of cut(i).
func (h *history) always(name string, cut func(batch int) int, window string) path {
	p := path{name: name}
	for i := range len(h.cuts) - 1 {
		p.answers = append(p.answers, h.trials[trialKey(cut(i), window)])
	}
	p.count()
	return p
}

// count says how often the path changes its model.
func (p *path) count() {
	p.trained = 0
	for i := 1; i < len(p.answers); i++ {
		if p.answers[i].cut != p.answers[i-1].cut {
			p.trained++
		}
	}
}

// byDrift retrains at the beginning of a batch when the batch before it drifted
// from the rows known at the training in force.
func (s *Service) byDrift(ctx context.Context, h *history, window string) (path, error) {
	p := path{name: window + ", by drift"}
	cut := 0
	for batch := range len(h.cuts) - 1 {
		if batch > cut+1 {
			drifted, err := s.drifted(ctx, h, cut, batch-1)
			if err != nil {
				return p, err
			}
			if drifted {
				cut = batch
			}
		}
		p.answers = append(p.answers, h.trials[trialKey(cut, window)])
	}
	p.count()
	return p, nil
}

// drifted compares the features of a batch with those of the batches from the
// training up to it, by day.
func (s *Service) drifted(ctx context.Context, h *history, from, batch int) (bool, error) {
	t := h.trials[trialKey(0, everything)]
	current, err := s.score(ctx, h, t, batch)
	if err != nil {
		return false, err
	}
	var reference Scored
	reference.Feature = map[string][]float64{}
	for i := from; i < batch; i++ {
		c, err := s.score(ctx, h, t, i)
		if err != nil {
			return false, err
		}
		reference.Time = append(reference.Time, c.Time...)
		for name, v := range c.Feature {
			reference.Feature[name] = append(reference.Feature[name], v...)
		}
	}
	var features []stat.DriftFeature
	for _, name := range sortedNames(current.Feature) {
		features = append(features, driftFeature(name, reference, current))
	}
	verdicts, err := stat.Drift(features, stat.DriftRule{})
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(verdicts, func(v stat.DriftVerdict) bool { return v.Drifted }), nil
}

// driftCells is how many bins of equal mass a feature is counted in.
const driftCells = 20

// driftFeature counts a feature by day in the reference, and over the batch.
func driftFeature(name string, reference, current Scored) stat.DriftFeature {
	edges := stat.Edges(reference.Feature[name], stat.FineBins)
	whole := stat.NewCounter(edges)
	for _, v := range reference.Feature[name] {
		whole.Add(v)
	}
	cell := stat.Rollup(whole.Counts, driftCells)
	count := func(values []float64) []float64 {
		c := stat.NewCounter(edges)
		for _, v := range values {
			c.Add(v)
		}
		return c.Cells(cell)
	}
	byDay := map[int64][]float64{} // by days since 1970
	for i, at := range reference.Time {
		d := at.Unix() / int64(day.Seconds())
		byDay[d] = append(byDay[d], reference.Feature[name][i])
	}
	f := stat.DriftFeature{Name: name, Current: count(current.Feature[name])}
	for _, d := range sortedNames(byDay) {
		f.Reference = append(f.Reference, count(byDay[d]))
	}
	days := map[int64]bool{}
	for _, at := range current.Time {
		days[at.Unix()/int64(day.Seconds())] = true
	}
	f.Blocks = len(days)
	return f
}

// oracle takes the best trial that existed at each batch: no policy knows it in
// time.
func (s *Service) oracle(ctx context.Context, h *history, windows []string) (path, error) {
	p := path{name: "oracle"}
	for batch := range len(h.cuts) - 1 {
		best, found := math.NaN(), trial{}
		for _, w := range windows {
			for _, cut := range []int{0, batch} {
				t := h.trials[trialKey(cut, w)]
				c, err := s.score(ctx, h, t, batch)
				if err != nil {
					return p, err
				}
				if v := h.value(c); math.IsNaN(best) || h.better(v, best) {
					best, found = v, t
				}
			}
		}
		p.answers = append(p.answers, found)
	}
	p.count()
	return p, nil
}

// judge scores a path and compares it with never on the same rows.
func (s *Service) judge(ctx context.Context, h *history, p, never path, base Scored, oracle float64) (Policy, error) {
	all, err := s.follow(ctx, h, p)
	if err != nil {
		return Policy{}, err
	}
	block := blocks(all.Time)
	out := Policy{Name: p.name, Trained: p.trained, Verdict: "undecided"}
	if out.Value, err = stat.Interval(h.metric, all.Scored, block, reportLevel); err != nil {
		return out, err
	}
	gain, err := stat.Difference(h.metric, all.Scored, base.P, block, reportLevel)
	if err != nil {
		return out, err
	}
	gain = h.metric.Gain(gain)
	out.Gain = &gain
	switch {
	case slices.Equal(p.answers, never.answers):
		out.Verdict = "same" // it never retrained either
	case gain.State != stat.Enough:
	case gain.Low > 0:
		out.Verdict = "wins"
	case gain.High < 0:
		out.Verdict = "loses"
	}
	if !math.IsNaN(oracle) {
		out.Regret = math.Abs(oracle - out.Value.Value)
	}
	for batch, t := range p.answers {
		c, err := s.score(ctx, h, t, batch)
		if err != nil {
			return out, err
		}
		out.ByBatch = append(out.ByBatch, h.value(c))
		out.Window, out.Trial = append(out.Window, t.window), append(out.Trial, h.cuts[t.cut])
	}
	return out, nil
}

// conclude says in a sentence what the policies came to.
func (h *history) conclude(policies []Policy) string {
	best := policies[0]
	for _, p := range policies[1:] {
		if p.Verdict == "wins" && h.better(p.Value.Value, best.Value.Value) {
			best = p
		}
	}
	if best.Name == policies[0].Name {
		return "no policy is shown to beat never retraining on this history"
	}
	return best.Name + " beats never retraining on this history"
}

// blocks numbers rows by their day.
func blocks(at []time.Time) []int {
	seconds := make([]int64, len(at))
	for i, t := range at {
		seconds[i] = t.Unix()
	}
	return stat.BlocksOf(seconds, int64(day.Seconds()))
}

// sortedNames lists the keys of a map in order.
func sortedNames[K interface{ ~string | ~int64 }, V any](m map[K]V) []K {
	out := make([]K, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
