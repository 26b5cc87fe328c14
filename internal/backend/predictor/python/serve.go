package python

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
)

// serve runs a batch on w and answers its requests. It returns the worker, or
// nil when that is lost.
func (s *slot) serve(w *worker, batch []*job) *worker {
	batch, rows := s.send(w, batch)
	if len(batch) == 0 {
		return w
	}
	s.busy.Store(w.process)
	out, err := w.predict(s.cfg.Timeout, rows)
	s.busy.Store(nil)
	lost := errors.Is(err, errLost)
	switch {
	case err == nil:
		s.crashes = 0
		share(out, batch)
	case len(batch) > 1:
		// One of them is to blame: each has the model to itself now, so that
		// the others get their answers.
		for _, j := range batch {
			j.alone = true
		}
		s.carry = append(batch, s.carry...)
	default:
		batch[0].done <- answer{err: s.explain(w, err)}
	}
	if lost {
		return s.lose()
	}
	w.trim()
	s.renew(w)
	return w
}

// send encodes the requests whose callers still wait into w.out, and gives
// them back with the number of their rows.
func (s *slot) send(w *worker, batch []*job) ([]*job, int) {
	live := batch[:0]
	var few [8]part // most batches are small
	parts, rows, size, now := few[:0], 0, 0, time.Now()
	for _, j := range batch {
		j.mu.Lock()
		if j.abandoned {
			j.mu.Unlock()
			continue
		}
		j.began = now
		live = append(live, j)
		parts = append(parts, j.part)
		rows += j.in.Rows
		size += wireSize(j.schema, j.part)
	}
	if len(live) > 0 {
		if size += headSize + 16 + len(live[0].schema.text); cap(w.out) < size {
			w.out = make([]byte, 0, size+size/4)
		}
		w.out = appendFrame(w.out[:headSize], live[0].schema, rows, parts)
		w.out = w.out[:len(w.out):cap(w.out)]
	}
	for _, j := range live {
		j.mu.Unlock()
	}
	return live, rows
}

// share hands each request its rows of the answer.
func share(out *slipway.Frame, batch []*job) {
	if len(batch) == 1 {
		batch[0].done <- answer{frame: out}
		return
	}
	from := 0
	for _, j := range batch {
		n := j.rows
		mine := &slipway.Frame{Rows: n, Series: make([]slipway.Series, len(out.Series))}
		for c := range out.Series {
			s := out.Series[c]
			if s.Float != nil {
				s.Float = s.Float[from : from+n : from+n]
			}
			if s.Text != nil {
				s.Text = s.Text[from : from+n : from+n]
			}
			if s.Null != nil {
				s.Null = s.Null[from : from+n : from+n]
			}
			mine.Series[c] = s
		}
		from += n
		j.done <- answer{frame: mine}
	}
}

// failure marks e as the model's own.
func failure(e *slipway.Error) error { return fmt.Errorf("%w: %w", predictor.ErrModel, e) }

// explain turns what went wrong in a worker into what its caller reads.
func (s *slot) explain(w *worker, err error) error {
	var r *raised
	switch {
	case errors.As(err, &r) && r.Exception == "MemoryError":
		return failure(slipway.Errorf(slipway.Unavailable, "the model ran out of memory").WithHint("send fewer rows, or raise the model's memory limit"))
	case errors.As(err, &r) && r.Refused:
		return failure(slipway.Errorf(slipway.Invalid, "the model refused the rows: %s", r.Error()))
	case errors.As(err, &r) && r.Exception == "":
		return failure(slipway.Errorf(slipway.Internal, "%s", r.Message))
	case errors.As(err, &r):
		return failure(slipway.Errorf(slipway.Internal, "the model raised %s", r.Error()).WithHint("%s", r.Traceback))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return failure(slipway.Errorf(slipway.Unavailable, "the model did not answer within %s", s.cfg.Timeout).WithHint("%s", w.stderr.last(20)))
	case errors.Is(err, errLost):
		return failure(slipway.Errorf(slipway.Unavailable, "the model's process ended: %s", w.state).WithHint("%s", w.stderr.last(20)))
	}
	return err
}
