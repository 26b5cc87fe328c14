package tree

// Interactions follow Lundberg et al. 2020: for features i and j half of the
// Shapley interaction index of the path-dependent game, and on the diagonal what
// is left of the SHAP value. For one leaf of value v over features with hits o
// and shares z that index is
//
//	v·(o_i−z_i)·(o_j−z_j)·∫₀¹ Π_{k≠i,j} (o_k·t + z_k·(1−t)) dt,
//
// which quadrature takes exactly, as in leafTable.

// interaction is one row on its way through one tree.
type interaction struct {
	x      *Explainer
	tree   *Tree
	row    []float64
	out    []float64 // of the tree's output: (features+1)²
	path   []interactionFactor
	at     []int32 // by feature: 1 + its place in path
	factor []float64
}

type interactionFactor struct {
	feature int32
	share   float64
	hit     bool
}

// Interact writes to dst, for one row and each output, a matrix of
// (Features+1)² interactions in margin space, row by row, as XGBoost's
// pred_interactions: the sum over a row of the matrix is the feature's SHAP
// value, and the last element is the base value. It is for explainers without a
// background, and allocates.
func (x *Explainer) Interact(dst, row []float64) {
	features := len(x.e.Features)
	width := features + 1
	dst = dst[:x.e.Outputs*width*width]
	clear(dst)
	w := &interaction{x: x, row: row, at: make([]int32, features)}
	for i := range x.e.Trees {
		w.tree = &x.e.Trees[i]
		w.out = dst[w.tree.Output*width*width:][:width*width]
		w.visit(0)
	}
	phi := make([]float64, x.e.Outputs*width)
	x.Explain(phi, row, 1)
	for k := range x.e.Outputs {
		m := dst[k*width*width:][:width*width]
		for f := range features {
			rest := phi[k*width+f]
			for g, v := range m[f*width:][:features] {
				if g != f {
					rest -= v
				}
			}
			m[f*width+f] = rest
		}
		m[width*width-1] = phi[k*width+features]
	}
}

func (w *interaction) visit(node int32) {
	n := &w.tree.Nodes[node]
	if n.Leaf() {
		w.leaf(n.Value / w.x.e.scale())
		return
	}
	right := w.x.e.right(w.tree, n, w.row[n.Feature])
	for side, child := range [2]int32{n.Left, n.Right} {
		share := 0.0
		if n.Cover > 0 {
			share = w.tree.Nodes[child].Cover / n.Cover
		}
		hit := right == (side == 1)
		place := w.at[n.Feature]
		if place == 0 {
			w.path = append(w.path, interactionFactor{n.Feature, share, hit})
			w.at[n.Feature] = int32(len(w.path))
			w.visit(child)
			w.at[n.Feature] = 0
			w.path = w.path[:len(w.path)-1]
			continue
		}
		before := w.path[place-1]
		w.path[place-1] = interactionFactor{n.Feature, before.share * share, before.hit && hit}
		w.visit(child)
		w.path[place-1] = before
	}
}

func (w *interaction) leaf(value float64) {
	m := len(w.path)
	if m < 2 || value == 0 {
		return
	}
	for i := range w.path {
		if p := &w.path[i]; !p.hit && p.share == 0 {
			return // the leaf is out of reach for every coalition
		}
	}
	q := w.x.points(m / 2) // exact for degree m−2
	if len(w.factor) < m {
		w.factor = make([]float64, 2*m)
	}
	factor, width := w.factor[:m], len(w.x.e.Features)+1
	for s, t := range q.t {
		product := value * q.w[s] / 2
		for i := range w.path {
			p := &w.path[i]
			o := float64(bit(p.hit))
			f := o*t + p.share*(1-t)
			product *= f
			factor[i] = (o - p.share) / f
		}
		for i := range m {
			at := w.out[int(w.path[i].feature)*width:]
			v := product * factor[i]
			for j := range i {
				u := v * factor[j]
				at[w.path[j].feature] += u
				w.out[int(w.path[j].feature)*width+int(w.path[i].feature)] += u
			}
		}
	}
}
