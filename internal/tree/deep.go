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
	distinct              int // features on the longest path, at most
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
	child   int32
	share   float64   // of the feature, with the edges above
	inverse []float64 // see deepWalk.inverses
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
			b.x.base[t.output] += d.value * shareOf(path)
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
			d.edge[side] = deepEdge{child: build(child, append(path, deepStep{n.Feature, s}), known), share: s}
		}
		t.nodes[at] = d
		return at
	}
	build(0, nil, 0)
	t.distinct = distinct
	if b.x.background != nil { // walked by pairs, without quadrature
		b.x.deep = append(b.x.deep, t)
		return
	}
	t.points = (distinct + 1) / 2
	for len(b.x.rule) <= t.points {
		b.x.rule = append(b.x.rule, rule{})
	}
	if b.x.rule[t.points].t == nil {
		b.x.rule[t.points] = newRule(t.points)
	}
	b.x.keepInverses(&t)
	b.x.deep = append(b.x.deep, t)
}

// shareOf is the share of the cover that a whole path lets through: the product
// over its features, each of whose last edge has its share.
func shareOf(path []deepStep) float64 {
	share, seen := 1.0, map[int32]bool{}
	for k := len(path) - 1; k >= 0; k-- {
		if s := path[k]; !seen[s.feature] {
			seen[s.feature] = true
			share *= s.share
		}
	}
	return share
}

// keepInverses works out ahead what the walk of t divides by, as long as memory
// for it lasts.
func (x *Explainer) keepInverses(t *deepTree) {
	q := x.rule[t.points]
	if x.inverses += 2 * len(t.nodes) * t.points; x.inverses > maxInverses {
		return
	}
	for i := range t.nodes {
		for side := range t.nodes[i].edge {
			if e := &t.nodes[i].edge[side]; e.child != 0 {
				e.inverse = make([]float64, t.points)
				for k, at := range q.t {
					e.inverse[k] = 1 / (at + e.share*(1-at))
				}
			}
		}
	}
}

// deepStack is the path of one walk: for each depth and point the product on
// the way down, weights of the rule included, and the sum on the way up.
type deepStack struct {
	product, below, inverse []float64
	last                    []deepFactor // by depth
	once, past, miss        []float64    // by point: 1, 1−t, 1/(1−t)
}

// deepFactor is what the feature of an edge has come to on the path. Its factor
// o·t + z·(1−t) has the inverse scale·at[k] at point k, and (o−z) times the
// inverse is worth·at[k]; if the row misses (o = 0), z cancels out of the latter.
type deepFactor struct {
	at           []float64
	scale, worth float64
	hit          bool
}

func newDeepStack(trees []deepTree) *deepStack {
	depth, points := 0, 0
	for i := range trees {
		depth, points = max(depth, trees[i].depth), max(points, trees[i].points)
	}
	size := (depth + 1) * points
	s := &deepStack{product: make([]float64, size), below: make([]float64, size), inverse: make([]float64, size),
		last: make([]deepFactor, depth+1), once: make([]float64, points), past: make([]float64, points), miss: make([]float64, points)}
	for k := range s.once {
		s.once[k] = 1
	}
	return s
}

// deepWalk is one row on its way through one tree.
type deepWalk[M mask] struct {
	*deepStack
	tree   *deepTree
	rule   rule
	masks  []M
	row    int
	phi    []float64
	stride int // values of phi from one feature to the next
}

// start adds what the deep leaves contribute to the row.
func (w *deepWalk[M]) start() {
	for k, t := range w.rule.t {
		w.product[k] = w.rule.w[k]
		w.past[k], w.miss[k] = 1-t, 1/(1-t)
	}
	w.last[0] = deepFactor{at: w.once[:w.tree.points], scale: 1, hit: true}
	w.visit(0, 0)
}

func (w *deepWalk[M]) visit(node int32, depth int) {
	d, p := &w.tree.nodes[node], w.tree.points
	product, below := w.product[depth*p:][:p], w.below[depth*p:][:p]
	if d.leaf {
		for k, v := range product {
			below[k] = v * d.value
		}
		return
	}
	clear(below)
	right := int(w.masks[d.answer] >> w.row & 1)
	before := &w.last[d.before]
	at := before.at[:p]
	next, under := w.product[(depth+1)*p:][:p], w.below[(depth+1)*p:][:p]
	for side := range d.edge {
		e := &d.edge[side]
		hit := before.hit && side == right
		if e.child == 0 || !hit && e.share == 0 {
			continue // nothing there, or every term below is zero
		}
		f := deepFactor{at: w.miss[:p], worth: -1, hit: hit}
		if hit {
			f.at, f.scale, f.worth = w.inverses(e, depth+1), 1, 1-e.share
			for k, t := range w.rule.t[:p] {
				next[k] = product[k] * (t + e.share*w.past[k]) * (before.scale * at[k])
			}
		} else {
			f.scale = 1 / e.share
			share, past := e.share*before.scale, w.past[:p]
			for k := range next {
				next[k] = product[k] * share * (past[k] * at[k])
			}
		}
		w.last[depth+1] = f
		w.visit(e.child, depth+1)
		sum, now := 0.0, f.at[:p]
		for k, u := range under {
			sum += u * (f.worth*now[k] - before.worth*at[k])
			below[k] += u
		}
		w.phi[int(d.feature)*w.stride] += sum
	}
}

// inverses are 1/(t + z·(1−t)) by point: kept for the edges of models of usual
// size, else worked out.
func (w *deepWalk[M]) inverses(e *deepEdge, depth int) []float64 {
	if e.inverse != nil {
		return e.inverse
	}
	p := w.tree.points
	out := w.inverse[depth*p:][:p]
	for k, t := range w.rule.t[:p] {
		out[k] = 1 / (t + e.share*w.past[k])
	}
	return out
}
