package tree

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/slipway-ml/slipway"
)

// lightgbmDump is the JSON that LightGBM's dump_model gives: the header of the
// text file, and each tree as nested nodes.
type lightgbmDump struct {
	Version      string          `json:"version"`
	PerIteration json.Number     `json:"num_tree_per_iteration"`
	MaxFeature   json.Number     `json:"max_feature_idx"`
	Objective    string          `json:"objective"`
	Average      bool            `json:"average_output"`
	Features     []string        `json:"feature_names"`
	Infos        json.RawMessage `json:"feature_infos"`
	Categorical  [][]any         `json:"pandas_categorical"`
	Trees        []struct {
		Root *lightgbmNode `json:"tree_structure"`
	} `json:"tree_info"`
}

type lightgbmNode struct {
	Left        *lightgbmNode   `json:"left_child"`
	Right       *lightgbmNode   `json:"right_child"`
	Feature     int32           `json:"split_feature"`
	Gain        float64         `json:"split_gain"`
	Threshold   json.RawMessage `json:"threshold"`
	Decision    string          `json:"decision_type"`
	DefaultLeft bool            `json:"default_left"`
	Missing     string          `json:"missing_type"`
	Count       float64         `json:"internal_count"`
	Value       *float64        `json:"leaf_value"`
	LeafCount   float64         `json:"leaf_count"`
	Const       *float64        `json:"leaf_const"` // of a linear leaf
}

// looksLikeDump tells LightGBM's JSON from XGBoost's.
func looksLikeDump(data []byte) bool {
	return bytes.Contains(data[:min(len(data), 1024)], []byte(`"num_tree_per_iteration"`))
}

// infinite is what dump_model writes for an infinite threshold.
const infinite = 1e300

func parseLightGBMDump(data []byte) (*Ensemble, error) {
	var file lightgbmDump
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&file); err != nil {
		return nil, jsonError(err, d.InputOffset())
	}
	header := map[string]string{"version": file.Version, "num_tree_per_iteration": file.PerIteration.String(),
		"max_feature_idx": file.MaxFeature.String(), "objective": file.Objective,
		"feature_names": strings.Join(file.Features, " ")}
	if file.Average {
		header["average_output"] = ""
	}
	e, perIteration, err := lightgbmHeader(header)
	if err != nil {
		return nil, err
	}
	if len(e.Features) != len(file.Features) {
		return nil, slipway.Errorf(slipway.Invalid, "a feature name of the LightGBM model has a space in it")
	}
	for i, t := range file.Trees {
		b := &dumpBuilder{}
		if t.Root == nil {
			return nil, slipway.Errorf(slipway.Invalid, "tree %d has no tree_structure", i)
		}
		if _, err := b.add(t.Root, 0); err != nil {
			return nil, slipway.Errorf(slipway.Invalid, "tree %d: %s", i, err.Message).WithHint("%s", err.Hint)
		}
		b.tree.Output = i % perIteration
		e.Trees = append(e.Trees, b.tree)
	}
	lightgbmDumpCategories(e, &file)
	return e, nil
}

// dumpBuilder flattens the nested nodes of one tree.
type dumpBuilder struct{ tree Tree }

func (b *dumpBuilder) add(n *lightgbmNode, depth int) (int32, *slipway.Error) {
	if depth > maxDepth {
		return 0, slipway.Errorf(slipway.Invalid, "it is deeper than %d splits", maxDepth)
	}
	at := int32(len(b.tree.Nodes))
	if n.Const != nil {
		return 0, slipway.Errorf(slipway.Invalid, "its leaves are linear models, which are not supported").
			WithHint("Train with linear_tree=false.")
	}
	if n.Left == nil && n.Right == nil {
		if n.Value == nil {
			return 0, slipway.Errorf(slipway.Invalid, "a node has neither children nor a leaf_value")
		}
		b.tree.Nodes = append(b.tree.Nodes, Node{Value: *n.Value, Cover: n.LeafCount})
		return at, nil
	}
	if n.Left == nil || n.Right == nil {
		return 0, slipway.Errorf(slipway.Invalid, "a split has one child")
	}
	split, err := b.split(n)
	if err != nil {
		return 0, err
	}
	b.tree.Nodes = append(b.tree.Nodes, split)
	for side, child := range []*lightgbmNode{n.Left, n.Right} {
		place, err := b.add(child, depth+1)
		if err != nil {
			return 0, err
		}
		if side == 0 {
			b.tree.Nodes[at].Left = place
		} else {
			b.tree.Nodes[at].Right = place
		}
	}
	return at, nil
}

func (b *dumpBuilder) split(n *lightgbmNode) (Node, *slipway.Error) {
	out := Node{Feature: n.Feature, Gain: n.Gain, Cover: n.Count, DefaultLeft: n.DefaultLeft}
	switch n.Missing {
	case "None":
		out.Missing = MissingNone
	case "Zero":
		out.Missing = MissingZero
	case "NaN":
		out.Missing = MissingNaN
	default:
		return out, slipway.Errorf(slipway.Invalid, "missing_type %q is not known", n.Missing)
	}
	switch n.Decision {
	case "<=":
		if err := json.Unmarshal(n.Threshold, &out.Threshold); err != nil || len(n.Threshold) == 0 {
			return out, slipway.Errorf(slipway.Invalid, "the threshold %.40q is not a number", n.Threshold)
		}
		if math.Abs(out.Threshold) >= infinite {
			out.Threshold = math.Inf(int(math.Copysign(1, out.Threshold)))
		}
	case "==":
		var text string
		if err := json.Unmarshal(n.Threshold, &text); err != nil {
			return out, slipway.Errorf(slipway.Invalid, "the threshold %.40q is not a list of categories", n.Threshold)
		}
		var set []int32
		for word := range strings.SplitSeq(text, "||") {
			v, err := strconv.ParseInt(word, 10, 32)
			if err != nil || v < 0 || len(set) > 0 && int32(v) <= set[len(set)-1] {
				return out, slipway.Errorf(slipway.Invalid, "the threshold %.40q is not an ascending list of categories", text)
			}
			set = append(set, int32(v))
		}
		b.tree.Sets = append(b.tree.Sets, set)
		// As in the text file, a missing category goes right whatever the flag says.
		out.Set, out.DefaultLeft, out.Missing = int32(len(b.tree.Sets)), false, MissingNaN
	default:
		return out, slipway.Errorf(slipway.Invalid, "decision_type %q is not known", n.Decision)
	}
	return out, nil
}

// lightgbmDumpCategories attaches the text of categories by the rule of
// lightgbmCategories.
func lightgbmDumpCategories(e *Ensemble, file *lightgbmDump) {
	var infos map[string]struct {
		Values []any `json:"values"`
	}
	if json.Unmarshal(file.Infos, &infos) != nil {
		return
	}
	var columns []int
	for i, name := range e.Features {
		if len(infos[name].Values) > 0 {
			columns = append(columns, i)
		}
	}
	if len(columns) != len(file.Categorical) {
		return
	}
	for i, list := range file.Categorical {
		names := make([]string, len(list))
		for j, v := range list {
			names[j] = fmt.Sprint(v)
		}
		e.Categories[columns[i]] = names
	}
}
