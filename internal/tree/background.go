package tree

import (
	"math"
	"math/bits"

	"github.com/slipway-ml/slipway"
)

// Interventional SHAP values are those of the game in which a feature that is
// out of the coalition takes its value from a background row, averaged over the
// background (Janzing et al. 2020; shap's feature_perturbation="interventional").
// In a chunk they differ from the path-dependent ones only in how its table is
// filled, so the background costs nothing when rows are explained. Deep leaves
// are walked once for each background row.

// background holds the rows that stand for features that are not known.
type background struct {
	rows  int
	words int      // of 64 rows
	right []uint64 // by answer, words each: bit r is set where row r goes right
	full  []uint64 // all rows

	// In the space of predictions the values of each pair of a row and a
	// background row are scaled so that they add up to the difference of the two
	// predictions, as shap does with model_output="probability".
	predictions bool
	margin      []float64 // rows × outputs
	link        []float64 // rows × outputs, after the link
}

// NewInterventional prepares e for explanation against rows background rows of
// features values each. With predictions, values are in the space of Predict
// instead of margins, which takes about a hundredth of the speed; a softmax, whose
// outputs hang together, is Invalid there.
func NewInterventional(e *Ensemble, x []float64, rows int, predictions bool) (*Explainer, error) {
	if rows < 1 {
		return nil, slipway.Errorf(slipway.Invalid, "the background has no rows")
	}
	if predictions && e.Link == Softmax {
		return nil, slipway.Errorf(slipway.Invalid, "a softmax over classes is explained in margin space only")
	}
	ex, err := prepare(e)
	if err != nil {
		return nil, err
	}
	predictions = predictions && e.Link != Identity
	b := &background{rows: rows, words: (rows + 63) / 64, predictions: predictions}
	b.full = make([]uint64, b.words)
	b.right = make([]uint64, ex.answers.count*b.words)
	w := newWorkspace[uint64](ex)
	for from := 0; from < rows; from += 64 {
		n := min(64, rows-from)
		answerBlock(ex.answers, w, x[from*len(e.Features):], n)
		b.full[from/64] = ^uint64(0) >> (64 - n)
		for k, m := range w.masks {
			b.right[k*b.words+from/64] = m & b.full[from/64]
		}
	}
	b.margin, b.link = make([]float64, rows*e.Outputs), make([]float64, rows*e.Outputs)
	p := NewPredictor(e)
	p.Margin(b.margin, x, rows)
	p.Predict(b.link, x, rows)
	ex.background = b
	for i := range e.Trees {
		ex.addTree(i)
	}
	// What building summed up leaf by leaf is known without it.
	clear(ex.base)
	mean := b.margin
	if predictions {
		mean = b.link
	}
	for i, v := range mean {
		ex.base[i%e.Outputs] += v / float64(rows)
	}
	ex.finish()
	return ex, nil
}

// pass keeps those of rows that go from a node with the answer to the child.
func (b *background) pass(rows []uint64, answer uint32, right bool) []uint64 {
	if rows == nil {
		rows = b.full
	}
	out := make([]uint64, b.words)
	for k, m := range b.right[int(answer)*b.words:][:b.words] {
		if !right {
			m = ^m
		}
		out[k] = rows[k] & m
	}
	return out
}

// patterns counts the background rows by which features of a path let them
// through.
func (b *background) patterns(path []pathFeature) []int {
	counts := make([]int, 1<<len(path))
	for k, all := range b.full {
		for ; all != 0; all &= all - 1 {
			r := bits.TrailingZeros64(all)
			z := 0
			for i := range path {
				z |= int(path[i].rows[k]>>r&1) << i
			}
			counts[z]++
		}
	}
	return counts
}

// leafTable is the function of that name for a background: of a row with
// pattern o and a background row with pattern z, a coalition reaches the leaf if
// it has all of A = o∖z and none of C = z∖o, and every feature is in o or z. Then
// a feature of A is worth (a−1)!c!/(a+c)! of the leaf's value, one of C
// −a!(c−1)!/(a+c)!.
func (b *background) leafTable(path []pathFeature, value float64) []float64 {
	m := len(path)
	out := make([]float64, m<<m)
	all := 1<<m - 1
	for z, count := range b.patterns(path) {
		if count == 0 {
			continue
		}
		v := value * float64(count) / float64(b.rows)
		in := all &^ z // A, whatever o adds from z
		a := bits.OnesCount(uint(in))
		for s := z; ; s = (s - 1) & z { // each o that has all of A
			missing := z &^ s
			c := bits.OnesCount(uint(missing))
			row := out[(in|s)*m:][:m]
			for i := range row {
				switch {
				case in>>i&1 != 0:
					row[i] += v * smallWeight[a-1][c]
				case missing>>i&1 != 0:
					row[i] -= v * smallWeight[c-1][a]
				}
			}
			if s == 0 {
				break
			}
		}
	}
	return out
}

