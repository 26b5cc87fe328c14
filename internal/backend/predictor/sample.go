package predictor

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/slipway-ml/slipway"
)

// Sampling explains a model of any kind by asking it for answers to rows that are
// mixed of the explained row and background rows.
type Sampling struct {
	// Background rows stand for features that are not known; see Ask. At most
	// SampleBackground of them, evenly spaced, are used.
	Background *slipway.Frame
	Method     string // MethodPermute or MethodKernel; "" is MethodPermute
	Rounds     int    // how often each background row is walked, or coalitions for each feature; 0 is 1, or 8
	Seed       uint64 // the same seed gives the same values
}

// Bounds of sampling: what one request may cost.
const (
	SampleBackground = 64
	maxRounds        = 64
	maxSampleColumns = 1000
	maxSampleRows    = 100
)

// Sample estimates Shapley values of the interventional game in the space of
// predictions, with a standard error for each. The values of a row add up
// exactly to what the model answers less the base. It fails with Invalid where
// the model answers with text, and as Predict does.
func Sample(ctx context.Context, m Model, in *slipway.Frame, s Sampling) (Explanation, error) {
	g, err := newSampler(ctx, m, in, s)
	if err != nil {
		return Explanation{}, err
	}
	for r := range in.Rows {
		if s.Method == MethodKernel {
			err = g.kernel(ctx, r)
		} else {
			err = g.permute(ctx, r)
		}
		if err != nil {
			return Explanation{}, err
		}
	}
	return g.out, nil
}

// sampler is one call of Sample.
type sampler struct {
	m          Model
	in         *slipway.Frame
	background *slipway.Frame
	rounds     int
	rng        *rand.Rand
	out        Explanation
	answer     [][]float64 // to the rows that are explained, by output
	base       [][]float64 // to the background rows, by output
}

func newSampler(ctx context.Context, m Model, in *slipway.Frame, s Sampling) (*sampler, error) {
	if s.Method == "" {
		s.Method = MethodPermute
	}
	switch {
	case s.Method != MethodPermute && s.Method != MethodKernel:
		return nil, slipway.Errorf(slipway.Invalid, "the method %.40q is neither %s nor %s", s.Method, MethodPermute, MethodKernel)
	case s.Background == nil || s.Background.Rows == 0:
		return nil, slipway.Errorf(slipway.Invalid, "a model without exact explanations is explained against background rows, and there are none").
			WithHint("send some rows that are typical of the model's input")
	case s.Rounds < 0 || s.Rounds > maxRounds:
		return nil, slipway.Errorf(slipway.Invalid, "%d rounds are asked for; up to %d are given", s.Rounds, maxRounds)
	}
	for _, f := range []*slipway.Frame{in, s.Background} {
		if err := Check(f); err != nil {
			return nil, err
		}
		if err := Unique(f); err != nil {
			return nil, err
		}
	}
	if len(in.Series) == 0 || len(in.Series) > maxSampleColumns || in.Rows > maxSampleRows {
		return nil, slipway.Errorf(slipway.Invalid, "%d rows of %d columns are to be explained by sampling; up to %d of 1 to %d are", in.Rows, len(in.Series), maxSampleRows, maxSampleColumns)
	}
	g := &sampler{m: m, in: in, background: &slipway.Frame{}, rounds: s.Rounds, rng: rand.New(rand.NewPCG(s.Seed, 0x51197A7))}
	rows := spaced(s.Background.Rows, SampleBackground)
	for i := range in.Series {
		c := s.Background.Column(in.Series[i].Name)
		if c == nil {
			return nil, slipway.Errorf(slipway.Invalid, "the background has no column %q", in.Series[i].Name)
		}
		if isText(c) != isText(&in.Series[i]) {
			return nil, slipway.Errorf(slipway.Invalid, "column %q is text in one of the background and the rows, and numbers in the other", c.Name)
		}
		g.background.Series = append(g.background.Series, pick(c, rows))
	}
	g.background.Rows = len(rows)
	g.out = Explanation{Space: PredictionSpace, Method: s.Method}
	for i := range in.Series {
		g.out.Feature = append(g.out.Feature, in.Series[i].Name)
	}
	var err error
	if g.base, err = g.ask(ctx, g.background); err != nil {
		return nil, err
	}
	g.answer, err = g.ask(ctx, in)
	for _, column := range g.base {
		g.out.Base = append(g.out.Base, mean(column))
	}
	return g, err
}

