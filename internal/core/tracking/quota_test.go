package tracking_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
	. "github.com/slipway-ml/slipway/internal/core/tracking"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
)

// TestQuota: what is over a quota is refused and leaves nothing, and says what
// to do; after that was done, there is room again.
func TestQuota(t *testing.T) {
	dbtest.Each(t, []db.Migration{Migration}, func(t *testing.T, d *db.DB) {
		store, err := content.Open(t.TempDir(), content.Options{})
		check(t, "store", err)
		t.Cleanup(func() { store.Close() })
		now := epoch
		w := &world{New(Options{DB: d, Content: store, Quota: Quota{File: 100, Bytes: 250, Runs: 3}, Clock: func() time.Time { return now }}), t, as(t.Context(), slipway.Writer, ""), d, 0}
		var runs []*Run
		for range 3 {
			runs = append(runs, w.run("r", 0))
		}
		exhausted := func(what string, err error, hint string) {
			t.Helper()
			if !slipway.IsCode(err, slipway.Exhausted) || !strings.Contains(slipway.AsError(err).Hint, hint) {
				t.Errorf("%s: %v", what, err)
			}
		}
		another := func() error {
			_, err := w.CreateRun(w.ctx, NewRun{Start: epoch})
			return err
		}
		put := func(run *Run, path string, n int) error {
			_, err := w.PutArtifact(w.ctx, Place{Owner: run.ID, Path: path}, bytes.NewReader(make([]byte, n)))
			return err
		}
		exhausted("a fourth run", another(), "SLIPWAY_PROJECT_RUNS")
		exhausted("a large file", put(runs[0], "large", 101), "SLIPWAY_ARTIFACT_BYTES")
		check(t, "a file at its limit", put(runs[0], "a", 100))
		check(t, "a second", put(runs[1], "b", 100))
		exhausted("what is over the project's", put(runs[2], "c", 51), "SLIPWAY_PROJECT_BYTES")
		check(t, "what fits in", put(runs[2], "c", 50))
		exhausted("one byte more", put(runs[2], "d", 1), "slipway gc")
		if files, err := w.ListArtifacts(w.ctx, Place{Owner: runs[2].ID}); err != nil || len(files) != 1 {
			t.Errorf("files of the third run: %v, %v", files, err)
		}
		if _, err := w.PutPart(w.ctx, Place{Owner: runs[2].ID, Path: "p"}, strings.NewReader("x")); !slipway.IsCode(err, slipway.Exhausted) {
			t.Errorf("a part: %v", err)
		}
		check(t, "delete", w.DeleteRun(w.ctx, runs[0].ID))
		now = now.Add(2 * time.Second)
		exhausted("while it is only deleted", another(), "slipway gc")
		w.collect(time.Now().Add(time.Hour), true)
		now = now.Add(2 * time.Second)
		check(t, "a run after the collection", another())
		check(t, "a file after the collection", put(runs[2], "d", 100))

		e, err := w.CreateExperiment(w.ctx, NewExperiment{Project: "other", Name: "x"})
		check(t, "another project", err)
		_, err = w.CreateRun(w.ctx, NewRun{Experiment: e.ID, Start: epoch})
		check(t, "a run of another project", err)
		_, err = w.StartRun(w.ctx, Start{Project: "default", Kind: KindPipeline})
		check(t, "a pipeline's run", err)
	})
}
