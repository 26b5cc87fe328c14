package db_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	slipway "github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
)

// Breaking a rule of the schema gives the same code on both databases.
func TestBrokenRulesHaveCodes(t *testing.T) {
	dbtest.Each(t, shelf, func(t *testing.T, d *db.DB) {
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			if err := insertShelf("a")(tx); err != nil {
				return err
			}
			_, err := tx.Exec("INSERT INTO book VALUES (1, 't')")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for sql, want := range map[string]slipway.Code{
			"INSERT INTO shelf (name) VALUES ('a')":  slipway.Conflict,
			"INSERT INTO book VALUES (1, 't')":       slipway.Conflict,
			"INSERT INTO book VALUES (9, 't')":       slipway.Invalid,
			"DELETE FROM shelf WHERE id = 1":         slipway.Conflict,
			"INSERT INTO shelf (name) VALUES (NULL)": slipway.Invalid,
			"INSERT INTO nowhere VALUES (1)":         slipway.Internal,
		} {
			err := d.Write(t.Context(), func(tx *db.Tx) error {
				_, err := tx.Exec(sql)
				return err
			})
			if !slipway.IsCode(err, want) {
				t.Errorf("%s: %v, want %s", sql, err, want)
			}
		}
		err = d.Read(t.Context(), func(tx *db.Tx) error {
			var n int
			return tx.QueryRow("SELECT id FROM shelf WHERE name = ?", "z").Scan(&n)
		})
		if !slipway.IsCode(err, slipway.NotFound) {
			t.Errorf("no row: %v, want not found", err)
		}
	})
}

