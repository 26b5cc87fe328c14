package db

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	slipway "github.com/slipway-ml/slipway"
)

const (
	writeConns  = 8                      // writes that run at once
	maxAttempts = 40                     // before a write that keeps losing races gives up
	maxBackoff  = 100 * time.Millisecond // between two attempts
	commitTime  = 30 * time.Second       // a commit is not cut short by its caller, but not waited for forever
)

// postgres is a Postgres schema: the first one of the connection's search
// path.
type postgres struct {
	db       *DB
	pool     *pgxpool.Pool
	schema   string
	writing  chan struct{} // one token for each running write
	rebound  sync.Map      // SQL text → the same with $1, $2, …
	known    atomic.Int64  // how many of them there are, about
	kick     chan struct{} // wakes the sealer
	ctx      context.Context
	stop     context.CancelFunc
	work     sync.WaitGroup
	listener sync.Once
}

func openPostgres(ctx context.Context, d *DB, dsn string) (engine, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, slipway.Errorf(slipway.Invalid, "the address of the database is wrong: %v", err)
	}
	if !strings.Contains(dsn, "pool_max_conns") {
		cfg.MaxConns = int32(d.opts.ReadConns + writeConns + 1)
	}
	cfg.AfterConnect = durable
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, postgresFailure(err).fault("connect", err)
	}
	p := &postgres{db: d, pool: pool, writing: make(chan struct{}, writeConns), kick: make(chan struct{}, 1)}
	p.ctx, p.stop = context.WithCancel(context.Background())
	var schema *string
	err = pool.QueryRow(ctx, "SELECT current_schema()").Scan(&schema)
	if err == nil && schema == nil {
		err = slipway.Errorf(slipway.Invalid, "no schema of the connection's search_path exists")
	}
	if err != nil {
		pool.Close()
		return nil, postgresFailure(err).fault("connect", err)
	}
	p.schema = *schema
	return p, nil
}

// durable makes a commit wait for the disk where the server's default does
// not.
func durable(ctx context.Context, c *pgx.Conn) error {
	_, err := c.Exec(ctx, "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'")
	return err
}

func (p *postgres) ddl(statement string) string { return postgresDDL(statement) }

// write runs fn, again where it lost a race against another transaction.
func (p *postgres) write(ctx context.Context, fn func(*Tx) error) error {
	select {
	case p.writing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-p.writing }()
	for attempt := 1; ; attempt++ {
		tx, err := p.attempt(ctx, pgx.TxOptions{IsoLevel: pgx.Serializable}, fn)
		if err == nil {
			if tx.recorded > 0 {
				p.wakeSealer()
			}
			return nil
		}
		if !lostRace(err) && (tx == nil || !lostRace(tx.err)) || attempt == maxAttempts {
			return err
		}
		pause := rand.N(min(time.Millisecond<<min(attempt, 10), maxBackoff))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// lostRace reports a serialization failure or a deadlock: the same transaction
// may well succeed now.
func lostRace(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "40001" || e.Code == "40P01")
}

func (p *postgres) read(ctx context.Context, fn func(*Tx) error) error {
	_, err := p.attempt(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, fn)
	return err
}

// migrate serializes processes by a lock. The isolation is read committed, so
// that what follows the lock sees what its last holder did.
func (p *postgres) migrate(ctx context.Context, fn func(*Tx) error) error {
	_, err := p.attempt(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx *Tx) error {
		if err := p.lock(tx, "migrate"); err != nil {
			return err
		}
		return fn(tx)
	})
	return err
}

// lock holds a named lock of this schema until the transaction ends.
func (p *postgres) lock(tx *Tx, name string) error {
	var ignore string
	return tx.QueryRow("SELECT pg_advisory_xact_lock(hashtextextended(?, 0))::text", "slipway/"+p.schema+"/"+name).Scan(&ignore)
}

// attempt runs fn in one transaction. An error, a panic or the end of the
// goroutine rolls it back.
func (p *postgres) attempt(ctx context.Context, o pgx.TxOptions, fn func(*Tx) error) (*Tx, error) {
	raw, err := p.pool.BeginTx(ctx, o)
	if err != nil {
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case p.db.closed.Load():
			return nil, errClosed
		}
		return nil, postgresFailure(err).fault("BEGIN", err)
	}
	tx := &Tx{db: p.db, ctx: ctx, session: &postgresSession{p, raw}, writable: o.AccessMode != pgx.ReadOnly}
	committed := false
	defer func() {
		tx.closeRows()
		tx.over = true
		if !committed {
			stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTime)
			defer cancel()
			// A connection on which this fails is not used again.
			_ = raw.Rollback(stopping)
		}
	}()
	if err := tx.run(fn); err != nil {
		return tx, err
	}
	// The caller's end must not leave it open whether the commit happened.
	finishing, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTime)
	defer cancel()
	if err := raw.Commit(finishing); err != nil {
		return tx, postgresFailure(err).fault("COMMIT", err)
	}
	committed = true
	return tx, nil
}

// close waits for the background work and for running transactions.
func (p *postgres) close() error {
	p.stop()
	p.work.Wait()
	p.pool.Close()
	return nil
}

// postgresFailure sorts a driver's error by its SQLSTATE.
func postgresFailure(err error) failure {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		var connect *pgconn.ConnectError
		var network net.Error
		switch {
		case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
			return unknown
		case errors.As(err, &connect), errors.As(err, &network), errors.Is(err, net.ErrClosed),
			errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), pgconn.SafeToRetry(err):
			return away
		}
		return unknown
	}
	switch e.Code {
	case "23505", "23P01":
		return duplicate
	case "23503":
		return reference
	case "23502", "23514":
		return rule
	case "22003", "22021", "22P02", "22P05", "54000":
		return malformed
	case "53100":
		return full
	case "40001", "40P01", "55P03", "57014":
		return busy
	case "25006":
		return away
	}
	switch e.Code[:2] {
	case "53":
		return busy
	case "08", "57", "58":
		return away
	}
	return unknown
}
