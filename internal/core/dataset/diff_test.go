package dataset_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/core/dataset"
	"github.com/slipway-ml/slipway/internal/kit/query"
)

// two makes two versions of t.csv.
func (w *world) two(before, after string) {
	w.t.Helper()
	w.write("t.csv", before)
	w.does("data", "add", "t.csv")
	w.write("t.csv", after)
	w.does("data", "add", "t.csv")
}

func (w *world) rows(q dataset.Compare) *dataset.RowDiff {
	w.t.Helper()
	d, err := w.s.Diff(w.t.Context(), cli.DefaultProject, "t", q)
	if err != nil {
		w.t.Fatal(err)
	}
	return d.ByKey
}

func TestRowsDifferByKey(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.two("id,a,x,s\n1,1,1.5,p\n2,2,2.5,\n3,3,3.5,r\n4,4,,s\n", "id,a,x,s,fresh\n1,1,1.5,p,u\n2,7,2.5,q,v\n4,4,4.0000001,s,w\n5,5,5.5,t,x\n")
		r := w.rows(dataset.Compare{Key: []string{"id"}, Keep: true})
		text := func(s string) *string { return &s }
		want := &dataset.RowDiff{Key: []string{"id"}, Added: 1, Removed: 1, Changed: 2, Columns: map[string]int64{"a": 1, "s": 1, "x": 1}, Rows: r.Rows, Sample: []dataset.RowChange{
			{Key: "2", Change: "changed", Cells: []dataset.CellChange{{"a", text("2"), text("7")}, {"s", nil, text("q")}}},
			{Key: "3", Change: "removed", Cells: []dataset.CellChange{{"a", text("3"), nil}, {"x", text("3.5"), nil}, {"s", text("r"), nil}}},
			{Key: "4", Change: "changed", Cells: []dataset.CellChange{{"x", nil, text("4.0000001")}}},
			{Key: "5", Change: "added", Cells: []dataset.CellChange{{"a", nil, text("5")}, {"x", nil, text("5.5")}, {"s", nil, text("t")}, {"fresh", nil, text("x")}}},
		}}
		if diff := cmp.Diff(want, r); diff != "" {
			t.Error(diff)
		}
		if _, err := w.content.Open(t.Context(), r.Rows); err != nil {
			t.Error("the rows that differ are not kept:", err)
		}
		if r := w.rows(dataset.Compare{Key: []string{"id"}, Ignore: []string{"x", "s"}}); r.Changed != 1 {
			t.Errorf("ignored columns are compared: %+v", r)
		}
		out := w.does("data", "diff", "t@v1", "@v2", "--key", "id", "--html", "d.html", "--parquet", "d.parquet")
		contains(t, out, "rows by id: 1 added, 1 removed, 2 changed", "changed  2  a: 2 → 7  s: missing → q")
		page, err := os.ReadFile(filepath.Join(w.dir, "d.html"))
		if err != nil {
			t.Fatal(err)
		}
		contains(t, string(page), "<del>2</del>", "<ins>7</ins>", "t@v1 → t@v2")
		engine := query.New(query.Options{Command: []string{os.Args[0]}, Env: []string{"SLIPWAY_TEST_WORKER=1"}, TempDir: t.TempDir()})
		defer engine.Close()
		res, err := engine.Run(t.Context(), query.Request{Tables: []query.Table{{Name: "d", Files: []string{filepath.Join(w.dir, "d.parquet")}}},
			SQL: `SELECT slipway_change, id, "old.a", "new.a" FROM d ORDER BY id`})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([][]any{{"changed", int64(2), int64(2), int64(7)}, {"removed", int64(3), int64(3), nil}, {"changed", int64(4), int64(4), int64(4)}, {"added", int64(5), nil, int64(5)}}, res.Rows); diff != "" {
			t.Error(diff)
		}
	})
}