func TestReturningAndAffected(t *testing.T) {
	dbtest.Each(t, shelf, func(t *testing.T, d *db.DB) {
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			for want := int64(1); want <= 3; want++ {
				var id int64
				if err := tx.QueryRow("INSERT INTO shelf (name) VALUES (?) RETURNING id", fmt.Sprint(want)).Scan(&id); err != nil || id != want {
					t.Errorf("id %d, %v; want %d", id, err, want)
				}
			}
			if id, err := tx.InsertID("INSERT INTO shelf (name) VALUES (?)", "4"); err != nil || id != 4 {
				t.Errorf("InsertID gave %d, %v; want 4", id, err)
			}
			_, err := tx.InsertID("INSERT INTO shelf (name) VALUES (?) ON CONFLICT DO NOTHING", "1")
			if !slipway.IsCode(err, slipway.NotFound) {
				t.Errorf("InsertID of what is there: %v, want not found", err)
			}
			if n, err := tx.Exec("DELETE FROM shelf WHERE id = 4"); err != nil || n != 1 {
				t.Errorf("%d rows deleted, %v; want 1", n, err)
			}
			n, err := tx.Exec("UPDATE shelf SET name = name || 'x' WHERE id >= ?", 2)
			if err != nil || n != 2 {
				t.Errorf("%d rows changed, %v; want 2", n, err)
			}
			n, err = tx.Exec("INSERT INTO shelf (name) VALUES ('1') ON CONFLICT (name) DO NOTHING")
			if err != nil || n != 0 {
				t.Errorf("%d rows inserted, %v; want none", n, err)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := count(t, d, "SELECT count(*) FROM shelf"); n != 3 {
			t.Errorf("%d shelves, want 3", n)
		}
	})
}

// A failed statement ends the transaction even where fn looks away, unless Try
// shields it.
func TestAFailedStatementEndsTheTransaction(t *testing.T) {
	dbtest.Each(t, shelf, func(t *testing.T, d *db.DB) {
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			_ = insertShelf("a")(tx)
			_ = insertShelf("a")(tx)
			_ = insertShelf("b")(tx)
			return nil
		})
		if !slipway.IsCode(err, slipway.Conflict) {
			t.Errorf("an overlooked failure: %v, want a conflict", err)
		}
		if n := count(t, d, "SELECT count(*) FROM shelf"); n != 0 {
			t.Errorf("%d shelves stayed", n)
		}
		event := slipway.Event{Verb: "shelf.made", Subject: slipway.NewRef(slipway.KindRun, "1")}
		err = d.Write(t.Context(), func(tx *db.Tx) error {
			if err := insertShelf("a")(tx); err != nil {
				return err
			}
			err := tx.Try(func() error {
				if err := insertShelf("c")(tx); err != nil {
					return err
				}
				if err := tx.Record(event); err != nil {
					return err
				}
				return insertShelf("a")(tx)
			})
			if !slipway.IsCode(err, slipway.Conflict) {
				t.Errorf("Try: %v, want a conflict", err)
			}
			if err := tx.Try(func() error { return insertShelf("d")(tx) }); err != nil {
				return err
			}
			return tx.Record(event)
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := count(t, d, "SELECT count(*) FROM shelf WHERE name IN ('a', 'd')"); n != 2 || count(t, d, "SELECT count(*) FROM shelf") != 2 {
			t.Error("Try kept what failed, or lost what did not")
		}
		if head, err := d.VerifyEvents(t.Context()); err != nil || head.Number != 1 {
			t.Errorf("the log ends at %v, %v; want one event", head, err)
		}
	})
}

func TestMisuseIsRefused(t *testing.T) {
	dbtest.Each(t, shelf, func(t *testing.T, d *db.DB) {
		wants := func(err error, text string) {
			t.Helper()
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("got %v, want an error about %q", err, text)
			}
		}
		wants(d.Read(t.Context(), insertShelf("x")), "read transaction")
		wants(d.Write(t.Context(), func(tx *db.Tx) error {
			return d.Write(tx.Context(), insertShelf("x"))
		}), "inside a transaction")
		wants(d.Write(t.Context(), func(tx *db.Tx) error {
			if _, err := tx.Query("SELECT name FROM shelf"); err != nil {
				return err
			}
			return insertShelf("x")(tx)
		}), "still open")
		wants(d.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec("INSERT INTO shelf (name) VALUES (?)", "a", "b")
			return err
		}), "argument")
		var kept *db.Tx
		if err := d.Write(t.Context(), func(tx *db.Tx) error { kept = tx; return nil }); err != nil {
			t.Fatal(err)
		}
		wants(insertShelf("x")(kept), "over")
		if n := count(t, d, "SELECT count(*) FROM shelf"); n != 0 {
			t.Errorf("%d shelves were made by misuse", n)
		}
	})
}

