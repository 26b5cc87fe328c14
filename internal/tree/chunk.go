package tree

import (
	"math"
	"math/bits"
	"slices"
)

// pathFeature is one distinct feature on the way from the root to a node.
type pathFeature struct {
	feature int32
	share   float64  // of the cover that its conditions let through, were it averaged out
	literal []uint32 // its conditions: 2·answer where the row must go right, +1 where left
	ones    int      // within a chunk: pattern bits that must be 1,
	zeros   int      // and those that must be 0
	rows    []uint64 // of the background, those that satisfy its conditions
}

// cutter cuts one tree into chunks and deep leaves.
type cutter struct {
	x      *Explainer
	tree   *Tree
	splits []int // of each subtree
	// center is the tree's mean, taken off every leaf: a constant changes nothing
	// but the base value, and tables of small numbers are exact to more digits.
	center float64
	deep   *deepBuilder
}

func (x *Explainer) addTree(i int) {
	t := &x.e.Trees[i]
	c := &cutter{x: x, tree: t, splits: make([]int, len(t.Nodes))}
	mean := make([]float64, len(t.Nodes))
	for j := len(t.Nodes) - 1; j >= 0; j-- {
		n := &t.Nodes[j]
		if n.Leaf() {
			mean[j] = n.Value
			continue
		}
		c.splits[j] = 1 + c.splits[n.Left] + c.splits[n.Right]
		left, right := &t.Nodes[n.Left], &t.Nodes[n.Right]
		if total := left.Cover + right.Cover; total > 0 {
			mean[j] = (mean[n.Left]*left.Cover + mean[n.Right]*right.Cover) / total
		}
	}
	c.center = mean[0]
	c.deep = newDeepBuilder(x, t, c.center)
	x.base[t.Output] += c.center / x.e.scale()
	c.cut(0, nil)
	c.deep.finish()
}

// cut places the subtree at node j, reached by path.
func (c *cutter) cut(j int32, path []pathFeature) {
	n := &c.tree.Nodes[j]
	if j == 0 && n.Leaf() {
		return // all of it is base value
	}
	if b := c.x.background; b != nil && b.predictions {
		if n.Leaf() {
			c.deep.leaf(j)
			return
		}
	} else if size := len(path) + c.splits[j]; size <= chunkBits && len(c.x.table)+chunkBits<<size <= maxTable {
		c.chunk(j, path)
		return
	}
	if n.Leaf() {
		c.deep.leaf(j)
		return
	}
	c.cut(n.Left, c.follow(path, n, n.Left, 0))
	c.cut(n.Right, c.follow(path, n, n.Right, 0))
}

// follow extends path by the edge from n to its child. bit, where not 0, is the
// pattern bit in which a chunk keeps the answer of n.
func (c *cutter) follow(path []pathFeature, n *Node, child int32, bit int) []pathFeature {
	share := 0.0
	if n.Cover > 0 {
		share = c.tree.Nodes[child].Cover / n.Cover
	}
	out := slices.Clone(path)
	at := slices.IndexFunc(out, func(p pathFeature) bool { return p.feature == n.Feature })
	if at < 0 {
		at = len(out)
		out = append(out, pathFeature{feature: n.Feature, share: 1})
	}
	p := &out[at]
	p.share *= share
	if b := c.x.background; b != nil && !b.predictions {
		p.rows = b.pass(p.rows, c.x.answers.of[n], child == n.Right)
	}
	switch {
	case bit == 0:
		literal := c.x.answers.of[n] << 1
		if child == n.Left {
			literal |= 1
		}
		p.literal = append(slices.Clip(p.literal), literal)
	case child == n.Left:
		p.zeros |= bit
	default:
		p.ones |= bit
	}
	return out
}

