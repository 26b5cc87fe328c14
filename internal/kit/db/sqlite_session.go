package db

import (
	"context"
	"errors"
	"fmt"
	"math"

	"zombiezen.com/go/sqlite"
)

// maxStatements bounds the statements that a connection keeps: filters that
// users write make new ones without end.
const maxStatements = 512

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
	c.wrote = true
	for more := true; more; {
		if more, err = s.Step(); err != nil {
			return 0, err
		}
	}
	return int64(c.conn.Changes()), s.Reset()
}

func (c *sqliteConn) insertID(ctx context.Context, sql string, args []any) (int64, error) {
	n, err := c.exec(ctx, sql, args)
	if err == nil && n == 0 {
		return 0, errNoRow
	}
	return c.conn.LastInsertRowID(), err
}

func (c *sqliteConn) query(_ context.Context, sql string, args []any) (cursor, error) {
	s, err := c.stmt(sql, args)
	if err != nil {
		return nil, err
	}
	v := verb(sql)
	c.wrote = c.wrote || v != "SELECT" // WITH may begin a change, too
	return &sqliteCursor{stmt: s, drain: v != "SELECT" && v != "WITH"}, nil
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
	case sqlite.ResultIOErrSHMSize, sqlite.ResultIOErrWrite:
		return full // nearly always
	default:
		switch code.ToPrimary() {
		case sqlite.ResultTooBig, sqlite.ResultMismatch:
			return malformed
		case sqlite.ResultFull:
			return full
		case sqlite.ResultBusy, sqlite.ResultLocked:
			return busy
		case sqlite.ResultIOErr:
			return failing
		case sqlite.ResultCantOpen, sqlite.ResultReadOnly:
			return away
		}
	}
	return unknown
}
