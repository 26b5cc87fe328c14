package dataset

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/slipway-ml/slipway"
)

// fetchPostgres writes the rows of a query as CSV, as they come: the memory does
// not grow with them. The transaction reads only. {since} in the query stands
// for the newest event time that is known.
func (f *feed) fetchPostgres(ctx context.Context, file string, since time.Time, said func(int64)) (err error) {
	address := f.getenv(f.postgres)
	if address == "" {
		return slipway.Errorf(slipway.Invalid, "the variable %s is not set", f.postgres).WithHint("export %s=postgres://USER:PASSWORD@HOST/DATABASE", f.postgres)
	}
	config, err := pgx.ParseConfig(address)
	if err != nil { // its text may repeat the password
		return slipway.Errorf(slipway.Invalid, "the variable %s does not hold the address of a Postgres", f.postgres)
	}
	config.RuntimeParams["timezone"], config.RuntimeParams["datestyle"] = "UTC", "ISO"
	config.RuntimeParams["default_transaction_read_only"] = "on"
	c, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return f.databaseError("connect", err)
	}
	defer func() { err = errors.Join(err, c.Close(context.WithoutCancel(ctx))) }()
	out, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return diskError(err)
	}
	sql := strings.TrimRight(strings.TrimSpace(f.query), "; \n\t")
	sql = strings.ReplaceAll(sql, "{since}", "TIMESTAMPTZ "+literal(since.UTC().Format("2006-01-02 15:04:05.999999-07")))
	_, err = c.PgConn().CopyTo(ctx, io.MultiWriter(out, told(said)), "COPY ("+sql+") TO STDOUT WITH (FORMAT csv, HEADER)")
	if cerr := out.Close(); err == nil && cerr != nil {
		return diskError(cerr)
	}
	if err != nil {
		return f.databaseError("answer the query", err)
	}
	return nil
}

// databaseError tells what the database said; an error of connecting names the
// host and the user, never the password.
func (f *feed) databaseError(doing string, err error) error {
	var told *pgconn.PgError
	if errors.As(err, &told) {
		e := slipway.Errorf(slipway.Invalid, "the database of $%s does not %s: %s", f.postgres, doing, told.Message)
		if told.Hint != "" {
			e = e.WithHint("%s", told.Hint)
		}
		return e
	}
	if ctx := errors.Is(err, context.Canceled); ctx {
		return err
	}
	return slipway.Errorf(slipway.Unavailable, "the database of $%s does not %s: %v", f.postgres, doing, err)
}
