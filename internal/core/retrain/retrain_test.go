package retrain_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/retrain"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
	"github.com/slipway-ml/slipway/internal/kit/web"
	"github.com/slipway-ml/slipway/internal/project"
)

const yaml = `
project: p
timezone: America/New_York
data:
  rows: {path: rows/, time: at, key: id}
pipeline:
  prepare: {run: python prepare.py, in: [rows], out: {test: test.parquet}, params: {test_days: 14}}
  train: {run: python train.py, in: [rows], out: {model: model.txt}}
model: {name: m, from: train.model, task: regression, target: y}
gates: {data: prepare.test, metrics: [{metric: mae, max: 5}]}
monitor: {drift: {features: all}, quality: {metric: roc_auc, min: 0.6}}
retrain:
  on: [{schedule: "0 3 1 * *"}, {drift: {features: 3, windows: 2}}, {metric: {roc_auc: "<0.62"}}, {data: rows}, commit]
  cooldown: 14d
  window: {last: 90d}
`

// world is a pipeline, a monitor and a clock that do as the test says. Its
// "model" is the mean of y on the window that it was trained on.
type world struct {
	mu      sync.Mutex
	p       *project.Project
	runs    []retrain.Run
	drifted int
	metric  float64
	known   bool
	level   func(time.Time) float64 // what y is about at a time
	gap     time.Time               // a month without rows begins here
}

func (w *world) Project(context.Context, string) (*project.Project, error) { return w.p, nil }
func (w *world) Projects(context.Context) ([]string, error)                { return []string{"p"}, nil }
func (w *world) Drifted(context.Context, string, int) (int, error)         { return w.drifted, nil }
func (w *world) Metric(context.Context, string, string) (float64, bool, error) {
	return w.metric, w.known, nil
}

var begin = time.Date(2013, 1, 1, 5, 0, 0, 0, time.UTC)

func (w *world) Run(_ context.Context, _ string, r retrain.Run) (retrain.Outcome, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.runs = append(w.runs, r)
	id := fmt.Sprint("run", len(w.runs))
	if slices.Contains(r.Steps, "prepare") {
		return retrain.Outcome{ID: id, Output: map[string]slipway.Artifact{"prepare.test": {Path: "rows " + r.Window.To.Format(time.RFC3339)}}}, nil
	}
	from := r.Window.From
	if from.IsZero() {
		from = begin
	}
	sum, n := 0.0, 0.0
	for at := from; at.Before(r.Window.To); at = at.AddDate(0, 0, 1) {
		sum, n = sum+w.level(at), n+1
	}
	return retrain.Outcome{ID: id, Model: &slipway.Artifact{Path: fmt.Sprintf("model %g", sum/n)}}, nil
}

func (w *world) Score(_ context.Context, _ string, model, rows slipway.Artifact) (retrain.Scored, error) {
	var p float64
	var to string
	if _, err := fmt.Sscanf(model.Path, "model %g", &p); err != nil {
		return retrain.Scored{}, err
	}
	if _, err := fmt.Sscanf(rows.Path, "rows %s", &to); err != nil {
		return retrain.Scored{}, err
	}
	end, err := time.Parse(time.RFC3339, to)
	if err != nil {
		return retrain.Scored{}, err
	}
	out := retrain.Scored{Feature: map[string][]float64{}}
	for at := end.AddDate(0, 0, -31); at.Before(end); at = at.Add(3 * time.Hour) {
		if !w.gap.IsZero() && !at.Before(w.gap) && at.Before(w.gap.AddDate(0, 1, 2)) {
			continue
		}
		r := rand.New(rand.NewPCG(uint64(at.Unix()), 1))
		out.Y, out.P, out.Time = append(out.Y, w.level(at)+r.NormFloat64()), append(out.P, p), append(out.Time, at)
		out.Feature["x"] = append(out.Feature["x"], w.level(at)+r.NormFloat64())
	}
	return out, nil
}

func (w *world) Times(ctx context.Context, name string, rows slipway.Artifact) ([]time.Time, error) {
	s, err := w.Score(ctx, name, slipway.Artifact{Path: "model 0"}, rows)
	return s.Time, err
}

