package app

import (
	"context"
	"sync"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// gather is the least time between two looks at the end of the log. Events that
// come thick, one a run that a client makes, are then read and decoded some
// tens at a time; one that comes after a pause is read at once.
const gather = 5 * time.Millisecond

// reader reads the log once for all consumers: they mostly stand at the same
// place, its end. One that is behind reads for itself, and holds nobody up.
type reader struct {
	db     *db.DB
	mu     sync.Mutex
	from   int64           // the number before the first of events
	events []slipway.Event // the newest that were read; shared, never changed
	end    int64           // where the log ended when it was last looked at, or -1
	looked time.Time       // when that was
}

// after returns up to batch events with numbers above n, in order; none at the
// end of the log, until fresh says that it goes on.
func (r *reader) after(ctx context.Context, n int64) ([]slipway.Event, error) {
	r.mu.Lock()
	if got, ok := r.kept(n); ok || n == r.end {
		r.mu.Unlock()
		return got, nil
	}
	if n < r.from+int64(len(r.events)) {
		r.mu.Unlock()
		return r.db.Events(ctx, n, batch)
	}
	defer r.mu.Unlock() // the others want the same, and wait for it
	events, err := r.db.Events(ctx, n, batch)
	if err != nil {
		return nil, err
	}
	r.looked = time.Now()
	if len(events) > 0 {
		r.from, r.events = n, events
	}
	if len(events) < batch {
		r.end = n + int64(len(events))
	}
	return events, nil
}

// fresh notes that there is more above n than was last seen, and returns how
// long it is until that may be looked at.
func (r *reader) fresh(n int64) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.end == n {
		r.end = -1
	}
	return gather - time.Since(r.looked)
}

// kept is what of the last read stands above n. Sealed events are numbered
// without gaps.
func (r *reader) kept(n int64) ([]slipway.Event, bool) {
	if i := n - r.from; i >= 0 && i < int64(len(r.events)) && r.events[i].Number == n+1 {
		return r.events[i:], true
	}
	return nil, false
}
