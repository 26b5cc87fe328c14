package trees

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"sync"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/linear"
	"github.com/slipway-ml/slipway/internal/tree"
)

// explainer attributes margins, or predictions, to features.
type explainer interface {
	Base() []float64
	Explain(dst, x []float64, rows int)
}

// explainers keeps those that were asked for: making one costs far more than
// using it. Their tables may be many times the model, so few are kept.
type explainers struct {
	made  sync.Mutex
	cache []*cachedExplainer // the one used last comes last
}

type cachedExplainer struct {
	key  string
	make func() (explainer, error)
}

const keptExplainers = 4

func (c *explainers) get(key string, build func() (explainer, error)) (explainer, error) {
	c.made.Lock()
	var found *cachedExplainer
	for i, x := range c.cache {
		if x.key == key {
			found = x
			c.cache = append(c.cache[:i:i], c.cache[i+1:]...)
			break
		}
	}
	if found == nil {
		found = &cachedExplainer{key, sync.OnceValues(build)}
	}
	if c.cache = append(c.cache, found); len(c.cache) > keptExplainers {
		c.cache = c.cache[1:]
	}
	c.made.Unlock()
	return found.make()
}

// Explain is Attribute by the model's own exact way: path-dependent SHAP values
// of trees, the closed form of linear models, in margin space. It fails with
// Invalid where the model file lacks what they need.
func (m *model) Explain(ctx context.Context, in *slipway.Frame) (predictor.Explanation, error) {
	return m.Attribute(ctx, in, predictor.Ask{})
}

// Attribute explains as asked. The values of features that come from one column
// are added up for it. Each reply is checked to add up to what the model
// answers; one that does not is an Internal error, never a wrong reason.
func (m *model) Attribute(ctx context.Context, in *slipway.Frame, ask predictor.Ask) (predictor.Explanation, error) {
	var none predictor.Explanation
	if err := m.enter(ctx); err != nil {
		return none, err
	}
	defer m.calls.Done()
	s := m.scratch.Get().(*scratch)
	defer m.scratch.Put(s)
	out := predictor.Explanation{Output: m.signature.Output.Names(), Feature: m.signature.Input.Names(), Space: predictor.Margin}
	if ask.Space != "" {
		out.Space = ask.Space
	}
	x, err := m.asked(s, ask, &out)
	if err != nil {
		return none, err
	}
	if err := m.bind(s, in); err != nil {
		return none, err
	}
	out.Base = x.Base()
	all := make([]float64, in.Rows*len(out.Output)*len(out.Feature))
	for from := 0; from < in.Rows; from += chunk {
		if err := ctx.Err(); err != nil {
			return none, err
		}
		to := min(from+chunk, in.Rows)
		if err := m.lay(s, in, from, to); err != nil {
			return none, err
		}
		if err := m.attribute(s, x, &out, all, to-from); err != nil {
			return none, err
		}
		if ask.Interactions {
			m.interact(s, x.(*tree.Explainer), &out, to-from)
		}
	}
	return out, nil
}

// attribute appends the values of n laid-out rows to out, cutting them from all.
func (m *model) attribute(s *scratch, x explainer, out *predictor.Explanation, all []float64, n int) error {
	features, outputs, columns := m.engine.Features(), m.engine.Outputs(), len(out.Feature)
	s.out = grow(s.out, n*outputs*(features+1))
	x.Explain(s.out, s.x, n)
	answer := make([]float64, n*outputs)
	if out.Space == predictor.Margin {
		m.engine.Margin(answer, s.x, n)
	} else {
		m.engine.Predict(answer, s.x, n)
	}
	for i := range n {
		at := len(out.Value) * outputs * columns
		value := all[at : at+outputs*columns : at+outputs*columns]
		for o := range outputs {
			row := s.out[(i*outputs+o)*(features+1):][:features+1]
			sum, size := row[features], math.Abs(row[features])
			for f, v := range row[:features] {
				value[o*columns+m.column(f)] += v
				sum, size = sum+v, size+math.Abs(v)
			}
			if want := answer[i*outputs+o]; !(math.Abs(sum-want) <= 1e-5*max(1, size)) {
				return slipway.Errorf(slipway.Internal, "the explanation of row %d adds up to %v, and the model answers %v", len(out.Value)+1, sum, want)
			}
		}
		out.Value = append(out.Value, value)
	}
	return nil
}

