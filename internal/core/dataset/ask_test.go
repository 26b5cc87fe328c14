package dataset_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
)

func TestSQLOverVersions(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.two("id,x\n1,2\n2,3\n", "id,x\n1,2\n2,30\n3,4\n")
		w.write("feed-2013.csv", "id,y\n3,z\n")
		w.does("data", "add", "feed-2013.csv")
		rows, err := w.s.Ask(t.Context(), cli.DefaultProject, "SELECT b.id, a.x, b.x, 't@v1' AS s, f.y FROM t@v1 a RIGHT JOIN t b USING (id) LEFT JOIN feed-2013 f ON f.id = b.id -- t@v9\n WHERE b.x > 2 ORDER BY 1", 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([][]any{{int64(2), int64(3), int64(30), "t@v1", nil}, {int64(3), nil, int64(4), "t@v1", "z"}}, rows.Rows); diff != "" {
			t.Error(diff)
		}
		contains(t, w.does("data", "sql", "SELECT count(*) AS n FROM range(500)"), "500")
		contains(t, w.does("data", "sql", "SELECT * FROM range(500)", "--limit", "5"), "the first 5 rows")
		w.fails(slipway.NotFound, "no version 7", "data", "sql", "SELECT * FROM t@v7")
		w.fails(slipway.NotFound, "dataset nosuch", "data", "sql", "SELECT * FROM nosuch@v1")
		w.fails(slipway.Denied, "", "data", "sql", "SELECT * FROM read_csv('/etc/passwd')")
		w.fails(slipway.Denied, "", "data", "sql", "COPY t TO '/tmp/x.csv'")
		w.fails(slipway.Invalid, "", "data", "sql", "DROP VIEW t")
	})
}

func TestReleasedBatchIsUsedOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.kept()
		w.write("feed/03.csv", month(3, 5, func(i int) float64 { return 1.609344 * steady(i) }))
		w.fails(slipway.Refused, "", "data", "add", "trips", "--append", "feed/03.csv")
		all, err := w.s.Quarantine(t.Context(), cli.DefaultProject, "")
		if err != nil || len(all) != 1 {
			t.Fatal(err, all)
		}
		id := all[0].ID[:8]
		w.fails(slipway.Invalid, "needs a reason", "data", "release", id)
		w.fails(slipway.NotFound, "no batch", "data", "release", "ffffffff", "--reason", "x")
		contains(t, w.does("data", "release", id, "--reason", "the meter was changed"), "trips@v2")
		v := w.newest("trips")
		if v.Released == nil || v.Released.Reason != "the meter was changed" || v.Released.Actor != "ana" || v.Files != 3 || v.Verdict != "refuse" {
			t.Errorf("%+v", v)
		}
		w.fails(slipway.Conflict, "released this batch already", "data", "release", id, "--reason", "again")
		contains(t, w.does("data", "quarantine"), "v2 by ana: the meter was changed")
		// The next batch is checked alone, as after any version.
		w.write("feed/04.csv", month(4, 5, steady))
		contains(t, w.does("data", "add", "trips", "--append", "feed/04.csv"), "trips@v3")
	})
}

func TestContractIsTestedOnHistory(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.two("id,x\n1,2\n2,3\n", "id,x\n1,2\n2,3\n3,40\n")
		w.write("c.yaml", "schema: [{name: t, properties: [{name: id, unique: true}, {name: x, logicalTypeOptions: {maximum: 10}}]}]")
		out := w.fails(slipway.Refused, "refuses 1 of 2 versions", "data", "contract", "test", "t", "--contract", "c.yaml")
		contains(t, out, "t@v1", "t@v2", "x: at most 10")
		w.fails(slipway.Refused, "", "data", "check", "t", "--contract", "c.yaml", "--html", "r.html")
		page, err := os.ReadFile(filepath.Join(w.dir, "r.html"))
		if err != nil || !strings.Contains(string(page), "at most 10") {
			t.Error(err, string(page))
		}
		contains(t, w.does("data", "profile", "t@v1", "@v2"), "t@v1 → t@v2")
	})
}

// TestHostileParquet is a file that looks like Parquet and is broken in its
// middle: the error names it, and the server goes on.
func TestHostileParquet(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.write("bad.parquet", "PAR1"+strings.Repeat("\xff\x15\x04", 4000)+"\xf0\xff\xff\x7fPAR1")
		w.fails(slipway.Invalid, "bad.parquet", "data", "add", "bad.parquet")
		w.write("worse.parquet", "PAR1"+strings.Repeat("\x15\x00\xff\xff\xff\xff\x0f", 4000)+"\x60\x6d\x00\x00PAR1")
		if _, err := w.slipway("data", "add", "worse.parquet"); err == nil || slipway.AsError(err).Code == slipway.Internal {
			t.Errorf("%v", err)
		}
		w.two("id,x\n1,2\n", "id,x\n1,3\n")
	})
}
