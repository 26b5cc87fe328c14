package mlflow

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
)

// MLflow's pages read some things by GraphQL. Each root field here is one of
// the endpoints of the REST API, whose answer is cut to what was asked for.

// Limits of a query, which are MLflow's.
const (
	maxRootFields = 10
	maxAliases    = 10
	maxDepth      = 10
	maxSelections = 1000
)

// graphFields are the root fields.
func (s *Server) graphFields() map[string]endpoint {
	fields := map[string]endpoint{
		"mlflowGetExperiment": s.getExperiment, "mlflowGetRun": s.getRun, "mlflowSearchRuns": s.searchRuns, "mlflowListArtifacts": s.listArtifacts,
		"mlflowGetMetricHistoryBulkInterval": s.historyInterval, "mlflowSearchDatasets": s.searchDatasets,
	}
	if s.o.Registry != nil {
		fields["mlflowSearchModelVersions"] = s.searchVersions
	}
	return fields
}

// graph is one query as it is answered.
type graph struct {
	s         *Server
	ctx       context.Context
	variables map[string]any
	fragments ast.FragmentDefinitionList
}

func (s *Server) graphQL(w http.ResponseWriter, r *http.Request) error {
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	in, err := decode[struct {
		Query     string         `json:"query"`
		Variables map[string]any `json:"variables"`
		Operation string         `json:"operationName"`
	}](&call{r, body})
	if err == nil {
		err = required("query", in.Query)
	}
	if err != nil {
		return err
	}
	data, err := s.runQuery(r.Context(), in.Query, in.Operation, in.Variables)
	if err != nil {
		return web.WriteJSON(w, map[string]any{"data": nil, "errors": []string{slipway.AsError(err).Message}})
	}
	return web.WriteJSON(w, map[string]any{"data": data, "errors": nil})
}

// runQuery answers one operation of a query. It fails with Invalid.
func (s *Server) runQuery(ctx context.Context, query, operation string, variables map[string]any) (map[string]any, error) {
	doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: query}, 20_000)
	if err != nil {
		return nil, slipway.Errorf(slipway.Invalid, "the query is not GraphQL: %v", err)
	}
	if err := checkQuery(doc); err != nil {
		return nil, err
	}
	op := doc.Operations.ForName(operation)
	if op == nil {
		return nil, slipway.Errorf(slipway.Invalid, "the query has no operation %q", operation)
	}
	g := graph{s, ctx, variables, doc.Fragments}
	fields := s.graphFields()
	out := map[string]any{}
	for _, f := range g.flatten(op.SelectionSet) {
		fn, ok := fields[f.Name]
		switch {
		case f.Name == "__typename":
			out[f.Alias] = op.Operation
		case f.Name == "test" || f.Name == "testMutation":
			out[f.Alias] = map[string]any{"output": g.argument(f, "inputString")}
		case !ok:
			return nil, slipway.Errorf(slipway.Invalid, "Cannot query field '%s'", f.Name)
		default:
			if out[f.Alias], err = g.root(fn, f); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// checkQuery keeps a query to the limits.
func checkQuery(doc *ast.QueryDocument) error {
	roots, most, all := 0, 0, 0
	var walk func(set ast.SelectionSet, depth int) error
	walk = func(set ast.SelectionSet, depth int) error {
		if depth > maxDepth && len(set) > 0 {
			return slipway.Errorf(slipway.Invalid, "Query exceeds maximum depth of %d", maxDepth)
		}
		aliases := 0
		for _, selection := range set {
			var below ast.SelectionSet
			switch f := selection.(type) {
			case *ast.Field:
				below = f.SelectionSet
				if depth == 1 {
					roots++
				}
				if f.Alias != f.Name {
					aliases++
				}
			case *ast.InlineFragment:
				below = f.SelectionSet
			}
			if all++; all > maxSelections {
				return slipway.Errorf(slipway.Invalid, "Query exceeds maximum total selections of %d", maxSelections)
			}
			if err := walk(below, depth+1); err != nil {
				return err
			}
		}
		most = max(most, aliases)
		return nil
	}
	for _, op := range doc.Operations {
		if err := walk(op.SelectionSet, 1); err != nil {
			return err
		}
	}
	for _, f := range doc.Fragments {
		if err := walk(f.SelectionSet, 2); err != nil {
			return err
		}
	}
	if roots > maxRootFields {
		return slipway.Errorf(slipway.Invalid, "GraphQL queries should have at most %d root fields, got %d root fields.", maxRootFields, roots)
	}
	if most > maxAliases {
		return slipway.Errorf(slipway.Invalid, "GraphQL queries should have at most %d aliases, got %d aliases.", maxAliases, most)
	}
	return nil
}

// flatten is a selection with its fragments put in place. Fragments that spread
// each other end at the depth that a query may have.
func (g graph) flatten(set ast.SelectionSet) []*ast.Field { return g.spread(set, 0) }

func (g graph) spread(set ast.SelectionSet, depth int) (out []*ast.Field) {
	if depth > maxDepth {
		return nil
	}
	for _, selection := range set {
		switch f := selection.(type) {
		case *ast.Field:
			out = append(out, f)
		case *ast.InlineFragment:
			out = append(out, g.spread(f.SelectionSet, depth+1)...)
		case *ast.FragmentSpread:
			if d := g.fragments.ForName(f.Name); d != nil {
				out = append(out, g.spread(d.SelectionSet, depth+1)...)
			}
		}
	}
	return out
}

// argument is the value of a field's argument, or nil.
func (g graph) argument(f *ast.Field, name string) any {
	a := f.Arguments.ForName(name)
	if a == nil {
		return nil
	}
	v, err := a.Value.Value(g.variables)
	if err != nil {
		return nil
	}
	return v
}

// root calls an endpoint with a field's input and cuts its answer.
func (g graph) root(fn endpoint, f *ast.Field) (any, error) {
	body, err := json.Marshal(snakes(g.argument(f, "input")))
	if err != nil {
		return nil, err
	}
	answer, err := g.ask(fn, body)
	if err != nil {
		return nil, err
	}
	return g.pick(answer, f.SelectionSet)
}

// ask calls an endpoint and decodes what it says.
func (g graph) ask(fn endpoint, body []byte) (any, error) {
	out, err := fn(g.ctx, &call{&http.Request{}, body})
	if err != nil {
		return nil, err
	}
	raw, ok := out.([]byte)
	if !ok {
		if raw, err = json.Marshal(out); err != nil {
			return nil, err
		}
	}
	var answer any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	err = d.Decode(&answer)
	return answer, err
}
