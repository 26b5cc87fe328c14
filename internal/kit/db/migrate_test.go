package db_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	slipway "github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
)

const (
	first  = `CREATE TABLE a (id SERIAL KEY, x TEXT NOT NULL DEFAULT 'BLOB')`
	second = `ALTER TABLE a ADD COLUMN y BIGINT NOT NULL DEFAULT 7`
)

func open(dsn string, m ...db.Migration) (*db.DB, error) {
	return db.Open(context.Background(), dsn, db.Options{Migrations: m})
}

// mustOpen opens dsn and closes it again.
func mustOpen(t *testing.T, dsn string, m ...db.Migration) {
	t.Helper()
	d, err := open(dsn, m...)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestMigrationsGrowAndNeverChange(t *testing.T) {
	dbtest.EachDSN(t, func(t *testing.T, dsn string) {
		old := db.Migration{Name: "a", Statements: []string{first}}
		grown := db.Migration{Name: "a", Statements: []string{first, second}}
		another := db.Migration{Name: "b", Statements: []string{`CREATE TABLE b (id BIGINT PRIMARY KEY)`}}
		mustOpen(t, dsn, old)
		mustOpen(t, dsn, old)
		d := dbtest.Open(t, dsn, db.Options{Migrations: []db.Migration{old}})
		if err := d.Write(t.Context(), func(tx *db.Tx) error { _, err := tx.Exec("INSERT INTO a (id) VALUES (1)"); return err }); err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		mustOpen(t, dsn, grown, another)
		// The layout of a statement is not the statement.
		loose := db.Migration{Name: "a", Statements: []string{"\n\t" + strings.ReplaceAll(first, " ", "\n "), second}}
		d = dbtest.Open(t, dsn, db.Options{Migrations: []db.Migration{another, loose}})
		if n := count(t, d, "SELECT y FROM a WHERE x = 'BLOB'"); n != 7 {
			t.Errorf("y is %d, want 7", n)
		}
		changed := db.Migration{Name: "a", Statements: []string{first + " ", strings.Replace(second, "7", "8", 1)}}
		for name, c := range map[string]struct {
			migrations []db.Migration
			text       string
		}{
			"older program":     {[]db.Migration{old, another}, "newer than this program"},
			"without a part":    {[]db.Migration{grown}, "schema of b in this database is newer"},
			"changed statement": {[]db.Migration{changed, another}, "statement 2 of the schema of a"},
		} {
			d, err := open(dsn, c.migrations...)
			if !slipway.IsCode(err, slipway.Conflict) || !strings.Contains(err.Error(), c.text) || slipway.AsError(err).Hint == "" {
				t.Errorf("%s: %v, want a conflict about %q with a hint", name, err, c.text)
			}
			if err == nil {
				d.Close()
			}
		}
		_, err := db.Open(t.Context(), dsn, db.Options{ReadOnly: true, Migrations: []db.Migration{loose, another, {Name: "c", Statements: []string{first}}}})
		if !slipway.IsCode(err, slipway.Conflict) || !strings.Contains(err.Error(), "older") {
			t.Errorf("reading an older schema: %v", err)
		}
	})
}

// A migration that fails leaves nothing of itself.
func TestMigrationIsAllOrNothing(t *testing.T) {
	dbtest.EachDSN(t, func(t *testing.T, dsn string) {
		broken := db.Migration{Name: "a", Statements: []string{first, "ALTER TABLE nowhere ADD COLUMN y BIGINT"}}
		if _, err := open(dsn, broken); err == nil || !strings.Contains(err.Error(), "migration a, statement 2") {
			t.Fatalf("a broken migration: %v", err)
		}
		mustOpen(t, dsn, db.Migration{Name: "a", Statements: []string{first, second}})
	})
}

func TestMigrationsOfSeveralProcessesTakeTurns(t *testing.T) {
	dbtest.EachDSN(t, func(t *testing.T, dsn string) {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				d, err := open(dsn, db.Migration{Name: "a", Statements: []string{first, second}})
				if err != nil {
					t.Error(err)
					return
				}
				if err := d.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
}

func TestUnportableMigrationIsRefused(t *testing.T) {
	for _, s := range []string{
		"CREATE TABLE a (id INTEGER PRIMARY KEY)", "CREATE TABLE a (x REAL)", "CREATE TABLE a (x BOOLEAN)", "CREATE TABLE a (x bytea)",
	} {
		_, err := open(filepath.Join(t.TempDir(), "x.db"), db.Migration{Name: "a", Statements: []string{s}})
		if err == nil || !strings.Contains(err.Error(), "not portable") {
			t.Errorf("%s: %v", s, err)
		}
	}
}

func TestOpenRefusesWhatIsNotOurs(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("This is no database. ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dsn := range []string{text, dir, filepath.Join(dir, "no", "such", "folder.db"), "postgres://127.0.0.1:bad/x"} {
		if d, err := open(dsn); !slipway.IsCode(err, slipway.Invalid) {
			t.Errorf("%s: %v, want invalid", dsn, err)
			if err == nil {
				d.Close()
			}
		}
	}
	if _, err := db.Open(t.Context(), filepath.Join(dir, "none.db"), db.Options{ReadOnly: true}); !slipway.IsCode(err, slipway.NotFound) {
		t.Errorf("reading a missing file: %v", err)
	}
	if _, err := open("postgres://nobody:hunter2@127.0.0.1:1/x?connect_timeout=2"); !slipway.IsCode(err, slipway.Unavailable) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("no server: %v", err)
	}
	mine := filepath.Join(dir, "mine.db")
	mustOpen(t, mine)
	if info, err := os.Stat(mine); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v; want 0600", info.Mode(), err)
	}
}

func TestClosedDatabaseSaysSo(t *testing.T) {
	dbtest.EachDSN(t, func(t *testing.T, dsn string) {
		d, err := open(dsn)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
		}
		nothing := func(*db.Tx) error { return nil }
		for _, err := range []error{d.Write(t.Context(), nothing), d.Read(t.Context(), nothing), d.WaitEvent(t.Context(), 0)} {
			if !slipway.IsCode(err, slipway.Unavailable) {
				t.Errorf("closed: %v", err)
			}
		}
	})
}

// Closing while many write loses no answer: each write is either kept or
// refused.
func TestCloseAmongWriters(t *testing.T) {
	dbtest.EachDSN(t, func(t *testing.T, dsn string) {
		d, err := open(dsn, shelf...)
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		kept := 0
		half := make(chan struct{})
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				for {
					err := d.Write(context.Background(), func(tx *db.Tx) error {
						_, err := tx.Exec("INSERT INTO shelf (name) SELECT count(*) || '' FROM shelf")
						return err
					})
					if err != nil {
						if !slipway.IsCode(err, slipway.Unavailable) {
							t.Error(err)
						}
						return
					}
					mu.Lock()
					if kept++; kept == 50 {
						close(half)
					}
					mu.Unlock()
				}
			})
		}
		<-half
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
		d = dbtest.Open(t, dsn, db.Options{Migrations: shelf})
		if n := count(t, d, "SELECT count(*) FROM shelf"); n != kept {
			t.Errorf("%d shelves, %d writes were acknowledged", n, kept)
		}
	})
}
