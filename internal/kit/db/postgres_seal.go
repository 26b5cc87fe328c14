package db

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	slipway "github.com/slipway-ml/slipway"
)

const (
	sealPage  = 1000        // events numbered in one transaction
	pollEvery = time.Second // where no notification comes
)

// record leaves e for the sealer: transactions commit in another order than
// they insert, so a number given now could appear after a higher one.
func (p *postgres) record(tx *Tx, e *slipway.Event) error { return insertEvent(tx, e, nil) }

// start runs the sealer, first over what a process that died left behind.
func (p *postgres) start(ctx context.Context) error {
	if p.db.opts.ReadOnly {
		return p.db.loadSignal(ctx)
	}
	p.work.Go(func() {
		for {
			select {
			case <-p.kick:
				// An error is met again by the reader whom it concerns, and the events
				// stay to be sealed.
				_ = p.seal(p.ctx)
			case <-p.ctx.Done():
				return
			}
		}
	})
	p.wakeSealer()
	return p.db.loadSignal(ctx)
}

func (p *postgres) wakeSealer() {
	select {
	case p.kick <- struct{}{}:
	default: // it is about to look anyway
	}
}

// seal numbers all committed events.
func (p *postgres) seal(ctx context.Context) error {
	if p.db.opts.ReadOnly {
		return nil
	}
	if err := p.db.enter(ctx); err != nil {
		return err
	}
	for {
		var open bool
		err := p.read(ctx, func(tx *Tx) error {
			return tx.QueryRow("SELECT EXISTS (SELECT 1 FROM event WHERE number IS NULL)").Scan(&open)
		})
		if err != nil || !open {
			return err
		}
		var h head
		_, err = p.attempt(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx *Tx) (err error) {
			h, err = p.sealPage(tx)
			return err
		})
		if err != nil {
			return err
		}
		p.db.signal.advance(h.number)
	}
}

// sealPage numbers the next committed events. One process at a time does it,
// and each of its statements sees all that is committed.
func (p *postgres) sealPage(tx *Tx) (head, error) {
	if err := p.lock(tx, "seal"); err != nil {
		return head{}, err
	}
	h, err := loadHead(tx)
	if err != nil {
		return head{}, err
	}
	page, err := All(tx, scanEvent, "SELECT "+eventColumns+" FROM event WHERE number IS NULL ORDER BY seq LIMIT ?", sealPage)
	if err != nil || len(page) == 0 {
		return h, err
	}
	ids, numbers, hashes := make([]string, len(page)), make([]int64, len(page)), make([][]byte, len(page))
	for i := range page {
		if err := h.append(&page[i]); err != nil {
			return head{}, err
		}
		ids[i], numbers[i], hashes[i] = page[i].ID, page[i].Number, append([]byte{}, h.hash[:]...)
	}
	raw := tx.session.(*postgresSession).tx
	_, err = raw.Exec(tx.ctx, `UPDATE event SET number = s.number, hash = s.hash
		FROM unnest($1::text[], $2::bigint[], $3::bytea[]) AS s (id, number, hash) WHERE event.id = s.id`, ids, numbers, hashes)
	if err == nil {
		_, err = raw.Exec(tx.ctx, "SELECT pg_notify($1, $2)", p.channel(), strconv.FormatInt(h.number, 10))
	}
	if err != nil {
		return head{}, tx.fail("seal events", err)
	}
	return h, nil
}

// channel is where the sealer tells the last number. Channels belong to the
// whole database, schemas share it.
func (p *postgres) channel() string {
	return "slipway_event_" + slipway.DigestOf([]byte(p.schema)).Short()
}

// listen hears of events that other processes sealed.
func (p *postgres) listen() {
	p.listener.Do(func() {
		p.work.Go(func() {
			for p.ctx.Err() == nil {
				// The loop mends a lost connection; until then it polls.
				_ = p.follow()
				p.poll()
				select {
				case <-time.After(pollEvery):
				case <-p.ctx.Done():
				}
			}
		})
	})
}

// follow listens on one connection until it breaks.
func (p *postgres) follow() error {
	conn, err := pgx.ConnectConfig(p.ctx, p.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(p.ctx))
	if _, err := conn.Exec(p.ctx, "LISTEN "+pgx.Identifier{p.channel()}.Sanitize()); err != nil {
		return err
	}
	p.poll() // for what was sealed before LISTEN
	for {
		quiet, cancel := context.WithTimeout(p.ctx, pollEvery)
		n, err := conn.WaitForNotification(quiet)
		cancel()
		switch {
		case err == nil:
			if number, err := strconv.ParseInt(n.Payload, 10, 64); err == nil {
				p.db.signal.advance(number)
			}
		case p.ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
			p.poll()
		default:
			return err
		}
	}
}

// poll looks for what no notification told, and seals what was left behind.
func (p *postgres) poll() {
	if p.seal(p.ctx) == nil {
		_ = p.db.loadSignal(p.ctx)
	}
}
