package db

import (
	"context"
	"errors"
	"time"

	"zombiezen.com/go/sqlite"

	slipway "github.com/slipway-ml/slipway"
)

func (e *sqliteDB) ddl(statement string) string { return sqliteDDL(statement) }

func (e *sqliteDB) migrate(ctx context.Context, fn func(*Tx) error) error { return e.write(ctx, fn) }

func (e *sqliteDB) start(ctx context.Context) error { return e.db.loadSignal(ctx) }

func (e *sqliteDB) write(ctx context.Context, fn func(*Tx) error) error {
	return e.writer.write(ctx, fn)
}

// seal has nothing to do: the writer numbers events as it commits them.
func (e *sqliteDB) seal(context.Context) error { return nil }

// record numbers e at once: there is one writer, so the order of its
// transactions is the order of commits.
func (e *sqliteDB) record(tx *Tx, ev *slipway.Event) error {
	h := tx.chain
	if !h.loaded {
		var err error
		if h, err = loadHead(tx); err != nil {
			return err
		}
	}
	if err := h.append(ev); err != nil {
		return err
	}
	if err := insertEvent(tx, ev, h.hash[:]); err != nil {
		return err
	}
	tx.chain = h
	return nil
}

// read borrows a connection and shows fn one snapshot.
func (e *sqliteDB) read(ctx context.Context, fn func(*Tx) error) error {
	select {
	case e.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-e.db.signal.gone:
		return errClosed
	}
	defer func() { <-e.slots }()
	if e.db.closed.Load() {
		return errClosed
	}
	c, err := e.borrow()
	if err != nil {
		return err
	}
	defer func() { e.idle <- c }()
	c.conn.SetInterrupt(ctx.Done())
	tx := &Tx{db: e.db, ctx: ctx, session: c}
	defer func() {
		tx.closeRows()
		tx.over = true
		c.conn.SetInterrupt(nil)
		if !c.conn.AutocommitEnabled() {
			_, _ = c.exec(ctx, "ROLLBACK", nil) // nothing was written
		}
	}()
	if _, err := c.exec(ctx, "BEGIN", nil); err != nil {
		return c.readFault(ctx, c.fault("BEGIN", err))
	}
	return c.readFault(ctx, tx.run(fn))
}

// readFault names the context's end instead of the interruption it caused.
func (c *sqliteConn) readFault(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && sqlite.ErrCode(err).ToPrimary() == sqlite.ResultInterrupt {
		return ctx.Err()
	}
	return err
}

func (e *sqliteDB) borrow() (*sqliteConn, error) {
	select {
	case c := <-e.idle:
		return c, nil
	default:
		return openConn(e.path, false, e.db.opts.Foreign)
	}
}

// listen follows the log of another process by asking for it, where this one
// only reads; a writer knows by itself.
func (e *sqliteDB) listen() {
	if e.writer != nil {
		return
	}
	e.once.Do(func() {
		e.reads.Go(func() {
			tick := time.NewTicker(pollEvery)
			defer tick.Stop()
			for {
				// An error is met again by the reader whom it concerns.
				_ = e.db.loadSignal(e.ctx)
				select {
				case <-tick.C:
				case <-e.ctx.Done():
					return
				}
			}
		})
	})
}

// close ends the writer, then waits for the readers to hand their connections
// back.
func (e *sqliteDB) close() error {
	e.stop()
	e.reads.Wait()
	var errs []error
	for range cap(e.slots) {
		e.slots <- struct{}{}
	}
	for range len(e.idle) {
		errs = append(errs, (<-e.idle).close())
	}
	if e.writer != nil {
		errs = append(errs, e.writer.close())
	}
	return errors.Join(errs...)
}
