// Package onnx writes models in ONNX (IR 8, opset 17, ai.onnx.ml 3), where that
// says what they compute: tree ensembles without categorical splits, and linear
// models. It is pure.
//
// The input is a matrix "input" of float32 for XGBoost, else float64, NaN being a
// missing value; columns are in the order of the features, whose names stand in
// the metadata as feature.0, feature.1, …. The output is a matrix of the model's
// predictions. Trees sum in float32, as the ONNX operator prescribes, so
// predictions agree to about 1e-6.
package onnx

import (
	"math"
	"strconv"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/linear"
	"github.com/slipway-ml/slipway/internal/tree"
)

const inputName = "input"

func itoa(i int) string { return strconv.Itoa(i) }

// Linear writes a linear model. names are those of its features.
func Linear(m *linear.Model, names []string) ([]byte, error) {
	g := &graph{last: inputName}
	outputs, features := m.Outputs(), m.Features()
	weight := make([]float64, 0, features*outputs) // transposed
	for f := range features {
		for k := range outputs {
			weight = append(weight, m.Weight[k][f])
		}
	}
	g.node("", "MatMul", nil, g.constant("weight", weight, features, outputs))
	g.node("", "Add", nil, g.constant("intercept", m.Intercept, outputs))
	switch m.Link {
	case linear.Identity:
	case linear.Sigmoid:
		g.node("", "Sigmoid", nil)
	case linear.Softmax:
		g.node("", "Softmax", func(a *attributes) { a.int("axis", 1) })
	case linear.Exp:
		g.node("", "Exp", nil)
	default:
		return nil, slipway.Errorf(slipway.Invalid, "the link %s of the linear model is not exported to ONNX", m.Link)
	}
	return g.model(features, outputs, elementDouble, elementDouble, names), nil
}

// Trees writes an ensemble. names are those of its features.
func Trees(e *tree.Ensemble, names []string) ([]byte, error) {
	g := &graph{last: inputName}
	input := int64(elementDouble)
	if e.Float32 {
		input = elementFloat
	}
	if e.Round32 {
		g.cast(elementFloat)
		g.cast(elementDouble)
	}
	t, err := flatten(e)
	if err != nil {
		return nil, err
	}
	g.node("ai.onnx.ml", "TreeEnsembleRegressor", t.write)
	switch e.Link {
	case tree.Identity:
	case tree.Sigmoid:
		if e.Coefficient != 1 {
			g.cast(elementDouble)
			g.node("", "Mul", nil, g.constant("coefficient", []float64{e.Coefficient}, 1))
			g.cast(elementFloat)
		}
		g.node("", "Sigmoid", nil)
	case tree.Softmax:
		g.node("", "Softmax", func(a *attributes) { a.int("axis", 1) })
	case tree.Exp:
		g.node("", "Exp", nil)
	case tree.Softplus:
		g.node("", "Softplus", nil)
	default:
		return nil, slipway.Errorf(slipway.Invalid, "the objective %s has no exact form in ONNX", e.Objective)
	}
	return g.model(len(e.Features), e.Outputs, input, elementFloat, names), nil
}

// flat is an ensemble as the operator takes it: one entry a node, and one a leaf.
type flat struct {
	tree, node, feature, yes, no, missing []int64
	mode                                  []string
	value                                 []float64
	leafTree, leafNode, leafOutput        []int64
	weight                                []float64
	base                                  []float64
	double                                bool
}

func flatten(e *tree.Ensemble) (*flat, error) {
	f := &flat{double: !e.Float32, base: e.Base}
	scale := 1.0
	if e.Average {
		scale = math.Max(1, float64(len(e.Trees)/e.Outputs))
		f.base = make([]float64, len(e.Base))
		for k, b := range e.Base {
			f.base[k] = b / scale
		}
	}
	for i := range e.Trees {
		t := &e.Trees[i]
		for j := range t.Nodes {
			n := &t.Nodes[j]
			f.tree, f.node = append(f.tree, int64(i)), append(f.node, int64(j))
			if n.Leaf() {
				f.split("LEAF", 0, 0, 0, 0, false)
				f.leafTree, f.leafNode = append(f.leafTree, int64(i)), append(f.leafNode, int64(j))
				f.leafOutput, f.weight = append(f.leafOutput, int64(t.Output)), append(f.weight, n.Value/scale)
				continue
			}
			switch {
			case n.Set != 0:
				return nil, slipway.Errorf(slipway.Invalid, "tree %d splits by categories, which has no exact form in ONNX before ai.onnx.ml 5", i)
			case n.Missing == tree.MissingZero:
				return nil, slipway.Errorf(slipway.Invalid, "the model takes zeros for missing values, which has no form in ONNX")
			}
			mode, threshold := "BRANCH_LEQ", n.Threshold
			if e.Float32 {
				mode = "BRANCH_LT"
			} else if !e.Plain {
				threshold = e.ZeroMoved(threshold)
			}
			left := n.DefaultLeft
			if n.Missing == tree.MissingNone {
				left = 0 <= threshold // NaN counts as zero
			}
			f.split(mode, int64(n.Feature), threshold, int64(n.Left), int64(n.Right), left)
		}
	}
	return f, nil
}

func (f *flat) split(mode string, feature int64, threshold float64, yes, no int64, missing bool) {
	track := int64(0)
	if missing {
		track = 1
	}
	f.mode, f.feature, f.value = append(f.mode, mode), append(f.feature, feature), append(f.value, threshold)
	f.yes, f.no, f.missing = append(f.yes, yes), append(f.no, no), append(f.missing, track)
}

func (f *flat) write(a *attributes) {
	a.text("aggregate_function", "SUM")
	a.text("post_transform", "NONE")
	a.int("n_targets", int64(len(f.base)))
	a.ints("nodes_treeids", f.tree)
	a.ints("nodes_nodeids", f.node)
	a.ints("nodes_featureids", f.feature)
	a.ints("nodes_truenodeids", f.yes)
	a.ints("nodes_falsenodeids", f.no)
	a.ints("nodes_missing_value_tracks_true", f.missing)
	a.texts("nodes_modes", f.mode)
	a.ints("target_treeids", f.leafTree)
	a.ints("target_nodeids", f.leafNode)
	a.ints("target_ids", f.leafOutput)
	a.numbers("nodes_values", f.value, f.double)
	a.numbers("target_weights", f.weight, f.double)
	a.numbers("base_values", f.base, f.double)
}
