package stat

// Breaker trips when at least Limit of the last Window outcomes failed. It is
// arithmetic, not statistics: it answers within requests, where a test needs
// blocks. It is not safe for concurrent use.
type Breaker struct {
	limit  int
	failed []bool
	next   int
	count  int
}

// NewBreaker trips at limit failures of the last window outcomes. A limit or a
// window below 1 counts as 1, a limit above the window as the window.
func NewBreaker(limit, window int) *Breaker {
	window = max(1, window)
	return &Breaker{limit: min(max(1, limit), window), failed: make([]bool, window)}
}

// Observe counts an outcome and reports whether the breaker is tripped.
func (b *Breaker) Observe(failed bool) bool {
	if b.failed[b.next] {
		b.count--
	}
	b.failed[b.next] = failed
	if failed {
		b.count++
	}
	b.next = (b.next + 1) % len(b.failed)
	return b.count >= b.limit
}

// Failed is how many of the last outcomes failed.
func (b *Breaker) Failed() int { return b.count }

// Reset forgets all outcomes.
func (b *Breaker) Reset() { *b = *NewBreaker(b.limit, len(b.failed)) }
