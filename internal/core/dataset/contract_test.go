package dataset_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/core/dataset"
)

const tripsYAML = "project: default\ndata:\n  trips: {path: feed/, time: at, key: id, contract: trips.yaml}\n"

const tripsContract = `apiVersion: v3.1.0
kind: DataContract
schema:
  - name: trips
    quality:
      - {metric: rowCount, mustBeGreaterThan: 20}
      - name: kilometres, not miles
        type: sql
        query: SELECT avg(km) FROM {object}
        mustBeBetween: [30, 50]
      - name: no trip of nowhere is long
        type: sql
        query: SELECT count(*) FROM {object} WHERE city = 'Nowhere' AND km > 1
        mustBe: 0
    properties:
      - {name: id, logicalType: string, required: true, unique: true}
      - {name: at, logicalType: timestamp, required: true, logicalTypeOptions: {minimum: "2024-01-01T00:00:00Z"}}
      - {name: km, logicalType: number, logicalTypeOptions: {minimum: 0, maximum: 100}, quality: [{metric: nullValues, mustBeLessThan: 5, unit: percent}]}
      - name: city
        logicalType: string
        quality:
          - {metric: invalidValues, arguments: {validValues: [Oslo, Bergen, Narvik]}, mustBe: 0}
          - {metric: nullValues, mustBe: 0, severity: warning}
`

// kept is a project whose first two months keep the contract.
func (w *world) kept() {
	w.write("slipway.yaml", tripsYAML)
	w.write("trips.yaml", tripsContract)
	w.write("feed/01.csv", month(1, 5, steady))
	w.write("feed/02.csv", month(2, 5, steady))
	contains(w.t, w.does("data", "add", "trips"), "trips@v1", "all 11 checks passed")
}

func TestBrokenBatchIsRefusedAndKeptApart(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.kept()
		broken := month(3, 5, func(i int) float64 { return 1.609344 * steady(i) })
		broken = strings.Replace(broken, "3-4,2024-03-01T04:00:00Z,38.62,Bergen", "3-4,2024-03-01T04:00:00Z,,Nowhere", 1)
		broken = strings.Replace(broken, "3-9,", "1-9,", 1) // a key of January
		w.write("feed/03.csv", broken)
		out := w.fails(slipway.Refused, "trips broke its contract: 3 of 12", "data", "add", "trips", "--append", "feed/03.csv")
		contains(t, out, "city: invalidValues", `row 5  id:3-4  "Nowhere"`, "kilometres, not miles", "id: duplicateValues among all rows", "id:1-9  2 times")
		if strings.Contains(out, "nullValues") {
			t.Errorf("one missing value in a hundred is allowed:\n%s", out)
		}
		if v := w.newest("trips"); v.Number != 1 || v.Verdict != dataset.Passed {
			t.Errorf("the last good version is not the newest: %+v", v)
		}
		lock, err := dataset.ReadLock(w.dir)
		if err != nil || lock["trips"].Version != 1 {
			t.Errorf("%v %+v", err, lock)
		}
		all, err := w.s.Quarantine(t.Context(), cli.DefaultProject, "trips")
		if err != nil || len(all) != 1 || all[0].Checks != 3 {
			t.Fatalf("%v %+v", err, all)
		}
		tree, err := w.content.GetTree(t.Context(), all[0].Tree)
		if err != nil || len(tree) != 1 || tree[0].Path != "03.csv" {
			t.Errorf("%v %+v", err, tree)
		}
		contains(t, w.does("data", "quarantine"), "trips\t3\t")
		contains(t, w.does("data", "quarantine", all[0].ID[:8]), "Nowhere")
		events, err := w.db.Events(t.Context(), 0, 10)
		if err != nil || len(events) != 2 || events[1].Verb != "dataset.refused" || !strings.Contains(string(events[1].Data), all[0].ID) {
			t.Errorf("%v %+v", err, events)
		}

		w.write("feed/03.csv", month(3, 5, steady)) // the feed is repaired
		contains(t, w.does("data", "add", "trips", "--append", "feed/03.csv"), "trips@v2", "120 rows in 1 file: all 12 checks passed")
	})
}

func TestCheckWritesNothingDown(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.kept()
		w.write("in.csv", month(4, 5, func(int) float64 { return 5000 }))
		w.fails(slipway.Refused, "broke its contract", "data", "check", "trips", "in.csv", "--junit", "r.xml")
		raw, err := os.ReadFile(filepath.Join(w.dir, "r.xml"))
		if err != nil {
			t.Fatal(err)
		}
		contains(t, string(raw), `failures="2"`, "km: at least 0, at most 100 (range)", "120 rows fail")
		contains(t, w.does("data", "check", "trips@v1"), "240 rows in 2 files: all 11 checks passed")
		var r dataset.Report
		if err := json.Unmarshal([]byte(w.does("data", "check", "trips", "--json")), &r); err != nil || len(r.Checks) != 11 || r.Verdict != dataset.Passed {
			t.Errorf("%v %+v", err, r)
		}
		if all, err := w.s.Quarantine(t.Context(), cli.DefaultProject, ""); err != nil || len(all) != 0 {
			t.Errorf("%v %+v", err, all)
		}
	})
}

