package trees

import (
	"context"
	"math"
	"sync"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/linear"
	"github.com/slipway-ml/slipway/internal/tree"
)

// encoder turns one categorical column's values into the model's codes. A
// value that training never saw becomes a missing one, as in LightGBM's own
// Python package. (XGBoost 3.1 refuses it; an answer serves a caller better,
// and drift shows the category.)
type encoder struct {
	text   map[string]float64
	number map[float64]float64 // nil where categories are text
}

// encoders makes one for each column that has categories; others are nil.
func encoders(input slipway.Schema) ([]*encoder, error) {
	out := make([]*encoder, len(input))
	for i, c := range input {
		if c.Categories == nil {
			if c.Type == slipway.Text || c.Type == slipway.Binary {
				return nil, slipway.Errorf(slipway.Invalid, "column %q is %s, and the model knows no categories for it", c.Name, c.Type).
					WithHint("train on a pandas column of type category, or give the signature its categories in the order of their codes")
			}
			continue
		}
		e := &encoder{text: make(map[string]float64, len(c.Categories))}
		for code, value := range c.Categories {
			e.text[value] = float64(code)
		}
		if values, err := numbers(c.Categories); err == nil {
			e.number = make(map[float64]float64, len(values))
			for code, v := range values {
				e.number[v] = float64(code)
			}
		} else if c.Type.Numeric() {
			return nil, slipway.Errorf(slipway.Invalid, "column %q is %s in the signature, and the model has text for it, such as %q", c.Name, c.Type, c.Categories[0])
		}
		out[i] = e
	}
	return out, nil
}

// fill writes a categorical column's codes to x, stride apart.
func (e *encoder) fill(x []float64, stride int, s *slipway.Series, from, to int) {
	at := 0
	for i := from; i < to; i++ {
		x[at] = e.code(s, i)
		at += stride
	}
}

func (e *encoder) code(s *slipway.Series, i int) float64 {
	code, known := 0.0, false
	switch {
	case s.Text == nil:
		code, known = e.number[s.Float[i]]
	case s.Null == nil || !s.Null[i]:
		code, known = e.text[s.Text[i]]
	}
	if !known {
		return math.NaN()
	}
	return code
}

// engine is what answers rows of numbers: trees, or a linear model.
type engine interface {
	Features() int
	Outputs() int
	Predict(dst, x []float64, rows int)
	Margin(dst, x []float64, rows int)
}

// model is a loaded ensemble, or linear model.
type model struct {
	signature slipway.Signature
	engine    engine
	ensemble  *tree.Ensemble // nil for a linear model
	linear    *linear.Model  // nil for trees
	codes     []*encoder     // of a library's own file
	derived   *derived       // of a form
	whole     bool           // refuses missing values
	scratch   sync.Pool      // of *scratch
	explainers

	mu     sync.Mutex
	closed bool
	calls  sync.WaitGroup
}

var (
	_ predictor.Model      = (*model)(nil)
	_ predictor.Attributor = (*model)(nil)
	_ predictor.Weigher    = (*model)(nil)
)

// chunk is how many rows are laid out at a time: enough for the kernels, few
// enough for the cache and to notice a cancelled context.
const chunk = 512

// scratch is what one call works in.
type scratch struct {
	at  []int     // where in the frame each column stands
	raw []float64 // a row's columns
	x   []float64 // rows × features
	out []float64 // rows × outputs
}

func newModel(e *tree.Ensemble, signature slipway.Signature, codes []*encoder) *model {
	m := &model{signature: signature, ensemble: e, engine: tree.NewPredictor(e), codes: codes}
	m.ready()
	return m
}

func (m *model) ready() {
	m.scratch.New = func() any {
		return &scratch{at: make([]int, 0, len(m.signature.Input)), raw: make([]float64, len(m.signature.Input))}
	}
}

func (m *model) Signature() slipway.Signature { return m.signature }

// Importance names the features as the signature does, where the file may have
// changed a space to an underscore or know numbers only.
func (m *model) Importance() []predictor.Importance {
	out := make([]predictor.Importance, len(m.signature.Input))
	for i, c := range m.signature.Input {
		out[i].Feature = c.Name
	}
	if m.ensemble == nil {
		return nil
	}
	for i, t := range m.ensemble.Importance() {
		to := &out[m.column(i)]
		to.Gain, to.Splits = to.Gain+t.Gain, to.Splits+t.Splits
	}
	return out
}

