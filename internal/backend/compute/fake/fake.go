// Package fake runs steps as goroutines, for tests of what happens around them:
// a process that is lost, that hangs, or that outlives its server.
package fake

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/compute"
)

// Runner calls a function for every process. It plays the machine: it outlives
// the servers that use it.
type Runner struct {
	// Run is the process; its result is the exit status. ctx ends when the
	// process is killed. It is called on a goroutine of its own.
	Run func(ctx context.Context, s compute.Spec) int
	// Fault, when set, is asked before each start; an error is Start's.
	Fault func(s compute.Spec) error

	mu      sync.Mutex
	started []compute.Spec
	alive   map[string]*handle
}

var _ compute.Runner = (*Runner)(nil)

// Start implements compute.Runner.
func (r *Runner) Start(_ context.Context, s compute.Spec) (compute.Handle, error) {
	if len(s.Args) == 0 {
		return nil, slipway.Errorf(slipway.Invalid, "no program is named for %s", s.Name)
	}
	if r.Fault != nil {
		if err := r.Fault(s); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.mu.Lock()
	r.started = append(r.started, s)
	h := &handle{id: strconv.Itoa(len(r.started)), cancel: cancel, done: make(chan struct{})}
	if r.alive == nil {
		r.alive = map[string]*handle{}
	}
	r.alive[h.id] = h
	r.mu.Unlock()
	go func() {
		code := r.Run(ctx, s)
		if ctx.Err() != nil {
			code = -1
		}
		cancel()
		h.exit = compute.Exit{Code: code, Known: true}
		r.mu.Lock()
		delete(r.alive, h.id)
		r.mu.Unlock()
		close(h.done)
	}()
	return h, nil
}

// Adopt implements compute.Runner.
func (r *Runner) Adopt(_ context.Context, id string) (compute.Handle, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h, ok := r.alive[id]
	if !ok {
		return nil, slipway.Errorf(slipway.NotFound, "process %s is gone", id)
	}
	return h, nil
}

// Started lists what was started so far.
func (r *Runner) Started() []compute.Spec {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]compute.Spec(nil), r.started...)
}

type handle struct {
	id     string
	cancel context.CancelFunc
	done   chan struct{}
	exit   compute.Exit
}

func (h *handle) ID() string { return h.id }

func (h *handle) Wait(ctx context.Context) (compute.Exit, error) {
	select {
	case <-h.done:
		return h.exit, nil
	case <-ctx.Done():
		return compute.Exit{}, ctx.Err()
	}
}

func (h *handle) Kill(ctx context.Context, _ time.Duration) error {
	h.cancel()
	_, err := h.Wait(ctx)
	return err
}
