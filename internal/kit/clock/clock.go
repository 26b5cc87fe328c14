// Package clock is machine time as something that is passed: leases, timeouts,
// retries and schedules take a Clock, so that a test moves time instead of
// waiting for it. Event time, which rows and predictions carry, is not its
// business.
package clock

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Clock tells and waits for machine time. Implementations are safe for
// concurrent use.
type Clock interface {
	// Now is the present time in UTC, to the microsecond, as it is stored.
	Now() time.Time
	// After sends the time once d has passed; at once when d is not positive.
	After(d time.Duration) <-chan time.Time
	// Sleep returns nil once d has passed, or ctx's error when that ends first.
	Sleep(ctx context.Context, d time.Duration) error
}

// Wall is the computer's clock.
type Wall struct{}

var _ Clock = Wall{}

// Now implements Clock.
func (Wall) Now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// After implements Clock.
func (Wall) After(d time.Duration) <-chan time.Time { return time.After(d) }

// Sleep implements Clock.
func (w Wall) Sleep(ctx context.Context, d time.Duration) error { return sleep(ctx, w, d) }

func sleep(ctx context.Context, c Clock, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-c.After(d):
		return nil
	}
}

// Fake is a clock that stands still until a test moves it.
type Fake struct {
	mu      sync.Mutex
	changed *sync.Cond
	now     time.Time
	waiting []waiter
}

type waiter struct {
	at   time.Time
	wake chan time.Time
}

var _ Clock = (*Fake)(nil)

// NewFake makes a clock that stands at now.
func NewFake(now time.Time) *Fake {
	f := &Fake{now: now.UTC()}
	f.changed = sync.NewCond(&f.mu)
	return f
}

// Now implements Clock.
func (f *Fake) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// After implements Clock.
func (f *Fake) After(d time.Duration) <-chan time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	wake := make(chan time.Time, 1)
	if d <= 0 {
		wake <- f.now
		return wake
	}
	f.waiting = append(f.waiting, waiter{f.now.Add(d), wake})
	f.changed.Broadcast()
	return wake
}

// Sleep implements Clock.
func (f *Fake) Sleep(ctx context.Context, d time.Duration) error { return sleep(ctx, f, d) }

// Advance moves the clock by d and wakes whoever waited for a time up to then,
// earliest first.
func (f *Fake) Advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
	slices.SortStableFunc(f.waiting, func(a, b waiter) int { return a.at.Compare(b.at) })
	for len(f.waiting) > 0 && !f.waiting[0].at.After(f.now) {
		f.waiting[0].wake <- f.now
		f.waiting = f.waiting[1:]
	}
	f.changed.Broadcast()
}

// AwaitWaiters returns once at least n calls of After or Sleep wait, which is
// how a test knows that the code under test has come to its pause. A Sleep that
// its context ended counts until the clock passes its time.
func (f *Fake) AwaitWaiters(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.waiting) < n {
		f.changed.Wait()
	}
}
