package db

import (
	"context"
	"sync"
)

// signal wakes those who wait for events.
type signal struct {
	mu     sync.Mutex
	number int64         // the highest sealed number known
	moved  chan struct{} // closed when number grows
	gone   chan struct{} // closed with the database
}

func newSignal() *signal {
	return &signal{moved: make(chan struct{}), gone: make(chan struct{})}
}

// advance tells that events up to number are sealed and committed.
func (s *signal) advance(number int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if number <= s.number {
		return
	}
	s.number = number
	close(s.moved)
	s.moved = make(chan struct{})
}

func (s *signal) close() { close(s.gone) }

// state is the number known now and what to wait on for a higher one.
func (s *signal) state() (int64, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.number, s.moved
}

// WaitEvent returns when an event with a number above after is sealed. It
// fails when ctx ends, and with Unavailable when the database is closed.
func (d *DB) WaitEvent(ctx context.Context, after int64) error {
	if err := d.enter(ctx); err != nil {
		return err
	}
	d.engine.listen()
	for {
		number, moved := d.signal.state()
		if number > after {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		case <-d.signal.gone:
			return errClosed
		}
	}
}

// loadSignal starts the signal from what is stored.
func (d *DB) loadSignal(ctx context.Context) error {
	return d.engine.read(ctx, func(tx *Tx) error {
		h, err := loadHead(tx)
		if err == nil {
			d.signal.advance(h.number)
		}
		return err
	})
}

// LastEvent is the number of the newest sealed event, 0 when there is none.
// What was committed before the call is sealed when it returns.
func (d *DB) LastEvent(ctx context.Context) (int64, error) {
	if err := d.enter(ctx); err != nil {
		return 0, err
	}
	if err := d.engine.seal(ctx); err != nil {
		return 0, err
	}
	var last int64
	err := d.Read(ctx, func(tx *Tx) error {
		return tx.QueryRow(`SELECT COALESCE(MAX(number), 0) FROM event`).Scan(&last)
	})
	return last, err
}
