package tree

// packed holds trees of any shape as nodes of 12 or 16 bytes, siblings side by
// side, walked eight trees at a time. A leaf looks at column 0, which is always
// NaN, and is its own left child, so a walk that has arrived stays where it is
// and needs no branch.
type packed[T float32 | float64] struct {
	nodes []packedNode[T]
	root  []uint32
	bits  []uint64 // of the categorical columns
}

type packedNode[T float32 | float64] struct {
	value  T      // threshold, or the value of a leaf
	kid    uint32 // the left child; the right one follows it
	column uint16
	bit    uint16 // of a categorical split, in the line of its column
}

func newPacked[T float32 | float64](e *Ensemble, c *columns) *packed[T] {
	p := &packed[T]{bits: c.bits}
	for i := range e.Trees {
		t := &e.Trees[i]
		p.root = append(p.root, uint32(len(p.nodes)))
		p.nodes = append(p.nodes, packedNode[T]{})
		// Places are given out breadth first: the top of a tree, which every row
		// passes, fills few cache lines.
		queue := []struct{ from int32 }{{0}}
		at := []uint32{p.root[i]}
		for k := 0; k < len(queue); k++ {
			n, place := &t.Nodes[queue[k].from], at[k]
			if n.Leaf() {
				p.nodes[place] = packedNode[T]{value: T(n.Value), kid: place}
				continue
			}
			kid := uint32(len(p.nodes))
			node := packedNode[T]{value: T(c.threshold(n)), kid: kid, column: uint16(c.index[columnOf(n)])}
			if n.Set != 0 {
				node.bit = uint16(c.ordinal[n])
			}
			p.nodes[place] = node
			p.nodes = append(p.nodes, packedNode[T]{}, packedNode[T]{})
			queue = append(queue, struct{ from int32 }{n.Left}, struct{ from int32 }{n.Right})
			at = append(at, kid, kid+1)
		}
	}
	for len(p.root)%lanes != 0 { // a tree of one leaf, worth nothing
		p.root = append(p.root, uint32(len(p.nodes)))
		p.nodes = append(p.nodes, packedNode[T]{kid: uint32(len(p.nodes))})
	}
	return p
}

// step is where a row goes from node i by a numerical split.
func step[T float32 | float64](nodes []packedNode[T], x []T, i uint32) uint32 {
	n := &nodes[i]
	return n.kid + bit(x[n.column] >= n.value)
}

// walk finds the leaves that a laid-out row reaches in one group of trees.
func (p *packed[T]) walk(group int, x []T, lines []uint32, out *[lanes]T) {
	if lines != nil {
		p.walkSets(group, x, lines, out)
		return
	}
	nodes := p.nodes
	r := (*[lanes]uint32)(p.root[group*lanes:])
	a0, a1, a2, a3, a4, a5, a6, a7 := r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7]
	for {
		b0, b1, b2, b3 := step(nodes, x, a0), step(nodes, x, a1), step(nodes, x, a2), step(nodes, x, a3)
		b4, b5, b6, b7 := step(nodes, x, a4), step(nodes, x, a5), step(nodes, x, a6), step(nodes, x, a7)
		a0, a1, a2, a3 = step(nodes, x, b0), step(nodes, x, b1), step(nodes, x, b2), step(nodes, x, b3)
		a4, a5, a6, a7 = step(nodes, x, b4), step(nodes, x, b5), step(nodes, x, b6), step(nodes, x, b7)
		if (a0^b0)|(a1^b1)|(a2^b2)|(a3^b3)|(a4^b4)|(a5^b5)|(a6^b6)|(a7^b7) == 0 {
			break
		}
	}
	out[0], out[1], out[2], out[3] = nodes[a0].value, nodes[a1].value, nodes[a2].value, nodes[a3].value
	out[4], out[5], out[6], out[7] = nodes[a4].value, nodes[a5].value, nodes[a6].value, nodes[a7].value
}

// stepSets is step for models with categorical splits, without a branch: the
// column of a categorical split holds NaN, so only its bit counts; that of a
// numerical split has line 0, where all bits are zero.
func stepSets[T float32 | float64](nodes []packedNode[T], bits []uint64, x []T, lines []uint32, i uint32) uint32 {
	n := &nodes[i]
	word := bits[lines[n.column]+uint32(n.bit>>6)]
	return n.kid + (bit(x[n.column] >= n.value) | uint32(word>>(n.bit&63))&1)
}

// walkSets is walk for models with categorical splits; a step needs more
// registers, so it takes four trees at a time.
func (p *packed[T]) walkSets(group int, x []T, lines []uint32, out *[lanes]T) {
	nodes, bits := p.nodes, p.bits
	lines = lines[:len(x)]
	for j := 0; j < lanes; j += 4 {
		r := (*[4]uint32)(p.root[group*lanes+j:])
		a0, a1, a2, a3 := r[0], r[1], r[2], r[3]
		for {
			b0, b1 := stepSets(nodes, bits, x, lines, a0), stepSets(nodes, bits, x, lines, a1)
			b2, b3 := stepSets(nodes, bits, x, lines, a2), stepSets(nodes, bits, x, lines, a3)
			a0, a1 = stepSets(nodes, bits, x, lines, b0), stepSets(nodes, bits, x, lines, b1)
			a2, a3 = stepSets(nodes, bits, x, lines, b2), stepSets(nodes, bits, x, lines, b3)
			if (a0^b0)|(a1^b1)|(a2^b2)|(a3^b3) == 0 {
				break
			}
		}
		out[j], out[j+1], out[j+2], out[j+3] = nodes[a0].value, nodes[a1].value, nodes[a2].value, nodes[a3].value
	}
}