func TestWarningsDoNotRefuse(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.kept()
		w.write("feed/03.csv", strings.ReplaceAll(month(3, 5, steady), "Oslo", ""))
		contains(t, w.does("data", "add", "trips"), "trips@v2", "contract kept, with warnings", "40 rows fail (33 %)")
		if v := w.newest("trips"); v.Verdict != dataset.Warned {
			t.Errorf("%+v", v.Verdict)
		}
	})
}

func TestColumnsAndTypesAreChecked(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.kept()
		feed := strings.ReplaceAll(month(3, 5, steady), "id,at,km,city", "id,at,km,town")
		feed = strings.Replace(feed, "2024-03-01T07:00:00Z,27.00", "2024-03-01T07:00:00Z,far", 1)
		w.write("in.csv", feed)
		out := w.fails(slipway.Refused, "", "data", "check", "trips", "in.csv")
		contains(t, out, "city: the column is there", "columns that the contract does not know: town", "km: values are of type float", `id:3-7  "far"`)
	})
}

func TestBrokenContractsSayWhere(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"no yaml":        {"a: [", "cannot be read: [1:4]"},
		"no schema":      {"kind: DataContract", "has no schema"},
		"another kind":   {"kind: Deployment", `the kind "Deployment"`},
		"unknown type":   {"schema: [{name: t, properties: [{name: a, logicalType: integr}]}]", `"integr" is not a logicalType of a`},
		"misspelled":     {"schema: [{name: t, quality: [{metric: rowCount, mustBeGreatherThan: 2}]}]", "0 comparisons where one is needed"},
		"unknown metric": {"schema: [{name: t, properties: [{name: a, quality: [{metric: nulls, mustBe: 0}]}]}]", `"nulls" is not a metric`},
		"bounds":         {"schema: [{name: t, quality: [{metric: rowCount, mustBeBetween: [5, 1]}]}]", "a lower and an upper bound"},
		"pattern":        {"schema: [{name: t, properties: [{name: a, logicalTypeOptions: {pattern: '('}}]}]", "the pattern"},
		"severity":       {"schema: [{name: t, quality: [{metric: rowCount, mustBe: 1, severity: grave}]}]", `"grave" is not a severity`},
		"twice":          {"schema: [{name: t, properties: [{name: a}, {name: a}]}]", `the property "a" twice`},
	} {
		_, err := dataset.ParseContract([]byte(c.text), "t")
		if !slipway.IsCode(err, slipway.Invalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestWrongSQLNamesItsRule(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.write("t.csv", "a,b\n1,x\n2,y\n")
		w.write("c.yaml", "schema: [{name: t, quality: [{name: mine, type: sql, query: 'SELECT sum(nosuch) FROM {object}', mustBe: 0}]}]")
		w.fails(slipway.Invalid, `rule "mine"`, "data", "add", "t.csv", "--contract", "c.yaml")
	})
}

// TestProposalIsKeptAndCatchesAChangedUnit infers a contract from good data and
// asks it about good and bad data.
func TestProposalIsKeptAndCatchesAChangedUnit(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.write("slipway.yaml", strings.Replace(tripsYAML, ", contract: trips.yaml", "", 1))
		w.write("feed/01.csv", month(1, 28, steady))
		w.does("data", "add", "trips")
		w.does("data", "contract", "infer", "trips", "--out", "trips.yaml")
		w.fails(slipway.Conflict, "there already", "data", "contract", "infer", "trips", "--out", "trips.yaml")
		raw, err := os.ReadFile(filepath.Join(w.dir, "trips.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		contains(t, string(raw), "validValues: [Bergen, Narvik, Oslo]", "the mean of km stays", "unique: true", "logicalType: timestamp")
		w.write("slipway.yaml", tripsYAML)
		contains(t, w.does("data", "check", "trips"), "contract kept")
		w.write("good.csv", month(2, 28, func(i int) float64 { return steady(i + 5) }))
		contains(t, w.does("data", "check", "trips", "good.csv"), "contract kept")
		w.write("bad.csv", month(2, 28, func(i int) float64 { return steady(i) / 1.609344 }))
		contains(t, w.fails(slipway.Refused, "", "data", "check", "trips", "bad.csv"), "the mean of km stays")
	})
}

// TestShippedContractReads keeps the example's contract and this reader
// together.
func TestShippedContractReads(t *testing.T) {
	raw, err := os.ReadFile("../../../examples/flights/contracts/flights.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dataset.ParseContract(raw, "flights"); err != nil {
		t.Error(err)
	}
}

func FuzzParseContract(f *testing.F) {
	f.Add([]byte(tripsContract))
	f.Add([]byte("schema: [{name: t, quality: [{type: sql, query: 'SELECT 1', mustBe: 1}]}]"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := dataset.ParseContract(raw, "t"); err != nil && slipway.AsError(err).Code != slipway.Invalid {
			t.Error(err)
		}
	})
}
