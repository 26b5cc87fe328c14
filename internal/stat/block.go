package stat

import (
	"slices"

	"github.com/slipway-ml/slipway"
)

// MinBlocks is how many blocks an interval needs. Below it the t quantile is so
// wide and the spread so badly known that the honest answer is "not enough
// data".
const MinBlocks = 6

// maxGroups bounds the work of an interval: more blocks than this are joined,
// neighbours with neighbours, which loses nothing since larger blocks are only
// safer and the t quantile is already that of the normal.
const maxGroups = 200

// blocks is the grouping of rows that intervals count by.
type blocks struct {
	group     []int // group of each row, 0..groups-1, in the order of block ids
	groups    int
	count     int     // distinct block ids
	effective float64 // (Σn)²/Σn² of the groups: what unequal blocks are worth
}

// groupBlocks numbers block ids in ascending order. Ids are ordinal, such as
// the number of a day, so neighbouring ids are neighbours in time.
func groupBlocks(id []int, rows int) (blocks, error) {
	if len(id) != rows {
		return blocks{}, slipway.Errorf(slipway.Invalid, "%d rows but %d block numbers", rows, len(id))
	}
	distinct := slices.Clone(id)
	slices.Sort(distinct)
	distinct = slices.Compact(distinct)
	b := blocks{group: make([]int, rows), count: len(distinct), groups: min(len(distinct), maxGroups)}
	at := make(map[int]int, len(distinct))
	for i, d := range distinct {
		at[d] = i * b.groups / len(distinct)
	}
	size := make([]float64, b.groups)
	for i, d := range id {
		b.group[i] = at[d]
		size[at[d]]++
	}
	var squares float64
	for _, n := range size {
		squares += n * n
	}
	b.effective = ratio(float64(rows)*float64(rows), squares)
	return b, nil
}

// BlocksOf numbers rows by the block of event time they fall in: ⌊t/length⌋.
// Times and length share one unit, such as seconds.
func BlocksOf(times []int64, length int64) []int {
	out := make([]int, len(times))
	for i, t := range times {
		b := t / length
		if t%length < 0 {
			b--
		}
		out[i] = int(b)
	}
	return out
}
