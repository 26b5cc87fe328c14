package measure

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// The shape of the model that is predicted with and explained.
const (
	Trees    = 500
	Depth    = 6
	Features = 30
)

// Model is a folder with the model of the predict and shap benchmarks.
type Model struct {
	Dir    string
	File   string // the model, in a format of xgboost or lightgbm
	Rows   [][]float64
	Python string // with the libraries that trained it; "" when it was made up
}

// Train trains the model with the peers' libraries, unless dir has it already;
// without them it makes a forest of the same shape up.
func Train(dir string) (Model, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Model{}, err
	}
	m := Model{Dir: dir, File: filepath.Join(dir, "xgboost.json")}
	python, ok := Peer(os.Stdout, "xgboost")
	if ok {
		python, ok = Peer(os.Stdout, "lightgbm")
	}
	if ok {
		m.Python = python
		rows := filepath.Join(dir, "rows.json")
		if _, err := os.Stat(rows); err != nil {
			if out, err := exec.Command(python, "bench/model.py", "train", dir).CombinedOutput(); err != nil {
				return m, fmt.Errorf("train the model: %w: %s", err, tail(string(out)))
			}
		}
		b, err := os.ReadFile(rows)
		if err != nil {
			return m, err
		}
		return m, json.Unmarshal(b, &m.Rows)
	}
	fmt.Println("the model is a made-up forest of the same shape")
	random := rand.New(rand.NewPCG(1, 2))
	m.File = filepath.Join(dir, "forest.txt")
	for range 1024 {
		row := make([]float64, Features)
		for i := range row {
			row[i] = random.NormFloat64()
		}
		m.Rows = append(m.Rows, row)
	}
	return m, os.WriteFile(m.File, []byte(Forest(random, Trees, Depth, Features)), 0o644)
}

// Library asks model.py how long the libraries take in process, in µs of
// processor time; nil without them.
func (m Model) Library(what string) (map[string]float64, error) {
	if m.Python == "" {
		return nil, nil
	}
	cmd := exec.Command(m.Python, "bench/model.py", what, m.Dir)
	b, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("model.py %s: %w", what, err)
	}
	var out map[string]float64
	return out, json.Unmarshal(b, &out)
}

// Forest writes complete trees with random splits in LightGBM's text format.
func Forest(random *rand.Rand, trees, depth, features int) string {
	var b strings.Builder
	b.WriteString("tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\n")
	fmt.Fprintf(&b, "max_feature_idx=%d\nobjective=binary sigmoid:1\nfeature_names=%s\nfeature_infos=%s\n\n", features-1,
		list(features, func(i int) string { return fmt.Sprint("f", i) }), list(features, func(int) string { return "[-5:5]" }))
	leaves := 1 << depth
	inner := leaves - 1
	// The nodes of a complete tree are numbered level by level; a child beyond
	// the last inner node is the leaf of that place, written as its complement.
	child := func(i int) string {
		if i < inner {
			return strconv.Itoa(i)
		}
		return strconv.Itoa(^(i - inner))
	}
	for t := range trees {
		fmt.Fprintf(&b, "Tree=%d\nnum_leaves=%d\nnum_cat=0\n", t, leaves)
		for _, row := range []struct {
			name string
			n    int
			at   func(int) string
		}{
			{"split_feature", inner, func(int) string { return strconv.Itoa(random.IntN(features)) }},
			{"split_gain", inner, func(int) string { return "1" }},
			{"threshold", inner, func(int) string { return strconv.FormatFloat(random.NormFloat64(), 'g', -1, 64) }},
			{"decision_type", inner, func(int) string { return "2" }},
			{"left_child", inner, func(i int) string { return child(2*i + 1) }},
			{"right_child", inner, func(i int) string { return child(2*i + 2) }},
			{"leaf_value", leaves, func(int) string { return strconv.FormatFloat(random.NormFloat64()/100, 'g', -1, 64) }},
			{"leaf_weight", leaves, func(int) string { return "100" }},
			{"leaf_count", leaves, func(int) string { return "100" }},
			{"internal_value", inner, func(int) string { return "0" }},
			{"internal_weight", inner, func(int) string { return "100" }},
			{"internal_count", inner, func(i int) string { return strconv.Itoa(100 * leaves >> level(i)) }},
		} {
			fmt.Fprintf(&b, "%s=%s\n", row.name, list(row.n, row.at))
		}
		b.WriteString("is_linear=0\nshrinkage=1\n\n\n")
	}
	b.WriteString("end of trees\n")
	return b.String()
}

// level is how deep node i of a complete tree lies.
func level(i int) (l int) {
	for i > 0 {
		i, l = (i-1)/2, l+1
	}
	return l
}

func list(n int, at func(int) string) string {
	words := make([]string, n)
	for i := range words {
		words[i] = at(i)
	}
	return strings.Join(words, " ")
}
