package db

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"
	"time"

	"zombiezen.com/go/sqlite"

	slipway "github.com/slipway-ml/slipway"
)

// applicationID marks a SQLite file as ours: "SLIP" in ASCII.
const applicationID = 0x534C4950

// busyTimeout is how long a connection waits for a lock of another process.
const busyTimeout = 5 * time.Second

// sqliteDB is a SQLite file in WAL mode: one connection writes, in its own
// goroutine; others read.
type sqliteDB struct {
	db     *DB
	path   string
	writer *writer            // nil when the database is open for reading only
	slots  chan struct{}      // one token for each read connection that may exist
	idle   chan *sqliteConn   // read connections at rest
	reads  sync.WaitGroup     // background readers
	stop   context.CancelFunc // ends the background readers
	ctx    context.Context
	once   sync.Once
}

func openSQLite(d *DB, path string) (engine, error) {
	if !d.opts.ReadOnly {
		if err := createFile(path); err != nil {
			return nil, err
		}
	} else if _, err := os.Stat(path); err != nil {
		return nil, slipway.Errorf(slipway.NotFound, "there is no database at %s", path)
	}
	n := d.opts.ReadConns
	e := &sqliteDB{db: d, path: path, slots: make(chan struct{}, n), idle: make(chan *sqliteConn, n)}
	e.ctx, e.stop = context.WithCancel(context.Background())
	if d.opts.ReadOnly {
		return e, nil
	}
	conn, err := openConn(path, true)
	if err != nil {
		return nil, err
	}
	e.writer = newWriter(d, conn)
	return e, nil
}

// createFile makes an empty file that only its owner may read, and makes its
// name durable.
func createFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return slipway.Errorf(slipway.Invalid, "cannot create the database: %v", err)
	}
	if err := f.Close(); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// sqliteConn is a connection with its prepared statements.
type sqliteConn struct {
	conn  *sqlite.Conn
	cache map[string]*sqlite.Stmt
}

// maxStatements bounds the statements that a connection keeps: filters that
// users write make new ones without end.
const maxStatements = 512

func openConn(path string, write bool) (*sqliteConn, error) {
	mode := sqlite.OpenReadOnly
	if write {
		mode = sqlite.OpenReadWrite
	}
	conn, err := sqlite.OpenConn(path, mode)
	if err != nil {
		return nil, openFault(path, err)
	}
	conn.SetBusyTimeout(busyTimeout)
	c := &sqliteConn{conn: conn, cache: map[string]*sqlite.Stmt{}}
	if err := c.setUp(path, write); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// setUp checks that the file is ours and sets how the connection behaves.
func (c *sqliteConn) setUp(path string, write bool) error {
	id, err := c.number("PRAGMA application_id")
	if err != nil {
		return openFault(path, err)
	}
	if id != applicationID {
		tables, err := c.number("SELECT count(*) FROM sqlite_master")
		if err != nil {
			return err
		}
		if tables > 0 || !write {
			return slipway.Errorf(slipway.Invalid, "%s is not a database of Slipway", path)
		}
		if _, err := c.number(fmt.Sprintf("PRAGMA application_id = %d", applicationID)); err != nil {
			return err
		}
	}
	set := []string{"PRAGMA foreign_keys = ON", "PRAGMA case_sensitive_like = ON"}
	if write {
		// FULL makes every commit durable in WAL mode. The log is folded into the
		// file every 16 MB rather than 4, which halves what commits wait for it.
		set = append(set, "PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA wal_autocheckpoint = 4000",
			"PRAGMA journal_size_limit = 67108864", "PRAGMA cache_size = -16384")
	} else {
		set = append(set, "PRAGMA query_only = ON")
	}
	for _, s := range set {
		if _, err := c.number(s); err != nil {
			return fmt.Errorf("db: %s: %w", s, err)
		}
	}
	return nil
}

// openFault is the error of a file that cannot be opened.
func openFault(path string, err error) error {
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultNotADB:
		return fmt.Errorf("%w: %w", slipway.Errorf(slipway.Invalid, "%s is not a database of Slipway", path), err)
	case sqlite.ResultCantOpen, sqlite.ResultPerm, sqlite.ResultAuth:
		return fmt.Errorf("%w: %w", slipway.Errorf(slipway.Invalid, "cannot open the database %s", path), err)
	}
	return sqliteFailure(err).fault("open "+path, err)
}

// number runs a statement once and returns the integer in its first column, or
// 0 when it returns no row.
func (c *sqliteConn) number(sql string) (int64, error) {
	stmt, _, err := c.conn.PrepareTransient(sql)
	if err != nil {
		return 0, err
	}
	var n int64
	ok, err := stmt.Step()
	if ok {
		n = stmt.ColumnInt64(0)
	}
	return n, errors.Join(err, stmt.Finalize())
}

