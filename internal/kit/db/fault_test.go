package db_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	slipway "github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
)

// together runs n writes at once and returns their errors.
func together(d *db.DB, n int, fn func(i int, tx *db.Tx) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			errs[i] = d.Write(context.Background(), func(tx *db.Tx) error { return fn(i, tx) })
		})
	}
	wg.Wait()
	return errs
}

// A full disk ends the transaction that all callers of a batch share. Whoever
// wants too much is told; the others are kept.
func TestFullDiskHurtsOnlyWhoFillsIt(t *testing.T) {
	d := dbtest.Open(t, filepath.Join(t.TempDir(), "x.db"), db.Options{Migrations: values})
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		var pages int
		return tx.QueryRow("PRAGMA max_page_count = 60").Scan(&pages)
	})
	if err != nil {
		t.Fatal(err)
	}
	errs := together(d, 100, func(i int, tx *db.Tx) error {
		size := 10
		if i%10 == 0 {
			size = 1 << 20
		}
		_, err := tx.Exec("INSERT INTO value (id, b) VALUES (?, ?)", i, make([]byte, size))
		if err == nil && i%10 == 0 {
			t.Error("a large value found room")
		}
		return errors.Join(err, tx.Record(slipway.Event{Verb: "x.y"}))
	})
	for i, err := range errs {
		if i%10 == 0 && !slipway.IsCode(err, slipway.Unavailable) || i%10 != 0 && err != nil {
			t.Errorf("write %d: %v", i, err)
		}
	}
	if n := count(t, d, "SELECT count(*) FROM value"); n != 90 {
		t.Errorf("%d rows, want 90", n)
	}
	if head, err := d.VerifyEvents(t.Context()); err != nil || head.Number != 90 {
		t.Errorf("the log ends at %+v, %v; want event 90", head, err)
	}
}

// A caller that fails after it has changed something is taken back, and none of
// the others with it; they may run twice and count once.
func TestFailureInTheMiddleHurtsOnlyItself(t *testing.T) {
	dbtest.Each(t, values, func(t *testing.T, d *db.DB) {
		bad := errors.New("changed my mind")
		for round := range 3 {
			errs := together(d, 60, func(i int, tx *db.Tx) (err error) {
				if _, err = tx.Exec("INSERT INTO value (id, n) VALUES (?, 1)", 1000*round+i); err != nil {
					return err
				}
				if err = tx.Record(slipway.Event{Verb: "x.y"}); err == nil && i%7 == 3 {
					err = bad
				}
				return err
			})
			for i, err := range errs {
				if i%7 == 3 && !errors.Is(err, bad) || i%7 != 3 && err != nil {
					t.Errorf("write %d: %v", i, err)
				}
			}
		}
		const want = 3 * (60 - 9)
		if n := count(t, d, "SELECT count(*) FROM value WHERE id % 1000 % 7 <> 3"); n != want {
			t.Errorf("%d rows, want %d", n, want)
		}
		if n := count(t, d, "SELECT count(*) FROM value"); n != want {
			t.Errorf("%d rows in all, want %d", n, want)
		}
		if head, err := d.VerifyEvents(t.Context()); err != nil || head.Number != want {
			t.Errorf("the log ends at %+v, %v; want event %d", head, err, want)
		}
	})
}

// A disk that fails to sync: nobody is told that all is well, nothing runs a
// second time, and once the disk is back the database goes on by itself.
func TestFailedSyncIsNotAcknowledged(t *testing.T) {
	d := dbtest.Open(t, filepath.Join(t.TempDir(), "x.db"), db.Options{Migrations: values})
	var ran atomic.Int64
	add := func(from int) []error {
		return together(d, 20, func(i int, tx *db.Tx) error {
			ran.Add(1)
			_, err := tx.Exec("INSERT INTO value (id) VALUES (?)", from+i)
			return err
		})
	}
	d.SetSync(func(*os.File) error { return syscall.EIO })
	for i, err := range add(0) {
		if !slipway.IsCode(err, slipway.Unavailable) {
			t.Errorf("write %d while the disk fails: %v", i, err)
		}
	}
	if n := ran.Load(); n != 20 {
		t.Errorf("%d calls of 20 writes", n)
	}
	d.SetSync(nil)
	for i, err := range add(100) {
		if err != nil {
			t.Errorf("write %d after the disk is back: %v", i, err)
		}
	}
	if n := count(t, d, "SELECT count(*) FROM value WHERE id >= 100"); n != 20 {
		t.Errorf("%d rows, want 20", n)
	}
}