// smallWeight[i][j] is i!·j!/(i+j+1)!, what a feature is worth that i others of
// its own side and j of the other come with.
var smallWeight = weights(chunkBits + 1)

func weights(n int) [][]float64 {
	out := make([][]float64, n)
	for i := range out {
		out[i] = make([]float64, n)
		for j := range out[i] {
			if i == 0 {
				out[i][j] = 1 / float64(j+1)
				continue
			}
			out[i][j] = out[i-1][j] * float64(i) / float64(i+j+1)
		}
	}
	return out
}

// pairWalk is one row and one background row on their way through what is left
// of a tree. A feature on which they part is followed both ways, to the side of
// the row in A and to that of the background row in C.
type pairWalk[M mask] struct {
	tree   *deepTree
	masks  []M
	row    int
	right  []uint64 // of the background
	words  int
	back   int
	weight [][]float64
	state  []uint8 // by feature: 0 undecided, 1 in A, 2 in C
	phi    []float64
	stride int
	scale  float64 // one over the background's rows
}

// visit returns what the leaves below are worth to a feature of A and to one of
// C that the path has already.
func (w *pairWalk[M]) visit(node int32, a, c int) (in, out float64) {
	d := &w.tree.nodes[node]
	if d.leaf {
		if a > 0 {
			in = d.value * w.weight[a-1][c]
		}
		if c > 0 {
			out = d.value * w.weight[c-1][a]
		}
		return in, out
	}
	own := int(w.masks[d.answer] >> w.row & 1)
	other := int(w.right[int(d.answer)*w.words+w.back>>6] >> (w.back & 63) & 1)
	switch state := w.state[d.feature]; {
	case state == 1 || own == other:
		return w.follow(d, own, a, c)
	case state == 2:
		return w.follow(d, other, a, c)
	}
	w.state[d.feature] = 1
	in, out = w.follow(d, own, a+1, c)
	w.state[d.feature] = 2
	in2, out2 := w.follow(d, other, a, c+1)
	w.state[d.feature] = 0
	w.phi[int(d.feature)*w.stride] += (in - out2) * w.scale
	return in + in2, out + out2
}

func (w *pairWalk[M]) follow(d *deepNode, side, a, c int) (in, out float64) {
	if child := d.edge[side].child; child != 0 {
		return w.visit(child, a, c)
	}
	return 0, 0
}

// pairs adds what the deep leaves are worth to row r of a block; margin is that
// row's, for predictions.
func pairs[M mask](x *Explainer, w *workspace[M], r int, margin []float64) {
	b, features := x.background, len(x.e.Features)
	p := pairWalk[M]{masks: w.masks, row: r, right: b.right, words: b.words, weight: x.weight,
		state: w.state, stride: w.size, scale: 1 / float64(b.rows)}
	if !b.predictions {
		for i := range x.deep {
			p.tree = &x.deep[i]
			p.phi = w.phi[p.tree.output*features*w.size+r:]
			for p.back = range b.rows {
				p.visit(0, 0, 0)
			}
		}
		return
	}
	p.stride = 1
	link := make([]float64, len(margin))
	copy(link, margin)
	x.e.Link.apply(link, x.e.Coefficient)
	for p.back = range b.rows {
		clear(w.pair)
		for i := range x.deep {
			p.tree = &x.deep[i]
			p.phi = w.pair[p.tree.output*features:]
			p.visit(0, 0, 0)
		}
		for k := range margin {
			at := p.back*len(margin) + k
			slope := x.e.slope(margin[k], b.margin[at], link[k], b.link[at])
			for f, v := range w.pair[k*features:][:features] {
				w.phi[(k*features+f)*w.size+r] += v * slope
			}
		}
	}
}

// slope is how far predictions are apart for each unit that margins are.
func (e *Ensemble) slope(m, n, link, other float64) float64 {
	if d := m - n; math.Abs(d) > 1e-6 {
		return (link - other) / d
	}
	at := []float64{(m+n)/2 - 1e-3, (m+n)/2 + 1e-3}
	low, high := at[:1], at[1:]
	e.Link.apply(low, e.Coefficient)
	e.Link.apply(high, e.Coefficient)
	return (high[0] - low[0]) / 2e-3
}
