package pipeline

import (
	"context"
	"time"
)

// Cancel ends a run: what waits is not started, what runs is ended. It returns
// when that is written down. A run that has ended stays as it is.
func (s *Service) Cancel(ctx context.Context, project, id string) (Run, error) {
	r, err := s.Run(ctx, project, id)
	if err != nil {
		return r, err
	}
	s.mu.Lock()
	d := s.runs[r.ID]
	s.mu.Unlock()
	if d == nil {
		return r, nil
	}
	d.mu.Lock()
	d.cancelled, d.run.Error = true, cancelledText
	mark := d.run
	d.mu.Unlock()
	if err := s.updateRun(ctx, mark, false); err != nil { // a later server goes on cancelling
		return r, err
	}
	s.mu.Lock()
	var seats []*taskSeat
	for _, seat := range s.leases {
		if seat.drive == d {
			seats = append(seats, seat)
		}
	}
	s.mu.Unlock()
	for _, seat := range seats {
		d.work.Go(func() { d.stop(context.WithoutCancel(ctx), seat) })
	}
	d.call()
	select {
	case <-d.done:
	case <-ctx.Done():
		return r, ctx.Err()
	}
	return s.Run(ctx, project, r.ID)
}

// stop kills an attempt's process and writes its end down.
func (d *drive) stop(ctx context.Context, seat *taskSeat) {
	h, err := d.s.handleOf(ctx, d.run.ID, seat.step, seat.attempt)
	if err == nil && h != nil {
		// The step asks its child, waits for it and completes by itself; the rest
		// of the time is for its own end.
		_ = h.Kill(ctx, d.s.o.Grace+2*time.Second)
	}
	d.lose(ctx, seat, cancelledText)
}

// cancelledText is the error of a run that was cancelled, from the moment on
// that this was asked for.
const cancelledText = "it was cancelled"
