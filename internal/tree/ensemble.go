// Package tree runs ensembles of decision trees: it reads the model files of
// LightGBM and XGBoost, predicts as those libraries do, and explains each
// prediction by exact SHAP values. It is pure: numbers in, numbers out.
//
// Rows are float64 in the order of Ensemble.Features; NaN stands for a missing
// value, and a categorical feature holds the position of the value in
// Ensemble.Categories (or the code the model was trained with).
package tree

import (
	"math"

	"github.com/slipway-ml/slipway"
)

// Missing says which values of a feature a split treats as missing and sends
// to its default child.
type Missing uint8

// The treatments. LightGBM stores one for each split; XGBoost is always
// MissingNaN.
const (
	MissingNone Missing = iota // nothing is missing; NaN counts as zero
	MissingZero                // NaN and zero (to within 1e-35) are missing
	MissingNaN                 // NaN is missing
)

// Link turns margins into predictions.
type Link uint8

// The links.
const (
	Identity     Link = iota
	Sigmoid           // 1 / (1 + exp(-Coefficient·m)), each output by itself
	Softmax           // exp(m) / Σ exp(m) over the outputs
	Exp               // exp(m)
	SignedSquare      // sign(m)·m², LightGBM's reg_sqrt
	Softplus          // log(1 + exp(m)), LightGBM's cross_entropy_lambda
	Step              // 1 where m > 0, else 0, XGBoost's hinge
)

// Ensemble is a set of trees whose leaves are summed into one margin per
// output.
type Ensemble struct {
	Source     string     // "lightgbm", "xgboost" or "sklearn"
	Objective  string     // as the library names it
	Features   []string   // names, in the order of a row
	Categories [][]string // for each feature, the text of code 0, 1, …; nil where the file does not say
	Outputs    int        // margins and predictions per row
	Trees      []Tree
	Base       []float64 // for each output, added to the sum of its trees, in margin space

	// Float32 says that rows, thresholds and sums are float32 and that a split
	// sends x < threshold to the left, as in XGBoost. Otherwise they are float64
	// and x <= threshold goes left, as in LightGBM.
	Float32 bool

	// Round32 rounds rows to float32 before they are compared with float64
	// thresholds by x <= threshold, as in scikit-learn's trees.
	Round32 bool

	// Plain says that no number counts as zero but zero; LightGBM takes all of
	// ±1e-35 for it.
	Plain bool

	// Average divides each sum by the number of trees of one output, as in
	// LightGBM's random forests. (LightGBM's own raw_score and pred_contrib leave
	// the division out; here a margin is always what the link is applied to.)
	Average bool

	Link        Link
	Coefficient float64 // of Sigmoid
}

// Tree is one binary tree. Nodes[0] is its root.
type Tree struct {
	Output int // which margin the leaves add to
	Nodes  []Node
	Sets   [][]int32 // the sorted category codes that categorical splits refer to
}

// Node is a split or a leaf. A leaf has Left == 0, since the root is nobody's
// child.
type Node struct {
	Left, Right int32
	Feature     int32
	Set         int32 // for a categorical split, 1 + its index in Tree.Sets; 0 for a numerical one
	DefaultLeft bool  // where missing values go
	// SetRight says that codes in the set go right and all others left (XGBoost);
	// otherwise codes in the set go left and all others right (LightGBM). Codes
	// that training never saw are in no set.
	SetRight  bool
	Missing   Missing
	Threshold float64
	Value     float64 // of a leaf
	Cover     float64 // weight of the training rows that came through
	Gain      float64 // of a split
}

// Leaf reports whether n is a leaf.
func (n *Node) Leaf() bool { return n.Left == 0 }

const (
	maxFeatures = 1 << 20
	maxOutputs  = 1 << 14
	maxDepth    = 1024

	// zeroThreshold is what LightGBM takes for zero.
	zeroThreshold = float64(float32(1e-35))

	// maxCategory is the first code that XGBoost does not take for a category.
	maxCategory = 1 << 24
)

// right says where x goes at n: the plain statement of the rule that the fast
// kernels keep to.
func (e *Ensemble) right(t *Tree, n *Node, x float64) bool {
	if e.Float32 || e.Round32 {
		x = float64(float32(x))
	}
	if !e.Float32 && !e.Plain && math.Abs(x) <= zeroThreshold {
		x = 0 // LightGBM reads rows so
	}
	if n.Set != 0 {
		if math.IsNaN(x) {
			return !n.DefaultLeft
		}
		return contains(t.Sets[n.Set-1], e.code(x)) == n.SetRight
	}
	if math.IsNaN(x) && n.Missing != MissingNaN {
		x = 0
	}
	if math.IsNaN(x) || n.Missing == MissingZero && x == 0 {
		return !n.DefaultLeft
	}
	if e.Float32 {
		return !(x < n.Threshold)
	}
	return !(x <= n.Threshold)
}

