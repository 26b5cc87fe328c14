package tree

import (
	"math"
	"sync"
)

// Predictor answers rows. It is safe for concurrent use and allocates nothing
// per call once it is warm.
type Predictor struct {
	e   *Ensemble
	run func(p *Predictor, dst, x []float64, rows int) // margins, by the engine chosen
}

// NewPredictor lays the trees of e out for prediction: padded complete trees
// where all are shallow, packed nodes otherwise. e must come from Load or Parse
// and not change afterwards.
func NewPredictor(e *Ensemble) *Predictor {
	p := &Predictor{e: e, run: walkPlain}
	c := newColumns(e)
	switch {
	case c == nil:
	case e.Float32:
		p.run = newEngine[float32](e, c).margins
	default:
		if !completeFits(e, c) {
			if g := newNarrow(e, c); g != nil {
				p.run = g.margins
				return p
			}
		}
		p.run = newEngine[float64](e, c).margins
	}
	return p
}

// Outputs is the number of predictions per row.
func (p *Predictor) Outputs() int { return p.e.Outputs }

// Features is the number of values per row.
func (p *Predictor) Features() int { return len(p.e.Features) }

// Predict writes rows×Outputs predictions to dst from rows×Features values in x,
// both row by row. A prediction is in the space of the target: a probability for
// a classifier (of the positive class, or of each class), else a number. It
// panics where dst or x is too short.
func (p *Predictor) Predict(dst, x []float64, rows int) {
	p.Margin(dst, x, rows)
	e := p.e
	if e.Link == Identity {
		return
	}
	for r := range rows {
		e.Link.apply(dst[r*e.Outputs:][:e.Outputs], e.Coefficient)
	}
}

// Margin is Predict before the link: the sums that SHAP values add up to.
func (p *Predictor) Margin(dst, x []float64, rows int) {
	_, _ = dst[:rows*p.e.Outputs], x[:rows*len(p.e.Features)]
	p.run(p, dst[:rows*p.e.Outputs], x[:rows*len(p.e.Features)], rows)
}

// apply turns the margins of one row into predictions, in place.
func (l Link) apply(m []float64, coefficient float64) {
	switch l {
	case Sigmoid:
		for k, v := range m {
			m[k] = 1 / (1 + math.Exp(-coefficient*v))
		}
	case Softmax:
		top, sum := m[0], 0.0
		for _, v := range m {
			top = max(top, v)
		}
		for k, v := range m {
			m[k] = math.Exp(v - top)
			sum += m[k]
		}
		for k := range m {
			m[k] /= sum
		}
	case Exp:
		for k, v := range m {
			m[k] = math.Exp(v)
		}
	case SignedSquare:
		for k, v := range m {
			m[k] = math.Copysign(v*v, v)
		}
	case Softplus:
		for k, v := range m {
			m[k] = max(v, 0) + math.Log1p(math.Exp(-math.Abs(v)))
		}
	case Step:
		for k, v := range m {
			m[k] = float64(bit(v > 0))
		}
	}
}

// engine runs groups of eight trees over laid-out rows. Sums are taken in the
// order and the precision of the library, so that they are equal bit for bit.
type engine[T float32 | float64] struct {
	columns *columns
	groups  int
	stride  int // values from one laid-out row to the next
	walk    func(group int, x []T, lines []uint32, out *[lanes]T)
	sets    bool
	output  []int32 // of each tree, padded to groups
	base    []T
	scale   float64
	pool    sync.Pool // of *scratch[T]
	wide    *wide     // nil where the processor or the model is not of that kind
	spare   sync.Pool // of *wideScratch
}

// scratch is what one call needs: a block of laid-out rows and their sums.
type scratch[T float32 | float64] struct {
	rows  []T
	lines []uint32
	sum   []T
	leaf  [lanes]T
}

// rowBlock is how many rows pass one group of trees before the next group is
// fetched: enough to pay for the fetch, few enough to stay in the cache.
const rowBlock = 64

