package tracking_test

import (
	"fmt"
	"sync"
	"testing"

	. "github.com/slipway-ml/slipway/internal/core/tracking"
)

// TestManyWritersOfOneRun: nothing that was acknowledged is lost, and who reads
// after an acknowledgement sees it, whatever a search cached in between.
func TestManyWritersOfOneRun(t *testing.T) {
	each(t, func(w *world) {
		const writers, each = 8, 25
		r := w.run("shared", 0)
		var work sync.WaitGroup
		for i := range writers {
			work.Go(func() {
				key := fmt.Sprintf("p%d", i)
				for j := range int64(each) {
					b := Batch{Metrics: []Metric{metric("loss", int64(i)*each+j, j, 0.5), metric(key, j, j, float64(j))}, Tags: []Pair{{key, fmt.Sprint(j)}}}
					if err := w.Log(w.ctx, r.ID, b); err != nil {
						t.Error(err)
						return
					}
					runs, _, err := w.SearchRuns(w.ctx, Search{Experiments: []int64{w.exp}})
					if err != nil || len(runs) != 1 {
						t.Error(runs, err)
						return
					}
					for _, m := range runs[0].Metrics {
						if m.Key == key && m.Step < j {
							t.Errorf("%s is at step %d after %d was acknowledged", key, m.Step, j)
						}
					}
				}
			})
		}
		work.Wait()
		h, err := w.History(w.ctx, r.ID, "loss", EveryStep)
		if err != nil || len(h) != writers*each {
			t.Errorf("%d points, %v; want %d", len(h), err, writers*each)
		}
	})
}