// A deferred foreign key fails the commit itself. The guilty one is found.
func TestFailedCommitHurtsOnlyItsCause(t *testing.T) {
	family := []db.Migration{{Name: "family", Statements: []string{
		`CREATE TABLE person (id BIGINT PRIMARY KEY, parent BIGINT REFERENCES person(id) DEFERRABLE INITIALLY DEFERRED)`,
	}}}
	dbtest.Each(t, family, func(t *testing.T, d *db.DB) {
		errs := together(d, 60, func(i int, tx *db.Tx) error {
			parent := i
			if i%6 == 0 {
				parent = 1000 + i
			}
			if _, err := tx.Exec("INSERT INTO person (id, parent) VALUES (?, ?)", i, parent); err != nil {
				return err
			}
			return tx.Record(slipway.Event{Verb: "person.born", Subject: slipway.NewRef(slipway.KindPrincipal, fmt.Sprint(i))})
		})
		for i, err := range errs {
			if i%6 == 0 && !slipway.IsCode(err, slipway.Invalid) || i%6 != 0 && err != nil {
				t.Errorf("write %d: %v", i, err)
			}
		}
		if n := count(t, d, "SELECT count(*) FROM person"); n != 50 {
			t.Errorf("%d persons, want 50", n)
		}
		if head, err := d.VerifyEvents(t.Context()); err != nil || head.Number != 50 {
			t.Errorf("the log ends at %+v, %v; want event 50", head, err)
		}
	})
}

// Filters that users write make ever new statements; the cache stays bounded
// and none of them is confused with another.
func TestManyDifferentStatements(t *testing.T) {
	dbtest.Each(t, nil, func(t *testing.T, d *db.DB) {
		for i := range 1200 {
			if n := count(t, d, fmt.Sprintf("SELECT %d", i)); n != i {
				t.Fatalf("statement %d gave %d", i, n)
			}
		}
	})
}

func TestInsertRows(t *testing.T) {
	dbtest.Each(t, values, func(t *testing.T, d *db.DB) {
		row := func(i int) []any { return []any{i, fmt.Sprint("t", i), float64(i) / 2, []byte{byte(i)}} }
		columns := []string{"id", "t", "f", "b"}
		insert := func(n int) error {
			return d.Write(t.Context(), func(tx *db.Tx) error {
				if err := tx.InsertRows("value", columns, n, row); err != nil {
					return err
				}
				_, err := tx.Exec("UPDATE value SET n = id")
				return err
			})
		}
		if err := insert(100); err != nil {
			t.Fatal(err)
		}
		if n := count(t, d, "SELECT count(*) FROM value WHERE t = 't' || n AND f = n / 2.0 AND b IS NOT NULL"); n != 100 {
			t.Errorf("%d right rows, want 100", n)
		}
		if err := insert(101); !slipway.IsCode(err, slipway.Conflict) {
			t.Errorf("the same rows again: %v, want a conflict", err)
		}
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			return tx.InsertRows("value", columns[:2], 1, func(int) []any { return []any{500, "nul\x00"} })
		})
		if !slipway.IsCode(err, slipway.Invalid) {
			t.Errorf("a bad value: %v, want invalid", err)
		}
		if n := count(t, d, "SELECT count(*) FROM value"); n != 100 {
			t.Errorf("%d rows, want 100", n)
		}
	})
}

// Of two who want to lead, one does; the other follows when he steps down.
func TestOneLeads(t *testing.T) {
	dsn := dbtest.Postgres(t)
	a, b := dbtest.Open(t, dsn, db.Options{}), dbtest.Open(t, dsn, db.Options{})
	stepDown, aLeads, bLeads := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var mu sync.Mutex
	alone := func() func() {
		if !mu.TryLock() {
			t.Error("two lead at once")
			return func() {}
		}
		return mu.Unlock
	}
	var wg sync.WaitGroup
	done := errors.New("done")
	wg.Go(func() {
		err := a.Lead(t.Context(), "clock", func(context.Context) error {
			defer alone()()
			close(aLeads)
			<-stepDown
			return done
		})
		if !errors.Is(err, done) {
			t.Errorf("a: %v", err)
		}
	})
	<-aLeads
	wg.Go(func() {
		err := b.Lead(t.Context(), "clock", func(context.Context) error {
			defer alone()()
			close(bLeads)
			return nil
		})
		if err != nil {
			t.Errorf("b: %v", err)
		}
	})
	if err := b.Lead(t.Context(), "another", func(context.Context) error { return nil }); err != nil {
		t.Error(err)
	}
	select {
	case <-bLeads:
		t.Error("b leads beside a")
	default:
	}
	close(stepDown)
	<-bLeads
	wg.Wait()
}

// A leader whose session the server ends is told.
func TestLostLeadIsTold(t *testing.T) {
	d := dbtest.Open(t, dbtest.Postgres(t), db.Options{})
	err := d.Lead(t.Context(), "clock", func(ctx context.Context) error {
		err := d.Read(t.Context(), func(tx *db.Tx) error {
			var killed int
			return tx.QueryRow(`SELECT count(pg_terminate_backend(pid)) FROM pg_locks
				WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
				AND (classid::bigint << 32) | objid::bigint = hashtextextended('slipway/' || current_schema() || '/lead/clock', 0)`).Scan(&killed)
		})
		if err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	})
	if !slipway.IsCode(err, slipway.Unavailable) {
		t.Errorf("got %v", err)
	}
}
