package dataset_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/dataset"
)

// asks checks t.csv's newest version against one rule and returns its finding.
func (w *world) asks(column, rule string) dataset.Finding {
	w.t.Helper()
	quality := "quality: [" + rule + "]"
	text := "schema: [{name: t, " + quality + "}]"
	if column != "" {
		text = "schema: [{name: t, properties: [{name: " + column + ", " + quality + "}]}]"
	}
	r, err := w.s.Check(w.t.Context(), "default", "t", dataset.Question{Contract: text})
	if r == nil {
		w.t.Fatalf("%s: %v", rule, err)
	}
	for _, f := range r.Checks {
		if f.Kind != "column" {
			return f
		}
	}
	w.t.Fatalf("%s made no check", rule)
	return dataset.Finding{}
}

func TestRowsAreComparedWithOtherRows(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.write("carrier.csv", "code,name\nAA,American\nUA,United\n")
		w.does("data", "add", "carrier.csv")
		w.write("t.csv", "id,carrier\n1,AA\n2,ZZ\n3,UA\n4,\n")
		w.does("data", "add", "t.csv")
		f := w.asks("carrier", "{type: custom, engine: slipway, implementation: {metric: references, dataset: carrier, column: code}, mustBe: 0}")
		if f.Pass || f.Rows != 1 || len(f.Sample) != 1 || f.Sample[0].Value != "ZZ" {
			t.Errorf("%+v", f)
		}
		w.write("seen.csv", "id,carrier,x\n3,UA,1\n9,AA,1\n1,UA,1\n")
		w.does("data", "add", "seen.csv")
		f = w.asks("", "{type: custom, engine: slipway, implementation: {metric: overlap, dataset: seen, columns: [id, carrier]}, mustBe: 0}")
		if f.Pass || f.Rows != 1 || f.Sample[0].Value != "3, UA" {
			t.Errorf("%+v", f)
		}
		f = w.asks("id", "{type: custom, engine: slipway, implementation: {metric: overlap, dataset: seen}, mustBeLessThan: 60, unit: percent}")
		if !f.Pass || f.Rows != 2 || *f.Value != 50 {
			t.Errorf("%+v", f)
		}
		_, err := w.s.Check(t.Context(), "default", "t", dataset.Question{Contract: "schema: [{name: t, properties: [{name: id, quality: [{type: custom, engine: slipway, implementation: {metric: overlap, dataset: nosuch}, mustBe: 0}]}]}]"})
		if !slipway.IsCode(err, slipway.NotFound) {
			t.Error(err)
		}
	})
}

func TestDistributionsAreComparedWithAVersion(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		rows := func(shift float64, kind string) string {
			var b strings.Builder
			b.WriteString("x,kind\n")
			for i := range 1000 {
				k := "a"
				if i%10 == 0 {
					k = kind
				}
				fmt.Fprintf(&b, "%g,%s\n", shift+float64(i%100)+0.5*float64(i%7), k)
			}
			return b.String()
		}
		w.two(rows(0, "b"), rows(30, "c"))
		rule := func(metric string) string {
			return "{type: custom, engine: slipway, implementation: {metric: " + metric + ", version: 1}, mustBeLessThan: 0.2}"
		}
		for _, m := range []string{"psi", "js", "ks", "tvd"} {
			if f := w.asks("x", rule(m)); f.Pass || f.Value == nil {
				t.Errorf("%s: %+v", m, f)
			}
		}
		if f := w.asks("kind", rule("newValues")); f.Pass || *f.Value != 10 {
			t.Errorf("%+v", f)
		}
		if f := w.asks("kind", strings.Replace(rule("newValues"), "version: 1", "version: 2", 1)); !f.Pass || *f.Value != 0 {
			t.Errorf("%+v", f)
		}
		if f := w.asks("x", strings.Replace(rule("psi"), "version: 1", "version: 2", 1)); !f.Pass || *f.Value != 0 {
			t.Errorf("%+v", f)
		}
		if f := w.asks("kind", "{type: custom, engine: slipway, implementation: balance, mustBeGreaterThan: 9}"); !f.Pass || *f.Value != 10 {
			t.Errorf("%+v", f)
		}
	})
}

func TestLateRowsAndChangeSinceTheLastVersion(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.write("slipway.yaml", "project: default\ndata:\n  t: {path: feed/, time: at, contract: c.yaml}\n")
		w.write("c.yaml", `schema:
  - name: t
    quality:
      - {name: on time, type: custom, engine: slipway, implementation: {metric: late, hours: 1}, mustBe: 0}
      - {name: no jump, type: custom, engine: slipway, implementation: rowChange, mustBeBetween: [-10, 100]}
    properties: [{name: at, logicalTypeOptions: {maximum: now + 1d, minimum: "2000-01-01T00:00:00Z"}}, {name: n}]
`)
		w.write("feed/1.csv", "at,n\n2024-01-01T00:00:00Z,1\n2024-01-01T10:00:00Z,2\n")
		w.does("data", "add", "t")
		w.write("feed/2.csv", "at,n\n2024-01-01T09:30:00Z,3\n")
		w.does("data", "add", "t")
		w.write("feed/3.csv", "at,n\n2024-01-01T02:30:00Z,3\n2024-01-01T11:30:00Z,3\n2025-01-01T11:30:00Z,3\n2030-01-01T11:30:00Z,3\n2999-01-01T11:30:00Z,3\n")
		out := w.fails(slipway.Refused, "3 of", "data", "add", "t")
		contains(t, out, "on time", "1 row fail", "no jump", "found 166.7", "at most now + 1d")
	})
}

func TestOwnRulesThatMakeNoSense(t *testing.T) {
	for _, c := range []struct{ implementation, want string }{
		{"nosuch", "not one of Slipway's metrics"}, {"{metric: psi, versoin: 3}", "cannot be read"}, {"references", "needs a dataset"},
	} {
		_, err := dataset.ParseContract([]byte("schema: [{name: t, properties: [{name: a, quality: [{type: custom, engine: slipway, implementation: "+c.implementation+", mustBe: 0}]}]}]"), "t")
		if !slipway.IsCode(err, slipway.Invalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.implementation, err)
		}
	}
}
