package filter_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/filter"
)

var grammar = filter.Grammar{
	Attributes: map[string]filter.Attribute{
		"name": {Name: "name", List: true}, "title": {Name: "name", List: true}, "size": {Name: "size", Number: true}, "at": {Name: "at", Number: true, Sorts: true},
	},
	Entities: []filter.Entity{filter.OfTag, filter.OfAttribute},
	Prefer:   filter.OfAttribute,
}

// TestConditionsInSQL: what a user wrote is an argument, never part of the text.
func TestConditionsInSQL(t *testing.T) {
	for _, c := range []struct {
		text, sql string
		args      []any
	}{
		{"name = 'x'' OR 1=1'", "c = ?", []any{"x' OR 1=1"}},
		{"title != \"x\"", "c != ?", []any{"x"}},
		{"size >= 1e3", "c >= ?", []any{1000.0}},
		{`name LIKE 'a\%'`, `c LIKE ? ESCAPE '\'`, []any{`a\\%`}},
		{"name ILIKE 'A_'", `LOWER(c) LIKE LOWER(?) ESCAPE '\'`, []any{"A_"}},
		{"name NOT IN ('a', 'b')", "c NOT IN (?, ?)", []any{"a", "b"}},
	} {
		found, err := grammar.Parse(c.text)
		if err != nil || len(found) != 1 {
			t.Errorf("%s: %v, %v", c.text, found, err)
			continue
		}
		sql, args := found[0].SQL("c")
		if diff := cmp.Diff([]any{c.sql, c.args}, []any{sql, args}); diff != "" {
			t.Errorf("%s: %s", c.text, diff)
		}
	}
}

// TestWhatAGrammarRefuses: an attribute that sorts does not filter, and what
// the grammar does not know is the caller's fault.
func TestWhatAGrammarRefuses(t *testing.T) {
	for _, text := range []string{"at > 3", "metrics.a > 1", "nothing = 'x'", "size = 'x'", "name > 'x'", "size IN ('1')", "name = 'a' OR name = 'b'", "name =", "'"} {
		if found, err := grammar.Parse(text); !slipway.IsCode(err, slipway.Invalid) {
			t.Errorf("%s: %v, %v", text, found, err)
		}
	}
	order, err := grammar.Order([]string{"at DESC", "title"})
	want := []filter.Order{{Field: filter.Field{Of: filter.OfAttribute, Key: "at"}, Descending: true}, {Field: filter.Field{Of: filter.OfAttribute, Key: "name"}}}
	if diff := cmp.Diff(want, order); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("name ILIKE '%''%' AND tags.`a b` IS NOT NULL")
	f.Fuzz(func(t *testing.T, s string) {
		found, err := grammar.Parse(s)
		if err != nil && !slipway.IsCode(err, slipway.Invalid) {
			t.Fatalf("%q: %v", s, err)
		}
		for _, c := range found {
			if c.Op != "IS NULL" && c.Op != "IS NOT NULL" {
				c.SQL("c")
			}
		}
	})
}