func (c *sqliteConn) close() error {
	for _, s := range c.cache {
		s.Finalize()
	}
	return c.conn.Close()
}

// stmt is the prepared statement for sql, with args bound.
func (c *sqliteConn) stmt(sql string, args []any) (*sqlite.Stmt, error) {
	s, ok := c.cache[sql]
	if !ok {
		var rest int
		var err error
		if s, rest, err = c.conn.PrepareTransient(sql); err != nil {
			return nil, err
		}
		if rest > 0 {
			s.Finalize()
			return nil, errors.New("more than one statement")
		}
		for old, stale := range c.cache {
			if len(c.cache) < maxStatements {
				break
			}
			stale.Finalize()
			delete(c.cache, old)
		}
		c.cache[sql] = s
	}
	if n := s.BindParamCount(); n != len(args) {
		return nil, fmt.Errorf("%d arguments for %d placeholders", len(args), n)
	}
	for i, a := range args {
		v, err := valueOf(a)
		if err != nil {
			return nil, fmt.Errorf("argument %d: %w", i+1, err)
		}
		bind(s, i+1, v)
	}
	return s, nil
}

// nanText stands for NaN, which SQLite would store as NULL. In a column of
// numbers it stays text, which SQLite orders above every number, as Postgres
// orders NaN.
const nanText = "NaN"

func bind(s *sqlite.Stmt, i int, v value) {
	switch v.kind {
	case null:
		s.BindNull(i)
	case integer:
		s.BindInt64(i, v.i)
	case float:
		if math.IsNaN(v.f) {
			s.BindText(i, nanText)
		} else {
			s.BindFloat(i, v.f)
		}
	case text:
		s.BindText(i, v.s)
	case blob:
		s.BindBytes(i, v.b)
	}
}

func (c *sqliteConn) exec(_ context.Context, sql string, args []any) (int64, error) {
	s, err := c.stmt(sql, args)
	if err != nil {
		return 0, err
	}
	for more := true; more; {
		if more, err = s.Step(); err != nil {
			return 0, err
		}
	}
	return int64(c.conn.Changes()), s.Reset()
}

func (c *sqliteConn) query(_ context.Context, sql string, args []any) (cursor, error) {
	s, err := c.stmt(sql, args)
	if err != nil {
		return nil, err
	}
	return &sqliteCursor{stmt: s, drain: verb(sql) != "SELECT" && verb(sql) != "WITH"}, nil
}

// sqliteCursor walks over the rows of a prepared statement.
type sqliteCursor struct {
	stmt  *sqlite.Stmt
	drain bool // the statement changes rows: run it to its end
	end   bool
}

func (c *sqliteCursor) next() (bool, error) {
	ok, err := c.stmt.Step()
	c.end = !ok
	return ok, err
}

func (c *sqliteCursor) columns() int { return c.stmt.ColumnCount() }

func (c *sqliteCursor) value(i int) (value, error) {
	s := c.stmt
	switch s.ColumnType(i) {
	case sqlite.TypeInteger:
		return value{kind: integer, i: s.ColumnInt64(i)}, nil
	case sqlite.TypeFloat:
		return value{kind: float, f: s.ColumnFloat(i)}, nil
	case sqlite.TypeText:
		return value{kind: text, s: s.ColumnText(i)}, nil
	case sqlite.TypeBlob:
		b := make([]byte, s.ColumnLen(i))
		s.ColumnBytes(i, b)
		return value{kind: blob, b: b}, nil
	}
	return value{}, nil
}

func (c *sqliteCursor) close() error {
	for c.drain && !c.end {
		if _, err := c.next(); err != nil {
			return err
		}
	}
	return c.stmt.Reset()
}

func (c *sqliteConn) fault(sql string, err error) error {
	return sqliteFailure(err).fault(sql, err)
}

// sqliteFailure sorts a driver's error.
func sqliteFailure(err error) failure {
	switch code := sqlite.ErrCode(err); code {
	case sqlite.ResultConstraintUnique, sqlite.ResultConstraintPrimaryKey, sqlite.ResultConstraintRowID:
		return duplicate
	case sqlite.ResultConstraintForeignKey:
		return reference
	case sqlite.ResultConstraintNotNull, sqlite.ResultConstraintCheck:
		return rule
	default:
		switch code.ToPrimary() {
		case sqlite.ResultTooBig, sqlite.ResultMismatch:
			return malformed
		case sqlite.ResultFull:
			return full
		case sqlite.ResultBusy, sqlite.ResultLocked:
			return busy
		case sqlite.ResultIOErr, sqlite.ResultCantOpen, sqlite.ResultReadOnly:
			return away
		}
	}
	return unknown
}
