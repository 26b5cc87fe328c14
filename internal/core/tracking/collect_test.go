package tracking_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-ml/slipway"
	. "github.com/slipway-ml/slipway/internal/core/tracking"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// rows counts the rows of tables.
func (w *world) rows(tables ...string) string {
	w.t.Helper()
	var out []string
	err := w.db.Read(w.ctx, func(tx *db.Tx) error {
		for _, table := range tables {
			var n int64
			if err := tx.QueryRow(`SELECT COUNT(*) FROM ` + table).Scan(&n); err != nil {
				return err
			}
			out = append(out, fmt.Sprint(table, " ", n))
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.Join(out, ", ")
}

func (w *world) collect(before time.Time, remove bool) Collected {
	w.t.Helper()
	out, err := w.Collect(as(w.t.Context(), slipway.Operator, ""), before, remove, func(int64) {})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func check(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// full makes a run with something in every table.
func (w *world) full(name string) *Run {
	w.t.Helper()
	r := w.run(name, 1)
	var points []Metric
	for i := range int64(40) {
		points = append(points, metric("loss", i, i, float64(i)))
	}
	w.log(r, Batch{Metrics: append(points, metric("one", 0, 0, 1)), Params: []Pair{{Key: "p", Value: "1"}}, Tags: []Pair{{Key: "t", Value: "1"}}})
	check(w.t, "input", w.LogInputs(w.ctx, r.ID, []DatasetInput{{Dataset: Dataset{Name: "d", Digest: "1", SourceType: "local", Source: "{}"}}}, nil))
	_, err := w.PutArtifact(w.ctx, Place{Owner: r.ID, Path: "a/b.txt"}, strings.NewReader("bytes of "+name))
	check(w.t, "artifact", err)
	return r
}

const tables = "run run_param run_tag metric_series metric_tail metric_chunk run_input run_model run_artifact logged_model logged_model_field experiment experiment_tag run_dataset"

// TestCollect: what was deleted long enough ago goes with all its rows, what was
// not stays, and the name of an experiment can be used again.
func TestCollect(t *testing.T) {
	each(t, func(w *world) {
		keep := w.full("keep")
		before := w.rows(strings.Fields(tables)...)
		doomed := w.full("doomed")
		check(t, "delete", w.DeleteRun(w.ctx, doomed.ID))
		e, err := w.CreateExperiment(w.ctx, NewExperiment{Name: "scrap", Tags: []Pair{{Key: "team", Value: "ops"}}})
		check(t, "experiment", err)
		own := w.exp
		w.exp = e.ID
		scrap := w.full("scrap")
		m, err := w.CreateModel(w.ctx, NewModel{Experiment: e.ID, Run: scrap.ID, Name: "m", Params: []Pair{{Key: "p", Value: "1"}}})
		check(t, "model", err)
		check(t, "output", w.LogInputs(w.ctx, scrap.ID, nil, []ModelLink{{Model: m.ID, Output: true}}))
		w.log(scrap, Batch{Metrics: []Metric{{Key: "auc", Point: Point{Value: 0.8}, Model: m.ID}}})
		w.exp = own
		check(t, "delete experiment", w.DeleteExperiment(w.ctx, e.ID))
		if _, err := w.CreateExperiment(w.ctx, NewExperiment{Name: "scrap"}); !slipway.IsCode(err, slipway.Conflict) || !strings.Contains(slipway.AsError(err).Hint, "gc") {
			t.Errorf("a deleted experiment's name: %v", err)
		}

		if got := w.collect(time.Now().Add(-time.Hour), true); got.Runs+got.Models+got.Experiments != 0 {
			t.Errorf("within the time of grace: %+v", got)
		}
		all := w.rows(strings.Fields(tables)...)
		later := time.Now().Add(time.Hour)
		dry, wet := w.collect(later, false), Collected{}
		if now := w.rows(strings.Fields(tables)...); now != all {
			t.Errorf("counting changed %s to %s", all, now)
		}
		wet = w.collect(later, true)
		dry.Removed = true
		if dry != wet || wet.Runs != 2 || wet.Experiments != 1 || wet.Models != 1 || wet.Files != 2 || wet.Bytes != int64(len("bytes of doomed"+"bytes of scrap")) {
			t.Errorf("counted %+v, removed %+v", dry, wet)
		}
		if now := w.rows(strings.Fields(tables)...); now != before {
			t.Errorf("left\n%s, want\n%s", now, before)
		}
		if _, err := w.Run(w.ctx, doomed.ID); !slipway.IsCode(err, slipway.NotFound) {
			t.Errorf("the collected run: %v", err)
		}
		if err := w.RestoreRun(w.ctx, doomed.ID); !slipway.IsCode(err, slipway.NotFound) {
			t.Errorf("restoring it: %v", err)
		}
		if points, err := w.History(w.ctx, keep.ID, "loss", EveryStep); err != nil || len(points) != 40 {
			t.Errorf("the run that stays has %d points, %v", len(points), err)
		}
		_, err = w.CreateExperiment(w.ctx, NewExperiment{Name: "scrap"})
		check(t, "the name again", err)
		fresh := w.run("fresh", 2)
		w.log(fresh, Batch{Metrics: []Metric{metric("loss", 1, 1, 7)}})
		if points, err := w.History(w.ctx, fresh.ID, "loss", EveryStep); err != nil || len(points) != 1 || points[0].Value != 7 {
			t.Errorf("a run made afterwards: %v, %v", points, err)
		}
	})
}

// TestCollectSpares: experiment 0 and a pipeline's run that goes on stay, and
// nobody but an operator of the whole workspace collects.
func TestCollectSpares(t *testing.T) {
	each(t, func(w *world) {
		id, err := w.StartRun(w.ctx, Start{Project: "default", Experiment: "flights", Name: "train", Kind: KindPipeline})
		check(t, "start", err)
		check(t, "delete", w.DeleteRun(w.ctx, id))
		check(t, "delete 0", w.DeleteExperiment(w.ctx, 0))
		later := time.Now().Add(time.Hour)
		if got := w.collect(later, true); got.Runs+got.Experiments != 0 {
			t.Errorf("collected %+v", got)
		}
		check(t, "finish", w.FinishRun(w.ctx, id, Finished, time.Now()))
		if got := w.collect(later, true); got.Runs != 1 {
			t.Errorf("after its end: %+v", got)
		}
		for _, ctx := range []slipway.Principal{{Name: "w", Role: slipway.Writer}, {Name: "o", Role: slipway.Operator, Project: "default"}} {
			if _, err := w.Collect(slipway.WithPrincipal(t.Context(), ctx), later, true, func(int64) {}); !slipway.IsCode(err, slipway.Denied) {
				t.Errorf("%+v: %v", ctx, err)
			}
		}
	})
}

// TestCollectBesideWriters deletes, restores, logs and collects at once: what is
// active at the end has every point that was acknowledged.
func TestCollectBesideWriters(t *testing.T) {
	each(t, func(w *world) {
		stop := make(chan struct{})
		var work, collector sync.WaitGroup
		collector.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					w.collect(time.Now().Add(time.Hour), true)
				}
			}
		})
		var kept sync.Map
		for n := range 4 {
			work.Go(func() {
				for i := range 12 {
					r, err := w.CreateRun(w.ctx, NewRun{Experiment: w.exp, Name: fmt.Sprint(n, " ", i), Start: epoch})
					if err != nil {
						t.Error(err)
						return
					}
					for step := range int64(5) {
						if err := w.Log(w.ctx, r.ID, Batch{Metrics: []Metric{metric("m", step, step, float64(step))}}); err != nil {
							t.Errorf("an active run: %v", err)
						}
					}
					if i%2 == 0 {
						kept.Store(r.ID, true)
						continue
					}
					if err := w.DeleteRun(w.ctx, r.ID); err != nil {
						t.Error(err)
					}
					if err := w.RestoreRun(w.ctx, r.ID); err == nil {
						kept.Store(r.ID, true)
					} else if !slipway.IsCode(err, slipway.NotFound) {
						t.Errorf("restore: %v", err)
					}
				}
			})
		}
		work.Wait()
		close(stop)
		collector.Wait()
		kept.Range(func(id, _ any) bool {
			if points, err := w.History(w.ctx, id.(string), "m", EveryStep); err != nil || len(points) != 5 {
				t.Errorf("%v has %d points, %v", id, len(points), err)
			}
			return true
		})
	})
}
