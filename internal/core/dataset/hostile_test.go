package dataset_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/dataset"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
)

func TestHostileFiles(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		bomb := "id,x\n" + strings.Repeat("0", 64<<20)
		w.write("bomb.csv.gz", strings.Repeat(gzipped(t, bomb), 20))
		w.fails(slipway.Invalid, "bomb.csv.gz unpacks to more than", "data", "add", "bomb.csv.gz")
		w.write("bad.parquet", "PAR1"+strings.Repeat("\xff\x15\x00", 1000)+"\xff\xff\xff\x7fPAR1")
		w.fails(slipway.Invalid, "bad.parquet", "data", "add", "bad.parquet")
		w.write("torn.parquet", "PAR1")
		w.fails(slipway.Invalid, "torn.parquet", "data", "add", "torn.parquet")
		if out := w.does("data", "ls"); strings.Contains(out, "@v1") {
			t.Errorf("hostile files became versions:\n%s", out)
		}
		contains(t, w.does("data", "fsck"), "nothing is damaged")
	})
}

// A file that kills who reads it kills a child: the command says so, and nothing
// is left of it.
func TestReaderThatDies(t *testing.T) {
	dbtest.Each(t, []db.Migration{dataset.Migration, dataset.NameMigration}, func(t *testing.T, d *db.DB) {
		w := worldWith(t, d, "dies")
		w.write("evil.parquet", "PAR1 and what kills PAR1")
		w.fails(slipway.Unavailable, "", "data", "add", "evil.parquet")
		w.fails(slipway.NotFound, "no version", "data", "log", "evil")
		w.does("data", "add", "evil.parquet", "--format", "files")
	})
}

// A link is taken for the file that it means; one that leads in circles, to a
// folder or to a device adds nothing, and no path climbs out.
func TestLinksAndClimbing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		outside := filepath.Join(t.TempDir(), "secret.csv")
		if err := os.WriteFile(outside, []byte("id,x\n7,8\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		w.write("in/a.csv", "id,x\n1,2\n")
		for name, to := range map[string]string{"in/circle": ".", "in/device": "/dev/zero", "in/folder": filepath.Dir(outside)} {
			if err := os.Symlink(to, filepath.Join(w.dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		w.does("data", "add", "in/")
		if v := w.newest("in"); v.Files != 1 || v.Rows != 1 {
			t.Errorf("%d rows in %d files", v.Rows, v.Files)
		}
		w.write("slipway.yaml", "project: default\ndata: {a: {path: ../elsewhere}}\n")
		w.fails(slipway.Invalid, "outside the project", "data", "add", "a")
		if err := os.Remove(filepath.Join(w.dir, "slipway.yaml")); err != nil {
			t.Fatal(err)
		}
		w.fails(slipway.NotFound, "no file", "data", "cat", "in", "../../etc/passwd")
		w.fails(slipway.Invalid, "name", "data", "add", "x", "--from", "exec:true", "--name", "../x")
	})
}
