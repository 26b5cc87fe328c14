package db

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	slipway "github.com/slipway-ml/slipway"
)

// How a leader on Postgres keeps its lock. The server drops a session that it
// has not heard from for sessionIdle, and with it the lock; the leader gives up
// earlier, when a ping is not answered within pingTime.
const (
	pingEvery   = time.Second
	pingTime    = 4 * time.Second
	sessionIdle = "10s"
)

// Lead waits until this process is the only leader of name, then runs fn and
// returns its error. The context of fn ends when the lead is lost, and Lead
// then returns Unavailable, so that the caller may try again. On SQLite the
// process that owns the file leads at once.
func (d *DB) Lead(ctx context.Context, name string, fn func(ctx context.Context) error) error {
	if err := d.enter(ctx); err != nil {
		return err
	}
	p, ok := d.engine.(*postgres)
	if !ok {
		return fn(ctx)
	}
	return p.lead(ctx, name, fn)
}

func (p *postgres) lead(ctx context.Context, name string, fn func(ctx context.Context) error) error {
	conn, err := pgx.ConnectConfig(ctx, p.pool.Config().ConnConfig)
	if err != nil {
		return postgresFailure(err).fault("connect", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err = conn.Exec(ctx, "SELECT pg_advisory_lock(hashtextextended($1, 0))", "slipway/"+p.schema+"/lead/"+name); err == nil {
		_, err = conn.Exec(ctx, "SET idle_session_timeout = '"+sessionIdle+"'")
	}
	if err != nil {
		return postgresFailure(err).fault("wait to lead "+name, err)
	}
	leading, lose := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		keepLead(leading, conn, lose)
	}()
	defer func() { <-watched }()
	defer lose(nil)
	err = fn(leading)
	if lost := context.Cause(leading); lost == errLeadLost {
		return errLeadLost
	}
	return err
}

var errLeadLost error = slipway.Errorf(slipway.Unavailable, "another process may lead now: the connection to the database was lost")

// keepLead pings until ctx ends, and ends it when no answer comes.
func keepLead(ctx context.Context, conn *pgx.Conn, lose context.CancelCauseFunc) {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		ping, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTime)
		err := conn.Ping(ping)
		cancel()
		if err != nil {
			lose(errLeadLost)
			return
		}
	}
}
