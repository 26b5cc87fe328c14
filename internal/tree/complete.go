package tree

import "math"

// complete holds shallow trees, padded to complete trees of one depth, eight
// side by side in a group so that eight chains of loads run at once. Within a
// group the nodes stand level by level and tree by tree: node i of tree j on
// level l is at place q = j·2^l + i of its level, and its children are at places
// 2q and 2q+1 of the next, for every tree alike.
type complete[T float32 | float64] struct {
	depth     int
	threshold []T
	column    []uint8
	leaf      []T
}

const (
	lanes              = 8
	maxCompleteDepth   = 8
	maxCompleteColumns = 256
)

// completeFits reports whether padding wastes little: each tree is shallow and
// most places of the padded trees are real nodes.
func completeFits(e *Ensemble, c *columns) bool {
	if len(c.list) > maxCompleteColumns || e.hasSets() {
		return false
	}
	depth, nodes := 0, 0
	for i := range e.Trees {
		depth = max(depth, e.Trees[i].depth())
		nodes += len(e.Trees[i].Nodes)
	}
	if depth > maxCompleteDepth {
		return false
	}
	padded := len(e.Trees) * (2<<depth - 1)
	return depth <= 6 || padded <= 3*nodes
}

func newComplete[T float32 | float64](e *Ensemble, c *columns) *complete[T] {
	p := &complete[T]{}
	for i := range e.Trees {
		p.depth = max(p.depth, e.Trees[i].depth())
	}
	groups := (len(e.Trees) + lanes - 1) / lanes
	inner, outer := lanes*(1<<p.depth-1), lanes<<p.depth
	p.threshold = make([]T, groups*inner)
	p.column = make([]uint8, groups*inner)
	p.leaf = make([]T, groups*outer)
	for i := range p.threshold {
		p.threshold[i] = T(math.NaN())
	}
	for i := range e.Trees {
		t, group := &e.Trees[i], i/lanes
		var place func(n int32, level, q int)
		place = func(n int32, level, q int) {
			node := &t.Nodes[n]
			if level == p.depth {
				p.leaf[group*outer+q] = T(node.Value)
				return
			}
			if node.Leaf() { // padding goes left
				place(n, level+1, 2*q)
				return
			}
			at := group*inner + lanes*(1<<level-1) + q
			p.threshold[at] = T(c.threshold(node))
			p.column[at] = uint8(c.index[columnOf(node)])
			place(node.Left, level+1, 2*q)
			place(node.Right, level+1, 2*q+1)
		}
		place(0, 0, i%lanes)
	}
	return p
}

func (p *complete[T]) stride() int { return maxCompleteColumns }

// walk adds up the leaves that a laid-out row reaches in one group of trees.
func (p *complete[T]) walk(group int, row []T, _ []uint32, out *[lanes]T) {
	x := (*[maxCompleteColumns]T)(row)
	inner, outer := lanes*(1<<p.depth-1), lanes<<p.depth
	threshold := p.threshold[group*inner:][:inner]
	column := p.column[group*inner:][:inner]
	var q0, q1, q2, q3, q4, q5, q6, q7 uint32 = 0, 1, 2, 3, 4, 5, 6, 7
	for width := lanes; len(threshold) >= width && len(column) >= width; width *= 2 {
		t, c := threshold[:width], column[:width]
		c = c[:len(t)]
		n := uint32(len(t))
		if q0 >= n || q1 >= n || q2 >= n || q3 >= n || q4 >= n || q5 >= n || q6 >= n || q7 >= n {
			break // never; tells the compiler that the places are in range
		}
		q0 = 2*q0 + bit(x[c[q0]] >= t[q0])
		q1 = 2*q1 + bit(x[c[q1]] >= t[q1])
		q2 = 2*q2 + bit(x[c[q2]] >= t[q2])
		q3 = 2*q3 + bit(x[c[q3]] >= t[q3])
		q4 = 2*q4 + bit(x[c[q4]] >= t[q4])
		q5 = 2*q5 + bit(x[c[q5]] >= t[q5])
		q6 = 2*q6 + bit(x[c[q6]] >= t[q6])
		q7 = 2*q7 + bit(x[c[q7]] >= t[q7])
		threshold, column = threshold[width:], column[width:]
	}
	leaf := p.leaf[group*outer:][:outer]
	out[0], out[1], out[2], out[3] = leaf[q0], leaf[q1], leaf[q2], leaf[q3]
	out[4], out[5], out[6], out[7] = leaf[q4], leaf[q5], leaf[q6], leaf[q7]
}
