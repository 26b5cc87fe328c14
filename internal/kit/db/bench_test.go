package db_test

import (
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	slipway "github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
)

var points = []db.Migration{{Name: "point", Statements: []string{
	`CREATE TABLE point (series BIGINT NOT NULL, step BIGINT NOT NULL, value DOUBLE PRECISION NOT NULL, PRIMARY KEY (series, step)) WITHOUT ROWID`,
}}}

// BenchmarkWrite is what callers who each wait for their own small durable
// write get together, beside the disk's own rate of syncs after 4 KB.
func BenchmarkWrite(b *testing.B) {
	b.Run("fsync", benchFsync)
	for name, callers := range map[string]int{"1": 1, "8": 8, "64": 64} {
		b.Run("sqlite/"+name, func(b *testing.B) { benchWrite(b, filepath.Join(b.TempDir(), "x.db"), callers, false) })
		b.Run("sqlite/event/"+name, func(b *testing.B) { benchWrite(b, filepath.Join(b.TempDir(), "x.db"), callers, true) })
		b.Run("postgres/"+name, func(b *testing.B) { benchWrite(b, dbtest.Postgres(b), callers, false) })
	}
}

func benchFsync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "f"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, 4120)
	for b.Loop() {
		if _, err := f.Write(page); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
}

func benchWrite(b *testing.B, dsn string, callers int, event bool) {
	d := dbtest.Open(b, dsn, db.Options{Migrations: points})
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	start := time.Now()
	for c := range callers {
		wg.Go(func() {
			for {
				i := next.Add(1)
				if i > int64(b.N) {
					return
				}
				err := d.Write(b.Context(), func(tx *db.Tx) error {
					if _, err := tx.Exec("INSERT INTO point (series, step, value) VALUES (?, ?, ?)", c, i, 0.5); err != nil || !event {
						return err
					}
					return tx.Record(slipway.Event{Verb: "point.made", Subject: slipway.NewRef(slipway.KindRun, "r")})
				})
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "op/s")
}

// BenchmarkRead is a small read by key, and the rows of a long scan.
func BenchmarkRead(b *testing.B) {
	d := dbtest.Open(b, filepath.Join(b.TempDir(), "x.db"), db.Options{Migrations: points})
	const rows = 100_000
	err := d.Write(b.Context(), func(tx *db.Tx) error {
		for i := range rows {
			if _, err := tx.Exec("INSERT INTO point VALUES (1, ?, ?)", i, 0.5); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("key", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			err := d.Read(b.Context(), func(tx *db.Tx) error {
				var v float64
				return tx.QueryRow("SELECT value FROM point WHERE series = 1 AND step = ?", 500).Scan(&v)
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("scan", func(b *testing.B) {
		for b.Loop() {
			err := d.Read(b.Context(), func(tx *db.Tx) error {
				q, err := tx.Query("SELECT step, value FROM point WHERE series = 1")
				if err != nil {
					return err
				}
				defer q.Close()
				var n int64
				var v float64
				for q.Next() {
					if err := q.Scan(&n, &v); err != nil {
						return err
					}
				}
				return q.Err()
			})
			if err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
}