// code is the category that x names, or -1. Both libraries cut off fractions,
// which makes -0.5 category 0 in LightGBM; XGBoost takes it for unknown.
func (e *Ensemble) code(x float64) int32 {
	if !(x > -1 && x < math.MaxInt32) || e.Float32 && x < 0 {
		return -1
	}
	return int32(x)
}

func contains(set []int32, c int32) bool {
	lo, hi := 0, len(set)
	for lo < hi {
		if mid := (lo + hi) / 2; set[mid] < c {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo < len(set) && set[lo] == c
}

// scale is what sums are divided by.
func (e *Ensemble) scale() float64 {
	if !e.Average || len(e.Trees) == 0 {
		return 1
	}
	return math.Max(1, float64(len(e.Trees)/e.Outputs))
}

// hasSets reports whether any split is categorical.
func (e *Ensemble) hasSets() bool {
	for i := range e.Trees {
		if len(e.Trees[i].Sets) > 0 {
			return true
		}
	}
	return false
}

// depth is the number of splits on the longest path. Children follow their
// parent, so one pass from the end sees every child first.
func (t *Tree) depth() int {
	d := make([]int, len(t.Nodes))
	for i := len(t.Nodes) - 1; i >= 0; i-- {
		if n := &t.Nodes[i]; !n.Leaf() {
			d[i] = 1 + max(d[n.Left], d[n.Right])
		}
	}
	return d[0]
}

// settle checks what a loader built and puts each tree's nodes in depth-first
// order, dropping those that pruning left behind, so that all later code may
// rely on: children follow parents, indices are in range, values are finite.
func (e *Ensemble) settle() error {
	if len(e.Trees) == 0 {
		return slipway.Errorf(slipway.Invalid, "the model has no trees")
	}
	for i := range e.Trees {
		if err := e.settleTree(&e.Trees[i]); err != nil {
			return slipway.Errorf(slipway.Invalid, "tree %d: %s", i, err.Message)
		}
	}
	for k, b := range e.Base {
		if math.IsNaN(b) || math.IsInf(b, 0) {
			return slipway.Errorf(slipway.Invalid, "the base score of output %d is not a finite number", k)
		}
	}
	return nil
}

func (e *Ensemble) settleTree(t *Tree) *slipway.Error {
	if t.Output < 0 || t.Output >= e.Outputs {
		return slipway.Errorf(slipway.Invalid, "it belongs to output %d, but the model has %d", t.Output, e.Outputs)
	}
	type edge struct{ parent, from, depth int32 }
	out := make([]Node, 0, len(t.Nodes))
	seen := make([]bool, len(t.Nodes))
	stack := []edge{{-1, 0, 0}}
	for len(stack) > 0 {
		v := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if v.from < 0 || int(v.from) >= len(t.Nodes) {
			return slipway.Errorf(slipway.Invalid, "a split refers to node %d, but there are %d", v.from, len(t.Nodes))
		}
		if seen[v.from] {
			return slipway.Errorf(slipway.Invalid, "node %d has two parents", v.from)
		}
		if v.depth > maxDepth {
			return slipway.Errorf(slipway.Invalid, "it is deeper than %d splits", maxDepth)
		}
		seen[v.from] = true
		n := t.Nodes[v.from]
		if err := e.checkNode(t, &n); err != nil {
			return slipway.Errorf(slipway.Invalid, "node %d: %s", v.from, err.Message)
		}
		at := int32(len(out))
		if v.parent >= 0 {
			if p := &out[v.parent]; p.Left < 0 {
				p.Left = at
			} else {
				p.Right = at
			}
		}
		if !n.Leaf() {
			stack = append(stack, edge{at, n.Right, v.depth + 1}, edge{at, n.Left, v.depth + 1})
			n.Left, n.Right = -1, -1
		}
		out = append(out, n)
	}
	t.Nodes = out
	return nil
}

func (e *Ensemble) checkNode(t *Tree, n *Node) *slipway.Error {
	bad := func(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) }
	if math.IsNaN(n.Cover) || n.Cover < 0 || math.IsInf(n.Cover, 0) {
		return slipway.Errorf(slipway.Invalid, "its cover %v is not a weight", n.Cover)
	}
	if n.Leaf() {
		if bad(n.Value) {
			return slipway.Errorf(slipway.Invalid, "its leaf value is not a finite number")
		}
		return nil
	}
	if n.Feature < 0 || int(n.Feature) >= len(e.Features) {
		return slipway.Errorf(slipway.Invalid, "it splits feature %d, but the model has %d", n.Feature, len(e.Features))
	}
	if n.Set == 0 && math.IsNaN(n.Threshold) { // +Inf divides missing from present
		return slipway.Errorf(slipway.Invalid, "its threshold is not a number")
	}
	if n.Set < 0 || int(n.Set) > len(t.Sets) {
		return slipway.Errorf(slipway.Invalid, "it refers to category set %d, but there are %d", n.Set, len(t.Sets))
	}
	return nil
}
