package db

import (
	"context"
	"errors"
)

type postgres struct{ engine }

func openPostgres(ctx context.Context, d *DB, dsn string) (engine, error) {
	return nil, errors.New("db: Postgres is not built in")
}

const pollEvery = 1e9