// ask predicts and gives the outputs as numbers.
func (g *sampler) ask(ctx context.Context, in *slipway.Frame) ([][]float64, error) {
	f, err := g.m.Predict(ctx, in)
	if err != nil {
		return nil, err
	}
	out, named := make([][]float64, len(f.Series)), g.out.Output == nil
	for i := range f.Series {
		c := &f.Series[i]
		if isText(c) || len(c.Float) != in.Rows {
			return nil, slipway.Errorf(slipway.Invalid, "the model answers with text in %q, and only numbers can be explained", c.Name)
		}
		for _, v := range c.Float {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, fmt.Errorf("%w: %w", ErrModel, slipway.Errorf(slipway.Internal, "it answers %v in %q to a mixed row", v, c.Name))
			}
		}
		out[i] = c.Float
		if named {
			g.out.Output = append(g.out.Output, c.Name)
		}
	}
	return out, nil
}

// permute walks from each background row to row r, feature after feature in a
// random order, and again in the reverse order (antithetic sampling, Mitchell et
// al. 2022). What the model's answer changes by at each step is the feature's
// share. Every background row is walked equally often, so the values add up.
func (g *sampler) permute(ctx context.Context, r int) error {
	rounds, features := max(1, g.rounds), len(g.in.Series)
	count := features - 1 // answers along one walk, beside both ends
	walks := rounds * g.background.Rows
	order := make([][]int, walks)
	mix := newMixture(g, r, 2*walks*count)
	known := make([]bool, features)
	for w := range walks {
		order[w] = g.rng.Perm(features)
		for _, step := range []int{1, -1} {
			clear(known)
			for k := range count {
				at := k
				if step < 0 {
					at = features - 1 - k
				}
				known[order[w][at]] = true
				mix.add(known, w%g.background.Rows)
			}
		}
	}
	answer, err := mix.ask(ctx)
	if err != nil {
		return err
	}
	outputs := len(g.base)
	value, spread := make([]float64, outputs*features), make([]float64, outputs*features)
	pair := make([]float64, features)
	for o := range outputs {
		for w := range walks {
			clear(pair)
			for back := range 2 {
				before := g.base[o][w%g.background.Rows]
				for k := range features {
					at := k
					if back == 1 {
						at = features - 1 - k
					}
					now := g.answer[o][r]
					if k < count {
						now = answer[o][(2*w+back)*count+k]
					}
					pair[order[w][at]] += (now - before) / 2
					before = now
				}
			}
			for f, v := range pair {
				value[o*features+f] += v / float64(walks)
				spread[o*features+f] += v * v / float64(walks)
			}
		}
	}
	for i, v := range value {
		spread[i] = math.Sqrt(max(0, spread[i]-v*v) / math.Max(1, float64(walks-1)))
	}
	g.out.Value, g.out.Error = append(g.out.Value, value), append(g.out.Error, spread)
	return nil
}

// mixture collects rows that have some features of the explained row and the
// others of a background row.
type mixture struct {
	g     *sampler
	row   int
	frame *slipway.Frame
}

func newMixture(g *sampler, row, capacity int) *mixture {
	m := &mixture{g: g, row: row, frame: &slipway.Frame{Series: make([]slipway.Series, len(g.in.Series))}}
	for i := range m.frame.Series {
		c, from := &m.frame.Series[i], &g.in.Series[i]
		c.Name, c.Type = from.Name, from.Type
		if isText(from) {
			c.Text, c.Null = make([]string, 0, capacity), make([]bool, 0, capacity)
		} else {
			c.Float = make([]float64, 0, capacity)
		}
	}
	return m
}

func (m *mixture) add(known []bool, background int) {
	m.frame.Rows++
	for i := range m.frame.Series {
		from, at := &m.g.background.Series[i], background
		if known[i] {
			from, at = &m.g.in.Series[i], m.row
		}
		c := &m.frame.Series[i]
		if isText(c) {
			c.Text = append(c.Text, from.Text[at])
			c.Null = append(c.Null, from.Null != nil && from.Null[at])
		} else {
			c.Float = append(c.Float, from.Float[at])
		}
	}
}

// ask gives the answers to all rows, by output.
func (m *mixture) ask(ctx context.Context) ([][]float64, error) {
	if m.frame.Rows == 0 {
		return make([][]float64, len(m.g.base)), nil
	}
	return m.g.ask(ctx, m.frame)
}

// spaced chooses up to most of n places, evenly.
func spaced(n, most int) []int {
	count := min(n, most)
	out := make([]int, count)
	for i := range out {
		out[i] = i * n / count
	}
	return out
}

func pick(c *slipway.Series, rows []int) slipway.Series {
	out := slipway.Series{Name: c.Name, Type: c.Type}
	for _, r := range rows {
		if isText(c) {
			out.Text = append(out.Text, c.Text[r])
			out.Null = append(out.Null, c.Null != nil && c.Null[r])
		} else {
			out.Float = append(out.Float, c.Float[r])
		}
	}
	return out
}

func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}
