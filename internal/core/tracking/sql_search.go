package tracking

import (
	"context"
	"math"
	"strings"

	"github.com/slipway-ml/slipway/internal/kit/db"
)

// SearchRuns finds runs. next is the token of the page after, or "".
func (s *Service) SearchRuns(ctx context.Context, q Search) (out []*Run, next string, err error) {
	project, err := s.searchScope(ctx, q.Project)
	if err != nil {
		return nil, "", err
	}
	f, err := newRunFinder(project, q)
	if err != nil {
		return nil, "", err
	}
	at := s.cache.now()
	err = s.read(ctx, func(tx *db.Tx) error {
		if err := f.plan(tx); err != nil {
			return err
		}
		found, err := f.find(tx)
		if err != nil {
			return err
		}
		next = ""
		if len(found) > f.limit {
			found = found[:f.limit]
			next = f.next(found)
		}
		numbers := make([]int64, len(found))
		for i, r := range found {
			numbers[i] = r.number
		}
		out, err = s.loadRuns(tx, at, numbers)
		return err
	})
	return out, next, err
}

// newRunFinder reads a search of one project, or of all when project is "". It
// fails with Invalid.
func newRunFinder(project string, q Search) (f runFinder, err error) {
	f.q = q
	if f.limit, err = q.limit(maxRunsPage); err != nil {
		return f, err
	}
	if f.order, err = runGrammar.Order(q.Order); err != nil {
		return f, err
	}
	if f.page, err = q.page(); err != nil {
		return f, err
	}
	if len(q.Experiments) > 0 {
		in, n := list(len(q.Experiments))
		f.where.add(`r.experiment IN `+in, pad(q.Experiments, n)...)
		f.inner, f.innerArgs = 1, n
	}
	f.where.stage("r", q.View)
	if q.View == All {
		f.where.add(`r.stage IN ('active', 'deleted')`) // the index has the stage before the time, so it is named
	}
	if project != "" {
		f.where.add(`r.project = ?`, project)
	}
	if q.Kind != "" {
		f.where.add(`r.kind = ?`, string(q.Kind))
	}
	if q.Page == "" {
		f.skip = max(0, q.Skip)
	}
	f.base = f.where.clone()
	if err := f.where.runs(q.Filter); err != nil {
		return f, err
	}
	return f, nil
}

// runFinder picks the runs of one page.
type runFinder struct {
	q     Search
	base  *where // without the filter
	where where
	order []Order
	limit int
	skip  int
	page  pageToken
	few   *source // what to begin with, or nil to walk along the order

	inner, innerArgs int // where the conditions and arguments behind the experiments begin
}

// foundRun is a run and where it stands in the order.
type foundRun struct {
	number int64
	uuid   string
	start  int64
	value  float64
	phase  int
}

// find returns one run more than the page has, when there are that many.
func (f *runFinder) find(tx *db.Tx) ([]foundRun, error) {
	switch {
	case len(f.order) == 0:
		return f.newest(tx)
	case len(f.order) == 1 && f.order[0].Of == OfMetric:
		return f.byMetric(tx)
	}
	return f.sorted(tx)
}

// next is the token of the page after the one that ends with the last of found.
func (f *runFinder) next(found []foundRun) string {
	last := found[len(found)-1]
	if len(f.order) > 1 || len(f.order) == 1 && f.order[0].Of != OfMetric {
		return f.q.offsetToken(f.page.Offset + f.skip + len(found))
	}
	return f.q.token(pageToken{After: true, Phase: last.phase, Value: last.value, Start: last.start, Run: last.uuid})
}

// tail orders what is otherwise equal, and ends every ordering.
const tailOrder = `r.started DESC, r.uuid`

// after limits a search to what follows a run in tailOrder.
func (w *where) after(t pageToken) {
	w.add(`(r.started < ? OR (r.started = ? AND r.uuid > ?))`, t.Start, t.Start, t.Run)
}

func (f *runFinder) newest(tx *db.Tx) ([]foundRun, error) {
	w := f.where.clone()
	if f.page.After {
		w.after(f.page)
	}
	if f.few == nil && f.several() {
		sql, args := f.eachNewest(w, `r.id, r.uuid, r.started`, f.skip+f.limit+1)
		return scanFound(tx, sql+` ORDER BY started DESC, uuid LIMIT ? OFFSET ?`, append(args, f.limit+1, f.skip), 0, false)
	}
	return f.collect(tx, `SELECT r.id, r.uuid, r.started FROM run r`, w, ` ORDER BY `+tailOrder+` LIMIT ? OFFSET ?`, []any{f.limit + 1, f.skip}, 0, false)
}

