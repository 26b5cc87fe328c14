// Package db is the one way to a SQL database: SQLite for a workspace on one
// machine, Postgres beyond it, with one SQL text for both.
//
// A statement is written once, in the SQL that both understand, with ? as the
// placeholder. Where the two differ, the package takes the stricter side on
// both, so that code tested on SQLite also runs on Postgres:
//
//   - A failed statement ends its transaction; Tx.Try shields a statement that
//     may fail. ON CONFLICT DO NOTHING and the number of affected rows are the
//     cheaper way.
//   - While Rows are open, no other statement of the transaction may run.
//   - Text is UTF-8 without NUL, compares byte by byte, and LIKE minds case.
//   - Write transactions are serializable, reads see one snapshot.
//   - LIKE names its escape character: Postgres has one without being asked.
//   - There are no booleans in SQL: write flag <> 0. Write NULLS FIRST or NULLS
//     LAST where order matters. A bare SELECT ? needs CAST(? AS BIGINT).
//
// Values: bool is 0 or 1 in a BIGINT; time.Time is UTC microseconds in a
// BIGINT, and the zero time is 0 (so the first microsecond of 1970 reads back
// as the zero time); NaN and the infinities survive in DOUBLE PRECISION, and
// NaN compares greater than every number on both databases; a TextMarshaler
// is text; a nil pointer is NULL. Aggregates over NaN differ, so filter it.
package db

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	slipway "github.com/slipway-ml/slipway"
)

// Options says how to open a database.
type Options struct {
	Migrations []Migration      // the tables of the capabilities; the event table comes by itself
	ReadConns  int              // how many reads may run at once; 0 picks by the number of cores
	Clock      func() time.Time // machine time; nil is time.Now
	ReadOnly   bool             // refuse writes, and leave the schema as it is
	Foreign    bool             // a SQLite file of another program: only read it, and expect no table of ours
}

// DB is an open database. All methods are safe for concurrent use.
type DB struct {
	engine engine
	opts   Options
	clock  func() time.Time
	signal *signal
	closed atomic.Bool
}

// engine is one kind of database.
type engine interface {
	write(ctx context.Context, fn func(*Tx) error) error
	read(ctx context.Context, fn func(*Tx) error) error
	// migrate runs fn in a write transaction while no other process migrates.
	migrate(ctx context.Context, fn func(*Tx) error) error
	// start begins the background work, once the schema is there.
	start(ctx context.Context) error
	// record writes e into the event table of tx.
	record(tx *Tx, e *slipway.Event) error
	// seal numbers what is committed and not yet numbered.
	seal(ctx context.Context) error
	// listen makes sure that signal hears of events sealed elsewhere.
	listen()
	// ddl writes a migration in the words of the database.
	ddl(statement string) string
	close() error
}

// session runs statements inside one transaction of one connection.
type session interface {
	exec(ctx context.Context, sql string, args []any) (int64, error)
	insertID(ctx context.Context, sql string, args []any) (int64, error)
	query(ctx context.Context, sql string, args []any) (cursor, error)
	insert(ctx context.Context, table string, columns []string, n int, row func(i int) []any) error
	// fault turns a driver's error into one for the user.
	fault(sql string, err error) error
}

// cursor walks over the rows of one query.
type cursor interface {
	next() (bool, error)
	columns() int
	value(i int) (value, error)
	close() error
}

// Open opens dsn: a postgres:// or postgresql:// URL, or the path of a SQLite
// file, which is created readable by its owner only. It brings the schema to
// the newest version. It fails with Invalid when the file is no database of
// Slipway, Conflict when the schema is newer than this program or was changed,
// and Unavailable when the database cannot be reached.
func Open(ctx context.Context, dsn string, o Options) (*DB, error) {
	if o.Foreign {
		o.ReadOnly = true
	}
	d := &DB{opts: o, clock: o.Clock, signal: newSignal()}
	if d.clock == nil {
		d.clock = time.Now
	}
	if d.opts.ReadConns <= 0 {
		d.opts.ReadConns = max(4, 2*runtime.GOMAXPROCS(0))
	}
	var err error
	if !o.Foreign && strings.HasPrefix(dsn, "postgres://") || !o.Foreign && strings.HasPrefix(dsn, "postgresql://") {
		d.engine, err = openPostgres(ctx, d, dsn)
	} else {
		d.engine, err = openSQLite(d, dsn)
	}
	if err != nil {
		return nil, err
	}
	if err := d.prepare(ctx); err != nil {
		return nil, errors.Join(err, d.engine.close())
	}
	return d, nil
}

// prepare brings the schema up and starts the background work.
func (d *DB) prepare(ctx context.Context) error {
	if d.opts.Foreign {
		return d.Read(ctx, func(tx *Tx) error { // it is a database, and may be read
			var tables int
			return tx.QueryRow("SELECT count(*) FROM sqlite_master").Scan(&tables)
		})
	}
	all := append([]Migration{eventMigration}, d.opts.Migrations...)
	if err := checkMigrations(all); err != nil {
		return err
	}
	migrate := d.engine.migrate
	if d.opts.ReadOnly {
		migrate = d.engine.read
	}
	err := migrate(ctx, func(tx *Tx) error { return applyMigrations(tx, all, d.opts.ReadOnly) })
	if err != nil {
		return err
	}
	return d.engine.start(ctx)
}

// Write runs fn in a serializable transaction and returns when its changes are
// durable. An error or a panic of fn takes its changes back, and nobody
// else's; a panic continues in the caller. fn does no I/O besides tx, and may
// run more than once, so it sets what it returns afresh each time. It is not
// run when ctx ends before its turn; when ctx ends while fn runs, its next
// statement fails.
func (d *DB) Write(ctx context.Context, fn func(tx *Tx) error) error {
	if d.opts.ReadOnly {
		return slipway.Errorf(slipway.Denied, "the database is open for reading only")
	}
	if err := d.enter(ctx); err != nil {
		return err
	}
	return d.engine.write(ctx, fn)
}

// Read runs fn over one snapshot of the database, in which it cannot write.
func (d *DB) Read(ctx context.Context, fn func(tx *Tx) error) error {
	if err := d.enter(ctx); err != nil {
		return err
	}
	return d.engine.read(ctx, fn)
}

// insideTx marks the context of a transaction.
type insideTx struct{}

// enter refuses a transaction that could not begin.
func (d *DB) enter(ctx context.Context) error {
	if d.closed.Load() {
		return errClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	// A transaction inside a transaction would wait for itself.
	if ctx.Value(insideTx{}) != nil {
		return errors.New("db: a transaction begins inside a transaction; use the tx at hand")
	}
	return nil
}

// Postgres reports whether the database is Postgres.
func (d *DB) Postgres() bool {
	_, ok := d.engine.(*postgres)
	return ok
}

// Close waits for running transactions and closes the database. Writes that
// wait for their turn fail with Unavailable.
func (d *DB) Close() error {
	if d.closed.Swap(true) {
		return nil
	}
	d.signal.close()
	return d.engine.close()
}

// now is machine time as it is stored.
func (d *DB) now() time.Time { return d.clock().UTC().Truncate(time.Microsecond) }
