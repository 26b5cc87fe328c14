package serving

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
)

// GlobalAttribution is what a version's features move over the rows that it was
// trained on, or over an even sample of them.
type GlobalAttribution struct {
	Model   string         `json:"model"`
	Method  string         `json:"method"`
	Space   string         `json:"space"`
	Rows    int            `json:"rows"` // that were explained
	Output  []GlobalOutput `json:"output"`
	Feature string         `json:"feature,omitempty"` // whose dependence Point shows
}

// GlobalOutput is one output's features, the strongest first.
type GlobalOutput struct {
	Output  string            `json:"output"`
	Base    float64           `json:"base"`
	Feature []GlobalFeature   `json:"feature"`
	Point   []DependencePoint `json:"point,omitempty"`
	Swarm   []FeatureSwarm    `json:"swarm,omitempty"` // of the strongest features, when asked for
}

// FeatureSwarm is what one feature was worth in each row.
type FeatureSwarm struct {
	Name  string            `json:"name"`
	Point []DependencePoint `json:"point"`
}

// GlobalFeature is how far a feature moves an output on average.
type GlobalFeature struct {
	Name    string  `json:"name"`
	MeanAbs float64 `json:"mean_abs"` // mean of |SHAP value|
	Mean    float64 `json:"mean"`
}

// DependencePoint is one row's value of a feature and what it was worth there.
type DependencePoint struct {
	Value any     `json:"value"` // null when missing
	Worth float64 `json:"worth"`
}

// Global attributes a version, name@vN, over rows of its training set (0: 500; a
// model that needs sampling gets at most 50), and where feature is not empty,
// shows row by row what that feature was worth. It fails with NotFound where the
// training rows, or the feature, are not known. swarm asks for so many of each
// output's strongest features row by row.
func (s *Service) Global(ctx context.Context, project, model string, rows int, feature string, swarm int) (GlobalAttribution, error) {
	out := GlobalAttribution{Model: model, Feature: feature}
	if rows == 0 {
		rows = usualGlobal
	}
	all, err := s.learned(ctx, project, model)
	if err != nil {
		return out, err
	}
	err = s.withModel(ctx, project, model, func(m predictor.Model) error {
		input := m.Signature().Input
		if _, exact := m.(predictor.Attributor); !exact {
			rows = min(rows, maxSampledGlobal)
		}
		in, err := spread(all, input, rows)
		if err != nil {
			return err
		}
		if feature != "" && input.Index(feature) < 0 {
			return slipway.Errorf(slipway.NotFound, "the model takes no column %q", feature)
		}
		x, err := s.attribute(ctx, project, model, m, in, Wish{})
		if err != nil {
			return err
		}
		out.Method, out.Space, out.Rows = x.Method, x.Space, in.Rows
		for o, name := range x.Output {
			g := global(name, o, &x, in, feature)
			for _, f := range g.Feature[:min(swarm, len(g.Feature))] {
				g.Swarm = append(g.Swarm, FeatureSwarm{f.Name, points(o, &x, in, f.Name)})
			}
			out.Output = append(out.Output, g)
		}
		return nil
	})
	return out, err
}

func global(name string, o int, x *predictor.Explanation, in *slipway.Frame, feature string) GlobalOutput {
	out := GlobalOutput{Output: name, Base: x.Base[o]}
	for f, name := range x.Feature {
		g := GlobalFeature{Name: name}
		for _, values := range x.Value {
			v := values[o*len(x.Feature)+f]
			g.Mean += v / float64(len(x.Value))
			g.MeanAbs += math.Abs(v) / float64(len(x.Value))
		}
		out.Feature = append(out.Feature, g)
	}
	slices.SortStableFunc(out.Feature, func(a, b GlobalFeature) int { return cmp.Compare(b.MeanAbs, a.MeanAbs) })
	if feature != "" {
		out.Point = points(o, x, in, feature)
	}
	return out
}

// points are a feature's values and what they were worth in output o, row by
// row; none for a column that the model takes and does not look at.
func points(o int, x *predictor.Explanation, in *slipway.Frame, feature string) (out []DependencePoint) {
	f := slices.Index(x.Feature, feature)
	if f < 0 {
		return nil
	}
	for r, values := range x.Value {
		one := take(in, r)
		out = append(out, DependencePoint{sentValue(one.Column(feature)), values[o*len(x.Feature)+f]})
	}
	return out
}
