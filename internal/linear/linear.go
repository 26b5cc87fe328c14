// Package linear predicts and explains linear and logistic models: a weighted
// sum of features for each output, then a link. It is pure.
package linear

import (
	"math"

	"github.com/slipway-ml/slipway"
)

// Link turns margins into predictions.
type Link string

// The links.
const (
	Identity Link = "identity"
	Sigmoid  Link = "sigmoid" // 1/(1+exp(−m)), each output by itself
	Softmax  Link = "softmax" // over the outputs
	OneVsAll Link = "ovr"     // sigmoids that are divided by their sum
	Exp      Link = "exp"
)

// Model is margin_k = Intercept[k] + Σ_f Weight[k][f]·x_f. Rows have
// len(Weight[0]) values, none of which may be missing: a NaN gives NaN.
type Model struct {
	Weight    [][]float64 // outputs × features
	Intercept []float64   // by output
	Link      Link
	Mean      []float64 // of each feature over background rows; nil where nobody knows
}

// Check reports what is wrong with a model that was read from a file.
func (m *Model) Check() error {
	if len(m.Weight) == 0 || len(m.Weight) != len(m.Intercept) {
		return slipway.Errorf(slipway.Invalid, "the linear model has %d rows of weights and %d intercepts", len(m.Weight), len(m.Intercept))
	}
	width := len(m.Weight[0])
	rows := append([][]float64{m.Intercept}, m.Weight...)
	if m.Mean != nil {
		if len(m.Mean) != width {
			return slipway.Errorf(slipway.Invalid, "the linear model has %d means for %d features", len(m.Mean), width)
		}
		rows = append(rows, m.Mean)
	}
	for k, w := range m.Weight {
		if len(w) != width {
			return slipway.Errorf(slipway.Invalid, "output %d of the linear model has %d weights instead of %d", k, len(w), width)
		}
	}
	for _, row := range rows {
		for _, v := range row {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return slipway.Errorf(slipway.Invalid, "a number of the linear model is not finite")
			}
		}
	}
	switch m.Link {
	case Identity, Sigmoid, Exp:
	case Softmax, OneVsAll:
		if len(m.Weight) < 2 {
			return slipway.Errorf(slipway.Invalid, "the link %s needs several outputs", m.Link)
		}
	default:
		return slipway.Errorf(slipway.Invalid, "the link %.40q is not known", m.Link)
	}
	return nil
}

// Outputs is the number of predictions per row.
func (m *Model) Outputs() int { return len(m.Weight) }

// Features is the number of values per row.
func (m *Model) Features() int { return len(m.Weight[0]) }

// Margin writes rows×Outputs sums to dst.
func (m *Model) Margin(dst, x []float64, rows int) {
	width := m.Features()
	for r := range rows {
		row := x[r*width:][:width]
		for k, w := range m.Weight {
			sum := 0.0
			w = w[:len(row)]
			for f, v := range row {
				sum += w[f] * v
			}
			dst[r*len(m.Weight)+k] = sum + m.Intercept[k]
		}
	}
}

// Predict is Margin, then the link.
func (m *Model) Predict(dst, x []float64, rows int) {
	m.Margin(dst, x, rows)
	for r := range rows {
		m.apply(dst[r*len(m.Weight):][:len(m.Weight)])
	}
}

func (m *Model) apply(v []float64) {
	switch m.Link {
	case Sigmoid, OneVsAll:
		sum := 0.0
		for k, x := range v {
			v[k] = 1 / (1 + math.Exp(-x))
			sum += v[k]
		}
		if m.Link == OneVsAll {
			for k := range v {
				v[k] /= sum
			}
		}
	case Softmax:
		top, sum := v[0], 0.0
		for _, x := range v {
			top = max(top, x)
		}
		for k, x := range v {
			v[k] = math.Exp(x - top)
			sum += v[k]
		}
		for k := range v {
			v[k] /= sum
		}
	case Exp:
		for k, x := range v {
			v[k] = math.Exp(x)
		}
	}
}

// Explainer attributes margins: feature f of a row is worth
// Weight[k][f]·(x_f − mean_f), which is the interventional Shapley value of a
// linear model in closed form (Lundberg & Lee 2017, corollary 1).
type Explainer struct {
	m    *Model
	mean []float64
	base []float64
}

// NewExplainer explains against the means of background rows, or where there
// are none against Model.Mean. It is Invalid where neither is known.
func NewExplainer(m *Model, background []float64, rows int) (*Explainer, error) {
	mean := m.Mean
	if rows > 0 {
		mean = make([]float64, m.Features())
		for i, v := range background[:rows*len(mean)] {
			mean[i%len(mean)] += v / float64(rows)
		}
	}
	if mean == nil {
		return nil, slipway.Errorf(slipway.Invalid, "the linear model cannot be explained: nobody knows the means of its features").
			WithHint("give background rows, or save it with slipway.save_model(model, path, sample=rows)")
	}
	x := &Explainer{m: m, mean: mean, base: make([]float64, m.Outputs())}
	m.Margin(x.base, mean, 1)
	return x, nil
}

// Base is the margin at the means.
func (x *Explainer) Base() []float64 { return append([]float64(nil), x.base...) }

// Explain writes, for each row and output, one value per feature and then the
// base value.
func (x *Explainer) Explain(dst, in []float64, rows int) {
	width := x.m.Features()
	for r := range rows {
		row := in[r*width:][:width]
		for k, w := range x.m.Weight {
			out := dst[(r*len(x.m.Weight)+k)*(width+1):][:width+1]
			for f, v := range row {
				out[f] = w[f] * (v - x.mean[f])
			}
			out[width] = x.base[k]
		}
	}
}