func each(t *testing.T, fn func(*testing.T, *retrain.Service, *world, *web.Jobs)) {
	dbtest.Each(t, []db.Migration{retrain.Migration}, func(t *testing.T, d *db.DB) {
		p, err := project.Parse("slipway.yaml", []byte(yaml))
		if err != nil {
			t.Fatal(err)
		}
		w := &world{p: p, level: func(time.Time) float64 { return 0 }}
		jobs := &web.Jobs{Lifetime: t.Context()}
		fn(t, retrain.New(retrain.Options{DB: d, Applied: w, Runner: w, Monitor: w, Scorer: w, Jobs: jobs}), w, jobs)
	})
}

func TestEachTriggerStartsOneRunOnItsWindow(t *testing.T) {
	start := time.Date(2013, 4, 20, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name   string
		cause  func(*testing.T, *retrain.Service, *world)
		at     time.Time
		reason string
	}{
		{"schedule", nil, time.Date(2013, 5, 1, 7, 0, 0, 0, time.UTC), "scheduled for 2013-05-01 03:00 EDT"},
		{"schedule passed twice", nil, time.Date(2013, 6, 3, 0, 0, 0, 0, time.UTC), "scheduled for 2013-06-01 03:00 EDT"},
		{"not yet", nil, time.Date(2013, 5, 1, 6, 59, 0, 0, time.UTC), ""},
		{"drift", func(_ *testing.T, _ *retrain.Service, w *world) { w.drifted = 3 }, start.Add(time.Hour), "3 features drifted"},
		{"too little drift", func(_ *testing.T, _ *retrain.Service, w *world) { w.drifted = 2 }, start.Add(time.Hour), ""},
		{"metric", func(_ *testing.T, _ *retrain.Service, w *world) { w.metric, w.known = 0.61, true }, start.Add(time.Hour), "roc_auc is 0.61"},
		{"unknown metric", func(_ *testing.T, _ *retrain.Service, w *world) { w.metric = 0.1 }, start.Add(time.Hour), ""},
		{"data", func(t *testing.T, s *retrain.Service, _ *world) { handle(t, s, "dataset.versioned") }, start.Add(time.Hour), "a new version of rows came"},
		{"commit", func(t *testing.T, s *retrain.Service, _ *world) { handle(t, s, "revision.applied") }, start.Add(time.Hour), "new code was applied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(t *testing.T, s *retrain.Service, w *world, jobs *web.Jobs) {
				tick(t, s, jobs, start) // watched from here on
				if c.cause != nil {
					c.cause(t, s, w)
				}
				tick(t, s, jobs, c.at)
				tick(t, s, jobs, c.at) // the same time again asks nothing
				if c.reason == "" {
					if len(w.runs) != 0 {
						t.Fatalf("it retrained: %+v", w.runs)
					}
					return
				}
				if len(w.runs) != 1 || !strings.Contains(w.runs[0].Reason, c.reason) {
					t.Fatalf("runs %+v; want one, because %q", w.runs, c.reason)
				}
				if got := w.runs[0].Window; !got.To.Equal(c.at) || got.To.Sub(got.From) != 90*24*time.Hour {
					t.Errorf("trained on %v; want the 90 days before %v", got, c.at)
				}
				if all, err := s.List(t.Context(), "p"); err != nil || len(all) != 1 || all[0].State != "succeeded" || all[0].Run != "run1" {
					t.Errorf("List = %+v, %v", all, err)
				}
			})
		})
	}
}

func TestCooldownSkipsAndSaysSo(t *testing.T) {
	each(t, func(t *testing.T, s *retrain.Service, w *world, jobs *web.Jobs) {
		at := time.Date(2013, 4, 30, 0, 0, 0, 0, time.UTC)
		tick(t, s, jobs, at)
		tick(t, s, jobs, at.AddDate(0, 0, 2)) // the schedule
		w.drifted = 5
		tick(t, s, jobs, at.AddDate(0, 0, 5))
		all, err := s.List(t.Context(), "p")
		if err != nil || len(w.runs) != 1 || len(all) != 2 || all[0].State != "skipped" || !strings.Contains(all[0].Reason, "cool-down lasts 11d") {
			t.Fatalf("%d runs, %+v, %v", len(w.runs), all, err)
		}
		tick(t, s, jobs, at.AddDate(0, 0, 17))
		if len(w.runs) != 2 {
			t.Errorf("%d runs after the cool-down; want 2", len(w.runs))
		}
	})
}

