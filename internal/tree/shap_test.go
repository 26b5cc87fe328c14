package tree

import (
	"math"
	"math/bits"
	"testing"

	"github.com/slipway-ml/slipway"
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

// shapley computes the values from their definition: over all coalitions of
// features, with absent ones averaged over the cover.
func shapley(e *Ensemble, x []float64, output int) []float64 {
	n := len(e.Features)
	worth := make([]float64, 1<<n)
	for s := range worth {
		worth[s] = e.Base[output]
		for i := range e.Trees {
			t := &e.Trees[i]
			if t.Output != output {
				continue
			}
			var value func(j int32) float64
			value = func(j int32) float64 {
				d := &t.Nodes[j]
				switch {
				case d.Leaf():
					return d.Value
				case s>>d.Feature&1 == 0:
					return (t.Nodes[d.Left].Cover*value(d.Left) + t.Nodes[d.Right].Cover*value(d.Right)) / d.Cover
				case e.right(t, d, x[d.Feature]):
					return value(d.Right)
				}
				return value(d.Left)
			}
			worth[s] += value(0) / e.scale()
		}
	}
	weight := make([]float64, n) // of a coalition by its size: s!(n-1-s)!/n!
	for s := range weight {
		weight[s] = 1 / float64(n)
		for k := 1; k <= s; k++ {
			weight[s] *= float64(k) / float64(n-k)
		}
	}
	phi := make([]float64, n+1)
	for f := range n {
		for s := range worth {
			if s>>f&1 == 0 {
				phi[f] += weight[bits.OnesCount(uint(s))] * (worth[s|1<<f] - worth[s])
			}
		}
	}
	phi[n] = worth[0]
	return phi
}

func TestContributionsAreShapleyValues(t *testing.T) {
	for seed := range uint64(24) {
		// Up to eleven features on a path: beyond eight, quadrature takes over.
		features := []int{3, 7, 11}[seed%3]
		leaves := []int{0, 25, 60}[seed%3]
		e, x, rows := awkward(seed, 5, leaves, features)
		e.Trees = e.Trees[:min(len(e.Trees), 4)]
		ex, err := NewExplainer(e)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float64, rows*e.Outputs*(features+1))
		ex.Explain(got, x, rows)
		additive(t, e, x, got, rows)
		for r := range 4 {
			alone := make([]float64, e.Outputs*(features+1))
			ex.Explain(alone, x[r*features:][:features], 1)
			for k := range e.Outputs {
				want := shapley(e, x[r*features:][:features], k)
				for f := range want {
					at := k*(features+1) + f
					if !near(got[r*e.Outputs*(features+1)+at], want[f], 1e-7) || !near(alone[at], want[f], 1e-7) {
						t.Fatalf("model %d row %d output %d feature %d: %v in a batch, %v alone, by definition %v",
							seed, r, k, f, got[r*e.Outputs*(features+1)+at], alone[at], want[f])
					}
				}
			}
		}
	}
}

func TestNoCoverNoExplanation(t *testing.T) {
	e := grown(2, 3, 0, 4, 0, true, 1)
	e.Trees[1].Nodes[0].Cover = 0
	if _, err := NewExplainer(e); !slipway.IsCode(err, slipway.Invalid) {
		t.Fatalf("a tree without cover was accepted: %v", err)
	}
}

func TestGaussLegendreIntegratesPolynomials(t *testing.T) {
	for n := 1; n <= 40; n++ {
		r := gaussLegendre(n)
		for degree := range 2 * n {
			sum := 0.0
			for i := range n {
				sum += r.w[i] * math.Pow(r.t[i], float64(degree))
			}
			if want := 1 / float64(degree+1); math.Abs(sum-want) > 1e-14 {
				t.Fatalf("%d points: ∫t^%d is %v, want %v", n, degree, sum, want)
			}
		}
	}
}
