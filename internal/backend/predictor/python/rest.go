package python

import (
	"log/slog"
	"time"
)

// A worker that nobody needs for a while ends, down to none; a request that
// finds no worker waiting has one started, and waits for it in the queue.

// resting is when the slot's worker has waited long enough; nil is never.
func (s *slot) resting() <-chan time.Time {
	if s.cfg.Idle <= 0 || s.renewed {
		return nil
	}
	return time.After(s.cfg.Idle)
}

// call wakes a slot that rests when no worker waits for requests.
func (p *pool) call() {
	if p.cfg.Idle <= 0 || p.idle.Load() > 0 {
		return
	}
	select {
	case p.wake <- struct{}{}:
	default: // as many are called as there are
	}
}

// rest ends the worker and waits for a call. It gives the worker that was
// started then, or nil when that failed or the pool closes.
func (s *slot) rest(w *worker) *worker {
	s.alive.Add(-1)
	go w.stop()
	for {
		select {
		case <-s.quit:
			return nil
		case <-s.wake:
		}
		if len(s.queue) == 0 { // another one was faster
			continue
		}
		begin := time.Now()
		w, _, err := open(s.ctx, s.cfg, s.spec)
		if err != nil {
			s.crashes++
			s.failing.Store(&err)
			s.refuse()
			return nil // and is tried again, each time after a longer pause
		}
		took := time.Since(begin)
		s.failing.Store(nil)
		s.starts.Add(1)
		s.start.Store(int64(took))
		slog.Info("a worker started again for a request", "model", s.spec.Path, "took", took)
		s.alive.Add(1)
		return w
	}
}