// chunk lays down the table of the subtree at node j.
func (c *cutter) chunk(j int32, path []pathFeature) {
	x := c.x
	ch := chunk{literal: uint32(len(x.literal)), feature: uint32(len(x.feature)),
		bits: uint8(len(path) + c.splits[j]), output: uint16(c.tree.Output)}
	var features []int32
	inside := slices.Clone(path)
	for i := range inside {
		p := &inside[i]
		p.ones, p.zeros = 1<<i, 0
		features = append(features, p.feature)
		x.literal = append(append(x.literal, uint32(len(p.literal))), p.literal...)
	}
	// Each split of the subtree takes the next bit, in the order of the nodes.
	last := j + 2*int32(c.splits[j])
	place := map[int32]int{}
	for k := j; k <= last; k++ {
		if n := &c.tree.Nodes[k]; !n.Leaf() {
			place[k] = 1 << (len(path) + len(place))
			x.literal = append(x.literal, 1, x.answers.of[n]<<1)
			if !slices.Contains(features, n.Feature) {
				features = append(features, n.Feature)
			}
		}
	}
	ch.count = uint8(len(features))
	x.feature = append(x.feature, features...)
	table := make([]float64, len(features)<<ch.bits)
	var walk func(k int32, path []pathFeature)
	walk = func(k int32, path []pathFeature) {
		n := &c.tree.Nodes[k]
		if n.Leaf() {
			x.base[c.tree.Output] += c.addLeaf(table, features, path, (n.Value-c.center)/x.e.scale())
			return
		}
		walk(n.Left, c.follow(path, n, n.Left, place[k]))
		walk(n.Right, c.follow(path, n, n.Right, place[k]))
	}
	walk(j, inside)
	ch.shift = uint8(bits.Len(uint(len(features) - 1)))
	for len(x.table)%8 != 0 {
		x.table = append(x.table, 0)
	}
	ch.table = uint32(len(x.table))
	x.table = append(x.table, make([]float32, 1<<(ch.bits+ch.shift))...)
	for i, v := range table {
		pattern, k := i/len(features), i%len(features)
		x.table[int(ch.table)+pattern<<ch.shift+k] = float32(v)
	}
	x.chunks = append(x.chunks, ch)
}

// addLeaf adds one leaf to the table of its chunk and returns what the leaf is
// worth when no feature is known.
func (c *cutter) addLeaf(table []float64, features []int32, path []pathFeature, value float64) float64 {
	m := len(path)
	var own []float64
	if b := c.x.background; b != nil {
		own = b.leafTable(path, value)
	} else {
		own = leafTable(path, value)
	}
	var at [chunkBits]int
	for i, p := range path {
		at[i] = slices.Index(features, p.feature)
		value *= p.share
	}
	for pattern := range len(table) / len(features) {
		k := 0
		for i := range path {
			p := &path[i]
			k |= int(bit(pattern&p.ones == p.ones && pattern&p.zeros == 0)) << i
		}
		out, in := table[pattern*len(features):][:len(features)], own[k*m:][:m]
		for i, v := range in {
			out[at[i]] += v
		}
	}
	return value
}

// leafTable holds the SHAP values of one leaf for each pattern of its m
// features, bit i being 1 where feature i lets the row through. With o that bit
// and z the feature's share, feature i is worth
//
//	value·(o_i − z_i)·∫₀¹ Π_{k≠i} (o_k·t + z_k·(1−t)) dt,
//
// a polynomial of degree m−1 in t, for which Gauss-Legendre quadrature on ⌈m/2⌉
// points is exact.
func leafTable(path []pathFeature, value float64) []float64 {
	m := len(path)
	q := newRule((m + 1) / 2)
	out := make([]float64, m<<m)
	product := make([]float64, 1<<(m-1))
	for i := range path {
		for s, t := range q.t {
			product[0] = value * q.w[s]
			size := 1
			for k := range path {
				if k == i {
					continue
				}
				miss := path[k].share * (1 - t)
				hit := t + miss
				for p := range size {
					product[size+p] = product[p] * hit
					product[p] *= miss
				}
				size *= 2
			}
			for p, v := range product[:size] {
				low := p & (1<<i - 1)
				pattern := low | (p&^low)<<1 // room for bit i
				out[pattern*m+i] -= v * path[i].share
				out[(pattern|1<<i)*m+i] += v * (1 - path[i].share)
			}
		}
	}
	return out
}

// rule is a quadrature rule on [0, 1].
type rule struct{ t, w []float64 }

var smallRules = func() (out [chunkBits/2 + 1]rule) {
	for n := range out {
		out[n] = gaussLegendre(n)
	}
	return
}()

func newRule(n int) rule {
	if n < len(smallRules) {
		return smallRules[n]
	}
	return gaussLegendre(n)
}

// gaussLegendre finds the n roots of the Legendre polynomial by Newton's method
// from Tricomi's approximation, and shifts the rule from [-1, 1] to [0, 1].
func gaussLegendre(n int) rule {
	r := rule{make([]float64, n), make([]float64, n)}
	for i := range n {
		x := math.Cos(math.Pi * (float64(i) + 0.75) / (float64(n) + 0.5))
		slope := 0.0
		for range 100 {
			p, before := 1.0, 0.0
			for k := range n {
				p, before = (float64(2*k+1)*x*p-float64(k)*before)/float64(k+1), p
			}
			slope = float64(n) * (x*p - before) / (x*x - 1)
			d := p / slope
			if x -= d; math.Abs(d) < 1e-16 {
				break
			}
		}
		r.t[i] = (1 - x) / 2
		r.w[i] = 1 / ((1 - x*x) * slope * slope)
	}
	return r
}
