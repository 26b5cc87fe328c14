package tree

import (
	"bytes"
	"math"
	"slices"
	"strconv"

	"github.com/slipway-ml/slipway"
)

// xgboostTree is one tree of the file: an array for each property of its nodes.
type xgboostTree struct {
	Left       []int32       `json:"left_children"`
	Right      []int32       `json:"right_children"`
	Feature    []int32       `json:"split_indices"`
	Condition  xgboostFloats `json:"split_conditions"` // threshold, or the value of a leaf
	Default    []xgboostFlag `json:"default_left"`
	Kind       []int8        `json:"split_type"` // 1 is categorical; absent before 1.3
	Hessian    xgboostFloats `json:"sum_hessian"`
	Gain       []float32     `json:"loss_changes"`
	Categories []int32       `json:"categories"`
	CatNodes   []int32       `json:"categories_nodes"`
	CatStart   []int         `json:"categories_segments"`
	CatSize    []int         `json:"categories_sizes"`
	Param      struct {
		LeafSize string `json:"size_leaf_vector"`
	} `json:"tree_param"`
}

// xgboostFloats are numbers of which null is NaN; see withoutNaN.
type xgboostFloats []float32

func (x *xgboostFloats) UnmarshalJSON(text []byte) error {
	if len(text) < 2 || text[0] != '[' {
		return slipway.Errorf(slipway.Invalid, "there is no list of numbers where one belongs")
	}
	text = bytes.TrimSpace(text[1 : len(text)-1])
	if len(text) == 0 {
		return nil
	}
	out := make([]float32, 0, bytes.Count(text, []byte(","))+1)
	for word := range bytes.SplitSeq(text, []byte(",")) {
		if word = bytes.TrimSpace(word); string(word) == "null" {
			out = append(out, float32(math.NaN()))
			continue
		}
		v, err := strconv.ParseFloat(string(word), 32)
		if err != nil {
			return slipway.Errorf(slipway.Invalid, "%.40q is not a number", word)
		}
		out = append(out, float32(v))
	}
	*x = out
	return nil
}

// withoutNaN makes JSON of what XGBoost before 3.0 writes: for a categorical
// split, which needs no threshold, it writes NaN, which JSON does not have.
func withoutNaN(data []byte) []byte {
	if !bytes.Contains(data, []byte("NaN")) {
		return data
	}
	out, quoted := make([]byte, 0, len(data)), false
	for i := 0; i < len(data); i++ {
		switch b := data[i]; {
		case quoted && b == '\\' && i+1 < len(data):
			out = append(out, b)
			i++
		case b == '"':
			quoted = !quoted
		case !quoted && b == 'N' && bytes.HasPrefix(data[i:], []byte("NaN")):
			out = append(out, "null"...)
			i += 2
			continue
		}
		out = append(out, data[i])
	}
	return out
}

// xgboostFlag is true or false, or 1 or 0, depending on the release.
type xgboostFlag bool

func (f *xgboostFlag) UnmarshalJSON(text []byte) error {
	switch text = bytes.TrimSpace(text); string(text) {
	case "true", "1":
		*f = true
	case "false", "0":
		*f = false
	default:
		return slipway.Errorf(slipway.Invalid, "%q is not a flag", text)
	}
	return nil
}

// tree builds the Tree, with leaves multiplied by weight (of DART).
func (x *xgboostTree) tree(weight float32) (Tree, *slipway.Error) {
	n := len(x.Left)
	if x.Param.LeafSize != "" && x.Param.LeafSize != "0" && x.Param.LeafSize != "1" {
		return Tree{}, slipway.Errorf(slipway.Invalid, "its leaves are vectors (multi_output_tree), which are not supported")
	}
	if n == 0 {
		return Tree{}, slipway.Errorf(slipway.Invalid, "left_children is missing or empty")
	}
	for name, size := range map[string]int{"right_children": len(x.Right), "split_indices": len(x.Feature),
		"split_conditions": len(x.Condition), "default_left": len(x.Default)} {
		if size != n {
			return Tree{}, slipway.Errorf(slipway.Invalid, "%s has %d entries for %d nodes", name, size, n)
		}
	}
	for name, size := range map[string]int{"split_type": len(x.Kind), "sum_hessian": len(x.Hessian), "loss_changes": len(x.Gain)} {
		if size != n && size != 0 {
			return Tree{}, slipway.Errorf(slipway.Invalid, "%s has %d entries for %d nodes", name, size, n)
		}
	}
	t := Tree{Nodes: make([]Node, n)}
	set, err := x.sets(&t)
	if err != nil {
		return Tree{}, err
	}
	for i := range t.Nodes {
		node := &t.Nodes[i]
		if x.Hessian != nil {
			node.Cover = float64(x.Hessian[i])
		}
		if x.Left[i] < 0 {
			node.Value = float64(weight * x.Condition[i])
			continue
		}
		if x.Left[i] == 0 || x.Right[i] == 0 {
			return Tree{}, slipway.Errorf(slipway.Invalid, "node %d has the root for a child", i)
		}
		node.Left, node.Right, node.Feature = x.Left[i], x.Right[i], x.Feature[i]
		node.DefaultLeft, node.Missing = bool(x.Default[i]), MissingNaN
		if x.Gain != nil {
			node.Gain = float64(x.Gain[i])
		}
		if x.Kind == nil || x.Kind[i] == 0 {
			node.Threshold = float64(x.Condition[i])
			continue
		}
		s, found := set[int32(i)]
		if x.Kind[i] != 1 || !found {
			return Tree{}, slipway.Errorf(slipway.Invalid, "node %d has split type %d without categories", i, x.Kind[i])
		}
		node.Set, node.SetRight = s, true
	}
	return t, nil
}

// sets cuts the run of categories into one sorted set for each categorical
// node, and returns the set number (from 1) by node.
func (x *xgboostTree) sets(t *Tree) (map[int32]int32, *slipway.Error) {
	if len(x.CatStart) != len(x.CatNodes) || len(x.CatSize) != len(x.CatNodes) {
		return nil, slipway.Errorf(slipway.Invalid, "categories_segments and categories_sizes do not fit the %d categories_nodes", len(x.CatNodes))
	}
	set := make(map[int32]int32, len(x.CatNodes))
	total := 0
	for i, node := range x.CatNodes {
		from, size := x.CatStart[i], x.CatSize[i]
		if from < 0 || size < 0 || from > len(x.Categories) || size > len(x.Categories)-from {
			return nil, slipway.Errorf(slipway.Invalid, "categories_segments[%d] is out of range", i)
		}
		if total += size; total > len(x.Categories) {
			return nil, slipway.Errorf(slipway.Invalid, "categories_segments overlap")
		}
		codes := slices.Clone(x.Categories[from : from+size])
		slices.Sort(codes)
		if size > 0 && (codes[0] < 0 || codes[size-1] >= maxCategory) {
			return nil, slipway.Errorf(slipway.Invalid, "node %d has a category out of range", node)
		}
		t.Sets = append(t.Sets, codes)
		set[node] = int32(len(t.Sets))
	}
	return set, nil
}
