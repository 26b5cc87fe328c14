package db

import (
	"context"
	"encoding/binary"
	"errors"
	"math"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// postgresSession runs statements in one Postgres transaction. Prepared
// statements are cached by pgx, on each connection.
type postgresSession struct {
	p  *postgres
	tx pgx.Tx
}

// prepare writes a statement and its arguments in Postgres's manner.
func (s *postgresSession) prepare(sql string, args []any) (string, []any, error) {
	bound, err := bindRow(args, len(args))
	if err != nil {
		return "", nil, err
	}
	if text, ok := s.p.rebound.Load(sql); ok {
		return text.(string), bound, nil
	}
	text := rebind(sql)
	if s.p.known.Add(1) > maxStatements {
		s.p.known.Store(0)
		s.p.rebound.Clear()
	}
	s.p.rebound.Store(sql, text)
	return text, bound, nil
}

func (s *postgresSession) exec(ctx context.Context, sql string, args []any) (int64, error) {
	text, bound, err := s.prepare(sql, args)
	if err != nil {
		return 0, err
	}
	tag, err := s.tx.Exec(ctx, text, bound...)
	return tag.RowsAffected(), err
}

func (s *postgresSession) insertID(ctx context.Context, sql string, args []any) (id int64, err error) {
	text, bound, err := s.prepare(sql+" RETURNING id", args)
	if err != nil {
		return 0, err
	}
	if err = s.tx.QueryRow(ctx, text, bound...).Scan(&id); errors.Is(err, pgx.ErrNoRows) {
		return 0, errNoRow
	}
	return id, err
}

func (s *postgresSession) query(ctx context.Context, sql string, args []any) (cursor, error) {
	text, bound, err := s.prepare(sql, args)
	if err != nil {
		return nil, err
	}
	rows, err := s.tx.Query(ctx, text, bound...)
	if err != nil {
		return nil, err
	}
	return &postgresCursor{rows: rows}, nil
}

func (s *postgresSession) fault(sql string, err error) error {
	return postgresFailure(err).fault(sql, err)
}

// postgresCursor walks over the rows of a query.
type postgresCursor struct{ rows pgx.Rows }

func (c *postgresCursor) next() (bool, error) {
	if c.rows.Next() {
		return true, nil
	}
	return false, c.rows.Err()
}

func (c *postgresCursor) columns() int { return len(c.rows.FieldDescriptions()) }

func (c *postgresCursor) close() error {
	c.rows.Close()
	return c.rows.Err()
}

// value decodes the types that our schemas use by hand, and the rest, which
// expressions may give, by pgx's map of types.
func (c *postgresCursor) value(i int) (value, error) {
	raw := c.rows.RawValues()[i]
	if raw == nil {
		return value{}, nil
	}
	f := &c.rows.FieldDescriptions()[i]
	switch f.DataTypeOID {
	case pgtype.TextOID, pgtype.VarcharOID, pgtype.NameOID, pgtype.UnknownOID, pgtype.BPCharOID:
		return value{kind: text, s: string(raw)}, nil
	}
	if f.Format == pgx.BinaryFormatCode {
		switch f.DataTypeOID {
		case pgtype.Int8OID:
			return value{kind: integer, i: int64(binary.BigEndian.Uint64(raw))}, nil
		case pgtype.Int4OID:
			return value{kind: integer, i: int64(int32(binary.BigEndian.Uint32(raw)))}, nil
		case pgtype.Float8OID:
			return value{kind: float, f: math.Float64frombits(binary.BigEndian.Uint64(raw))}, nil
		case pgtype.ByteaOID:
			return value{kind: blob, b: append([]byte{}, raw...)}, nil
		case pgtype.BoolOID:
			return value{kind: integer, i: int64(raw[0])}, nil
		}
	}
	return c.other(f.DataTypeOID, f.Format, raw)
}

// other decodes a rarer type: small integers, single floats, and NUMERIC,
// which sums and averages of integers are.
func (c *postgresCursor) other(oid uint32, format int16, raw []byte) (value, error) {
	types := c.rows.Conn().TypeMap()
	switch oid {
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID:
		v := value{kind: integer}
		err := types.Scan(oid, format, raw, &v.i)
		return v, err
	case pgtype.BoolOID:
		var b bool
		err := types.Scan(oid, format, raw, &b)
		return boolValue(b), err
	case pgtype.ByteaOID:
		v := value{kind: blob}
		err := types.Scan(oid, format, raw, &v.b)
		return v, err
	case pgtype.Float4OID, pgtype.Float8OID:
		v := value{kind: float}
		err := types.Scan(oid, format, raw, &v.f)
		return v, err
	case pgtype.NumericOID:
		var n pgtype.Numeric
		if err := types.Scan(oid, format, raw, &n); err != nil {
			return value{}, err
		}
		if whole, err := n.Int64Value(); err == nil && whole.Valid {
			return value{kind: integer, i: whole.Int64}, nil
		}
		f, err := n.Float64Value()
		return value{kind: float, f: f.Float64}, err
	}
	v := value{kind: text}
	err := types.Scan(oid, format, raw, &v.s)
	return v, err
}