func TestFloatsDifferBeyondTolerance(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.two("id,x,s\n1,1.0,a\n2,1000000.0,b\n3,0.001,c\n4,2.0,d\n5,,e\n", "id,x,s\n1,1.0000001,a\n2,1000000.5,b\n3,0.002,c\n4,2.0,D\n5,5.5,e\n")
		if r := w.rows(dataset.Compare{Key: []string{"id"}}); r.Changed != 5 || r.Columns["x"] != 4 {
			t.Errorf("%+v", r)
		}
		r := w.rows(dataset.Compare{Key: []string{"id"}, Tolerance: 1e-6})
		if r.Changed != 3 || r.Columns["x"] != 2 || r.Columns["s"] != 1 || r.Sample[0].Key != "3" {
			t.Errorf("%+v", r)
		}
	})
}

func TestRowsWithoutAKeyAreAMultiset(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.two("a,b\n1,x\n1,x\n1,x\n2,y\n3,z\n", "a,b\n1,x\n3,z\n3,z\n2,Y\n")
		r := w.rows(dataset.Compare{})
		if r.Added != 2 || r.Removed != 3 || len(r.Key) != 0 || len(r.Sample) != 4 {
			t.Errorf("%+v", r)
		}
		out := w.does("data", "diff", "t")
		contains(t, out, "rows, compared whole: 2 added, 3 removed", "2 times  a: 1  b: x", "a: 2  b: Y")
	})
}

func TestAKeyThatIsNone(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.two("id,a\n1,1\n1,2\n,3\n", "id,a\n1,1\n1,3\n,3\n")
		w.fails(slipway.Invalid, "id is not a key of t@v1: 2 rows", "data", "diff", "t", "--key", "id")
		w.fails(slipway.Invalid, "has no column nosuch", "data", "diff", "t", "--key", "nosuch")
		w.write("slipway.yaml", "project: default\ndata:\n  t: {path: t.csv, key: id}\n")
		w.does("data", "add", "t")
		w.write("t.csv", "id,a\n1,1\n1,4\n,3\n")
		w.does("data", "add", "t")
		contains(t, w.does("data", "diff", "t"), "so rows are compared whole", "1 added, 1 removed")
	})
}

// TestTypesThatChangedAreComparedAsText is a code that became a number, and a
// key that did.
func TestTypesThatChangedAreComparedAsText(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.two("id,n\na,x1\n2,5\n3,6\n", "id,n\n1,4\n2,5\n3,7\n")
		r := w.rows(dataset.Compare{Key: []string{"id"}})
		if r.Added != 1 || r.Removed != 1 || r.Changed != 1 || r.Columns["n"] != 1 {
			t.Errorf("%+v", r)
		}
	})
}

// TestDiffAgreesWithALoop compares with what a plain loop over maps says.
func TestDiffAgreesWithALoop(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var before, after strings.Builder
		before.WriteString("day,n,x,s\n")
		after.WriteString("day,n,x,s\n")
		added, removed, changed := int64(0), int64(0), int64(0)
		for i := range 5000 {
			row := fmt.Sprintf("2024-01-%02d,%d,%d.5,s%d\n", 1+i%28, i/28, i*7, i%13)
			switch {
			case i%17 == 3:
				removed++
				before.WriteString(row)
			case i%19 == 4:
				added++
				after.WriteString(row)
			case i%11 == 5:
				changed++
				before.WriteString(row)
				after.WriteString(strings.Replace(row, ".5,s", ".25,s", 1))
			default:
				before.WriteString(row)
				after.WriteString(row)
			}
		}
		w.two(before.String(), after.String())
		r := w.rows(dataset.Compare{Key: []string{"day", "n"}})
		if r.Added != added || r.Removed != removed || r.Changed != changed || r.Columns["x"] != changed || len(r.Columns) != 1 {
			t.Errorf("%+v, want %d added, %d removed, %d changed", r, added, removed, changed)
		}
		whole := w.rows(dataset.Compare{})
		if whole.Added != added+changed || whole.Removed != removed+changed {
			t.Errorf("whole: %+v", whole)
		}
	})
}
