package predictor_test

import (
	"context"
	"math"
	"math/bits"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
)

// formula is a model that answers by a function of its numbers.
type formula struct {
	answer func(x []float64) float64
	calls  int
	text   bool
}

func (m *formula) Signature() slipway.Signature { return slipway.Signature{} }
func (m *formula) Close() error                 { return nil }

func (m *formula) Predict(_ context.Context, in *slipway.Frame) (*slipway.Frame, error) {
	m.calls++
	out := slipway.Series{Name: predictor.Prediction, Type: slipway.Float}
	if m.text {
		out.Type, out.Text = slipway.Text, make([]string, in.Rows)
		return &slipway.Frame{Rows: in.Rows, Series: []slipway.Series{out}}, nil
	}
	x := make([]float64, len(in.Series))
	for r := range in.Rows {
		for i := range in.Series {
			if s := &in.Series[i]; s.Text != nil {
				x[i] = float64(len(s.Text[r]))
			} else {
				x[i] = s.Float[r]
			}
		}
		out.Float = append(out.Float, m.answer(x))
	}
	return &slipway.Frame{Rows: in.Rows, Series: []slipway.Series{out}}, nil
}

// table draws rows of so many columns, the last of which is text.
func table(rng *rand.Rand, rows, columns int) *slipway.Frame {
	f := &slipway.Frame{Rows: rows}
	for i := range columns {
		s := slipway.Series{Name: "x" + strconv.Itoa(i), Type: slipway.Float}
		for range rows {
			if i == columns-1 {
				s.Text = append(s.Text, strings.Repeat("a", rng.IntN(4)))
			} else {
				s.Float = append(s.Float, rng.NormFloat64())
			}
		}
		if s.Text != nil {
			s.Type = slipway.Text
		}
		f.Series = append(f.Series, s)
	}
	return f
}

// shapley is the definition, over all coalitions.
func shapley(m *formula, x, background *slipway.Frame, row int) []float64 {
	n := len(x.Series)
	at := func(f *slipway.Frame, r, i int) float64 {
		if s := &f.Series[i]; s.Text != nil {
			return float64(len(s.Text[r]))
		}
		return f.Series[i].Float[r]
	}
	worth, mixed := make([]float64, 1<<n), make([]float64, n)
	for s := range worth {
		for b := range background.Rows {
			for i := range n {
				mixed[i] = at(background, b, i)
				if s>>i&1 != 0 {
					mixed[i] = at(x, row, i)
				}
			}
			worth[s] += m.answer(mixed) / float64(background.Rows)
		}
	}
	phi := make([]float64, n)
	for i := range n {
		for s := range worth {
			if s>>i&1 == 0 {
				k := bits.OnesCount(uint(s))
				weight := math.Gamma(float64(k+1)) * math.Gamma(float64(n-k)) / math.Gamma(float64(n+1))
				phi[i] += weight * (worth[s|1<<i] - worth[s])
			}
		}
	}
	return phi
}

func curved(x []float64) float64 {
	sum := 0.0
	for i, v := range x {
		sum += float64(i+1) * v
	}
	return math.Tanh(sum/8) + x[0]*x[len(x)-1] + math.Max(x[1], 0)*x[2]
}

