package mlflow

import (
	"encoding/json"
	"strings"
	"unicode"

	"github.com/vektah/gqlparser/v2/ast"
)

// longs are the fields that GraphQL carries as strings, for JavaScript would
// round them.
var longs = map[string]bool{"timestamp": true, "step": true, "start_time": true, "end_time": true, "creation_time": true, "last_update_time": true,
	"file_size": true, "creation_timestamp": true, "last_updated_timestamp": true}

// lists are the fields that are empty lists when they are absent.
var lists = map[string]bool{"tags": true, "params": true, "metrics": true, "runs": true, "files": true, "dataset_inputs": true, "model_inputs": true,
	"model_outputs": true, "dataset_summaries": true, "model_versions": true, "aliases": true}

// pick cuts an answer of the REST API to a selection.
func (g graph) pick(v any, set ast.SelectionSet) (any, error) {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i := range v {
			var err error
			if out[i], err = g.pick(v[i], set); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		out := map[string]any{}
		for _, f := range g.flatten(set) {
			value, err := g.field(v, f)
			if err != nil {
				return nil, err
			}
			out[f.Alias] = value
		}
		return out, nil
	}
	return v, nil
}

// field is one field of an object.
func (g graph) field(object map[string]any, f *ast.Field) (any, error) {
	name := snake(f.Name)
	value, ok := object[name]
	if !ok {
		var err error
		if value, ok, err = g.beside(object, name); err != nil {
			return nil, err
		}
	}
	switch {
	case ok && longs[name]:
		if n, isNumber := value.(json.Number); isNumber {
			return n.String(), nil
		}
	case ok && name == "value" && value == "NaN":
		return nil, nil
	case ok:
		return g.pick(value, f.SelectionSet)
	case lists[name]:
		return []any{}, nil
	case longs[name]:
		return "0", nil
	case len(f.SelectionSet) > 0:
		return nil, nil
	}
	return "", nil
}

// beside is what a run has in GraphQL only: its experiment, and the registered
// versions that came from it.
func (g graph) beside(object map[string]any, name string) (any, bool, error) {
	info, ok := object["info"].(map[string]any)
	if !ok {
		return nil, false, nil
	}
	var fn endpoint
	var in map[string]any
	switch {
	case name == "experiment":
		fn, in = g.s.getExperiment, map[string]any{"experiment_id": info["experiment_id"]}
	case name == "model_versions" && g.s.o.Registry != nil:
		run, _ := info["run_id"].(string)
		fn, in = g.s.searchVersions, map[string]any{"filter": "run_id = '" + run + "'"}
	default:
		return nil, false, nil
	}
	body, err := json.Marshal(in)
	if err != nil {
		return nil, false, err
	}
	answer, err := g.ask(fn, body)
	if err != nil {
		return nil, false, err
	}
	whole, _ := answer.(map[string]any)
	return whole[name], true, nil
}

// snake is a name of GraphQL as the REST API spells it.
func snake(name string) string {
	var b strings.Builder
	for _, c := range name {
		if unicode.IsUpper(c) {
			b.WriteByte('_')
			c = unicode.ToLower(c)
		}
		b.WriteRune(c)
	}
	return b.String()
}

// snakes spells the names in an input as the REST API does.
func snakes(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[snake(k)] = snakes(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = snakes(x)
		}
		return out
	}
	return v
}
