package db

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// InsertRows inserts n rows into a table, row(i) giving the values of the
// columns: by COPY on Postgres, by statements of many rows on SQLite. Table and
// columns come from the program, never from a user. A row that breaks a rule
// fails the whole.
func (t *Tx) InsertRows(table string, columns []string, n int, row func(i int) []any) error {
	if err := t.begin(); err != nil {
		return err
	}
	if !t.writable {
		return errReadOnlyTx
	}
	if n == 0 {
		return nil
	}
	if err := t.session.insert(t.ctx, table, columns, n, row); err != nil {
		return t.fail("INSERT INTO "+table, err)
	}
	return nil
}

// insertStep is how many rows one SQLite statement inserts: enough to spread
// the cost of a step, few enough for any number of columns.
const insertStep = 32

func (c *sqliteConn) insert(ctx context.Context, table string, columns []string, n int, row func(i int) []any) error {
	one := "(?" + strings.Repeat(", ?", len(columns)-1) + ")"
	head := "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES "
	single, many := head+one, head+one+strings.Repeat(", "+one, insertStep-1)
	args := make([]any, 0, insertStep*len(columns))
	for i := 0; i < n; {
		step, sql := insertStep, many
		if n-i < insertStep {
			step, sql = 1, single
		}
		args = args[:0]
		for ; step > 0; step-- {
			values := row(i)
			if len(values) != len(columns) {
				return fmt.Errorf("%d arguments for %d columns", len(values), len(columns))
			}
			args = append(args, values...)
			i++
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := c.exec(ctx, sql, args); err != nil {
			return err
		}
	}
	return nil
}

func (s *postgresSession) insert(ctx context.Context, table string, columns []string, n int, row func(i int) []any) error {
	var bad error // of a row: COPY would report it as its own
	source := pgx.CopyFromSlice(n, func(i int) ([]any, error) {
		var bound []any
		if bound, bad = bindRow(row(i), len(columns)); bad != nil {
			return nil, bad
		}
		return bound, nil
	})
	_, err := s.tx.CopyFrom(ctx, pgx.Identifier{table}, columns, source)
	if bad != nil {
		return bad
	}
	return err
}

// bindRow is a row's values as the driver takes them.
func bindRow(values []any, columns int) ([]any, error) {
	if len(values) != columns {
		return nil, fmt.Errorf("%d arguments for %d columns", len(values), columns)
	}
	bound := make([]any, len(values))
	for i, a := range values {
		v, err := valueOf(a)
		if err != nil {
			return nil, fmt.Errorf("argument %d: %w", i+1, err)
		}
		bound[i] = v.any()
	}
	return bound, nil
}
