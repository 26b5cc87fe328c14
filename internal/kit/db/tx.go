package db

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Tx is one transaction. It belongs to the goroutine that runs fn, and is of
// no use after fn returns.
type Tx struct {
	db       *DB
	ctx      context.Context
	session  session
	writable bool
	now      time.Time
	rows     *Rows // the open query, or nil
	err      error // the first failed statement; nothing runs after it
	over     bool  // fn has returned
	chain    head  // SQLite: the end of the event log as this transaction sees it
	recorded int   // events of this transaction
}

// Scanner is a row to read: Rows, or the row that One and All hand out.
type Scanner interface {
	Scan(dst ...any) error
}

// Context is the context of the transaction.
func (t *Tx) Context() context.Context { return context.WithValue(t.ctx, insideTx{}, true) }

// Now is the machine time at which the transaction first asked, in UTC and
// whole microseconds.
func (t *Tx) Now() time.Time {
	if t.now.IsZero() {
		t.now = t.db.now()
	}
	return t.now
}

// begin says whether a statement may run now.
func (t *Tx) begin() error {
	switch {
	case t.over:
		return errors.New("db: the transaction is over")
	case t.err != nil:
		return t.err
	case t.rows != nil:
		return fmt.Errorf("db: a query is still open; close its rows first (%s)", t.rows.sql)
	}
	return t.ctx.Err()
}

// fail remembers that a statement failed: Postgres would refuse every later
// one, so SQLite does too.
func (t *Tx) fail(sql string, err error) error {
	t.err = t.session.fault(sql, err)
	return t.err
}

// Exec runs a statement and returns how many rows it inserted, changed or
// deleted.
func (t *Tx) Exec(sql string, args ...any) (affected int64, err error) {
	if err := t.begin(); err != nil {
		return 0, err
	}
	if !t.writable {
		return 0, errReadOnlyTx
	}
	n, err := t.session.exec(t.ctx, sql, args)
	if err != nil {
		return 0, t.fail(sql, err)
	}
	return n, nil
}

// InsertID runs an INSERT of one row into a table with a SERIAL KEY named id,
// and returns the new id. It fails with NotFound when ON CONFLICT DO NOTHING
// kept the row out. On SQLite it is cheaper than RETURNING, which makes every
// statement keep copies of the pages that it touches.
func (t *Tx) InsertID(sql string, args ...any) (int64, error) {
	if err := t.begin(); err != nil {
		return 0, err
	}
	if !t.writable {
		return 0, errReadOnlyTx
	}
	id, err := t.session.insertID(t.ctx, sql, args)
	if err == errNoRow {
		return 0, err
	}
	if err != nil {
		return 0, t.fail(sql, err)
	}
	return id, nil
}

// Query runs a statement that returns rows. Close them before the next
// statement; All does it by itself.
func (t *Tx) Query(sql string, args ...any) (*Rows, error) {
	if err := t.begin(); err != nil {
		return nil, err
	}
	c, err := t.session.query(t.ctx, sql, args)
	if err != nil {
		return nil, t.fail(sql, err)
	}
	t.rows = &Rows{tx: t, sql: sql, cursor: c}
	return t.rows, nil
}

// QueryRow runs a statement that returns at most one row that matters. Scan
// must follow.
func (t *Tx) QueryRow(sql string, args ...any) Row {
	rows, err := t.Query(sql, args...)
	return Row{rows, err}
}

// Try runs fn so that its failure takes back only what fn did: the transaction
// goes on. It returns fn's error.
func (t *Tx) Try(fn func() error) error {
	if err := t.begin(); err != nil {
		return err
	}
	if _, err := t.session.exec(t.ctx, "SAVEPOINT try", nil); err != nil {
		return t.fail("SAVEPOINT", err)
	}
	chain, recorded := t.chain, t.recorded
	err := fn()
	t.closeRows()
	if err == nil {
		err = t.err
	}
	if err != nil {
		t.err, t.chain, t.recorded = nil, chain, recorded
		if _, err := t.session.exec(context.WithoutCancel(t.ctx), "ROLLBACK TO SAVEPOINT try", nil); err != nil {
			return t.fail("ROLLBACK", err)
		}
	}
	if _, err := t.session.exec(context.WithoutCancel(t.ctx), "RELEASE SAVEPOINT try", nil); err != nil {
		return t.fail("RELEASE", err)
	}
	return err
}

// run calls fn and returns what the transaction came to.
func (t *Tx) run(fn func(*Tx) error) error {
	err := fn(t)
	t.closeRows()
	if err == nil {
		err = t.err // fn overlooked a failed statement
	}
	return err
}

// closeRows closes a query that fn left open.
func (t *Tx) closeRows() {
	if t.rows != nil {
		t.rows.Close()
	}
}

// Rows walks over a query's rows.
type Rows struct {
	tx     *Tx
	sql    string
	cursor cursor
	err    error
	done   bool
}

// Next moves to the next row; false is the end or an error, which Err tells.
func (r *Rows) Next() bool {
	if r.done || r.err != nil {
		return false
	}
	if err := r.tx.ctx.Err(); err != nil {
		r.err = err
		return false
	}
	ok, err := r.cursor.next()
	if err != nil {
		r.err = r.tx.fail(r.sql, err)
		return false
	}
	if !ok {
		r.Close()
	}
	return ok
}

// Scan copies the row's columns into pointers, one for each.
func (r *Rows) Scan(dst ...any) error {
	if r.done {
		return errors.New("db: Scan without a row")
	}
	if n := r.cursor.columns(); n != len(dst) {
		return fmt.Errorf("db: %d columns into %d destinations (%s)", n, len(dst), r.sql)
	}
	for i, d := range dst {
		v, err := r.cursor.value(i)
		if err == nil {
			err = v.into(d)
		}
		if err != nil {
			return fmt.Errorf("db: column %d: %w (%s)", i+1, err, r.sql)
		}
	}
	return nil
}

// Err is what ended Next early, or nil.
func (r *Rows) Err() error { return r.err }

// Close ends the query. It may be called twice.
func (r *Rows) Close() error {
	if r.done {
		return nil
	}
	r.done = true
	r.tx.rows = nil
	if err := r.cursor.close(); err != nil && r.err == nil {
		r.err = r.tx.fail(r.sql, err)
	}
	return r.err
}

// Row is the answer of QueryRow.
type Row struct {
	rows *Rows
	err  error
}

// Scan copies the row's columns into pointers. It fails with NotFound when
// there is no row.
func (r Row) Scan(dst ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		if r.rows.err != nil {
			return r.rows.err
		}
		return errNoRow
	}
	if err := r.rows.Scan(dst...); err != nil {
		return err
	}
	return r.rows.Close()
}

// All reads every row of a query.
func All[T any](t *Tx, scan func(Scanner) (T, error), sql string, args ...any) ([]T, error) {
	rows, err := t.Query(sql, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// One reads the first row of a query. It fails with NotFound when there is
// none.
func One[T any](t *Tx, scan func(Scanner) (T, error), sql string, args ...any) (T, error) {
	var zero T
	rows, err := t.Query(sql, args...)
	if err != nil {
		return zero, err
	}
	defer rows.Close()
	if !rows.Next() {
		if rows.err != nil {
			return zero, rows.err
		}
		return zero, errNoRow
	}
	v, err := scan(rows)
	if err != nil {
		return zero, err
	}
	return v, rows.Close()
}