// byMetric orders by the latest value of one metric: first the numbers, walking
// the index on values, then the runs where it is NaN, then those without it.
func (f *runFinder) byMetric(tx *db.Tx) (out []foundRun, err error) {
	o, skip := f.order[0], f.skip
	for phase := f.page.Phase; phase <= 2 && len(out) <= f.limit; phase++ {
		w := f.where.clone()
		from, order, valued := `run r`, tailOrder, false
		series := `x.key = ? AND x.model = ''`
		if phase == 2 {
			w.add(`NOT EXISTS (SELECT 1 FROM metric_series x WHERE x.run = r.id AND `+series+` AND x.dataset = '' AND x.digest = '')`, o.Key)
		} else {
			// CROSS JOIN keeps the walk along the values outermost.
			from = `metric_series x CROSS JOIN run r`
			w.add(`r.id = x.run AND `+series, o.Key)
			if f.few != nil {
				w.add(`x.run = few.run AND x.dataset = '' AND x.digest = ''`)
			}
		}
		switch phase {
		case 0:
			valued = true
			order = `x.last_value` + direction(o.Descending) + `, ` + tailOrder
			w.add(`x.last_value <= ` + maxNumber)
		case 1:
			w.add(`x.last_value > ` + maxNumber)
		}
		if f.page.After && phase == f.page.Phase {
			f.afterValue(w, o, phase)
		}
		columns := `r.id, r.uuid, r.started`
		if valued {
			columns += `, x.last_value`
		}
		found, err := f.collect(tx, `SELECT `+columns+` FROM `+from, w.clone(), ` ORDER BY `+order+` LIMIT ? OFFSET ?`, []any{f.limit + 1 - len(out), skip}, phase, valued)
		if err != nil {
			return nil, err
		}
		if len(found) > 0 {
			skip = 0
		} else if skip > 0 {
			n, err := f.count(tx, from, w)
			if err != nil {
				return nil, err
			}
			skip = max(0, skip-int(n))
		}
		out = append(out, found...)
	}
	return out, nil
}

func (f *runFinder) afterValue(w *where, o Order, phase int) {
	if phase != 0 {
		w.after(f.page)
		return
	}
	beyond := `>`
	if o.Descending {
		beyond = `<`
	}
	w.add(`x.last_value `+beyond+`= ?`, f.page.Value)
	w.add(`(x.last_value `+beyond+` ? OR r.started < ? OR (r.started = ? AND r.uuid > ?))`, f.page.Value, f.page.Start, f.page.Start, f.page.Run)
}

// sorted orders by anything else: the database sorts, and pages are offsets.
func (f *runFinder) sorted(tx *db.Tx) ([]foundRun, error) {
	w := f.where.clone()
	var order string
	var args []any
	for _, o := range f.order {
		column, err := orderColumn(o, &args)
		if err != nil {
			return nil, err
		}
		order += column + `, `
	}
	return f.collect(tx, `SELECT r.id, r.uuid, r.started FROM run r`, w, ` ORDER BY `+order+tailOrder+` LIMIT ? OFFSET ?`,
		append(args, f.limit+1, f.page.Offset+f.skip), 0, false)
}

// orderColumn is one key of ORDER BY: NaN after the numbers, and what is absent
// last, in both directions.
func orderColumn(o Order, args *[]any) (string, error) {
	last := direction(o.Descending) + ` NULLS LAST`
	switch o.Of {
	case OfMetric:
		*args = append(*args, o.Key, o.Key, o.Key)
		value := `(SELECT x.last_value FROM metric_series x WHERE x.run = r.id AND x.key = ? AND x.model = '' AND x.dataset = '' AND x.digest = '')`
		return `CASE WHEN ` + value + ` > ` + maxNumber + ` THEN 1 WHEN ` + value + ` IS NULL THEN 2 ELSE 0 END, ` + value + last, nil
	case OfParam, OfTag:
		*args = append(*args, o.Key)
		return `(SELECT x.value FROM run_` + string(o.Of) + ` x WHERE x.run = r.id AND x.key = ?)` + last, nil
	}
	column := runColumn[o.Key]
	if o.Key == "end_time" {
		column = `NULLIF(` + column + `, 0)`
	}
	return column + last, nil
}

// collect runs a search. Where the plan begins with few runs, they come first
// in the join: CROSS JOIN keeps SQLite's order, and MATERIALIZED Postgres's.
func (f *runFinder) collect(tx *db.Tx, head string, w *where, rest string, args []any, phase int, valued bool) (out []foundRun, err error) {
	all := append(append([]any{}, w.args...), args...)
	if f.few != nil {
		head = `WITH few AS MATERIALIZED (` + f.few.sql + `) ` + strings.Replace(head, ` FROM `, ` FROM few CROSS JOIN `, 1)
		w.add(`r.id = few.run`)
		all = append(append([]any{}, f.few.args...), all...)
	}
	return scanFound(tx, head+w.sql()+rest, all, phase, valued)
}

func scanFound(tx *db.Tx, sql string, args []any, phase int, valued bool) (out []foundRun, err error) {
	err = each(tx, sql, args, func(r db.Scanner) error {
		x := foundRun{phase: phase}
		dst := []any{&x.number, &x.uuid, &x.start}
		if valued {
			dst = append(dst, &x.value)
		}
		if err := r.Scan(dst...); err != nil {
			return err
		}
		if math.IsNaN(x.value) {
			x.value = 0
		}
		out = append(out, x)
		return nil
	})
	return out, err
}

func (w *where) clone() *where {
	return &where{parts: append([]string(nil), w.parts...), args: append([]any(nil), w.args...), source: w.source}
}