// enter counts a call in; leave with m.calls.Done.
func (m *model) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return slipway.Errorf(slipway.Unavailable, "the model is closed")
	}
	m.calls.Add(1)
	return nil
}

func (m *model) Close() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.calls.Wait()
	return nil
}

func (m *model) Predict(ctx context.Context, in *slipway.Frame) (*slipway.Frame, error) {
	if err := m.enter(ctx); err != nil {
		return nil, err
	}
	defer m.calls.Done()
	s := m.scratch.Get().(*scratch)
	defer m.scratch.Put(s)
	if err := m.bind(s, in); err != nil {
		return nil, err
	}
	outputs := m.engine.Outputs()
	all := make([]float64, in.Rows*outputs)
	for from := 0; from < in.Rows; from += chunk {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		to := min(from+chunk, in.Rows)
		if err := m.lay(s, in, from, to); err != nil {
			return nil, err
		}
		if outputs == 1 {
			m.engine.Predict(all[from:to], s.x, to-from)
			continue
		}
		s.out = grow(s.out, (to-from)*outputs)
		m.engine.Predict(s.out, s.x, to-from)
		for o := range outputs {
			column := all[o*in.Rows : (o+1)*in.Rows]
			for i := from; i < to; i++ {
				column[i] = s.out[(i-from)*outputs+o]
			}
		}
	}
	return m.frame(all, in.Rows), nil
}

// frame cuts values, column by column, into the answer. That of the usual one
// column is a single piece of memory beside its values.
func (m *model) frame(all []float64, rows int) *slipway.Frame {
	var out *slipway.Frame
	if len(m.signature.Output) == 1 {
		one := &struct {
			frame  slipway.Frame
			series [1]slipway.Series
		}{}
		out, one.frame.Series = &one.frame, one.series[:]
	} else {
		out = &slipway.Frame{Series: make([]slipway.Series, len(m.signature.Output))}
	}
	out.Rows = rows
	for o := range out.Series {
		c := &m.signature.Output[o]
		out.Series[o] = slipway.Series{Name: c.Name, Type: c.Type, Float: all[o*rows : (o+1)*rows : (o+1)*rows]}
	}
	return out
}

func (m *model) bind(s *scratch, in *slipway.Frame) error {
	err := predictor.Check(in)
	if err == nil {
		s.at, err = predictor.Bind(s.at[:0], m.signature.Input, in)
	}
	return err
}

// lay writes rows from to to of in as the model's rows.
func (m *model) lay(s *scratch, in *slipway.Frame, from, to int) error {
	width := m.engine.Features()
	s.x = grow(s.x, (to-from)*width)
	if m.derived != nil {
		if err := m.derived.fill(s.x, s.raw, s.at, in, from, to); err != nil || !m.whole {
			return err
		}
		return m.gap(s.x[:(to-from)*width], from)
	}
	for f, j := range s.at {
		series := &in.Series[j]
		if e := m.codes[f]; e != nil {
			e.fill(s.x[f:], width, series, from, to)
			continue
		}
		if len(series.Float) == 0 { // text that is all missing
			for i := range to - from {
				s.x[i*width+f] = math.NaN()
			}
			continue
		}
		for i, v := range series.Float[from:to] {
			s.x[i*width+f] = v
		}
	}
	return nil
}

// gap refuses missing values for a model that has no answer to them.
func (m *model) gap(x []float64, from int) error {
	for i, v := range x {
		if v != v {
			column := m.signature.Input[m.column(i%m.engine.Features())].Name
			return slipway.Errorf(slipway.Invalid, "row %d has no value in column %q, and the model needs one", from+i/m.engine.Features()+1, column)
		}
	}
	return nil
}

// column is the input column that feature f comes from.
func (m *model) column(f int) int {
	if m.derived != nil {
		return m.derived.features[f].column
	}
	return f
}

func grow(x []float64, n int) []float64 {
	if cap(x) < n {
		return make([]float64, n)
	}
	return x[:n]
}