// interact appends the interactions of n laid-out rows to out.
func (m *model) interact(s *scratch, x *tree.Explainer, out *predictor.Explanation, n int) {
	features, outputs, columns := m.engine.Features(), m.engine.Outputs(), len(out.Feature)
	width := features + 1
	one := make([]float64, outputs*width*width)
	for i := range n {
		x.Interact(one, s.x[i*features:][:features])
		value := make([]float64, outputs*columns*columns)
		for o := range outputs {
			for f := range features {
				for g := range features {
					value[(o*columns+m.column(f))*columns+m.column(g)] += one[(o*width+f)*width+g]
				}
			}
		}
		out.Interaction = append(out.Interaction, value)
	}
}

// asked finds or makes the explainer that ask names.
func (m *model) asked(s *scratch, ask predictor.Ask, out *predictor.Explanation) (explainer, error) {
	background, rows, err := m.background(s, ask.Background)
	if err != nil {
		return nil, err
	}
	if rows > 0 {
		out.Background = digest(background)
	}
	switch {
	case out.Space != predictor.Margin && out.Space != predictor.PredictionSpace:
		return nil, slipway.Errorf(slipway.Invalid, "the space %.40q is neither %s nor %s", out.Space, predictor.Margin, predictor.PredictionSpace)
	case ask.Interactions && (m.linear != nil || rows > 0 || out.Space != predictor.Margin):
		return nil, slipway.Errorf(slipway.Invalid, "interactions are known for trees, without a background and in margin space")
	case m.linear != nil:
		out.Method = predictor.MethodLinear
		if out.Space == predictor.PredictionSpace && m.linear.Link != linear.Identity {
			return nil, slipway.Errorf(slipway.Invalid, "a linear model with the link %s is explained exactly in margin space only", m.linear.Link)
		}
		return m.get("linear"+out.Background, func() (explainer, error) { return linear.NewExplainer(m.linear, background, rows) })
	case out.Space == predictor.PredictionSpace && rows == 0 && m.ensemble.Link != tree.Identity:
		return nil, slipway.Errorf(slipway.Invalid, "trees are explained in the space of predictions against a background only").
			WithHint("send background rows, such as a hundred rows of the training set")
	case rows == 0:
		out.Method = predictor.MethodPath
		return m.get("path", func() (explainer, error) { return tree.NewExplainer(m.ensemble) })
	}
	out.Method = predictor.MethodBackground
	return m.get(out.Space+out.Background, func() (explainer, error) {
		return tree.NewInterventional(m.ensemble, background, rows, out.Space == predictor.PredictionSpace)
	})
}

// background lays out the rows of a background; it keeps what it gives.
func (m *model) background(s *scratch, in *slipway.Frame) ([]float64, int, error) {
	if in == nil {
		return nil, 0, nil
	}
	if in.Rows == 0 || in.Rows > predictor.MaxBackground {
		return nil, 0, slipway.Errorf(slipway.Invalid, "the background has %d rows; 1 to %d are taken", in.Rows, predictor.MaxBackground)
	}
	if err := m.bind(s, in); err != nil {
		return nil, 0, err
	}
	if err := m.lay(s, in, 0, in.Rows); err != nil {
		return nil, 0, err
	}
	return append([]float64(nil), s.x[:in.Rows*m.engine.Features()]...), in.Rows, nil
}

func digest(x []float64) string {
	h := sha256.New()
	var b [8]byte
	for _, v := range x {
		binary.LittleEndian.PutUint64(b[:], math.Float64bits(v))
		h.Write(b[:])
	}
	return hex.EncodeToString(h.Sum(nil))
}
