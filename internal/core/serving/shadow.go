package serving

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/slipway-ml/slipway"
)

// shadowQueue is how many answered requests may wait for their shadows. When
// it is full the next request scores its shadows itself: nothing is dropped.
const shadowQueue = 1024

// shadows scores answered requests with the variants that only look on.
type shadows struct {
	s       *Service
	queue   chan shadowed
	workers sync.WaitGroup
	mu      sync.Mutex
	idle    *sync.Cond
	added   int64
	done    int64
	closed  bool
}

// shadowed is an answered request.
type shadowed struct {
	h Handle // with a reference of its own
	v *variant
	r *Request
	b *batch
}

func newShadows(s *Service) *shadows {
	w := &shadows{s: s, queue: make(chan shadowed, shadowQueue)}
	w.idle = sync.NewCond(&w.mu)
	for range runtime.GOMAXPROCS(0) {
		w.workers.Go(func() {
			for j := range w.queue {
				w.run(j)
			}
		})
	}
	return w
}

// mirror has an answered request scored by the endpoint's shadows.
func (h Handle) mirror(r *Request, b *batch) {
	for _, v := range h.e.shadow {
		if v.breaker.open.Load() {
			continue
		}
		h.t.refs.Add(1) // h holds one, so the table is alive
		h.s.shadow.add(shadowed{h, v, r, b})
	}
}

func (w *shadows) add(j shadowed) {
	w.mu.Lock()
	closed := w.closed
	if !closed {
		w.added++
		select {
		case w.queue <- j:
			w.mu.Unlock()
			return
		default:
		}
	}
	w.mu.Unlock()
	if closed {
		w.s.release(j.h.t)
		return
	}
	w.run(j)
}

// run scores one; the caller has been answered, so no cancellation reaches it.
func (w *shadows) run(j shadowed) {
	defer func() {
		j.h.Close()
		w.mu.Lock()
		w.done++
		w.idle.Broadcast()
		w.mu.Unlock()
	}()
	ctx, cancel := context.WithTimeout(context.Background(), shadowTime)
	defer cancel()
	o := j.v.predict(ctx, j.r, false)
	if o.refused {
		// The champion answered it: not to understand it is the shadow's fault.
		o.refused, o.failure = false, "refused the request: "+slipway.AsError(o.err).Message
	}
	_ = j.h.keep(j.r, j.b, []outcome{o}) // the log counts what it could not keep
}

// shadowTime bounds the scoring of one request by one shadow.
const shadowTime = 30 * time.Second

// wait returns when every request answered so far is scored.
func (w *shadows) wait(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.idle.Broadcast()
	})()
	w.mu.Lock()
	defer w.mu.Unlock()
	for so := w.added; w.done < so && ctx.Err() == nil; {
		w.idle.Wait()
	}
	return ctx.Err()
}

func (w *shadows) close() {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return
	}
	w.closed = true
	close(w.queue)
	w.mu.Unlock()
	w.workers.Wait()
}
