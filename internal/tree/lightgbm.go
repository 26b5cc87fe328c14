package tree

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/slipway-ml/slipway"
)

// lightgbmText walks the lines of a LightGBM model file: a header of key=value
// lines, a block of such lines for each tree, "end of trees", and notes.
type lightgbmText struct {
	rest []byte
	line int
}

// next returns the next line, without its end.
func (l *lightgbmText) next() (string, bool) {
	if len(l.rest) == 0 {
		return "", false
	}
	l.line++
	line := l.rest
	if i := bytes.IndexByte(l.rest, '\n'); i >= 0 {
		line, l.rest = l.rest[:i], l.rest[i+1:]
	} else {
		l.rest = nil
	}
	return string(bytes.TrimSuffix(line, []byte("\r"))), true
}

func parseLightGBM(data []byte) (*Ensemble, error) {
	l := &lightgbmText{rest: data}
	header := map[string]string{}
	var line string
	var ok bool
	for line, ok = l.next(); ok && !strings.HasPrefix(line, "Tree=") && line != "end of trees"; line, ok = l.next() {
		key, value, _ := strings.Cut(line, "=")
		header[key] = value
	}
	e, perIteration, err := lightgbmHeader(header)
	if err != nil {
		return nil, err
	}
	for ok && strings.HasPrefix(line, "Tree=") {
		number, start := line, l.line
		block := map[string]string{}
		for line, ok = l.next(); ok && !strings.HasPrefix(line, "Tree=") && line != "end of trees"; line, ok = l.next() {
			if key, value, found := strings.Cut(line, "="); found {
				block[key] = value
			}
		}
		if !ok {
			break // cut off
		}
		t, err := lightgbmTree(block)
		if err != nil {
			return nil, slipway.Errorf(slipway.Invalid, "%s at line %d: %s", number, start, err.Message).WithHint("%s", err.Hint)
		}
		t.Output = len(e.Trees) % perIteration
		e.Trees = append(e.Trees, t)
	}
	if line != "end of trees" {
		return nil, slipway.Errorf(slipway.Invalid, "the LightGBM file ends at line %d, before \"end of trees\"", l.line).
			WithHint("The file was cut off: copy or save it again.")
	}
	if sizes, found := header["tree_sizes"]; found && len(strings.Fields(sizes)) != len(e.Trees) {
		return nil, slipway.Errorf(slipway.Invalid, "the LightGBM header announces %d trees, but %d follow", len(strings.Fields(sizes)), len(e.Trees))
	}
	lightgbmCategories(e, l, header["feature_infos"])
	return e, nil
}

// lightgbmHeader reads the lines before the first tree, and how many trees an
// iteration has.
func lightgbmHeader(header map[string]string) (*Ensemble, int, error) {
	switch v := header["version"]; v {
	case "v2", "v3", "v4":
	default:
		return nil, 0, slipway.Errorf(slipway.Invalid, "LightGBM model version %q is not known (v2, v3 and v4 are)", v)
	}
	features := strings.Fields(header["feature_names"])
	last, err := strconv.Atoi(header["max_feature_idx"])
	if err != nil || last+1 != len(features) {
		return nil, 0, slipway.Errorf(slipway.Invalid, "max_feature_idx=%q does not fit the %d names in feature_names", header["max_feature_idx"], len(features))
	}
	if len(features) == 0 || len(features) > maxFeatures {
		return nil, 0, slipway.Errorf(slipway.Invalid, "the model has %d features; 1 to %d are supported", len(features), maxFeatures)
	}
	n, err := strconv.Atoi(header["num_tree_per_iteration"])
	if err != nil || n < 1 || n > maxOutputs {
		return nil, 0, slipway.Errorf(slipway.Invalid, "num_tree_per_iteration=%q is not a number from 1 to %d", header["num_tree_per_iteration"], maxOutputs)
	}
	_, average := header["average_output"]
	e := &Ensemble{Source: "lightgbm", Features: features, Categories: make([][]string, len(features)),
		Outputs: n, Base: make([]float64, n), Average: average, Coefficient: 1}
	return e, n, lightgbmObjective(e, header["objective"])
}

// lightgbmObjective reads "name key:value …". A model without an objective was
// trained with the user's own: its predictions are its margins.
func lightgbmObjective(e *Ensemble, text string) error {
	words := strings.Fields(text)
	if len(words) == 0 {
		e.Objective = "custom"
		return nil
	}
	e.Objective = words[0]
	option := map[string]string{}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, ":")
		option[key] = value
	}
	switch e.Objective {
	case "binary", "multiclassova":
		e.Link = Sigmoid
		if s, found := option["sigmoid"]; found {
			c, err := strconv.ParseFloat(s, 64)
			if err != nil || !(c > 0) {
				return slipway.Errorf(slipway.Invalid, "objective=%q: the sigmoid is not a positive number", text)
			}
			e.Coefficient = c
		}
	case "cross_entropy", "xentropy":
		e.Link = Sigmoid
	case "cross_entropy_lambda", "xentlambda":
		e.Link = Softplus
	case "multiclass", "softmax":
		e.Link = Softmax
	case "poisson", "gamma", "tweedie":
		e.Link = Exp
	case "regression", "regression_l2", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank", "rank_xendcg", "custom":
		if _, found := option["sqrt"]; found {
			e.Link = SignedSquare
		}
	default:
		return slipway.Errorf(slipway.Invalid, "the LightGBM objective %q is not known", e.Objective)
	}
	return nil
}

// lightgbmCategories reads the trailing pandas_categorical line: a JSON list of
// the categories of each pandas category column, in the frame's order. The file
// does not say which columns those were; they are the features whose
// feature_infos list categories, provided that there are as many. Otherwise (an
// ordered category column is trained as a number) no text is attached.
func lightgbmCategories(e *Ensemble, l *lightgbmText, infos string) {
	var lists [][]any
	for line, ok := l.next(); ok; line, ok = l.next() {
		if text, found := strings.CutPrefix(line, "pandas_categorical:"); found {
			d := json.NewDecoder(strings.NewReader(text))
			d.UseNumber()
			if d.Decode(&lists) != nil {
				return
			}
		}
	}
	var columns []int
	for i, info := range strings.Fields(infos) {
		if info != "none" && !strings.HasPrefix(info, "[") {
			columns = append(columns, i)
		}
	}
	if len(columns) != len(lists) {
		return
	}
	for i, list := range lists {
		if columns[i] >= len(e.Categories) {
			return
		}
		names := make([]string, len(list))
		for j, v := range list {
			names[j] = fmt.Sprint(v)
		}
		e.Categories[columns[i]] = names
	}
}
