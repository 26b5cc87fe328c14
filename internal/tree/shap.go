package tree

import (
	"math/bits"
	"sync"

	"github.com/slipway-ml/slipway"
)

// Explainer computes exact path-dependent SHAP values: the Shapley values of the
// game in which a feature that is out of the coalition is averaged over the
// training rows' cover (Lundberg et al. 2020, "From local explanations to global
// understanding with explainable AI for trees"). They equal pred_contrib of
// LightGBM and pred_contribs of XGBoost.
//
// The work is done ahead. A tree is cut into small subtrees, chunks. All that a
// chunk adds to the SHAP values of a row is decided by at most eight yes-or-no
// answers: for each feature on the path to the chunk, whether the row satisfies
// the path's conditions on it; for each split in the chunk, which way the row
// goes. So every chunk has a table of at most 256 answers' worth of
// contributions, and explaining is looking up. Leaves under more than eight
// distinct features are left to quadrature (deep.go). The idea of tables by
// decision pattern is that of WOODELF (2025); that a whole subtree shares one
// table saves most of the look-ups.
//
// An Explainer is safe for concurrent use and allocates nothing per call once
// it is warm.
type Explainer struct {
	e        *Ensemble
	answers  *answers
	chunks   []chunk
	literal  []uint32  // the answers that chunks are decided by; see chunk
	feature  []int32   // the features that chunks contribute to
	table    []float32 // the contributions
	deep     []deepTree
	rule     []rule    // quadrature rules by number of points
	inverses int       // how many numbers keepInverses keeps
	block    int       // rows at a time
	base     []float64 // by output: what a prediction is before any feature is known

	background *background // nil for path-dependent values
	weight     [][]float64 // see pairWalk
	predictor  *Predictor  // of margins, for explanations in the space of predictions

	few  sync.Pool // of *workspace[uint8], eight rows
	many sync.Pool // of *workspace[uint64], 64 rows
}

// chunk is a subtree with a table.
type chunk struct {
	literal uint32 // its place in Explainer.literal: for each bit a count, then so many literals to AND
	feature uint32 // its place in Explainer.feature
	table   uint32 // its place in Explainer.table: 1<<shift values for each pattern of bits, of which count are in use
	bits    uint8
	shift   uint8 // so that the values of a pattern lie in one cache line
	count   uint8 // how many features it contributes to
	output  uint16
}

const (
	chunkBits = 8
	// maxTable bounds the tables (here 128 MB); trees beyond it are explained by
	// quadrature, slower but in little memory.
	maxTable = 32 << 20

	maxInverses = 8 << 20 // numbers that quadrature keeps (64 MB)

	// Outputs×features of a model beyond which blocks are small, and beyond which
	// there is no explaining.
	wideModel = 1 << 17
	maxWidth  = 1 << 22
)

// NewExplainer prepares e for explanation. It is an Invalid error where the
// file does not tell how many training rows came through each node, or where a
// single explanation would have millions of values.
func NewExplainer(e *Ensemble) (*Explainer, error) {
	for i := range e.Trees {
		if n := e.Trees[i].Nodes; len(n) > 1 && n[0].Cover <= 0 {
			return nil, slipway.Errorf(slipway.Invalid, "the model cannot be explained: tree %d has no cover (how many training rows came through each node)", i).
				WithHint("Save the model with the library that trained it; cover is in its own format.")
		}
	}
	x, err := prepare(e)
	if err != nil {
		return nil, err
	}
	for i := range e.Trees {
		x.addTree(i)
	}
	x.finish()
	return x, nil
}

// prepare makes an Explainer without trees.
func prepare(e *Ensemble) (*Explainer, error) {
	if e.Outputs*len(e.Features) > maxWidth {
		return nil, slipway.Errorf(slipway.Invalid, "the model cannot be explained: it has %d outputs and %d features", e.Outputs, len(e.Features))
	}
	x := &Explainer{e: e, answers: newAnswers(e), block: 64, base: append([]float64(nil), e.Base...)}
	if e.Outputs*len(e.Features) > wideModel {
		x.block = 8
	}
	return x, nil
}

// finish drops what only building needs.
func (x *Explainer) finish() {
	x.table = append([]float32(nil), x.table...) // without what growing left over
	x.answers.of = nil                           // only building asks for it
	x.few.New = func() any { return newWorkspace[uint8](x) }
	x.many.New = func() any { return newWorkspace[uint64](x) }
	deepest := 0
	for i := range x.deep {
		deepest = max(deepest, x.deep[i].distinct)
	}
	if x.background != nil && deepest > 0 {
		x.weight = weights(deepest + 1)
	}
	if x.background != nil && x.background.predictions {
		x.predictor = NewPredictor(x.e)
	}
}

