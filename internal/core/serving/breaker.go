package serving

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/stat"
)

// constantAfter is how many differing rows in a row may have one and the same
// answer before a model counts as broken.
const constantAfter = 100

// beyond is how many widths of its training range a feature may lie outside it.
// Seasons and growth leave a range by a little; a changed unit by orders.
const beyond = 10

// breaker watches what one release answers.
type breaker struct {
	open   atomic.Bool // the variant is cut off
	failed atomic.Int64

	mu       sync.Mutex
	rule     slipway.Breaker
	ring     *stat.Breaker // nil when the manifest wants none
	reported bool          // of a champion, which is never cut off
	input    uint64        // of the last row, hashed
	output   float64
	same     int
	reason   map[string]int // of the failures since the last report
}

// set takes the manifest's limits; outcomes are forgotten only when they change.
func (b *breaker) set(rule slipway.Breaker) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if rule == b.rule && b.reason != nil {
		return
	}
	b.rule, b.ring, b.reason = rule, nil, map[string]int{}
	if rule.Failures > 0 && rule.Of > 0 {
		b.ring = stat.NewBreaker(rule.Failures, rule.Of)
	}
}

// observe counts an outcome. The reason is not empty when that was one too many.
func (b *breaker) observe(o *outcome) string {
	failure := o.failure
	b.mu.Lock()
	defer b.mu.Unlock()
	if failure == "" && b.rule.Deadline > 0 && o.took > b.rule.Deadline {
		failure = "missed the deadline of " + b.rule.Deadline.String()
	}
	if failure == "" {
		failure = o.strange()
	}
	if failure == "" {
		if b.constant(o) {
			return fmt.Sprintf("the answer was the same for %d differing rows", constantAfter)
		}
	} else {
		b.failed.Add(1)
		if len(b.reason) < 20 || b.reason[failure] > 0 {
			b.reason[failure]++
		}
	}
	if b.ring == nil || !b.ring.Observe(failure != "") {
		b.reported = b.reported && b.ring != nil && b.ring.Failed() > 0
		return ""
	}
	if b.reported {
		return ""
	}
	b.reported = true
	reason := fmt.Sprintf("%d of the last %d requests failed: %s", b.ring.Failed(), b.rule.Of, b.most())
	clear(b.reason)
	return reason
}

// most is the commonest failure.
func (b *breaker) most() string {
	best := ""
	for text, n := range b.reason {
		if n > b.reason[best] || n == b.reason[best] && text < best {
			best = text
		}
	}
	return best
}

// constant reports whether this is the answer of so many rows that differ from
// the one before. Labels and classes repeat by nature: only numbers are held to
// it, and only first rows are looked at.
func (b *breaker) constant(o *outcome) bool {
	if b.ring == nil || o.in.Rows == 0 || len(o.out.Series) == 0 {
		return false
	}
	s := &o.out.Series[0]
	if s.Type != slipway.Float || s.Text != nil {
		return false
	}
	input, output := hashRow(o.in), s.Float[0]
	longer := output == b.output && input != b.input
	switch {
	case output != b.output:
		b.same = 1
	case longer:
		b.same++
	}
	b.input, b.output = input, output
	return longer && b.same == constantAfter // said once, as long as it lasts
}

// hashRow mixes the values of the first row (FNV-1a over words).
func hashRow(f *slipway.Frame) uint64 {
	h := uint64(14695981039346656037)
	for i := range f.Series {
		s := &f.Series[i]
		if s.Text == nil {
			h = (h ^ math.Float64bits(s.Float[0])) * 1099511628211
			continue
		}
		for _, c := range []byte(s.Text[0]) {
			h = (h ^ uint64(c)) * 1099511628211
		}
	}
	return h
}

// outcome is what a variant made of a request.
type outcome struct {
	variant *variant
	in      *slipway.Frame
	out     *slipway.Frame // nil when it failed
	failure string         // why, "" when it did not
	err     error          // for the caller
	refused bool           // the request is wrong; nobody's failure
	took    time.Duration
}

// strange names a feature far outside its training range, "" when there is none.
func (o *outcome) strange() string {
	for i := range o.variant.spec.Range {
		r := &o.variant.spec.Range[i]
		width := r.Max - r.Min
		if !(width > 0) {
			continue
		}
		at := i // ranges usually stand in the order of the inputs
		if at >= len(o.in.Series) || o.in.Series[at].Name != r.Feature {
			at = slices.IndexFunc(o.in.Series, func(s slipway.Series) bool { return s.Name == r.Feature })
		}
		if at < 0 {
			continue
		}
		low, high := r.Min-beyond*width, r.Max+beyond*width
		for _, v := range o.in.Series[at].Float {
			if v < low || v > high {
				return fmt.Sprintf("%s is far outside its training range", r.Feature)
			}
		}
	}
	return ""
}

// trip makes the record of a cut-off.
func (s *Service) trip(e slipway.Endpoint, v slipway.Variant, reason string) Trip {
	return Trip{Project: e.Project, Endpoint: e.Name, Release: v.Release, Role: v.Role, Model: v.Model, Reason: reason, Time: time.Now().UTC()}
}

// watch gives an outcome to its breaker and acts on the verdict: a challenger
// or shadow is cut off at once, and stays so over restarts.
func (s *Service) watch(o *outcome) {
	v := o.variant
	reason := v.breaker.observe(o)
	if reason == "" {
		return
	}
	t := s.trip(v.endpoint.spec, v.spec, reason)
	if v.spec.Role != slipway.Champion {
		if v.breaker.open.Swap(true) {
			return
		}
		s.mu.Lock()
		if v.spec.Release != "" {
			s.trips[v.spec.Release] = t
			_ = s.keepTrips() // it is cut off here and now; the next process would find out again
		}
		s.mu.Unlock()
	}
	s.tell(t)
}
