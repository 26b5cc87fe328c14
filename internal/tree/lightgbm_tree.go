package tree

import (
	"math"
	"strconv"
	"strings"

	"github.com/slipway-ml/slipway"
)

// fields reads the arrays of one tree block; the first failure sticks.
type fields struct {
	block map[string]string
	err   *slipway.Error
}

func (f *fields) fail(format string, args ...any) {
	if f.err == nil {
		f.err = slipway.Errorf(slipway.Invalid, format, args...)
	}
}

// floats reads exactly n numbers; an optional array may be absent or empty.
func (f *fields) floats(key string, n int, optional bool) []float64 {
	words := strings.Fields(f.block[key])
	if len(words) == 0 && optional {
		return nil
	}
	if len(words) != n {
		f.fail("%s has %d numbers instead of %d", key, len(words), n)
		return nil
	}
	out := make([]float64, n)
	for i, w := range words {
		v, err := strconv.ParseFloat(w, 64)
		if err != nil {
			f.fail("%s[%d] is %q, not a number", key, i, w)
			return nil
		}
		out[i] = v
	}
	return out
}

func (f *fields) ints(key string, n int) []int32 {
	words := strings.Fields(f.block[key])
	if len(words) != n {
		f.fail("%s has %d numbers instead of %d", key, len(words), n)
		return nil
	}
	out := make([]int32, n)
	for i, w := range words {
		v, err := strconv.ParseInt(w, 10, 32)
		if err != nil {
			f.fail("%s[%d] is %q, not an integer", key, i, w)
			return nil
		}
		out[i] = int32(v)
	}
	return out
}

// lightgbmTree turns one block into a Tree: its n-1 splits come first, then its
// n leaves. A child index below zero is the leaf ^index.
func lightgbmTree(block map[string]string) (Tree, *slipway.Error) {
	f := &fields{block: block}
	if block["is_linear"] == "1" {
		return Tree{}, slipway.Errorf(slipway.Invalid, "its leaves are linear models, which are not supported").
			WithHint("Train with linear_tree=false.")
	}
	leaves, err := strconv.Atoi(block["num_leaves"])
	if err != nil || leaves < 1 || leaves > len(block["leaf_value"]) {
		return Tree{}, slipway.Errorf(slipway.Invalid, "num_leaves=%q does not fit leaf_value", block["num_leaves"])
	}
	splits := leaves - 1
	values := f.floats("leaf_value", leaves, false)
	counts := f.floats("leaf_count", leaves, true)
	feature, decision := f.ints("split_feature", splits), f.ints("decision_type", splits)
	left, right := f.ints("left_child", splits), f.ints("right_child", splits)
	threshold := f.floats("threshold", splits, false)
	gain, cover := f.floats("split_gain", splits, true), f.floats("internal_count", splits, true)
	sets := f.sets()
	if f.err != nil {
		return Tree{}, f.err
	}
	t := Tree{Nodes: make([]Node, splits+leaves), Sets: sets}
	child := func(c int32) int32 {
		if c < 0 {
			return int32(splits) + ^c
		}
		return c
	}
	for i := range splits {
		n := Node{Feature: feature[i], Left: child(left[i]), Right: child(right[i]), Threshold: threshold[i],
			Missing: Missing(decision[i] >> 2 & 3), DefaultLeft: decision[i]&2 != 0}
		if n.Missing > MissingNaN {
			return Tree{}, slipway.Errorf(slipway.Invalid, "decision_type[%d]=%d is not known", i, decision[i])
		}
		if decision[i]&1 != 0 {
			if !(threshold[i] >= 0 && threshold[i] < float64(len(sets))) {
				return Tree{}, slipway.Errorf(slipway.Invalid, "threshold[%d]=%v is none of its %d category sets", i, threshold[i], len(sets))
			}
			// LightGBM sends a missing category to the right, whatever its flag says.
			n.Set, n.DefaultLeft, n.Missing, n.Threshold = int32(threshold[i])+1, false, MissingNaN, 0
		}
		if gain != nil {
			n.Gain = gain[i]
		}
		if cover != nil {
			n.Cover = cover[i]
		}
		if n.Left == 0 || n.Right == 0 {
			return Tree{}, slipway.Errorf(slipway.Invalid, "split %d has the root for a child", i)
		}
		t.Nodes[i] = n
	}
	for i, v := range values {
		t.Nodes[splits+i].Value = v
		if counts != nil {
			t.Nodes[splits+i].Cover = counts[i]
		}
	}
	return t, nil
}

// sets reads the bitsets of the categorical splits: 32 codes to a word,
// set i in words cat_boundaries[i] to cat_boundaries[i+1].
func (f *fields) sets() [][]int32 {
	n, err := strconv.Atoi(f.block["num_cat"])
	if f.block["num_cat"] == "" || err == nil && n == 0 {
		return nil
	}
	if err != nil || n < 0 || n > len(f.block["cat_boundaries"]) {
		f.fail("num_cat=%q does not fit cat_boundaries", f.block["num_cat"])
		return nil
	}
	bounds := f.ints("cat_boundaries", n+1)
	words := strings.Fields(f.block["cat_threshold"])
	if f.err != nil {
		return nil
	}
	sets := make([][]int32, n)
	for i := range sets {
		from, to := bounds[i], bounds[i+1]
		if from < 0 || to < from || int(to) > len(words) || to-from > math.MaxInt32/32 {
			f.fail("cat_boundaries[%d] is out of range", i)
			return nil
		}
		for j, w := range words[from:to] {
			bits, err := strconv.ParseUint(w, 10, 32)
			if err != nil {
				f.fail("cat_threshold[%d] is %q, not a 32-bit word", int(from)+j, w)
				return nil
			}
			for b := range 32 {
				if bits>>b&1 != 0 {
					sets[i] = append(sets[i], int32(32*j+b))
				}
			}
		}
	}
	return sets
}
