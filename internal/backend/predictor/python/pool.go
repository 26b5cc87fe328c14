package python

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/kit/trace"
)

// pool runs requests on the workers of one model. All slots take from one
// queue, so a request goes to whichever worker is free first; what came in
// while all were busy is joined into batches. No request ever waits for
// company: under load the queue fills by itself, and without load waiting
// would only cost time.
type pool struct {
	cfg   predictor.Python
	spec  loadSpec
	queue chan *job
	quit  chan struct{}
	place []*slot
	slots sync.WaitGroup

	mu     sync.Mutex
	closed bool
	calls  sync.WaitGroup
	ctx    context.Context // ends the starting of workers
	cancel context.CancelFunc

	alive   atomic.Int32          // workers that can answer
	idle    atomic.Int32          // of them, those that wait for a request
	wake    chan struct{}         // a request waits, and a slot that rests should start its worker
	starts  atomic.Int64          // of workers that rested
	start   atomic.Int64          // what the last of them took, ns
	failing atomic.Pointer[error] // why the last start failed, nil when it did not
}

// job is one request on its way through the pool.
type job struct {
	part
	schema *wireSchema
	rows   int         // in.Rows, which may be read after the caller has gone
	done   chan answer // one answer, buffered
	began  time.Time   // when a worker took it
	alone  bool        // not to be joined again: a batch with it failed

	mu        sync.Mutex // held while the frame is read
	abandoned bool       // the caller has gone, and its frame with it
}

type answer struct {
	frame *slipway.Frame
	err   error
}

// newPool takes the first worker, which told what the model is, and starts
// the others.
func newPool(ctx context.Context, cfg predictor.Python, spec loadSpec, first *worker) (*pool, error) {
	p := &pool{cfg: cfg, spec: spec, queue: make(chan *job, cfg.MaxQueue), quit: make(chan struct{}), wake: make(chan struct{}, cfg.Workers)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	workers := []*worker{first}
	var mu sync.Mutex
	var starts sync.WaitGroup
	var failed error
	for range cfg.Workers - 1 {
		starts.Go(func() {
			w, _, err := open(ctx, cfg, spec)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
				return
			}
			workers = append(workers, w)
		})
	}
	starts.Wait()
	if failed != nil {
		for _, w := range workers {
			w.stop()
		}
		p.cancel()
		return nil, failed
	}
	for _, w := range workers {
		p.alive.Add(1)
		s := &slot{pool: p, spare: make(chan *worker, 1)}
		p.place = append(p.place, s)
		p.slots.Go(func() { s.run(w) })
	}
	return p, nil
}

// do runs one request to its end, or until ctx ends.
func (p *pool) do(ctx context.Context, j *job) (*slipway.Frame, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, slipway.Errorf(slipway.Unavailable, "the model is closed")
	}
	p.calls.Add(1)
	p.mu.Unlock()
	defer p.calls.Done()
	if err := p.down(); err != nil {
		return nil, err
	}
	came := time.Now()
	select {
	case p.queue <- j:
		p.call()
	default:
		return nil, slipway.Errorf(slipway.Unavailable, "the model's queue is full: %d requests wait for %d workers", p.cfg.MaxQueue, p.cfg.Workers).
			WithHint("try again later, or give the model more workers")
	}
	select {
	case a := <-j.done:
		if trace.On() && !j.began.IsZero() {
			trace.Record(ctx, "queue", came, j.began)
			trace.Record(ctx, "worker", j.began, time.Now())
		}
		return a.frame, a.err
	case <-ctx.Done():
		j.mu.Lock() // until nobody reads the frame
		j.abandoned = true
		j.mu.Unlock()
		return nil, ctx.Err()
	}
}

// down is the error to answer with while no worker runs and none will start.
func (p *pool) down() error {
	if p.alive.Load() > 0 {
		return nil
	}
	if err := p.failing.Load(); err != nil {
		e := slipway.AsError(*err)
		return failure(slipway.Errorf(slipway.Unavailable, "no worker of the model runs: %s", e.Message).WithHint("%s", e.Hint))
	}
	return nil
}

// close waits for the calls under way and ends the workers.
func (p *pool) close() {
	p.mu.Lock()
	first := !p.closed
	p.closed = true
	p.mu.Unlock()
	p.calls.Wait()
	if first {
		p.cancel()
		close(p.quit)
		for _, s := range p.place { // nobody waits any more for what still runs
			if w := s.busy.Load(); w != nil {
				w.kill()
			}
		}
	}
	p.slots.Wait()
}

