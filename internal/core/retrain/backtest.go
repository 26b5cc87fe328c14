package retrain

import (
	"context"
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
	"github.com/slipway-ml/slipway/internal/project"
	"github.com/slipway-ml/slipway/internal/stat"
)

// Scorer predicts rows with a model, neither of which needs to be registered.
type Scorer interface {
	// Score predicts the rows of a step's output with a model and reads their
	// target and event time. Rows without a target or a time are left out.
	Score(ctx context.Context, project string, model, rows slipway.Artifact) (Scored, error)
	// Times reads the event time of the rows that Score would keep.
	Times(ctx context.Context, project string, rows slipway.Artifact) ([]time.Time, error)
}

// Scored is rows with their truth and what a model said.
type Scored struct {
	stat.Scored
	Time []time.Time
	// Feature holds the numeric features of the rows, by name, for the drift
	// policy; missing values are NaN.
	Feature map[string][]float64
}

// add appends rows of another batch. Both were answered by models of one kind.
func (s *Scored) add(o Scored) {
	s.Classes = o.Classes
	s.Y, s.P, s.Time = append(s.Y, o.Y...), append(s.P, o.P...), append(s.Time, o.Time...)
}

// Test asks for a backtest.
type Test struct {
	Project string                    `json:"project"`
	From    time.Time                 `json:"from"`  // first training: rows before it
	To      time.Time                 `json:"to"`    // end of the history
	Every   string                    `json:"every"` // month, or a length of time: between trainings
	Last    []time.Duration           `json:"last"`  // lengths of windows to try beside everything so far
	Metric  string                    `json:"metric"`
	Rows    project.OutputRef         `json:"rows"`   // the output whose rows are scored
	Params  map[string]map[string]any `json:"params"` // of the runs that only make rows to score
}

// trial is one training: at a cut, on a window.
type trial struct {
	cut    int
	window string // "everything so far", or "last 90d"
	model  slipway.Artifact
	run    string
}

// history is all that was trained and scored: every policy is a path through it.
type history struct {
	test   Test
	metric stat.Metric
	cuts   []time.Time
	rows   []slipway.Artifact // of the batch that begins at each cut
	trials map[string]trial   // by key
	cells  map[string]Scored
}

func trialKey(cut int, window string) string { return fmt.Sprintf("%d %s", cut, window) }

// everything is the name of the expanding window.
const everything = "everything so far"

// Backtest trains once for every cut and window by running the project's own
// pipeline, scores each model on the later batches that a policy needs, and
// compares the policies on the same rows.
func (s *Service) Backtest(ctx context.Context, t Test, say func(web.Progress)) (Report, error) {
	metric, err := stat.Lookup(t.Metric)
	if err != nil {
		return Report{}, err
	}
	h := &history{test: t, metric: metric, trials: map[string]trial{}, cells: map[string]Scored{}}
	p, err := s.o.Applied.Project(ctx, t.Project)
	if err != nil {
		return Report{}, err
	}
	if !slices.ContainsFunc(slices.Collect(maps.Values(p.Data)), func(d project.Dataset) bool { return d.Time.Expression != "" }) {
		return Report{}, slipway.Errorf(slipway.Invalid, "a backtest cuts history by event time, and no dataset in slipway.yaml has one").
			WithHint("data: {%s: {time: COLUMN}}", strings.Join(slices.Sorted(maps.Keys(p.Data)), ": {time: COLUMN}, "))
	}
	if p.Model == nil || p.Model.From.Step == "" {
		return Report{}, slipway.Errorf(slipway.Invalid, "a backtest trains models, and slipway.yaml names none").
			WithHint("declare what makes it: model: {from: step.output}")
	}
	if h.cuts, err = cuts(t, p.Location()); err != nil {
		return Report{}, err
	}
	windows := []string{everything}
	for _, d := range t.Last {
		windows = append(windows, "last "+slipway.FormatDuration(d))
	}
	total := int64(len(h.cuts)-1) * int64(1+len(windows))
	var done int64
	var telling sync.Mutex
	tell := func(what string) {
		telling.Lock()
		defer telling.Unlock()
		done++
		say(web.Progress{Message: what, Done: done, Total: total, Unit: "run"})
	}
	if err := s.makeRows(ctx, h, tell); err != nil {
		return Report{}, err
	}
	if err := s.train(ctx, h, p.Model.From.Step, windows, tell); err != nil {
		return Report{}, err
	}
	r, err := s.compare(ctx, h, windows)
	if err != nil {
		return Report{}, err
	}
	return r, s.keepReport(ctx, newID(), r)
}

// cuts are the times of training, and the end of the history.
func cuts(t Test, zone *time.Location) ([]time.Time, error) {
	if !t.From.Before(t.To) {
		return nil, slipway.Errorf(slipway.Invalid, "a backtest needs a history: --from must lie before --to")
	}
	next := func(at time.Time) time.Time { return at.In(zone).AddDate(0, 1, 0) }
	if t.Every != "month" {
		d, err := slipway.ParseDuration(t.Every)
		if err != nil || d < time.Hour {
			return nil, slipway.Errorf(slipway.Invalid, "--every is %q; write month, or a length of time of an hour or more", t.Every)
		}
		next = func(at time.Time) time.Time { return at.Add(d) }
	}
	var out []time.Time
	for at := t.From; at.Before(t.To); at = next(at) {
		out = append(out, at)
	}
	out = append(out, t.To)
	if len(out) < 3 {
		return nil, slipway.Errorf(slipway.Invalid, "between %s and %s lies one training: there is nothing to compare", t.From.Format(time.DateOnly), t.To.Format(time.DateOnly))
	}
	return out, nil
}