// On a level that rises the newest rows are the best to learn from; on one that
// swings through the year all rows are. A backtest must tell which it is, and
// say nothing where there is nothing.
func TestBacktestFindsTheRightWindow(t *testing.T) {
	for name, c := range map[string]struct {
		level func(time.Time) float64
		wins  string
	}{
		"rising level": {func(at time.Time) float64 { return at.Sub(begin).Hours() / 240 }, "last 60d, every batch"},
		"level that swings faster than the window": {func(at time.Time) float64 {
			return 3 * math.Sin(2*math.Pi*at.Sub(begin).Hours()/24/75)
		}, "everything so far"},
		"nothing changes": {func(time.Time) float64 { return 0 }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, s *retrain.Service, w *world, _ *web.Jobs) {
				w.level = c.level
				r, err := s.Backtest(t.Context(), retrain.Test{Project: "p", From: begin.AddDate(0, 2, 0), To: begin.AddDate(0, 11, 0), Every: "month",
					Last: []time.Duration{60 * 24 * time.Hour}, Metric: "mae", Rows: project.OutputRef{Step: "prepare", Output: "test"}}, func(web.Progress) {})
				if err != nil {
					t.Fatal(err)
				}
				value := map[string]float64{}
				for _, p := range r.Policy {
					value[p.Name] = p.Value.Value
					if p.Value.Value < r.Oracle.Value.Value-1e-9 {
						t.Errorf("%s does better than the oracle", p.Name)
					}
					if len(p.ByBatch) != 9 {
						t.Errorf("%s: %d batches; want 9", p.Name, len(p.ByBatch))
					}
				}
				last, all := value["last 60d, every batch"], value["everything so far, every batch"]
				switch {
				case strings.HasPrefix(c.wins, "last") && (last >= all || !strings.HasPrefix(r.Verdict, c.wins)):
					t.Errorf("last 60d %.3f, everything %.3f; verdict %q", last, all, r.Verdict)
				case strings.HasPrefix(c.wins, "everything") && all >= last:
					t.Errorf("last 60d %.3f, everything %.3f; verdict %q", last, all, r.Verdict)
				case c.wins == "" && !strings.HasPrefix(r.Verdict, "no policy is shown"):
					t.Errorf("verdict %q on a history without change", r.Verdict)
				}
				kept, err := s.Reports(t.Context(), "p", 10)
				if err != nil || len(kept) != 1 || kept[0].Verdict != r.Verdict {
					t.Errorf("Reports = %d, %v", len(kept), err)
				}
			})
		})
	}
}

// What cannot be answered is said before anything is trained.
func TestBacktestRefusesBeforeItTrains(t *testing.T) {
	for name, c := range map[string]struct {
		change []string // of slipway.yaml: old, new
		to     time.Time
		want   string
	}{
		"no event time":          {[]string{", time: at", "", "window: {last: 90d}", "window: expanding"}, begin.AddDate(0, 4, -1), "no dataset in slipway.yaml has one"},
		"a batch without rows":   {nil, begin.AddDate(0, 8, -1), "holds no rows of the batch that begins on 2013-07-01"},
		"one training":           {nil, begin.AddDate(0, 3, -1), "there is nothing to compare"},
		"a metric nobody knows":  {nil, begin.AddDate(0, 4, -1), "no metric"},
		"a history of no length": {nil, begin, "--from must lie before --to"},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, s *retrain.Service, w *world, _ *web.Jobs) {
				var err error
				if w.p, err = project.Parse("slipway.yaml", []byte(strings.NewReplacer(c.change...).Replace(yaml))); err != nil {
					t.Fatal(err)
				}
				w.gap = begin.AddDate(0, 6, -1)
				metric := "mae"
				if strings.HasPrefix(name, "a metric") {
					metric = "mea"
				}
				_, err = s.Backtest(t.Context(), retrain.Test{Project: "p", From: begin.AddDate(0, 2, 0), To: c.to, Every: "month",
					Metric: metric, Rows: project.OutputRef{Step: "prepare", Output: "test"}}, func(web.Progress) {})
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("Backtest = %v; want %q", err, c.want)
				}
				for _, r := range w.runs {
					if slices.Contains(r.Steps, "train") {
						t.Errorf("it trained first: %+v", r)
					}
				}
			})
		})
	}
}

func tick(t *testing.T, s *retrain.Service, jobs *web.Jobs, at time.Time) {
	t.Helper()
	if err := s.Tick(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	jobs.Wait()
}

func handle(t *testing.T, s *retrain.Service, verb string) {
	t.Helper()
	err := s.Handle(t.Context(), slipway.Event{Project: "p", Verb: verb, Subject: slipway.VersionRef(slipway.KindDataset, "rows", 2)})
	if err != nil {
		t.Fatal(err)
	}
}