// A panic goes to whoever caused it, and takes only his changes back.
func TestPanicReachesItsCaller(t *testing.T) {
	dbtest.Each(t, shelf, func(t *testing.T, d *db.DB) {
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				defer func() {
					if p := recover(); (p != nil) != (i%5 == 0) || p != nil && !strings.Contains(fmt.Sprint(p), "ouch") {
						t.Errorf("write %d: recovered %v", i, p)
					}
				}()
				err := d.Write(context.Background(), func(tx *db.Tx) error {
					if err := insertShelf(fmt.Sprint(i))(tx); err != nil {
						return err
					}
					if i%5 == 0 {
						if _, err := tx.Query("SELECT name FROM shelf"); err != nil {
							return err
						}
						panic("ouch")
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := count(t, d, "SELECT count(*) FROM shelf"); n != 40 {
			t.Errorf("%d shelves, want 40", n)
		}
	})
}

// fn may end its goroutine, as testing's FailNow does: the caller ends, the
// database goes on.
func TestGoexitEndsOnlyItsCaller(t *testing.T) {
	dbtest.Each(t, shelf, func(t *testing.T, d *db.DB) {
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				returned := false
				defer func() {
					if returned == (i%4 == 0) {
						t.Errorf("write %d returned: %v", i, returned)
					}
				}()
				err := d.Write(context.Background(), func(tx *db.Tx) error {
					if err := insertShelf(fmt.Sprint(i))(tx); err != nil {
						return err
					}
					if i%4 == 0 {
						runtime.Goexit()
					}
					return nil
				})
				returned = true
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := count(t, d, "SELECT count(*) FROM shelf"); n != 15 {
			t.Errorf("%d shelves, want 15", n)
		}
	})
}

// A caller whose context ends while he waits is not run; one whose context
// ends while he runs gets no further and leaves nothing.
func TestContextEnds(t *testing.T) {
	dbtest.Each(t, shelf, func(t *testing.T, d *db.DB) {
		over, cancel := context.WithCancel(t.Context())
		cancel()
		err := d.Write(over, func(*db.Tx) error { t.Error("ran after its end"); return nil })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("an ended context: %v", err)
		}
		running, cancel := context.WithCancel(t.Context())
		err = d.Write(running, func(tx *db.Tx) error {
			if err := insertShelf("a")(tx); err != nil {
				return err
			}
			cancel()
			return insertShelf("b")(tx)
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("a context that ended meanwhile: %v", err)
		}
		reading, cancel := context.WithCancel(t.Context())
		err = d.Read(reading, func(tx *db.Tx) error {
			cancel()
			var n int
			return tx.QueryRow("SELECT count(*) FROM shelf").Scan(&n)
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("a read whose context ended: %v", err)
		}
		if n := count(t, d, "SELECT count(*) FROM shelf"); n != 0 {
			t.Errorf("%d shelves stayed", n)
		}
	})
}

// A long statement of a read ends with its context.
func TestLongReadIsInterrupted(t *testing.T) {
	dbtest.Each(t, nil, func(t *testing.T, d *db.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		started := make(chan struct{})
		go func() { <-started; cancel() }()
		err := d.Read(ctx, func(tx *db.Tx) error {
			close(started)
			var n int
			return tx.QueryRow("WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 2000000000) SELECT count(*) FROM c").Scan(&n)
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if n := count(t, d, "SELECT count(*) FROM event"); n != 0 {
			t.Error("the connection is of no use afterwards")
		}
	})
}

// A read keeps seeing what it saw first, whatever is written meanwhile.
func TestReadSeesOneSnapshot(t *testing.T) {
	dbtest.Each(t, shelf, func(t *testing.T, d *db.DB) {
		err := d.Read(t.Context(), func(tx *db.Tx) error {
			for range 3 {
				var n int
				if err := tx.QueryRow("SELECT count(*) FROM shelf").Scan(&n); err != nil || n != 0 {
					return fmt.Errorf("%d shelves, %w", n, err)
				}
				if err := d.Write(t.Context(), func(tx *db.Tx) error {
					return insertShelf(fmt.Sprint(tx.Now(), count(t, d, "SELECT count(*) FROM shelf")))(tx)
				}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// Reading a maximum and writing the next number is safe, as it is wherever
// writers take turns: no number is given twice, nobody fails.
func TestWritesAreSerializable(t *testing.T) {
	dbtest.Each(t, shelf, func(t *testing.T, d *db.DB) {
		if err := d.Write(t.Context(), insertShelf("versions")); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 10 {
					err := d.Write(context.Background(), func(tx *db.Tx) error {
						var n int
						if err := tx.QueryRow("SELECT count(*) FROM book WHERE shelf = 1").Scan(&n); err != nil {
							return err
						}
						_, err := tx.Exec("INSERT INTO book (shelf, title) VALUES (1, ?)", fmt.Sprintf("v%03d", n+1))
						return err
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		var titles []string
		err := d.Read(t.Context(), func(tx *db.Tx) (err error) {
			titles, err = db.All(tx, func(s db.Scanner) (v string, err error) { return v, s.Scan(&v) }, "SELECT title FROM book ORDER BY title")
			return err
		})
		var want []string
		for i := range 80 {
			want = append(want, fmt.Sprintf("v%03d", i+1))
		}
		if diff := cmp.Diff(want, titles); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	})
}
