package dataset_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/query"
	"github.com/slipway-ml/slipway/internal/project"
)

// row is one of a table that is split; "" is a missing value.
type row struct {
	id            int
	key, group, t string
}

var rowOf = rapid.Custom(func(t *rapid.T) row {
	return row{
		key:   rapid.SampledFrom([]string{"a", "b", "c,d", "e\x1ff", "é", "a b", "1", "2", "3", "4", "5", "6", "7", "8"}).Draw(t, "key"),
		group: rapid.SampledFrom([]string{"", "g", "h", "i", "j k"}).Draw(t, "group"),
		t:     rapid.SampledFrom([]string{"", "2026-01-01 00:00:00", "2026-01-01 00:00:01", "2026-01-02 00:00:00", "2026-03-01 00:00:00", "2027-01-01 00:00:00"}).Draw(t, "t"),
	}
})

// split asks for all parts of rows at once and returns the ids in each.
func split(t *rapid.T, engine *query.Engine, dir string, rows []row, s *project.Split) map[string][]row {
	var b strings.Builder
	b.WriteString("id,key,group,t\n")
	for i := range rows {
		rows[i].id = i
		fmt.Fprintf(&b, "%d,\"%s\",%s,%s\n", i, rows[i].key, rows[i].group, rows[i].t)
	}
	file := filepath.Join(dir, "rows.csv")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, name := range s.PartNames() {
		sql, err := s.SQL(`"rows"`, "t", []string{"key"}, name)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, "SELECT '"+name+"' AS part, id FROM ("+sql+")")
	}
	yes := true
	res, err := engine.Run(t.Context(), query.Request{SQL: strings.Join(parts, " UNION ALL ") + " ORDER BY ALL", Tables: []query.Table{{Name: "rows", Files: []string{file}, Format: query.FormatCSV,
		CSV:     query.CSV{Delimiter: ",", Header: &yes, Null: []string{""}},
		Columns: slipway.Schema{{Name: "id", Type: slipway.Int}, {Name: "key", Type: slipway.Text}, {Name: "group", Type: slipway.Text}, {Name: "t", Type: slipway.Time}}}}})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]row{}
	for _, r := range res.Rows {
		out[r[0].(string)] = append(out[r[0].(string)], rows[r[1].(int64)])
	}
	return out
}

// shares are values of two parts that both have.
func shares(a, b []row, of func(row) string) []string {
	var out []string
	for _, x := range a {
		if slices.ContainsFunc(b, func(y row) bool { return of(x) == of(y) }) {
			out = append(out, of(x))
		}
	}
	return out
}

// No part of a split leaks into another, whatever the rows are: the parts hold
// every row once, what must stay together does, and time goes forward.
func TestNothingLeaks(t *testing.T) {
	engine := query.New(query.Options{Command: []string{os.Args[0]}, Env: []string{"SLIPWAY_TEST_WORKER=1"}, TempDir: t.TempDir()})
	defer engine.Close()
	dir := t.TempDir()
	key, group, id := func(r row) string { return r.key }, func(r row) string { return r.group }, func(r row) string { return fmt.Sprint(r.id) }
	apart := map[string]func(row) string{"key": key, "group": group, "time": id, "stratified": func(r row) string { return r.group + "/" + r.key }}
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.SliceOfN(rowOf, 1, 40).Draw(t, "rows")
		by := rapid.SampledFrom([]string{"key", "group", "time", "stratified"}).Draw(t, "by")
		s := &project.Split{By: by}
		if by == "group" || by == "stratified" {
			s.On = project.Names{"group"}
		}
		if rapid.Bool().Draw(t, "folded") {
			s.Folds = rapid.IntRange(2, 5).Draw(t, "folds")
		} else {
			s.Parts = rapid.SampledFrom([]project.Names{{"train 70%", "valid 15%", "test 15%"}, {"a 33.3%", "b 66.7%"}, {"a 0.1%", "b 99.9%"}}).Draw(t, "parts")
		}
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
		got := split(t, engine, dir, rows, s)
		total := 0
		names := s.PartNames()
		for i, a := range names {
			if s.Folds == 0 || strings.HasPrefix(a, "test-") {
				total += len(got[a])
			}
			for _, b := range names[i+1:] {
				if fold := strings.TrimPrefix(a, "train-"); s.Folds > 0 && b != "test-"+fold {
					continue // other folds may share rows
				}
				if both := shares(got[a], got[b], apart[by]); len(both) > 0 {
					t.Fatalf("%s and %s share %q", a, b, both)
				}
				if by != "time" {
					continue
				}
				for _, x := range got[a] {
					for _, y := range got[b] {
						if x.t >= y.t {
							t.Fatalf("%s has a row of %s, %s one of %s", a, x.t, b, y.t)
						}
					}
				}
			}
		}
		want := len(rows)
		if by == "time" {
			want -= len(shares(rows, []row{{}}, func(r row) string { return r.t }))
		}
		if s.Folds > 0 && by == "time" { // the oldest block is never tested
			total += len(got["train-1"])
		}
		if total != want {
			t.Fatalf("the parts have %d of %d rows", total, want)
		}
		if by != "key" && by != "group" {
			return
		}
		// More rows move none that were there.
		more := split(t, engine, dir, append(slices.Clone(rows), rapid.SliceOfN(rowOf, 1, 10).Draw(t, "more")...), s)
		for name, before := range got {
			for _, r := range before {
				if !slices.ContainsFunc(more[name], func(y row) bool { return y.id == r.id }) {
					t.Fatalf("row %d left %s when others came", r.id, name)
				}
			}
		}
	})
}

