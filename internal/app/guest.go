package app

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// guests are the commands that work through this process because it owned the
// workspace first. Each holds a request open from its first word to its last,
// so that an owner whose own work is done neither leaves while another command
// is in the middle of something, nor lets one in that would find the door
// closing.
type guests struct {
	mu     sync.Mutex
	n      int
	closed bool
	left   chan struct{} // closed and replaced whenever a guest leaves
	evict  chan struct{} // closed when guests have to go
}

func newGuests() *guests {
	return &guests{left: make(chan struct{}), evict: make(chan struct{})}
}

// guestPath is answered on the owner's socket alone.
const guestPath = "/owner/guest"

// ServeHTTP keeps a guest until it hangs up, dies, or has to go.
func (g *guests) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		web.WriteError(w, r, slipway.Errorf(slipway.Unavailable, "the owner of the workspace is leaving"))
		return
	}
	g.n++
	g.mu.Unlock()
	w.WriteHeader(http.StatusOK)
	if http.NewResponseController(w).Flush() == nil {
		select {
		case <-r.Context().Done():
		case <-g.evict:
		}
	}
	g.mu.Lock()
	g.n--
	close(g.left)
	g.left = make(chan struct{})
	g.mu.Unlock()
}

func (g *guests) any() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.n > 0
}

// leave lets nobody in any more if nobody is there, and reports whether that
// is so. Otherwise left is closed when somebody goes.
func (g *guests) leave() (ok bool, left <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.n == 0 {
		g.closed = true
	}
	return g.n == 0, g.left
}

// dismiss lets nobody in any more and sends away who is there.
func (g *guests) dismiss() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	select {
	case <-g.evict:
	default:
		close(g.evict)
	}
}

// enter makes the caller a guest of the owner behind c until it closes stay.
// It fails while there is no owner, or the owner is leaving.
func enter(ctx context.Context, c web.Client) (stay io.Closer, err error) {
	resp, err := c.Stream(context.WithoutCancel(ctx), http.MethodGet, guestPath, nil)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// soon is how long other commands may keep this one before it says so.
const soon = time.Second

// seeOut waits until every guest has left and everything that they and this
// process caused is settled. tell is called when somebody keeps it waiting.
func (s *server) seeOut(ctx context.Context, tell func()) error {
	late := time.AfterFunc(soon, func() {
		if s.guests.any() {
			tell()
		}
	})
	defer late.Stop()
	for {
		if err := s.settle(ctx); err != nil {
			return err
		}
		empty, left := s.guests.leave()
		if empty {
			return s.settle(ctx) // what came between settling and leaving
		}
		select {
		case <-left:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