// makeRows runs the step that makes rows to score, once for each batch.
func (s *Service) makeRows(ctx context.Context, h *history, tell func(string)) error {
	h.rows = make([]slipway.Artifact, len(h.cuts)-1)
	return together(ctx, len(h.rows), func(ctx context.Context, i int) error {
		out, err := s.o.Runner.Run(ctx, h.test.Project, Run{Steps: []string{h.test.Rows.Step}, Params: h.test.Params,
			Window: slipway.Window{To: h.cuts[i+1]}, Trigger: "backtest", Quiet: true,
			Reason: "rows of the batch that begins on " + h.cuts[i].Format(time.DateOnly)})
		if err != nil {
			return err
		}
		rows, ok := out.Output[h.test.Rows.String()]
		if !ok {
			return slipway.Errorf(slipway.Invalid, "the step %s does not make %s", h.test.Rows.Step, h.test.Rows)
		}
		h.rows[i] = rows
		// What cannot be scored shall not cost the time of the trainings first.
		at, err := s.o.Scorer.Times(ctx, h.test.Project, rows)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(at, h.batch(i).Contains) {
			return slipway.Errorf(slipway.Invalid, "%s holds no rows of the batch that begins on %s", h.test.Rows, h.cuts[i].Format(time.DateOnly)).
				WithHint("each batch is scored on what the step %s makes of the rows before its end; --param gives that step other params, such as more days to test on", h.test.Rows.Step)
		}
		tell("rows of " + h.cuts[i].Format("2006-01-02"))
		return nil
	})
}

// train brings the step that makes the model up to date, for every cut and
// window. What the pipeline does with a model afterwards is not asked for.
func (s *Service) train(ctx context.Context, h *history, step string, windows []string, tell func(string)) error {
	trials := make([]trial, (len(h.cuts)-1)*len(windows))
	err := together(ctx, len(trials), func(ctx context.Context, n int) error {
		i, k := n/len(windows), n%len(windows)
		name, w := windows[k], slipway.Window{To: h.cuts[i]}
		if k > 0 {
			w.From = w.To.Add(-h.test.Last[k-1])
		}
		out, err := s.o.Runner.Run(ctx, h.test.Project, Run{Steps: []string{step}, Window: w, Trigger: "backtest", Quiet: true,
			Reason: fmt.Sprintf("trained on %s at %s", name, h.cuts[i].Format(time.DateOnly))})
		if err != nil {
			return err
		}
		if out.Model == nil {
			return slipway.Errorf(slipway.Failed, "the step %s made no model", step)
		}
		trials[n] = trial{i, name, *out.Model, out.ID}
		tell(fmt.Sprintf("trained on %s at %s", name, h.cuts[i].Format(time.DateOnly)))
		return nil
	})
	for _, t := range trials {
		h.trials[trialKey(t.cut, t.window)] = t
	}
	return err
}

// together does n things, as many at once as there are cores: which steps of
// the runs really go at the same time, the pipeline decides by what they
// declare to need. It ends with the first error.
func together(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range n {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return do(ctx, i)
		})
	}
	return g.Wait()
}

// score is the cell of a trial and a batch, scored on first use. Rows outside
// the batch are left out: a step may hand on more.
func (s *Service) score(ctx context.Context, h *history, t trial, batch int) (Scored, error) {
	key := fmt.Sprintf("%s on %d", trialKey(t.cut, t.window), batch)
	if c, ok := h.cells[key]; ok {
		return c, nil
	}
	c, err := s.o.Scorer.Score(ctx, h.test.Project, t.model, h.rows[batch])
	if err != nil {
		return Scored{}, err
	}
	c = c.within(h.batch(batch))
	h.cells[key] = c
	return c, nil
}

// within keeps the rows of a window.
func (s Scored) within(w slipway.Window) Scored {
	out := Scored{Feature: map[string][]float64{}}
	out.Classes = s.Classes
	width := max(s.Classes, 1)
	for i, at := range s.Time {
		if !w.Contains(at) {
			continue
		}
		out.Y, out.P, out.Time = append(out.Y, s.Y[i]), append(out.P, s.P[i*width:(i+1)*width]...), append(out.Time, at)
		for name, v := range s.Feature {
			out.Feature[name] = append(out.Feature[name], v[i])
		}
	}
	return out
}

// path is what a policy would have lived through: which trial answered each
// batch.
type path struct {
	name    string
	answers []trial
	trained int // retrainings after the first
}

// follow scores a path over all batches.
func (s *Service) follow(ctx context.Context, h *history, p path) (all Scored, err error) {
	for batch, t := range p.answers {
		c, err := s.score(ctx, h, t, batch)
		if err != nil {
			return all, err
		}
		all.add(c)
	}
	return all, nil
}

// value is the metric of some rows, NaN when they do not define it.
func (h *history) value(c Scored) float64 {
	v, err := h.metric.Of(c.Scored)
	if err != nil {
		return math.NaN()
	}
	return v
}

// better reports whether a is better than b by the metric.
func (h *history) better(a, b float64) bool { return h.metric.Better(a, b) }

// batch is the time between two cuts.
func (h *history) batch(i int) slipway.Window {
	return slipway.Window{From: h.cuts[i], To: h.cuts[i+1]}
}

// batches are the beginnings of the batches, for a report.
func (h *history) batches() []time.Time { return slices.Clone(h.cuts[:len(h.cuts)-1]) }
