package serving

import (
	"github.com/cespare/xxhash/v2"
)

// buckets is how finely callers are divided: a hundredth of a percent.
const buckets = 10_000

// Bucket is where a unit stands in an assignment, from 0 to 9,999: a hash of
// the salt and the unit, so that the same unit meets the same variant on every
// gateway without anyone remembering it, and another salt shuffles anew. A
// challenger of w percent has the buckets below 100·w: raising w moves units
// to it and none away.
func Bucket(salt, unit string) int {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.WriteString(salt)
	_, _ = d.Write([]byte{0})
	_, _ = d.WriteString(unit)
	return int(d.Sum64() % buckets)
}

// assign chooses who answers: the challenger in whose share of the buckets the
// unit stands, as long as its breaker is whole, else the champion.
func (e *endpoint) assign(unit string) *variant {
	if len(e.challenger) == 0 {
		return e.champion
	}
	at, end := Bucket(e.spec.Salt, unit), 0
	for _, v := range e.challenger {
		if end += v.spec.Weight * buckets / 100; at < end {
			if v.breaker.open.Load() {
				return e.champion
			}
			return v
		}
	}
	return e.champion
}
