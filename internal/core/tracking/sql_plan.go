package tracking

import (
	"slices"
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
	newest, args := `SELECT * FROM run r`+f.base.sql()+` ORDER BY `+tailOrder+` LIMIT ?`, append(append([]any{}, f.base.args...), sampleSize)
	if f.several() {
		newest, args = f.eachNewest(f.base, `r.*`, sampleSize/len(f.q.Experiments)+1)
	}
	err = tx.QueryRow(`SELECT count(*) FROM (`+newest+`) r WHERE `+filter, append(args, f.where.args[len(f.base.args):]...)...).Scan(&hits)
	return hits, err
}

// maxSeveral is up to how many experiments are walked one by one.
const maxSeveral = 64

// several reports whether a search asks for more than one experiment. The index
// has the runs of one in order; those of several would all have to be sorted.
func (f *runFinder) several() bool {
	return len(f.q.Experiments) > 1 && len(f.q.Experiments) <= maxSeveral
}

// eachNewest selects up to limit of the newest runs of each experiment.
func (f *runFinder) eachNewest(w *where, columns string, limit int) (sql string, args []any) {
	var parts []string
	for i, id := range f.q.Experiments {
		if slices.Contains(f.q.Experiments[:i], id) {
			continue
		}
		parts = append(parts, `SELECT * FROM (SELECT `+columns+` FROM run r WHERE r.experiment = ? AND `+strings.Join(w.parts[f.inner:], " AND ")+` ORDER BY `+tailOrder+` LIMIT ?) y`)
		args = append(append(append(args, id), w.args[f.innerArgs:]...), limit)
	}
	return strings.Join(parts, ` UNION ALL `), args
}