func newEngine[T float32 | float64](e *Ensemble, c *columns) *engine[T] {
	g := &engine[T]{columns: c, groups: (len(e.Trees) + lanes - 1) / lanes, sets: e.hasSets(), scale: e.scale()}
	if completeFits(e, c) {
		p := newComplete[T](e, c)
		g.stride, g.walk = p.stride(), p.walk
	} else {
		p := newPacked[T](e, c)
		g.stride, g.walk = len(c.list), p.walk
	}
	g.output = make([]int32, g.groups*lanes)
	for i := range e.Trees {
		g.output[i] = int32(e.Trees[i].Output)
	}
	for _, b := range e.Base {
		g.base = append(g.base, T(b))
	}
	g.pool.New = func() any { return &scratch[T]{} }
	if g.wide = newWide(e, c); g.wide != nil {
		g.spare.New = func() any { return g.wide.scratch(len(e.Base)) }
	}
	return g
}

func (g *engine[T]) scratch(rows int) *scratch[T] {
	s := g.pool.Get().(*scratch[T])
	if len(s.rows) < rows*g.stride {
		s.rows = make([]T, rows*g.stride)
		s.sum = make([]T, rows*len(g.base))
		if g.sets {
			s.lines = make([]uint32, rows*g.stride)
		}
	}
	return s
}

func (g *engine[T]) margins(p *Predictor, dst, x []float64, rows int) {
	if g.wide != nil && rows >= minWideRows && g.scale == 1 {
		base := any(g.base).([]float32) // no other engine is wide
		s := g.spare.Get().(*wideScratch)
		g.wide.margins(s, base, dst, x, len(p.e.Features), rows)
		g.spare.Put(s)
		return
	}
	block := min(rows, rowBlock)
	s := g.scratch(block)
	width, outputs := len(p.e.Features), len(g.base)
	for from := 0; from < rows; from += block {
		n := min(block, rows-from)
		for r := range n {
			var lines []uint32
			if g.sets {
				lines = s.lines[r*g.stride:][:g.stride]
			}
			fillRow(g.columns, x[(from+r)*width:][:width], s.rows[r*g.stride:][:len(g.columns.list)], lines)
			copy(s.sum[r*outputs:], g.base)
		}
		g.block(s, n)
		for i, v := range s.sum[:n*outputs] {
			if g.scale != 1 {
				v = T(float64(v) / g.scale)
			}
			dst[from*outputs+i] = float64(v)
		}
	}
	g.pool.Put(s)
}

// block runs n laid-out rows through all trees.
func (g *engine[T]) block(s *scratch[T], n int) {
	for group := range g.groups {
		output := (*[lanes]int32)(g.output[group*lanes:])
		for r := range n {
			var lines []uint32
			if g.sets {
				lines = s.lines[r*g.stride:][:g.stride]
			}
			g.walk(group, s.rows[r*g.stride:][:g.stride], lines, &s.leaf)
			if len(g.base) == 1 {
				v, l := s.sum[r], &s.leaf
				s.sum[r] = v + l[0] + l[1] + l[2] + l[3] + l[4] + l[5] + l[6] + l[7]
				continue
			}
			sum := s.sum[r*len(g.base):][:len(g.base)]
			for j, v := range s.leaf {
				sum[output[j]] += v
			}
		}
	}
}

// walkPlain is the engine of models that the others cannot hold, and the
// reference that tests hold them to.
func walkPlain(p *Predictor, dst, x []float64, rows int) {
	e, width := p.e, len(p.e.Features)
	for r := range rows {
		sum, row := dst[r*e.Outputs:][:e.Outputs], x[r*width:][:width]
		copy(sum, e.Base)
		for i := range e.Trees {
			t := &e.Trees[i]
			n := &t.Nodes[0]
			for !n.Leaf() {
				if e.right(t, n, row[n.Feature]) {
					n = &t.Nodes[n.Right]
				} else {
					n = &t.Nodes[n.Left]
				}
			}
			v := sum[t.Output] + n.Value
			if e.Float32 {
				v = float64(float32(v))
			}
			sum[t.Output] = v
		}
		for k := range sum {
			sum[k] /= e.scale()
		}
	}
}
