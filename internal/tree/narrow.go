package tree

import (
	"math"
	"sync"
)

// narrow holds deep trees of models that round rows to float32, such as
// scikit-learn's forests, in nodes of 8 bytes: what decides is how many lines of
// the cache a walk touches. A threshold becomes the least float32 that is not
// below it, which divides the float32 numbers at the same place. Leaves and sums
// stay float64.
type narrow struct {
	columns *columns
	nodes   []narrowNode
	root    []uint32
	leaf    []float64
	output  []int32 // of each tree
	base    []float64
	scale   float64
}

// narrowNode is a split: link has its left child, which the right one follows,
// and above it the column. A leaf looks at column 0, which is always NaN, and is its own
// left child; the bits of its threshold are its number.
type narrowNode struct {
	threshold float32
	link      uint32
}

const (
	kidBits          = 22
	kidMask          = 1<<kidBits - 1
	maxNarrowColumns = 1 << (32 - kidBits)
	linePairs        = 4 // pairs of nodes in a line of the cache, of 64 bytes
)

// narrowScratch is laid-out rows.
type narrowScratch struct {
	rows [rowBlock][maxNarrowColumns]float32
}

// narrowScratches serve all models, since each is large.
var narrowScratches = sync.Pool{New: func() any { return &narrowScratch{} }}

// newNarrow is nil for a model that does not fit.
func newNarrow(e *Ensemble, c *columns) *narrow {
	if !e.Round32 || e.Float32 || e.hasSets() || len(c.list) > maxNarrowColumns {
		return nil
	}
	total := lanes
	for i := range e.Trees {
		total += len(e.Trees[i].Nodes)
		for j := range e.Trees[i].Nodes {
			n := &e.Trees[i].Nodes[j]
			if t := c.threshold(n); !n.Leaf() && t > math.MaxFloat32 && !math.IsInf(t, 1) {
				return nil // above every float32, and below the infinity that stands for a missing one
			}
		}
	}
	if total > kidMask {
		return nil
	}
	g := &narrow{columns: c, base: e.Base, scale: e.scale(), nodes: make([]narrowNode, 0, total)}
	for i := range e.Trees {
		g.output = append(g.output, int32(e.Trees[i].Output))
		g.lay(&e.Trees[i])
	}
	for len(g.root)%lanes != 0 { // walked and not counted
		g.root = append(g.root, g.root[0])
	}
	return g
}

// lay gives the nodes of a tree their places. A line of the cache takes a pair of
// siblings and the heaviest pairs below it, so that a walk goes down several
// levels in a line.
func (g *narrow) lay(t *Tree) {
	type open struct {
		from int32  // whose children come
		at   uint32 // where it stands
	}
	g.root = append(g.root, uint32(len(g.nodes)))
	g.nodes = append(g.nodes, narrowNode{})
	later := []open{}
	set := func(from int32, at uint32) (open, bool) {
		n := &t.Nodes[from]
		if n.Leaf() {
			g.nodes[at] = narrowNode{math.Float32frombits(uint32(len(g.leaf))), at}
			g.leaf = append(g.leaf, n.Value)
			return open{}, false
		}
		return open{from, at}, true
	}
	if o, more := set(0, g.root[len(g.root)-1]); more {
		later = append(later, o)
	}
	var near []open
	for len(later) > 0 {
		near = append(near[:0], later[len(later)-1])
		later = later[:len(later)-1]
		for room := linePairs; room > 0 && len(near) > 0; room-- {
			best := 0
			for i := range near {
				if t.Nodes[near[i].from].Cover > t.Nodes[near[best].from].Cover {
					best = i
				}
			}
			o := near[best]
			near = append(near[:best], near[best+1:]...)
			n, kid := &t.Nodes[o.from], uint32(len(g.nodes))
			g.nodes[o.at] = narrowNode{g.threshold(n), uint32(g.columns.index[columnOf(n)])<<kidBits | kid}
			g.nodes = append(g.nodes, narrowNode{}, narrowNode{})
			for side, child := range [2]int32{n.Left, n.Right} {
				if o, more := set(child, kid+uint32(side)); more {
					near = append(near, o)
				}
			}
		}
		later = append(later, near...)
	}
}

// threshold is the least float32 that is not below the node's.
func (g *narrow) threshold(n *Node) float32 {
	t := g.columns.threshold(n)
	f := float32(t)
	if float64(f) < t {
		f = math.Nextafter32(f, float32(math.Inf(1)))
	}
	return f
}

func (g *narrow) margins(p *Predictor, dst, x []float64, rows int) {
	s := narrowScratches.Get().(*narrowScratch)
	width, outputs := len(p.e.Features), len(g.base)
	for from := 0; from < rows; from += rowBlock {
		n := min(rowBlock, rows-from)
		for r := range n {
			fillRow(g.columns, x[(from+r)*width:][:width], s.rows[r][:len(g.columns.list)], nil)
			copy(dst[(from+r)*outputs:], g.base)
		}
		for group := 0; group < len(g.root); group += lanes {
			for r := range n {
				g.walk(group, &s.rows[r], dst[(from+r)*outputs:][:outputs])
			}
		}
	}
	if g.scale != 1 {
		for i := range dst[:rows*outputs] {
			dst[i] /= g.scale
		}
	}
	narrowScratches.Put(s)
}

func narrowStep(nodes []narrowNode, x *[maxNarrowColumns]float32, i uint32) uint32 {
	n := &nodes[i]
	return n.link&kidMask + bit(x[n.link>>kidBits] >= n.threshold)
}

// walk adds the leaves that a row reaches in one group of trees.
func (g *narrow) walk(group int, x *[maxNarrowColumns]float32, sum []float64) {
	nodes := g.nodes
	r := (*[lanes]uint32)(g.root[group:])
	a0, a1, a2, a3, a4, a5, a6, a7 := r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7]
	for {
		b0, b1, b2, b3 := narrowStep(nodes, x, a0), narrowStep(nodes, x, a1), narrowStep(nodes, x, a2), narrowStep(nodes, x, a3)
		b4, b5, b6, b7 := narrowStep(nodes, x, a4), narrowStep(nodes, x, a5), narrowStep(nodes, x, a6), narrowStep(nodes, x, a7)
		a0, a1, a2, a3 = narrowStep(nodes, x, b0), narrowStep(nodes, x, b1), narrowStep(nodes, x, b2), narrowStep(nodes, x, b3)
		a4, a5, a6, a7 = narrowStep(nodes, x, b4), narrowStep(nodes, x, b5), narrowStep(nodes, x, b6), narrowStep(nodes, x, b7)
		if (a0^b0)|(a1^b1)|(a2^b2)|(a3^b3)|(a4^b4)|(a5^b5)|(a6^b6)|(a7^b7) == 0 {
			break
		}
	}
	for j, at := range [lanes]uint32{a0, a1, a2, a3, a4, a5, a6, a7} {
		if group+j < len(g.output) {
			sum[g.output[group+j]] += g.leaf[math.Float32bits(nodes[at].threshold)]
		}
	}
}
