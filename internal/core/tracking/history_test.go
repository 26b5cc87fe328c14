package tracking_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	. "github.com/slipway-ml/slipway/internal/core/tracking"
)

// However a history was logged, its pages are the history: chunk after chunk,
// chunks that overlap, points that stand twice, with and without a tail.
func TestPagesAreTheHistory(t *testing.T) {
	each(t, func(w *world) {
		for name, parts := range map[string][][2]int64{ // times from and to, one batch each
			"nothing":        {},
			"tail alone":     {{0, 5}, {5, 9}},
			"chunks":         {{0, 40}, {40, 80}, {80, 300}, {300, 340}},
			"chunks, a tail": {{0, 40}, {40, 80}, {80, 83}, {83, 85}},
			"tail in chunks": {{0, 40}, {42, 44}, {80, 120}},
			"overlapping":    {{0, 40}, {30, 80}, {10, 50}},
			"out of order":   {{100, 140}, {0, 40}, {50, 90}, {45, 47}},
			"touching":       {{0, 40}, {39, 80}},
		} {
			r := w.run(name, 0)
			for _, p := range parts {
				var batch Batch
				for at := p[0]; at < p[1]; at++ {
					batch.Metrics = append(batch.Metrics, Metric{Key: "loss", Point: Point{Step: at / 2, Time: at, Value: Number(at)}})
				}
				w.log(r, batch)
			}
			want, err := w.History(w.ctx, r.ID, "loss", EveryStep)
			if err != nil {
				t.Fatal(err)
			}
			for _, limit := range []int{0, 1, 7, 39, 40, 41, 80, 1000, 1<<63 - 1} {
				if limit == 1 && len(want) > 100 {
					continue
				}
				var got []Point
				for more := true; more; {
					var page []Point
					if page, more, err = w.HistoryPage(w.ctx, r.ID, "loss", len(got), limit); err != nil {
						t.Fatal(err)
					}
					if limit > 0 && (len(page) > limit || more && len(page) < limit) {
						t.Fatalf("%s: a page of %d points where %d were asked for", name, len(page), limit)
					}
					got = append(got, page...)
				}
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("%s, pages of %d: %s", name, limit, d)
				}
			}
			if page, more, err := w.HistoryPage(w.ctx, r.ID, "loss", 1<<62, 5); len(page) > 0 || more || err != nil {
				t.Errorf("%s: beyond the end there are %v, %v, %v", name, page, more, err)
			}
		}
	})
}