// slot is the place of one worker, through all the processes that fill it.
type slot struct {
	*pool
	carry   []*job // to be run before anything from the queue
	spare   chan *worker
	renewed bool // a spare is on its way
	crashes int  // in a row
	busy    atomic.Pointer[process]
}

func (s *slot) run(w *worker) {
	defer func() {
		if w != nil {
			w.stop()
		}
		if s.renewed {
			if spare := <-s.spare; spare != nil {
				spare.stop()
			}
		}
	}()
	for {
		if w == nil {
			if w = s.restart(); w == nil {
				return
			}
		}
		select {
		case <-w.exited: // it died between calls, and no request is to blame
			w = s.lose()
			continue
		default:
		}
		if len(s.carry) > 0 {
			w = s.serve(w, s.take())
			continue
		}
		rest := s.resting()
		s.idle.Add(1)
		select {
		case j := <-s.queue:
			s.idle.Add(-1)
			if len(s.queue) > 0 { // who came meanwhile took this worker for free
				s.call()
			}
			s.carry = append(s.carry, j)
			w = s.serve(w, s.take())
		case spare := <-s.spare:
			s.idle.Add(-1)
			w = s.swap(w, spare)
		case <-w.exited:
			s.idle.Add(-1)
		case <-rest:
			s.idle.Add(-1)
			if len(s.queue) == 0 { // who comes from now on sees that nobody waits, and wakes us
				w = s.rest(w)
			}
		case <-s.quit:
			s.idle.Add(-1)
			return
		}
	}
}

// take removes the next batch from the front of the line: one request, and
// those behind it that have the same columns and for which there is room.
func (s *slot) take() []*job {
	batch := s.carry[:1:1]
	s.carry = s.carry[1:]
	rows := batch[0].rows
	for !batch[0].alone && rows < s.cfg.MaxBatch {
		if len(s.carry) == 0 {
			select {
			case j := <-s.queue:
				s.carry = append(s.carry, j)
			default:
				return batch
			}
		}
		next := s.carry[0]
		if next.alone || rows+next.rows > s.cfg.MaxBatch || !same(next.schema, batch[0].schema) {
			return batch
		}
		rows += next.rows
		batch, s.carry = append(batch, next), s.carry[1:]
	}
	return batch
}

func same(a, b *wireSchema) bool { return a == b || bytes.Equal(a.text, b.text) }

// swap puts a fresh worker in the place of one that has served its time.
func (s *slot) swap(w, spare *worker) *worker {
	s.renewed = false
	if spare == nil { // it did not start; the old one goes on and asks again later
		w.calls = 0
		return w
	}
	go w.stop()
	return spare
}

// renew starts the replacement of a worker that goes on meanwhile.
func (s *slot) renew(w *worker) {
	if s.cfg.Recycle <= 0 || w.calls < s.cfg.Recycle || s.renewed {
		return
	}
	s.renewed = true
	go func() {
		spare, _, err := open(s.ctx, s.cfg, s.spec)
		if err != nil {
			spare = nil
		}
		s.spare <- spare
	}()
}

// lose counts a worker out.
func (s *slot) lose() *worker {
	s.alive.Add(-1)
	s.crashes++
	return nil
}

// restart tries until a worker runs again or the pool closes, each time after
// a longer pause. While no worker can be had, requests are answered so.
func (s *slot) restart() *worker {
	const first, most = 20 * time.Millisecond, 10 * time.Second
	for {
		if s.renewed { // a replacement is coming anyway
			s.renewed = false
			if spare := <-s.spare; spare != nil {
				s.alive.Add(1)
				return spare
			}
		}
		pause := time.NewTimer(min(first<<min(max(s.crashes-1, 0), 10), most))
		select {
		case <-pause.C:
		case <-s.quit:
			pause.Stop()
			return nil
		}
		w, _, err := open(s.ctx, s.cfg, s.spec)
		if err == nil {
			s.failing.Store(nil)
			s.alive.Add(1)
			return w
		}
		s.crashes++
		s.failing.Store(&err)
		s.refuse()
	}
}

// refuse answers all that wait, when no worker is there to do it.
func (s *slot) refuse() {
	err := s.down()
	if err == nil {
		return
	}
	for {
		for _, j := range s.carry {
			j.done <- answer{err: err}
		}
		s.carry = nil
		select {
		case j := <-s.queue:
			s.carry = append(s.carry, j)
		default:
			return
		}
	}
}