// points is the quadrature rule of n points, from what is kept of them.
func (x *Explainer) points(n int) rule {
	if n < len(x.rule) && x.rule[n].t != nil {
		return x.rule[n]
	}
	return newRule(n)
}

// Base is, for each output, the value that a row's contributions start from:
// the mean margin over the training rows' cover, or over the background.
func (x *Explainer) Base() []float64 { return append([]float64(nil), x.base...) }

// Explain writes to dst, for each of rows rows and each output, one value per
// feature and then the base value: rows×Outputs×(Features+1) in all. They are in
// margin space and add up to Predictor.Margin. x is as for Predict.
func (x *Explainer) Explain(dst, in []float64, rows int) {
	width := len(x.e.Features)
	per := x.e.Outputs * (width + 1)
	dst, in = dst[:rows*per], in[:rows*width]
	for rows > 0 {
		n := min(rows, 64)
		if n = min(n, x.block); n <= 8 {
			w := x.few.Get().(*workspace[uint8])
			explainBlock(x, w, dst, in, n)
			x.few.Put(w)
		} else {
			w := x.many.Get().(*workspace[uint64])
			explainBlock(x, w, dst, in, n)
			x.many.Put(w)
		}
		dst, in, rows = dst[n*per:], in[n*width:], rows-n
	}
}

// mask holds one answer for each row of a block.
type mask interface{ uint8 | uint64 }

// workspace is what one block of rows needs.
type workspace[M mask] struct {
	size   int       // rows of a full block
	rows   []float64 // laid out by columns, row by row
	lines  []uint32
	masks  []M       // by answer
	sorted []float64 // one column, ascending, with the rows it came from
	order  []uint8
	phi    []float64 // outputs × features × size
	stack  *deepStack
	state  []uint8   // see pairWalk
	pair   []float64 // outputs × features, of one background row
	margin []float64 // of the block, for predictions

	touched float32 // see addFew
}

func newWorkspace[M mask](x *Explainer) *workspace[M] {
	size := bits.Len64(uint64(^M(0)))
	w := &workspace[M]{size: size, masks: make([]M, x.answers.count), sorted: make([]float64, size),
		order: make([]uint8, size), phi: make([]float64, x.e.Outputs*len(x.e.Features)*size)}
	if c := x.answers.columns; c != nil {
		w.rows, w.lines = make([]float64, size*len(c.list)), make([]uint32, size*len(c.list))
	}
	if b := x.background; b != nil {
		w.state = make([]uint8, len(x.e.Features))
		if b.predictions {
			w.pair, w.margin = make([]float64, x.e.Outputs*len(x.e.Features)), make([]float64, size*x.e.Outputs)
		}
		return w
	}
	w.stack = newDeepStack(x.deep)
	return w
}

// explainBlock explains n rows, no more than w holds.
func explainBlock[M mask](x *Explainer, w *workspace[M], dst, in []float64, n int) {
	answerBlock(x.answers, w, in, n)
	clear(w.phi)
	features := len(x.e.Features)
	if w.size == 8 {
		addFew(x, w, n)
	} else {
		addMany(x, w)
	}
	if x.background != nil {
		explainPairs(x, w, in, n)
	} else {
		explainDeep(x, w, n)
	}
	for r := range n {
		for k, base := range x.base {
			out := dst[(r*len(x.base)+k)*(features+1):][:features+1]
			for f := range features {
				out[f] = w.phi[(k*features+f)*w.size+r]
			}
			out[features] = base
		}
	}
}

// explainDeep adds what deep leaves contribute, by quadrature.
func explainDeep[M mask](x *Explainer, w *workspace[M], n int) {
	features := len(x.e.Features)
	for i := range x.deep {
		t := &x.deep[i]
		for r := range n {
			walk := deepWalk[M]{deepStack: w.stack, tree: t, rule: x.rule[t.points], masks: w.masks, row: r,
				phi: w.phi[t.output*features*w.size+r:], stride: w.size}
			walk.start()
		}
	}
}

// explainPairs adds what deep leaves contribute, by background row.
func explainPairs[M mask](x *Explainer, w *workspace[M], in []float64, n int) {
	if len(x.deep) == 0 {
		return
	}
	if x.background.predictions {
		x.predictor.Margin(w.margin, in, n)
	}
	for r := range n {
		var margin []float64
		if x.background.predictions {
			margin = w.margin[r*x.e.Outputs:][:x.e.Outputs]
		}
		pairs(x, w, r, margin)
	}
}
