package linear

import (
	"math"
	"testing"

	"github.com/slipway-ml/slipway"
)

func TestExplanationsAddUpAndVanishAtTheMean(t *testing.T) {
	m := &Model{Weight: [][]float64{{2, -1}, {0.5, 3}}, Intercept: []float64{1, -2}, Link: Softmax}
	if err := m.Check(); err != nil {
		t.Fatal(err)
	}
	x, err := NewExplainer(m, []float64{0, 2, 4, 6}, 2) // the mean is 2, 4
	if err != nil {
		t.Fatal(err)
	}
	in, got, margin := []float64{2, 4, 7, -1}, make([]float64, 12), make([]float64, 4)
	x.Explain(got, in, 2)
	m.Margin(margin, in, 2)
	for i, want := range margin {
		if sum := got[3*i] + got[3*i+1] + got[3*i+2]; math.Abs(sum-want) > 1e-12 {
			t.Errorf("values %d add up to %v, the margin is %v", i, sum, want)
		}
	}
	if got[0] != 0 || got[1] != 0 || got[6] != 10 {
		t.Errorf("values %v", got)
	}
	if _, err := NewExplainer(m, nil, 0); !slipway.IsCode(err, slipway.Invalid) {
		t.Errorf("explained without a mean: %v", err)
	}
}

func TestDamagedModelsAreRefused(t *testing.T) {
	for name, m := range map[string]Model{
		"empty":     {},
		"ragged":    {Weight: [][]float64{{1, 2}, {1}}, Intercept: []float64{0, 0}, Link: Identity},
		"intercept": {Weight: [][]float64{{1}}, Intercept: []float64{0, 0}, Link: Identity},
		"infinite":  {Weight: [][]float64{{math.Inf(1)}}, Intercept: []float64{0}, Link: Identity},
		"mean":      {Weight: [][]float64{{1}}, Intercept: []float64{0}, Link: Identity, Mean: []float64{1, 2}},
		"link":      {Weight: [][]float64{{1}}, Intercept: []float64{0}, Link: "probit"},
		"softmax":   {Weight: [][]float64{{1}}, Intercept: []float64{0}, Link: Softmax},
	} {
		if err := m.Check(); !slipway.IsCode(err, slipway.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
