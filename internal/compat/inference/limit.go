package inference

import (
	"fmt"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/serving"
)

// Limits bound what callers may ask of the process. A field that is 0 bounds
// nothing.
type Limits struct {
	Concurrent int     // predictions that are made at once, over all callers
	PerCaller  int     // predictions that are made at once for one caller
	Rate       float64 // predictions a second that one caller may ask for, in the long run
	Burst      int     // how many it may ask for at once when it was silent; default a second of Rate
}

// Limiter keeps Limits. A caller is a token, and without one an address. One
// Limiter serves both protocols.
type Limiter struct {
	o       Limits
	running atomic.Int64

	mu     sync.Mutex
	caller map[string]*caller
	swept  time.Time
	now    func() time.Time
}

// caller is a bucket that fills with Rate tokens a second, of which every
// request takes one.
type caller struct {
	tokens  float64
	at      time.Time
	running int
}

// NewLimiter keeps limits from now on.
func NewLimiter(o Limits) *Limiter {
	if o.Burst <= 0 {
		o.Burst = max(1, int(math.Ceil(o.Rate)))
	}
	return &Limiter{o: o, caller: map[string]*caller{}, now: time.Now}
}

// busyError is a refusal that passes: after is when to come again.
type busyError struct {
	says  *slipway.Error
	after time.Duration
}

func (e *busyError) Error() string   { return e.says.Message }
func (e *busyError) Unwrap() []error { return []error{e.says, serving.ErrLimit} }

func busy(after time.Duration, format string, args ...any) error {
	return &busyError{slipway.Errorf(slipway.Unavailable, format, args...).WithHint("try again in %s", after), after}
}

// enter lets a request in, or fails with an error that wraps serving.ErrLimit.
// Call leave when it is answered. A nil Limiter lets everybody in.
func (l *Limiter) enter(p slipway.Principal, address string) (leave func(), err error) {
	if l == nil {
		return func() {}, nil
	}
	if n := l.running.Add(1); l.o.Concurrent > 0 && n > int64(l.o.Concurrent) {
		l.running.Add(-1)
		return nil, busy(time.Second, "the server answers %d requests already", l.o.Concurrent)
	}
	if l.o.PerCaller <= 0 && l.o.Rate <= 0 {
		return l.leaveAll, nil
	}
	c, err := l.take(callerName(p, address))
	if err != nil {
		l.running.Add(-1)
		return nil, err
	}
	return func() {
		l.running.Add(-1)
		l.mu.Lock()
		c.running--
		l.mu.Unlock()
	}, nil
}

func (l *Limiter) leaveAll() { l.running.Add(-1) }

// callerName is whom a request counts for. Callers without a token share a
// principal, so that their address tells them apart.
func callerName(p slipway.Principal, address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	return fmt.Sprintf("%s\x00%s", p.Name, host)
}

func (l *Limiter) take(name string) (*caller, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.sweep(now)
	c := l.caller[name]
	if c == nil {
		c = &caller{tokens: float64(l.o.Burst), at: now}
		l.caller[name] = c
	}
	c.tokens = min(float64(l.o.Burst), c.tokens+l.o.Rate*now.Sub(c.at).Seconds())
	c.at = now
	if l.o.PerCaller > 0 && c.running >= l.o.PerCaller {
		return nil, busy(time.Second, "%d of your requests are being answered already", c.running)
	}
	if l.o.Rate > 0 {
		if c.tokens < 1 {
			wait := time.Duration(math.Ceil((1-c.tokens)/l.o.Rate)) * time.Second
			return nil, busy(wait, "you may ask %v times a second", l.o.Rate)
		}
		c.tokens--
	}
	c.running++
	return c, nil
}

// sweep forgets callers who have been silent for so long that their bucket is
// full: an unknown one starts the same. The caller holds mu.
func (l *Limiter) sweep(now time.Time) {
	if now.Sub(l.swept) < time.Minute {
		return
	}
	l.swept = now
	for name, c := range l.caller {
		if c.running == 0 && (l.o.Rate <= 0 || c.tokens+l.o.Rate*now.Sub(c.at).Seconds() >= float64(l.o.Burst)) {
			delete(l.caller, name)
		}
	}
}
