package tree

import (
	"math"
	"testing"
)

func TestContributionsEqualTheLibrary(t *testing.T) {
	for _, g := range goldens(t) {
		t.Run(g.name, func(t *testing.T) {
			x, err := NewExplainer(g.e)
			if err != nil {
				t.Fatal(err)
			}
			got := make([]float64, len(g.contrib))
			x.Explain(got, g.x, g.rows)
			tol := 1e-6
			if g.e.Float32 {
				tol = 5e-6 // XGBoost adds up in float32
			}
			width := len(g.e.Features) + 1
			for i, want := range g.contrib {
				if !near(got[i], want, tol) {
					t.Fatalf("row %d output %d feature %d: %v, the library says %v", i/width/g.outputs, i/width%g.outputs, i%width, got[i], want)
				}
			}
			t.Logf("%d chunks, %d trees with deep leaves, %d values", len(x.chunks), len(x.deep), len(x.table))
		})
	}
}

// additive checks that each row's contributions add up to its margin.
func additive(t *testing.T, e *Ensemble, x, contrib []float64, rows int) {
	t.Helper()
	margin := make([]float64, rows*e.Outputs)
	NewPredictor(e).Margin(margin, x, rows)
	width := len(e.Features) + 1
	for i, want := range margin {
		sum := 0.0
		for _, v := range contrib[i*width:][:width] {
			sum += v
		}
		if !near(sum, want, 2e-6) {
			t.Fatalf("row %d: contributions add up to %v, the margin is %v", i/e.Outputs, sum, want)
		}
	}
}

func TestContributionsAddUp(t *testing.T) {
	for _, s := range shapes {
		t.Run(s.name, func(t *testing.T) {
			e := s.make()
			e.Trees = e.Trees[:60]
			x, err := NewExplainer(e)
			if err != nil {
				t.Fatal(err)
			}
			const rows = 150
			in := sample(e, rows, s.categorical, 5)
			in[3], in[40] = math.Inf(1), math.Inf(-1)
			got := make([]float64, rows*(len(e.Features)+1))
			x.Explain(got, in, rows)
			additive(t, e, in, got, rows)
		})
	}
}
