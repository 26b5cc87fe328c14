package db

import (
	"context"
	"errors"
	"fmt"
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
	conn, err := openConn(path, true, false)
	if err != nil {
		return nil, err
	}
	e.writer = newWriter(d, conn, path)
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
	wrote bool // a statement ran that may have changed something
}

func openConn(path string, write, foreign bool) (*sqliteConn, error) {
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
	if err := c.setUp(path, write, foreign); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// setUp checks that the file is ours and sets how the connection behaves.
func (c *sqliteConn) setUp(path string, write, foreign bool) error {
	id, err := c.number("PRAGMA application_id")
	if err != nil {
		return openFault(path, err)
	}
	if id != applicationID && !foreign {
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
	if err := keepPlans(c.conn); err != nil {
		return err
	}
	set := []string{"PRAGMA foreign_keys = ON", "PRAGMA case_sensitive_like = ON"}
	if write {
		// NORMAL syncs when the log is folded into the file; walSync makes every
		// commit durable. The log is folded every 16 MB rather than 4, which halves
		// what commits wait for it.
		set = append(set, "PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", "PRAGMA wal_autocheckpoint = 4000",
			"PRAGMA journal_size_limit = 67108864", "PRAGMA cache_size = -16384",
			// Copies of pages for taking a statement back stay in small pieces of memory,
			// rather than one large piece that the system maps for each statement.
			"PRAGMA temp_store = MEMORY")
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
