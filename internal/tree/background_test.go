package tree

import (
	"encoding/json"
	"math"
	"math/bits"
	"os"
	"testing"

	"github.com/slipway-ml/slipway"
)

type attribution struct {
	Base  float64   `json:"base"`
	Value []float64 `json:"value"`
}

// TestInterventionalEqualsShap compares with testdata/attribution.json, which attribution.py
// wrote.
func TestInterventionalEqualsShap(t *testing.T) {
	data, err := os.ReadFile("testdata/attribution.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]struct {
		X           []*float64   `json:"x"`
		Background  []*float64   `json:"background"`
		Margin      attribution  `json:"margin"`
		Probability *attribution `json:"probability"`
		Interaction []float64    `json:"interaction"`
	}
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	for name, g := range all {
		e := loadFile(t, "testdata/"+name+map[bool]string{true: ".json", false: ".txt"}[name[:3] == "xgb"])
		n := len(e.Features)
		x, background := numbers(g.X), numbers(g.Background)
		check := func(want attribution, predictions bool) {
			ex, err := NewInterventional(e, background, len(background)/n, predictions)
			if err != nil {
				t.Fatal(err)
			}
			if !near(ex.Base()[0], want.Base, 1e-5) {
				t.Errorf("%s: base %v, shap says %v", name, ex.Base()[0], want.Base)
			}
			got := make([]float64, len(x)/n*(n+1))
			ex.Explain(got, x, len(x)/n)
			for i, v := range want.Value {
				if g := got[i/n*(n+1)+i%n]; !near(g, v, 1e-5) {
					t.Fatalf("%s, predictions %v: row %d feature %d: %v, shap says %v", name, predictions, i/n, i%n, g, v)
				}
			}
		}
		check(g.Margin, false)
		if g.Probability != nil {
			check(*g.Probability, true)
		}
		if g.Interaction == nil {
			continue
		}
		ex, err := NewExplainer(e)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float64, (n+1)*(n+1))
		for r := range len(x) / n {
			ex.Interact(got, x[r*n:][:n])
			for i, v := range got {
				if want := g.Interaction[r*len(got)+i]; !near(v, want, 2e-5) {
					t.Fatalf("%s: row %d interaction %d, %d: %v, XGBoost says %v", name, r, i/(n+1), i%(n+1), v, want)
				}
			}
		}
	}
}

func numbers(in []*float64) []float64 {
	out := make([]float64, len(in))
	for i, v := range in {
		out[i] = math.NaN()
		if v != nil {
			out[i] = *v
		}
	}
	return out
}

// interventionalShapley computes the values from their definition.
func interventionalShapley(e *Ensemble, x, background []float64, rows, output int) []float64 {
	n := len(e.Features)
	phi := make([]float64, n+1)
	worth := make([]float64, 1<<n)
	margin, mixed := make([]float64, e.Outputs), make([]float64, n)
	p := &Predictor{e: e}
	for s := range worth {
		for b := range rows {
			for f := range n {
				mixed[f] = background[b*n+f]
				if s>>f&1 != 0 {
					mixed[f] = x[f]
				}
			}
			walkPlain(p, margin, mixed, 1)
			worth[s] += margin[output] / float64(rows)
		}
	}
	w := weights(n)
	for f := range n {
		for s := range worth {
			if s>>f&1 == 0 {
				k := bits.OnesCount(uint(s))
				phi[f] += w[k][n-1-k] * (worth[s|1<<f] - worth[s])
			}
		}
	}
	phi[n] = worth[0]
	return phi
}

func TestInterventionalValuesAreShapleyValues(t *testing.T) {
	for seed := range uint64(18) {
		features, leaves := []int{3, 7, 11}[seed%3], []int{0, 25, 60}[seed%3]
		e, x, _ := awkward(seed, 5, leaves, features)
		e.Trees = e.Trees[:min(len(e.Trees), 3)]
		const rows = 5
		background := x[20*features:][:rows*features]
		ex, err := NewInterventional(e, background, rows, false)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float64, 20*e.Outputs*(features+1))
		ex.Explain(got, x, 20)
		additive(t, e, x, got, 20)
		for r := range 2 {
			alone := make([]float64, e.Outputs*(features+1))
			ex.Explain(alone, x[r*features:], 1)
			for k := range e.Outputs {
				for f, want := range interventionalShapley(e, x[r*features:], background, rows, k) {
					at := k*(features+1) + f
					if !near(got[r*e.Outputs*(features+1)+at], want, 1e-6) || !near(alone[at], want, 1e-6) {
						t.Fatalf("model %d row %d output %d feature %d: %v in a batch, %v alone, by definition %v",
							seed, r, k, f, got[r*e.Outputs*(features+1)+at], alone[at], want)
					}
				}
			}
		}
	}
}

func TestExplanationsOfPredictionsAddUpToThem(t *testing.T) {
	for _, link := range []Link{Sigmoid, Exp, Softplus, SignedSquare} {
		e := grown(20, 6, 0, 9, 2, false, 3)
		e.Link, e.Coefficient = link, 1.5
		const rows = 70
		x := sample(e, rows, 2, 5)
		ex, err := NewInterventional(e, sample(e, 30, 2, 6), 30, true)
		if err != nil {
			t.Fatal(err)
		}
		got, want := make([]float64, rows*10), make([]float64, rows)
		ex.Explain(got, x, rows)
		NewPredictor(e).Predict(want, x, rows)
		for r := range rows {
			sum := 0.0
			for _, v := range got[r*10:][:10] {
				sum += v
			}
			if !near(sum, want[r], 1e-9) {
				t.Fatalf("link %d row %d: %v, the prediction is %v", link, r, sum, want[r])
			}
		}
	}
	e := grown(6, 3, 0, 4, 0, false, 1)
	e.Link = Softmax
	if _, err := NewInterventional(e, make([]float64, 4), 1, true); !slipway.IsCode(err, slipway.Invalid) {
		t.Errorf("a softmax was explained in probabilities: %v", err)
	}
	if _, err := NewInterventional(e, nil, 0, false); !slipway.IsCode(err, slipway.Invalid) {
		t.Errorf("an empty background was accepted: %v", err)
	}
}

// Interactions of a row add up to its SHAP values, also where a feature comes
// twice on a path and where quadrature takes over.
func TestInteractionsAddUp(t *testing.T) {
	for seed := range uint64(6) {
		e, x, _ := awkward(seed, 6, 40, 10)
		ex, err := NewExplainer(e)
		if err != nil {
			t.Fatal(err)
		}
		phi, m := make([]float64, e.Outputs*11), make([]float64, e.Outputs*11*11)
		ex.Explain(phi, x, 1)
		ex.Interact(m, x[:10])
		for k := range e.Outputs {
			for f := range 11 {
				sum := 0.0
				for g := range 11 {
					sum += m[(k*11+f)*11+g]
					if !near(m[(k*11+f)*11+g], m[(k*11+g)*11+f], 1e-12) {
						t.Fatalf("model %d: %d, %d is not symmetric", seed, f, g)
					}
				}
				if !near(sum, phi[k*11+f], 1e-9) {
					t.Fatalf("model %d output %d feature %d: %v, the SHAP value is %v", seed, k, f, sum, phi[k*11+f])
				}
			}
		}
	}
}
