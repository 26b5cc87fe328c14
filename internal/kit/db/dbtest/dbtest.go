// Package dbtest runs a test on every kind of database.
package dbtest

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/slipway-ml/slipway/internal/kit/db"
)

// Each runs fn on a fresh SQLite database and, when SLIPWAY_TEST_POSTGRES
// holds a postgres:// URL, on a fresh schema of that Postgres, which is dropped
// afterwards. postgres.sh beside this file starts a throw-away server.
func Each(t *testing.T, migrations []db.Migration, fn func(t *testing.T, d *db.DB)) {
	t.Helper()
	EachDSN(t, func(t *testing.T, dsn string) {
		fn(t, Open(t, dsn, db.Options{Migrations: migrations}))
	})
}

// EachDSN is Each for a test that opens the database itself, perhaps twice.
func EachDSN(t *testing.T, fn func(t *testing.T, dsn string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		fn(t, filepath.Join(t.TempDir(), "test.db"))
	})
	t.Run("postgres", func(t *testing.T) {
		fn(t, Postgres(t))
	})
}

// Open opens dsn and closes it when the test ends.
func Open(t testing.TB, dsn string, o db.Options) *db.DB {
	t.Helper()
	d, err := db.Open(context.Background(), dsn, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// Postgres is the URL of a fresh schema, or skips the test where no server is
// named.
func Postgres(t testing.TB) string {
	t.Helper()
	server := os.Getenv("SLIPWAY_TEST_POSTGRES")
	if server == "" {
		t.Skip("SLIPWAY_TEST_POSTGRES names no server")
	}
	ctx := context.Background()
	schema := "test_" + strings.ToLower(rand.Text()[:12])
	run := func(sql string) {
		t.Helper()
		conn, err := pgx.Connect(ctx, server)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx)
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	run("CREATE SCHEMA " + schema)
	t.Cleanup(func() { run("DROP SCHEMA " + schema + " CASCADE") })
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String()
}
