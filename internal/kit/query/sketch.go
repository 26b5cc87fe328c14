package query

import (
	"cmp"
	"math"
	"math/bits"
	"slices"

	slipway "github.com/slipway-ml/slipway"
)

// mix spreads the bits of a number (the finaliser of SplitMix64, Steele and
// others 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// hyperLogLog estimates how many different hashes it was given (Flajolet and
// others 2007, with linear counting below 2.5 m). 4,096 registers.
type hyperLogLog struct{ register [1 << 12]uint8 }

func (l *hyperLogLog) add(hash uint64) {
	i := hash >> 52
	if rank := uint8(bits.LeadingZeros64(hash<<12|1<<11)) + 1; rank > l.register[i] {
		l.register[i] = rank
	}
}

func (l *hyperLogLog) count() float64 {
	const m = float64(1 << 12)
	sum, zero := 0.0, 0.0
	for _, r := range l.register {
		sum += math.Ldexp(1, -int(r))
		if r == 0 {
			zero++
		}
	}
	e := 0.7213 / (1 + 1.079/m) * m * m / sum
	if e <= 2.5*m && zero > 0 {
		return m * math.Log(m/zero)
	}
	return e
}

// numberTable counts up to numberValues different numbers by their bits.
type numberTable struct {
	slots [2 * numberValues]struct {
		bits  uint64
		count int64
	}
	used int
}

func newNumberTable() *numberTable { return &numberTable{} }

// add counts a number, or reports that there are too many.
func (t *numberTable) add(bits uint64) bool {
	for i := mix(bits) % (2 * numberValues); ; i = (i + 1) % (2 * numberValues) {
		s := &t.slots[i]
		switch {
		case s.count == 0:
			if t.used == numberValues {
				return false
			}
			t.used++
			s.bits, s.count = bits, 1
			return true
		case s.bits == bits:
			s.count++
			return true
		}
	}
}

func (t *numberTable) each(fn func(bits uint64, count int64)) {
	for i := range t.slots {
		if t.slots[i].count > 0 {
			fn(t.slots[i].bits, t.slots[i].count)
		}
	}
}

// quantiles are exact: between the two values beside the rank q (n - 1), as R's
// type 7.
func (t *numberTable) quantiles(of slipway.Type, n int64, levels []float64) []float64 {
	type pair struct {
		value float64
		count int64
	}
	all := make([]pair, 0, t.used)
	t.each(func(bits uint64, count int64) {
		v := float64(int64(bits))
		if of == slipway.Float {
			v = math.Float64frombits(bits)
		}
		all = append(all, pair{v, count})
	})
	slices.SortFunc(all, func(a, b pair) int { return cmp.Compare(a.value, b.value) })
	at := func(rank int64) float64 {
		for _, p := range all {
			if rank -= p.count; rank < 0 {
				return p.value
			}
		}
		return all[len(all)-1].value
	}
	out := make([]float64, len(levels))
	for i, q := range levels {
		rank := q * float64(n-1)
		low := int64(rank)
		part := rank - float64(low)
		out[i] = at(low)
		if part > 0 {
			out[i] += part * (at(low+1) - out[i])
		}
	}
	return out
}

// quantiles of values, of which NaN and infinite ones are left out, as R's
// type 7; nil of none.
func quantiles(values []float64, levels []float64) []float64 {
	v := make([]float64, 0, len(values))
	for _, f := range values {
		if !math.IsNaN(f) && !math.IsInf(f, 0) {
			v = append(v, f)
		}
	}
	if len(v) == 0 {
		return nil
	}
	slices.Sort(v)
	out := make([]float64, len(levels))
	for i, q := range levels {
		rank := q * float64(len(v)-1)
		low := int(rank)
		out[i] = v[low]
		if part := rank - float64(low); part > 0 {
			out[i] += part * (v[low+1] - v[low])
		}
	}
	return out
}

// textTable counts texts by hash and bytes.
type textTable struct {
	slots   []int32 // index into entries plus one; 0 is free
	entries []textEntry
	lost    int64 // most that any count may be short
}

type textEntry struct {
	hash  uint64
	text  string
	count int64
}

func newTextTable() *textTable { return &textTable{slots: make([]int32, 256)} }

// add counts a text, or reports that there is no room for another.
func (t *textTable) add(hash uint64, b []byte) bool {
	mask := uint64(len(t.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		n := t.slots[i]
		if n == 0 {
			if len(t.entries) == textValues {
				return false
			}
			t.entries = append(t.entries, textEntry{hash, string(b), 1})
			t.slots[i] = int32(len(t.entries))
			if 2*len(t.entries) > len(t.slots) {
				t.place(2 * len(t.slots))
			}
			return true
		}
		if e := &t.entries[n-1]; e.hash == hash && e.text == string(b) {
			e.count++
			return true
		}
	}
}

// place puts every entry into a table of a size.
func (t *textTable) place(size int) {
	t.slots = make([]int32, size)
	mask := uint64(size - 1)
	for n := range t.entries {
		i := t.entries[n].hash & mask
		for t.slots[i] != 0 {
			i = (i + 1) & mask
		}
		t.slots[i] = int32(n + 1)
	}
}

// forget takes the rarer half out and returns it.
func (t *textTable) forget() []textEntry {
	slices.SortStableFunc(t.entries, func(a, b textEntry) int { return cmp.Compare(b.count, a.count) })
	half := len(t.entries) / 2
	t.lost += t.entries[half].count
	gone := slices.Clone(t.entries[half:])
	t.entries = t.entries[:half]
	t.place(len(t.slots))
	return gone
}

// correlations are Pearson's, from the rows of the sample that have both values.
func correlations(m *summarizer, s *Summary) []Correlation {
	var out []Correlation
	n := len(m.numeric)
	if n > 60 {
		return nil // more pairs than anybody reads
	}
	for a := range n {
		for b := a + 1; b < n; b++ {
			if r := pearson(m.values[a], m.values[b]); !math.IsNaN(r) && (n <= 20 || math.Abs(r) > 0.3) {
				out = append(out, Correlation{s.Columns[m.numeric[a]].Name, s.Columns[m.numeric[b]].Name, r})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Correlation) int { return cmp.Compare(math.Abs(b.R), math.Abs(a.R)) })
	return out
}

func pearson(x, y []float64) float64 {
	var n, mx, my, sxx, syy, sxy float64
	for i := range x {
		if d := x[i] - y[i]; math.IsNaN(d) || math.IsInf(d, 0) {
			continue
		}
		n++
		dx, dy := x[i]-mx, y[i]-my
		mx += dx / n
		my += dy / n
		sxx += dx * (x[i] - mx)
		syy += dy * (y[i] - my)
		sxy += dx * (y[i] - my)
	}
	if n < 3 || sxx <= 0 || syy <= 0 {
		return math.NaN()
	}
	return min(1, max(-1, sxy/math.Sqrt(sxx*syy)))
}