func TestWindowsAndPartsAreViews(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.write("slipway.yaml", `project: default
data:
  trips: {path: trips/, time: at, key: id, split: {by: time, parts: [train 75%, test 25%]}}
  rides: {path: rides.csv, split: {by: group, on: who, parts: [train 50%, test 50%]}}
`)
		var b strings.Builder
		b.WriteString("id,at,km\n")
		for i := range 40 {
			fmt.Fprintf(&b, "%d,2026-%02d-01 12:00:00,%d\n", i, 1+i/10, i)
		}
		w.write("trips/a.csv", b.String())
		w.write("rides.csv", "who,n\na,1\na,2\nb,3\nc,4\nd,5\ne,6\n")
		w.does("data", "add")
		contains(t, w.does("data", "sql", "SELECT count(*) AS n, min(km) AS low, max(km) AS high FROM trips@v1[2026-02..2026-03]", "--json"), "20", "10", "29")
		contains(t, w.does("data", "sql", "SELECT (SELECT max(km) FROM trips[train]) AS a, (SELECT min(km) FROM trips@v1[test]) AS b", "--json"), "29", "30")
		contains(t, w.does("data", "sql", "SELECT list_value(7, 8)[1] AS first", "--json"), "7")
		contains(t, w.does("data", "show", "trips[2026-03, train]", "--limit", "100", "--json"), "2026-03-01")
		contains(t, w.does("data", "show", "trips[2026-01..2026-04, test]", "--limit", "100", "--json"), "2026-04-01")
		contains(t, w.does("data", "profile", "trips@v1[2026-02]"), "10 rows")
		out := w.does("data", "cat", "trips[test]")
		if n := strings.Count(out, "\n"); n != 11 || !strings.HasPrefix(out, "id,at,km") {
			t.Errorf("%d lines:\n%s", n, out)
		}
		w.write("contract.yaml", "apiVersion: v3.1.0\nkind: DataContract\nschema:\n  - name: trips\n    quality: [{metric: rowCount, mustBe: 30}]\n")
		w.does("data", "check", "trips[train]", "--contract", "contract.yaml")
		w.fails(slipway.Refused, "broke its contract", "data", "check", "trips[test]", "--contract", "contract.yaml")
		contains(t, w.does("data", "split", "trips"), "train", "75.0 %", "2026-03-01 12:00:00")
		w.does("data", "split", "rides", "--by", "stratified", "--on", "who", "--folds", "2", "--out", "folds", "--format", "csv")
		if found, _ := filepath.Glob(filepath.Join(w.dir, "folds", "*.csv")); len(found) != 4 {
			t.Errorf("files of folds: %v", found)
		}
		for _, bad := range [][2]string{{"trips[vali]", "no part"}, {"trips[]", "empty"}, {"trips[2026-02", "close"}, {"trips[20x]", "not a day"}, {"rides[2026]", "no time"}} {
			w.fails(slipway.Invalid, bad[1], "data", "show", bad[0])
		}
		w.fails(slipway.Invalid, "100 %", "data", "split", "trips", "--parts", "a 50%")
		w.fails(slipway.Invalid, "no column", "data", "split", "trips", "--by", "group", "--on", "nobody", "--folds", "3")
	})
}
