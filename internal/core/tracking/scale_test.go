package tracking

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
)

// generate writes n runs of two experiments straight into the tables, five
// metrics, five params and two tags each.
func generate(ctx context.Context, d *db.DB, n int) error {
	const part, each = 10_000, 5
	if err := d.Write(ctx, func(tx *db.Tx) error {
		_, err := addExperiment(tx, NewExperiment{Project: DefaultProject, Name: "other"})
		return err
	}); err != nil {
		return err
	}
	for from := 0; from < n; from += part {
		size := min(part, n-from)
		id := func(i int) int64 { return int64(from + i + 1) }
		spread := func(i, m int) float64 { return float64(id(i)*int64(7919+m*104729)%1_000_003) / 1_000_003 }
		err := d.Write(ctx, func(tx *db.Tx) error {
			err := tx.InsertRows("run", []string{"id", "uuid", "project", "experiment", "name", "kind", "status", "actor", "started", "ended", "stage"},
				size, func(i int) []any {
					return []any{id(i), fmt.Sprintf("%032x", id(i)*2654435761), DefaultProject, id(i) % 2, fmt.Sprint("run-", id(i)), "client", "FINISHED", "ana",
						1_700_000_000_000_000 + id(i)*1_000_000, 1_700_000_000_500_000 + id(i)*1_000_000, "active"}
				})
			if err != nil {
				return err
			}
			err = tx.InsertRows("run_param", []string{"run", "key", "value"}, size*each, func(i int) []any {
				return []any{id(i / each), fmt.Sprint("p", i%each), fmt.Sprint(id(i/each) * 7919 >> (i % each) % 10)}
			})
			if err != nil {
				return err
			}
			err = tx.InsertRows("run_tag", []string{"run", "key", "value"}, size*2, func(i int) []any {
				return []any{id(i / 2), []string{"mlflow.runName", "mlflow.user"}[i%2], []string{fmt.Sprint("run-", id(i/2)), "ana"}[i%2]}
			})
			if err != nil {
				return err
			}
			return tx.InsertRows("metric_series", []string{"run", "key", "model", "dataset", "digest", "last_step", "last_time", "last_value", "n", "loose"},
				size*each, func(i int) []any {
					return []any{id(i / each), fmt.Sprint("m", i%each), "", "", "", 0, 1, spread(i/each, i%each), 1, 1}
				})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// However a search begins, along its order or with the runs that an index names
// for one condition, it finds the same runs in the same order, page by page.
func TestPlansAgree(t *testing.T) {
	dbtest.Each(t, []db.Migration{Migration}, func(t *testing.T, d *db.DB) {
		if err := generate(t.Context(), d, 700); err != nil {
			t.Fatal(err)
		}
		s := New(Options{DB: d})
		long := strings.Repeat("é", 80)
		change := []struct {
			sql  string
			args []any
		}{
			{`UPDATE metric_series SET last_value = ? WHERE key = 'm1' AND run % 9 = 0`, []any{math.NaN()}},
			{`DELETE FROM metric_series WHERE key = 'm1' AND run % 7 = 0`, nil},
			{`UPDATE metric_series SET last_value = 0.25 WHERE key = 'm1' AND run % 5 = 0`, nil},
			{`UPDATE run_param SET value = ? || value WHERE key = 'p2'`, []any{long}},
			{`UPDATE run SET stage = 'deleted' WHERE id % 11 = 0`, nil},
		}
		for _, c := range change {
			if err := s.write(t.Context(), func(tx *db.Tx) error { _, err := tx.Exec(c.sql, c.args...); return err }); err != nil {
				t.Fatal(err)
			}
		}
		for _, filter := range []string{"params.p1 = '3'", "metrics.m1 <= 0.25 AND params.p0 = '4'", "params.p2 = '" + long + "7'",
			"attributes.run_name = 'run-77'", "tags.`mlflow.user` = 'ana' AND metrics.m0 > 0.1 AND metrics.m1 < 0.9", "params.p1 = 'none'"} {
			for _, order := range [][]string{nil, {"metrics.m1 DESC"}, {"metrics.m1 ASC"}, {"params.p0 ASC"}} {
				q := Search{Experiments: []int64{1, 0, 1}, Filter: filter, Order: order, Limit: 40}
				f, err := newRunFinder("", q)
				if err != nil {
					t.Fatal(err)
				}
				want := everyPage(t, s, q, nil)
				for i := range f.where.source {
					if diff := cmp.Diff(want, everyPage(t, s, q, &i)); diff != "" {
						t.Errorf("%s by %v, beginning with source %d: %s", filter, order, i, diff)
					}
				}
			}
		}
	})
}

// everyPage is the numbers of all runs of a search, planned to begin with one
// source, or along its order.
func everyPage(t *testing.T, s *Service, q Search, source *int) (all []int64) {
	for {
		f, err := newRunFinder("", q)
		if err != nil {
			t.Fatal(err)
		}
		if source != nil {
			f.few = &f.where.source[*source]
		}
		var found []foundRun
		if err := s.read(t.Context(), func(tx *db.Tx) (err error) { found, err = f.find(tx); return err }); err != nil {
			t.Fatal(err)
		}
		more := len(found) > f.limit
		if more {
			found = found[:f.limit]
			q.Page = f.next(found)
		}
		for _, r := range found {
			all = append(all, r.number)
		}
		if !more {
			return all
		}
	}
}

// BenchmarkScale searches 100 of as many runs as SLIPWAY_BENCH_RUNS lists,
// such as "10000 100000 1000000": what is asked for is the same, so the times
// should be, too. With SLIPWAY_TEST_POSTGRES it searches there as well.
func BenchmarkScale(b *testing.B) {
	sizes := os.Getenv("SLIPWAY_BENCH_RUNS")
	if sizes == "" {
		sizes = "10000"
	}
	for _, size := range strings.Fields(sizes) {
		n, err := strconv.Atoi(size)
		if err != nil {
			b.Fatal(err)
		}
		for name, dsn := range map[string]func() string{
			"sqlite":   func() string { return filepath.Join(b.TempDir(), "x.db") },
			"postgres": func() string { return dbtest.Postgres(b) },
		} {
			if name == "postgres" && os.Getenv("SLIPWAY_TEST_POSTGRES") == "" {
				continue
			}
			d := dbtest.Open(b, dsn(), db.Options{Migrations: []db.Migration{Migration}})
			if err := generate(b.Context(), d, n); err != nil {
				b.Fatal(err)
			}
			benchSearches(b, New(Options{DB: d}), name+"/"+size)
		}
	}
}

func benchSearches(b *testing.B, s *Service, name string) {
	ctx := slipway.WithPrincipal(b.Context(), slipway.Principal{Name: "ana", Role: slipway.Writer})
	for _, q := range []struct {
		name string
		Search
	}{
		{"newest", Search{}},
		{"newest-of-two", Search{Experiments: []int64{0, 1}}},
		{"common", Search{Filter: "metrics.m1 > 0.5 AND params.p1 = '3'"}},
		{"rare", Search{Filter: "metrics.m1 > 0.9999 AND params.p1 = '3'"}},
		{"none", Search{Filter: "params.p1 = 'none'"}},
		{"named", Search{Filter: "attributes.run_name = 'run-77'"}},
		{"liked", Search{Filter: "tags.`mlflow.runName` LIKE '%99%'"}},
		{"metric", Search{Order: []string{"metrics.m1 DESC"}}},
		{"metric-up", Search{Order: []string{"metrics.m1 ASC"}}},
		{"metric-filtered", Search{Filter: "params.p1 = '3'", Order: []string{"metrics.m1 DESC"}}},
		{"param", Search{Order: []string{"params.p1 ASC"}}},
		{"start", Search{Order: []string{"attributes.start_time ASC"}}},
		{"name", Search{Order: []string{"attributes.run_name ASC"}}},
	} {
		if q.Limit = 100; q.Experiments == nil {
			q.Experiments = []int64{0}
		}
		b.Run(name+"/"+q.name, func(b *testing.B) {
			began := time.Now()
			for range b.N {
				if _, _, err := s.SearchRuns(ctx, q.Search); err != nil {
					b.Fatal(err)
				}
				if time.Since(began) > 20*time.Second {
					b.Fatal("gave up")
				}
			}
		})
	}
}
