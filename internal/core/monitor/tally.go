package monitor

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/slipway-ml/slipway"
)

var nan = math.NaN()

// tally is what one release did in one hour of event time: requests, failures,
// how long they took, and its features in the bins of its reference. Tallies
// of the same release add up.
type tally struct {
	rows, failed int64
	latency      histogram
	features     [][]int64 // fine counts, by the reference's features; nil without a reference
}

// histogram counts durations in buckets that grow by 5 %, so that a quantile is
// right to 5 %.
type histogram map[int]int64

const bucketGrowth = 1.05

func bucket(d time.Duration) int {
	return int(math.Ceil(math.Log(max(1, float64(d.Microseconds()))) / math.Log(bucketGrowth)))
}

// quantile is the upper end of the bucket that holds the q quantile, in
// milliseconds; NaN when nothing was counted.
func (h histogram) quantile(q float64) float64 {
	var total, before int64
	buckets := make([]int, 0, len(h))
	for b, n := range h {
		buckets, total = append(buckets, b), total+n
	}
	if total == 0 {
		return nan
	}
	slices.Sort(buckets)
	for _, b := range buckets {
		if before += h[b]; float64(before) >= q*float64(total) {
			return math.Pow(bucketGrowth, float64(b)) / 1000
		}
	}
	return nan
}

// merge adds what another tally of the same release counted.
func (t *tally) merge(o *tally) {
	t.rows, t.failed = t.rows+o.rows, t.failed+o.failed
	if t.latency == nil {
		t.latency = histogram{}
	}
	for b, n := range o.latency {
		t.latency[b] += n
	}
	if t.features == nil {
		t.features = make([][]int64, len(o.features))
	}
	for i := range o.features {
		if i >= len(t.features) {
			break
		}
		if t.features[i] == nil {
			t.features[i] = slices.Clone(o.features[i])
			continue
		}
		for k, n := range o.features[i] {
			if k < len(t.features[i]) {
				t.features[i][k] += n
			}
		}
	}
}

// pack writes a tally as varints; counts of zero cost nothing.
func (t *tally) pack() []byte {
	b := binary.AppendUvarint(nil, uint64(t.rows))
	b = binary.AppendUvarint(b, uint64(t.failed))
	b = binary.AppendUvarint(b, uint64(len(t.latency)))
	for k, n := range t.latency {
		b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(k)), uint64(n))
	}
	b = binary.AppendUvarint(b, uint64(len(t.features)))
	for _, fine := range t.features {
		b = binary.AppendUvarint(b, uint64(len(fine)))
		last := -1
		for k, n := range fine {
			if n != 0 {
				b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(k-last)), uint64(n))
				last = k
			}
		}
		b = binary.AppendUvarint(b, 0) // no step: the feature ends
	}
	return b
}

// reader takes varints off a packed tally.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) next() int {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > math.MaxInt64 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return int(v)
}

func unpackTally(b []byte) (*tally, error) {
	r := &reader{b: b}
	t := &tally{rows: int64(r.next()), failed: int64(r.next()), latency: histogram{}}
	for n := r.next(); n > 0 && !r.bad; n-- {
		k := r.next()
		t.latency[k] = int64(r.next())
	}
	count := r.next()
	for i := 0; i < count && !r.bad; i++ {
		width := r.next()
		if width > 1<<20 {
			r.bad = true
			break
		}
		fine := make([]int64, width)
		for at := -1; !r.bad; {
			step := r.next()
			if step == 0 {
				break
			}
			if at += step; at >= width {
				r.bad = true
				break
			}
			fine[at] = int64(r.next())
		}
		t.features = append(t.features, fine)
	}
	if r.bad || len(r.b) > 0 {
		return nil, fmt.Errorf("a count of %d bytes cannot be read", len(b))
	}
	return t, nil
}

// counting is a tally that is being counted.
type counting struct {
	tally
	counters []counter
}

func newCounting(r *reference) *counting {
	c := &counting{tally: tally{latency: histogram{}}}
	if r != nil {
		c.counters = make([]counter, len(r.Feature))
		for i := range r.Feature {
			c.counters[i] = r.Feature[i].counter()
		}
	}
	return c
}

// count adds row i of a batch; series[k] is the input column of the reference's
// feature k, nil when the caller's rows have none.
func (c *counting) count(b *slipway.PredictionBatch, series []*slipway.Series, i int) {
	c.rows++
	if b.Failure[i] != "" {
		c.failed++
	}
	c.latency[bucket(b.Latency[i])]++
	for k, s := range series {
		switch {
		case s != nil:
			c.counters[k].add(s, i)
		case c.counters[k].number != nil:
			c.counters[k].number.AddNull(1)
		default:
			c.counters[k].category.AddNull(1)
		}
	}
}

func (c *counting) done() *tally {
	for _, k := range c.counters {
		c.features = append(c.features, k.fine())
	}
	c.counters = nil
	return &c.tally
}
