package tracking

import (
	"strings"

	"github.com/slipway-ml/slipway/internal/kit/db"
)

// How a search is planned.
const (
	sampleSize = 400    // of the newest runs, tried against the filter
	sampleHits = 8      // as many of them make walking along the order worth while
	sourceMost = 20_000 // runs up to which the sources of a filter are counted
)

// plan chooses between two ways to find runs that meet a filter. Walking along
// the order that was asked for ends soon when many runs meet it. When few do,
// it would look at every run; then the search begins with the runs that an
// index names for one condition, and sorts what is left of them. Both find the
// same runs.
func (f *runFinder) plan(tx *db.Tx) error {
	f.few = nil
	if len(f.where.source) == 0 {
		return nil
	}
	hits, err := f.sample(tx)
	if err != nil || hits >= sampleHits && walks(f.order) {
		return err
	}
	least := int64(-1)
	for i := range f.where.source {
		s := &f.where.source[i]
		var n int64
		err := tx.QueryRow(`SELECT count(*) FROM (`+s.sql+` LIMIT ?) y`, append(append([]any{}, s.args...), sourceMost+1)...).Scan(&n)
		if err != nil {
			return err
		}
		if least < 0 || n < least {
			least, f.few = n, s
		}
	}
	if least > sourceMost && hits > 0 && walks(f.order) {
		f.few = nil
	}
	return nil
}

// walks reports whether an index stands in the order.
func walks(order []Order) bool {
	return len(order) == 0 || len(order) == 1 && order[0].Of == OfMetric
}

// sample counts how many of the newest runs meet the filter.
func (f *runFinder) sample(tx *db.Tx) (hits int64, err error) {
	filter := strings.Join(f.where.parts[len(f.base.parts):], " AND ")
	args := append(append(append([]any{}, f.base.args...), sampleSize), f.where.args[len(f.base.args):]...)
	err = tx.QueryRow(`SELECT count(*) FROM (SELECT * FROM run r`+f.base.sql()+` ORDER BY `+tailOrder+` LIMIT ?) r WHERE `+filter, args...).Scan(&hits)
	return hits, err
}
