package serving

import (
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/slipway-ml/slipway"
)

// record is what one release behind one endpoint did since the process began.
// It outlives manifests that name the release again.
type record struct {
	breaker   breaker
	answered  atomic.Int64 // requests
	rows      atomic.Int64
	failed    atomic.Int64 // the variant's failures
	refused   atomic.Int64 // requests that were wrong
	explained atomic.Int64
	stage     [stages]histogram
	batch     histogram // rows a request
	recent    rate
}

// The stages of a request that are timed.
const (
	stageParse = iota
	stagePredict
	stageExplain
	stageLog
	stageWrite
	stages
)

var stageNames = [stages]string{"parse", "predict", "explain", "log", "write"}

func recordKey(e slipway.Endpoint, v slipway.Variant) string {
	return e.Project + "/" + e.Name + "/" + v.Release + "/" + v.Model
}

// recordOf is the record of a release; the caller holds mu.
func (s *Service) recordOf(e slipway.Endpoint, v slipway.Variant) *record {
	key := recordKey(e, v)
	r := s.record[key]
	if r == nil {
		r = &record{}
		s.record[key] = r
	}
	r.breaker.set(e.Breaker)
	return r
}

// histogram counts values in four buckets an octave: a quantile is right
// within about a tenth. Recording is one atomic addition.
type histogram struct {
	count [64 * 4]atomic.Int64
	sum   atomic.Int64
}

// observe counts v, in nanoseconds or rows.
func (h *histogram) observe(v int64) {
	v = max(v, 1)
	h.count[place(v)].Add(1)
	h.sum.Add(v)
}

// place is the bucket of v ≥ 1: its octave, and which quarter of it.
func place(v int64) int {
	octave := bits.Len64(uint64(v)) - 1
	if octave < 2 {
		return octave * 4
	}
	return octave*4 + int(v>>(octave-2))&3
}

// upper is the end of bucket i.
func upper(i int) float64 {
	octave, quarter := i/4, i%4
	return float64(uint64(1)<<octave) * (1 + float64(quarter+1)/4)
}

func (h *histogram) total() (n int64) {
	for i := range h.count {
		n += h.count[i].Load()
	}
	return n
}

// quantile is the value below which a share q lies, 0 when there are none.
func (h *histogram) quantile(q float64) float64 {
	total := h.total()
	if total == 0 {
		return 0
	}
	rank, seen := int64(q*float64(total-1))+1, int64(0)
	for i := range h.count {
		if seen += h.count[i].Load(); seen >= rank {
			return upper(i)
		}
	}
	return upper(len(h.count) - 1)
}

// rateSeconds is the time that a rate is taken over.
const rateSeconds = 60

// rate counts requests by second over the last minute.
type rate struct {
	second [rateSeconds]struct{ at, n atomic.Int64 }
}

func (r *rate) add(now time.Time) {
	at := now.Unix()
	slot := &r.second[at%rateSeconds]
	if old := slot.at.Load(); old != at && slot.at.CompareAndSwap(old, at) {
		slot.n.Store(0)
	}
	slot.n.Add(1)
}

// perSecond is the mean over the last minute, or since start if that is less.
func (r *rate) perSecond(now, start time.Time) float64 {
	n, at := int64(0), now.Unix()
	for i := range r.second {
		if t := r.second[i].at.Load(); t > at-rateSeconds && t <= at {
			n += r.second[i].n.Load()
		}
	}
	return float64(n) / min(rateSeconds, max(1, now.Sub(start).Seconds()))
}
