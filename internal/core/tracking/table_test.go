package tracking

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
)

func ana(t *testing.T, role slipway.Role) context.Context {
	return slipway.WithPrincipal(t.Context(), slipway.Principal{Name: "ana", Role: role})
}

// A reader who jumps into the middle sees what one who pages there sees, in
// every order, and the count is that of all pages.
func TestSkipAgreesWithPaging(t *testing.T) {
	dbtest.Each(t, []db.Migration{Migration}, func(t *testing.T, d *db.DB) {
		if err := generate(t.Context(), d, 300); err != nil {
			t.Fatal(err)
		}
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			// Some runs have no m1, and some are steps.
			if _, err := tx.Exec(`DELETE FROM metric_series WHERE key = 'm1' AND run % 3 = 0`); err != nil {
				return err
			}
			_, err := tx.Exec(`UPDATE run SET kind = 'step' WHERE id % 2 = 0`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		s := New(Options{DB: d})
		ids := func(q Search) (out []string) {
			runs, _, err := s.SearchRuns(ana(t, slipway.Reader), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range runs {
				out = append(out, r.ID)
			}
			return out
		}
		for _, q := range []Search{
			{}, {Order: []string{"metrics.m1 DESC"}}, {Order: []string{"metrics.m1 ASC"}, Filter: "params.p0 = '3'"},
			{Order: []string{"params.p1 ASC"}}, {Filter: "metrics.m2 > 0.5"}, {Kind: KindStep, Order: []string{"metrics.m1 DESC"}}, {Filter: "attributes.run_name = 'run-7'"},
		} {
			q.Project, q.Limit = DefaultProject, 1000
			all := ids(q)
			n, err := s.CountRuns(ana(t, slipway.Reader), q)
			if err != nil || n != int64(len(all)) {
				t.Errorf("%+v: counted %d of %d, %v", q, n, len(all), err)
			}
			for skip := 0; skip <= len(all)+10; skip += 37 {
				q.Skip, q.Limit = skip, 20
				want := all[min(skip, len(all)):min(skip+20, len(all))]
				if got := ids(q); strings.Join(got, " ") != strings.Join(want, " ") {
					t.Errorf("%+v from %d: %d runs, want %d", q.Order, skip, len(got), len(want))
				}
			}
		}
	})
}

// The names are those of the project that is asked for, the most common first.
func TestKeysOfAProject(t *testing.T) {
	dbtest.Each(t, []db.Migration{Migration}, func(t *testing.T, d *db.DB) {
		if err := generate(t.Context(), d, 40); err != nil {
			t.Fatal(err)
		}
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(`DELETE FROM run_param WHERE key <> 'p0' AND run > 10`)
			if err != nil {
				return err
			}
			_, err = tx.Exec(`UPDATE run_param SET value = 'same' WHERE key = 'p1'`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		s := New(Options{DB: d})
		got, err := s.keys(ana(t, slipway.Reader), DefaultProject)
		if err != nil {
			t.Fatal(err)
		}
		if got.Runs != 40 || len(got.Metrics) != 5 || len(got.Tags) != 2 {
			t.Errorf("%+v", got)
		}
		want := []KeyCount{{"p0", 40, true}, {"p1", 10, false}}
		if diff := cmp.Diff(want, got.Params[:2]); diff != "" {
			t.Error(diff)
		}
		other, err := s.keys(ana(t, slipway.Reader), "elsewhere")
		if err != nil || other.Runs != 0 || len(other.Metrics) != 0 {
			t.Errorf("%+v, %v", other, err)
		}
	})
}

// heads stands in for the query engine.
type heads struct{ asked string }

func (h *heads) Head(_ context.Context, file, format string, limit int) (Table, error) {
	b, err := os.ReadFile(file)
	h.asked = fmt.Sprint(format, " ", limit, " ", string(b))
	return Table{Rows: [][]any{{1}}}, err
}

// An artifact is opened as a table by its extension, and only by its project.
func TestArtifactTable(t *testing.T) {
	dbtest.Each(t, []db.Migration{Migration}, func(t *testing.T, d *db.DB) {
		store, err := content.Open(t.TempDir(), content.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		s, ctx := New(Options{DB: d, Content: store}), ana(t, slipway.Writer)
		h := &heads{}
		s.o.Tables = h
		r, err := s.CreateRun(ctx, NewRun{Name: "tables"})
		if err != nil {
			t.Fatal(err)
		}
		for name, body := range map[string]string{"a/rows.parquet": "PAR1", "notes.txt": "x"} {
			if _, err := s.PutArtifact(ctx, Place{r.ID, name}, strings.NewReader(body)); err != nil {
				t.Fatal(err)
			}
		}
		ask := func(project, path string) error {
			_, err := s.artifactTable(ctx, TableOf{NamedRun{project, r.ID}, path, 7})
			return err
		}
		if err := ask(DefaultProject, "a/rows.parquet"); err != nil || h.asked != "parquet 7 PAR1" {
			t.Errorf("%v, asked %q", err, h.asked)
		}
		for _, c := range []struct {
			project, path string
			code          slipway.Code
		}{{DefaultProject, "notes.txt", slipway.Invalid}, {DefaultProject, "none.csv", slipway.NotFound}, {"elsewhere", "a/rows.parquet", slipway.NotFound}} {
			if err := ask(c.project, c.path); !slipway.IsCode(err, c.code) {
				t.Errorf("%s %s: %v, want %s", c.project, c.path, err, c.code)
			}
		}
	})
}
