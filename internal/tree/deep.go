package tree

// Leaves under more than eight distinct features have no table. Their SHAP
// values come from walking what is left of the tree once per row, with the
// integral of leafTable taken by quadrature: on the way down the product over
// the path's features is kept at each point t; on the way up each edge collects
// the products of the leaves below it, and its feature gets
//
//	Σ_t w·below·((o−z)/(o·t+z·(1−t)) − (o'−z')/(o'·t+z'·(1−t))),
//
// where o', z' are what the feature had before this edge, so that an earlier
// edge's share is taken back where the path meets the same feature again. Time is
// proportional to edges × points, whatever the depth (compare Linear TreeShap,
// Yu et al. 2022, and Quadrature-TreeSHAP in XGBoost 3.3).

// deepTree is a tree without its chunks. Nodes are in depth-first order.
type deepTree struct {
	output, depth, points int
	nodes                 []deepNode
}

type deepNode struct {
	edge    [2]deepEdge // left, right; child 0 where nothing is left below
	answer  uint32
	feature int32
	before  int32   // the depth of the edge with the same feature above, 0 for none
	value   float64 // of a leaf
	leaf    bool
}

type deepEdge struct {
	child int32
	share float64 // of the feature, with the edges above
}

// deepBuilder collects the deep leaves of one tree.
type deepBuilder struct {
	x    *Explainer
	tree *Tree
	keep []bool // by node: a deep leaf is at or below it
	any  bool

	center float64 // see cutter
}

func newDeepBuilder(x *Explainer, t *Tree, center float64) *deepBuilder {
	return &deepBuilder{x: x, tree: t, keep: make([]bool, len(t.Nodes)), center: center}
}

func (b *deepBuilder) leaf(j int32) { b.keep[j], b.any = true, true }

// deepStep is one edge of the path to a node, as the builder sees it.
type deepStep struct {
	feature int32
	share   float64
}

// finish builds the deepTree, if there is any deep leaf.
func (b *deepBuilder) finish() {
	if !b.any {
		return
	}
	nodes := b.tree.Nodes
	for j := len(nodes) - 1; j >= 0; j-- {
		if n := &nodes[j]; !n.Leaf() {
			b.keep[j] = b.keep[n.Left] || b.keep[n.Right]
		}
	}
	t := deepTree{output: b.tree.Output}
	distinct := 0
	var build func(j int32, path []deepStep, known int) int32
	build = func(j int32, path []deepStep, known int) int32 {
		n, at := &nodes[j], int32(len(t.nodes))
		t.nodes = append(t.nodes, deepNode{})
		t.depth, distinct = max(t.depth, len(path)), max(distinct, known)
		if n.Leaf() {
			d := deepNode{leaf: true, value: (n.Value - b.center) / b.x.e.scale()}
			mean := d.value
			seen := map[int32]bool{}
			for k := len(path) - 1; k >= 0; k-- { // the last edge of a feature has its share
				if s := path[k]; !seen[s.feature] {
					seen[s.feature] = true
					mean *= s.share
				}
			}
			b.x.base[t.output] += mean
			t.nodes[at] = d
			return at
		}
		d := deepNode{answer: b.x.answers.of[n], feature: n.Feature}
		share := 1.0
		for k, s := range path {
			if s.feature == n.Feature {
				d.before, share = int32(k+1), s.share
			}
		}
		known += int(bit(d.before == 0))
		for side, child := range [2]int32{n.Left, n.Right} {
			if !b.keep[child] {
				continue
			}
			s := 0.0
			if n.Cover > 0 {
				s = share * nodes[child].Cover / n.Cover
			}
			d.edge[side] = deepEdge{build(child, append(path, deepStep{n.Feature, s}), known), s}
		}
		t.nodes[at] = d
		return at
	}
	build(0, nil, 0)
	t.points = (distinct + 1) / 2
	for len(b.x.rule) <= t.points {
		b.x.rule = append(b.x.rule, rule{})
	}
	if b.x.rule[t.points].t == nil {
		b.x.rule[t.points] = newRule(t.points)
	}
	b.x.deep = append(b.x.deep, t)
}

// deepStack holds, for each depth and point, the product on the way down, the
// sum on the way up, and the last edge's o, z and 1/(o·t+z·(1−t)).
type deepStack struct {
	points  int
	product []float64
	below   []float64
	inverse []float64
	hit     []bool
	share   []float64
	miss    []float64 // 1/(1−t) by point
}

func newDeepStack(trees []deepTree) *deepStack {
	depth, points := 0, 0
	for i := range trees {
		depth, points = max(depth, trees[i].depth), max(points, trees[i].points)
	}
	s := &deepStack{hit: make([]bool, depth+1), share: make([]float64, depth+1), miss: make([]float64, points)}
	s.product, s.below, s.inverse = make([]float64, (depth+1)*points), make([]float64, (depth+1)*points), make([]float64, (depth+1)*points)
	return s
}

// deepRow adds what the deep leaves of t contribute to row r of the block; phi
// has stride values from one feature to the next.
func deepRow[M mask](s *deepStack, t *deepTree, q rule, masks []M, r int, phi []float64, stride int) {
	s.points = t.points
	for k := range s.points {
		s.product[k], s.inverse[k] = 1, 1
		s.miss[k] = 1 / (1 - q.t[k])
	}
	s.hit[0], s.share[0] = true, 1
	deepVisit(s, t, q, masks, r, phi, stride, 0, 0)
}

func deepVisit[M mask](s *deepStack, t *deepTree, q rule, masks []M, r int, phi []float64, stride int, node int32, depth int) {
	d, p := &t.nodes[node], s.points
	product, below := s.product[depth*p:][:p], s.below[depth*p:][:p]
	if d.leaf {
		for k, v := range product {
			below[k] = v * d.value
		}
		return
	}
	clear(below)
	right := int(masks[d.answer] >> r & 1)
	before := int(d.before)
	hitBefore, shareBefore, inverseBefore := s.hit[before], s.share[before], s.inverse[before*p:][:p]
	weightBefore := -shareBefore
	if hitBefore {
		weightBefore++
	}
	at, wt := q.t[:p], q.w[:p]
	next, inverse, under := s.product[(depth+1)*p:][:p], s.inverse[(depth+1)*p:][:p], s.below[(depth+1)*p:][:p]
	for side := range d.edge {
		e := &d.edge[side]
		hit := hitBefore && side == right
		if e.child == 0 || !hit && e.share == 0 {
			continue // nothing there, or every term below is zero
		}
		weight := -e.share
		if hit {
			weight++
			for k, t := range at {
				f := t + e.share*(1-t)
				next[k] = product[k] * f * inverseBefore[k]
				inverse[k] = 1 / f
			}
		} else {
			over := 1 / e.share
			for k, t := range at {
				next[k] = product[k] * e.share * (1 - t) * inverseBefore[k]
				inverse[k] = over * s.miss[k]
			}
		}
		s.hit[depth+1], s.share[depth+1] = hit, e.share
		deepVisit(s, t, q, masks, r, phi, stride, e.child, depth+1)
		sum := 0.0
		for k, u := range under {
			sum += wt[k] * u * (weight*inverse[k] - weightBefore*inverseBefore[k])
			below[k] += u
		}
		phi[int(d.feature)*stride] += sum
	}
}
