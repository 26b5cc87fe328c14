package web

import (
	"context"
	"sync"
)

// jobLog keeps what a job said, for any number of readers that come and go.
type jobLog struct {
	mu     sync.Mutex
	events []Progress
	closed bool
	grew   chan struct{} // closed and replaced whenever the log grows
}

func newJobLog() *jobLog { return &jobLog{grew: make(chan struct{})} }

func (l *jobLog) append(p Progress) { l.add(p, false) }

func (l *jobLog) close(last Progress) { l.add(last, true) }

func (l *jobLog) add(p Progress, last bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = last
	l.events = append(l.events, p)
	close(l.grew)
	l.grew = make(chan struct{})
}

// wait returns event i, waiting for it; false when there will be none.
func (l *jobLog) wait(ctx context.Context, i int) (Progress, bool) {
	for {
		l.mu.Lock()
		if i < len(l.events) {
			defer l.mu.Unlock()
			return l.events[i], true
		}
		closed, grew := l.closed, l.grew
		l.mu.Unlock()
		if closed {
			return Progress{}, false
		}
		select {
		case <-grew:
		case <-ctx.Done():
			return Progress{}, false
		}
	}
}