func TestSamplingFindsShapleyValues(t *testing.T) {
	for _, c := range []struct {
		method          string
		columns, rounds int
		errors          float64 // how many standard errors the worst of all values may be off
	}{
		{predictor.MethodPermute, 6, 8, 5},
		{predictor.MethodPermute, 11, 8, 5},
		{predictor.MethodKernel, 6, 0, 0}, // every coalition: exact
		{predictor.MethodKernel, 11, 40, 6},
	} {
		t.Run(c.method+strconv.Itoa(c.columns), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(4, uint64(c.columns)))
			m := &formula{answer: curved}
			in, background := table(rng, 5, c.columns), table(rng, 20, c.columns)
			x, err := predictor.Sample(t.Context(), m, in, predictor.Sampling{Background: background, Method: c.method, Rounds: c.rounds, Seed: 1})
			if err != nil {
				t.Fatal(err)
			}
			if m.calls != 2+in.Rows {
				t.Errorf("the model was called %d times for %d rows", m.calls, in.Rows)
			}
			off, spread := 0.0, 0.0
			for r := range in.Rows {
				sum := x.Base[0]
				for f, want := range shapley(m, in, background, r) {
					got, e := x.Value[r][f], x.Error[r][f]
					sum += got
					spread += e
					if d := math.Abs(got - want); d > 1e-9 {
						off = max(off, d/e)
					}
				}
				one, _ := m.Predict(t.Context(), in)
				if want := one.Series[0].Float[r]; math.Abs(sum-want) > 1e-9 {
					t.Errorf("row %d adds up to %v, the answer is %v", r, sum, want)
				}
			}
			if off > c.errors {
				t.Errorf("a value is %.1f standard errors off", off)
			}
			if mean := spread / float64(in.Rows*c.columns); (c.errors > 0) != (mean > 0) || mean > 0.1 {
				t.Errorf("standard errors are %v on average", mean)
			}
			again, err := predictor.Sample(t.Context(), m, in, predictor.Sampling{Background: background, Method: c.method, Rounds: c.rounds, Seed: 1})
			if err != nil || cmp.Diff(x, again) != "" {
				t.Errorf("the same seed gives other values: %v", err)
			}
		})
	}
}

func TestOneColumnGetsEverything(t *testing.T) {
	m := &formula{answer: func(x []float64) float64 { return 3 * x[0] }}
	in := &slipway.Frame{Rows: 1, Series: []slipway.Series{{Name: "a", Type: slipway.Float, Float: []float64{5}}}}
	background := &slipway.Frame{Rows: 2, Series: []slipway.Series{{Name: "a", Type: slipway.Float, Float: []float64{1, 2}}}}
	for _, method := range []string{predictor.MethodPermute, predictor.MethodKernel} {
		x, err := predictor.Sample(t.Context(), m, in, predictor.Sampling{Background: background, Method: method})
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(x.Value[0][0]-10.5) > 1e-12 || x.Base[0] != 4.5 {
			t.Errorf("%s: %v from %v", method, x.Value, x.Base)
		}
	}
}

func TestWhatCannotBeSampledIsRefused(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	in, background := table(rng, 2, 4), table(rng, 5, 4)
	other := table(rng, 5, 4)
	other.Series[0].Name = "other"
	mixed := table(rng, 5, 4)
	mixed.Series[3] = slipway.Series{Name: "x3", Type: slipway.Float, Float: make([]float64, 5)}
	for name, c := range map[string]struct {
		m    *formula
		s    predictor.Sampling
		says string
	}{
		"no background": {&formula{answer: curved}, predictor.Sampling{}, "there are none"},
		"method":        {&formula{answer: curved}, predictor.Sampling{Background: background, Method: "magic"}, "magic"},
		"rounds":        {&formula{answer: curved}, predictor.Sampling{Background: background, Rounds: 1000}, "1000 rounds"},
		"column":        {&formula{answer: curved}, predictor.Sampling{Background: other}, `no column "x0"`},
		"types":         {&formula{answer: curved}, predictor.Sampling{Background: mixed}, `"x3" is`},
		"labels":        {&formula{text: true}, predictor.Sampling{Background: background}, "only numbers"},
	} {
		if _, err := predictor.Sample(t.Context(), c.m, in, c.s); !slipway.IsCode(err, slipway.Invalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want Invalid: %s", name, err, c.says)
		}
	}
	bad := &formula{answer: func([]float64) float64 { return math.NaN() }}
	if _, err := predictor.Sample(t.Context(), bad, in, predictor.Sampling{Background: background}); err == nil {
		t.Error("an answer of NaN was explained")
	}
}
