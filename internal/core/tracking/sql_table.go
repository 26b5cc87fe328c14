package tracking

import (
	"context"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// CountRuns counts what SearchRuns would find on all pages.
func (s *Service) CountRuns(ctx context.Context, q Search) (n int64, err error) {
	project, err := s.searchScope(ctx, q.Project)
	if err != nil {
		return 0, err
	}
	q.Order, q.Page, q.Skip = nil, "", 0
	f, err := newRunFinder(project, q)
	if err != nil {
		return 0, err
	}
	err = s.read(ctx, func(tx *db.Tx) error {
		if err := f.plan(tx); err != nil {
			return err
		}
		n, err = f.count(tx, `run r`, &f.where)
		return err
	})
	return n, err
}

// count counts the runs of from that meet w, beginning with few where the plan
// does.
func (f *runFinder) count(tx *db.Tx, from string, w *where) (n int64, err error) {
	w, head := w.clone(), ``
	if f.few != nil {
		head, from = `WITH few AS MATERIALIZED (`+f.few.sql+`) `, `few CROSS JOIN `+from
		w.add(`r.id = few.run`)
		w.args = append(append([]any{}, f.few.args...), w.args...)
	}
	err = tx.QueryRow(head+`SELECT count(*) FROM `+from+w.sql(), w.args...).Scan(&n)
	return n, err
}

// keysLooked is how many of the newest runs say which names there are: every
// run would be a walk through all that was ever logged.
const keysLooked = 2000

// keys are the names under which the newest runs of a project log.
func (s *Service) keys(ctx context.Context, project string) (out Keys, err error) {
	if err := slipway.Allow(ctx, slipway.Reader, project); err != nil {
		return out, err
	}
	const newest = `(SELECT r.id FROM run r WHERE r.project = ? AND r.stage = 'active' ORDER BY r.started DESC, r.uuid LIMIT ?)`
	err = s.read(ctx, func(tx *db.Tx) error {
		if err := tx.QueryRow(`SELECT count(*) FROM `+newest+` y`, project, keysLooked).Scan(&out.Runs); err != nil {
			return err
		}
		one := func(from, differs string) ([]KeyCount, error) {
			keys, err := db.All(tx, func(r db.Scanner) (k KeyCount, err error) {
				var n int64
				err = r.Scan(&k.Key, &k.Runs, &n)
				k.Differs = n > 0
				return k, err
			}, `SELECT x.key, count(*), `+differs+` FROM `+newest+` y JOIN `+from+` GROUP BY x.key ORDER BY count(*) DESC, x.key`, project, keysLooked)
			if keys == nil {
				keys = []KeyCount{}
			}
			return keys, err
		}
		const differ = `CASE WHEN min(x.value) <> max(x.value) THEN 1 ELSE 0 END`
		if out.Metrics, err = one(`metric_series x ON x.run = y.id AND x.model = ''`, `0`); err != nil {
			return err
		}
		if out.Params, err = one(`run_param x ON x.run = y.id`, differ); err != nil {
			return err
		}
		out.Tags, err = one(`run_tag x ON x.run = y.id`, differ)
		return err
	})
	return out, err
}
