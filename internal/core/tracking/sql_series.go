package tracking

import (
	"cmp"
	"context"
	"slices"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// seriesKey names a series inside a run. A value that judges a logged model is
// kept twice: in the run's own series, and in the one of the model and dataset.
type seriesKey struct{ key, model, dataset, digest string }

func (k seriesKey) compare(l seriesKey) int {
	return cmp.Or(cmp.Compare(k.key, l.key), cmp.Compare(k.model, l.model), cmp.Compare(k.dataset, l.dataset), cmp.Compare(k.digest, l.digest))
}

// pointGroup is the points of one series in one batch, ready to be written.
type pointGroup struct {
	seriesKey
	points []Point // in the order of a history
	last   Point
	chunk  []byte // nil when the points go to the tail
	loose  int
}

// groupPoints sorts a batch into series. The work that needs no database is
// done here, outside the writer.
func groupPoints(metrics []Metric) []*pointGroup {
	if len(metrics) == 0 {
		return nil
	}
	groups := map[seriesKey]*pointGroup{}
	var out []*pointGroup
	put := func(k seriesKey, p Point) {
		g := groups[k]
		if g == nil {
			g = &pointGroup{seriesKey: k, last: p}
			groups[k] = g
			out = append(out, g)
		}
		g.points = append(g.points, p)
		if p.compare(g.last) > 0 {
			g.last = p
		}
	}
	for _, m := range metrics {
		put(seriesKey{key: m.Key}, m.Point)
		if m.Model != "" {
			put(seriesKey{m.Key, m.Model, m.Dataset, m.Digest}, m.Point)
		}
	}
	for _, g := range out {
		g.points = tidy(g.points)
		g.loose = len(g.points)
		if len(g.points) >= directChunk {
			g.chunk = encodePoints(g.points)
			g.loose = looseness(len(g.points))
		}
	}
	// One order for every writer, so that two of them never wait for each other.
	slices.SortFunc(out, func(a, b *pointGroup) int { return a.compare(b.seriesKey) })
	return out
}

// looseness is what a chunk of n points adds to that of its series.
func looseness(n int) int {
	if n < smallChunk {
		return smallWeight
	}
	return 0
}

// touchSeries adds to a series that is known. Its number comes first in the
// condition; the rest proves that the number still means this series.
const touchSeries = `UPDATE metric_series SET
		n = n + ?1, loose = loose + ?2,
		last_step = CASE WHEN (?3, ?4, ?5) > (last_step, last_time, last_value) THEN ?3 ELSE last_step END,
		last_time = CASE WHEN (?3, ?4, ?5) > (last_step, last_time, last_value) THEN ?4 ELSE last_time END,
		last_value = CASE WHEN (?3, ?4, ?5) > (last_step, last_time, last_value) THEN ?5 ELSE last_value END
	WHERE id = ?6 AND run = ?7 AND key = ?8 AND model = ?9 AND dataset = ?10 AND digest = ?11`

const addSeries = `INSERT INTO metric_series (run, key, model, dataset, digest, last_step, last_time, last_value, n, loose)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`

const findSeries = `SELECT id FROM metric_series WHERE run = ? AND key = ? AND model = ? AND dataset = ? AND digest = ?`

// addPoints writes the points of a batch.
func (s *Service) addPoints(tx *db.Tx, run int64, groups []*pointGroup) error {
	for _, g := range groups {
		id, err := s.addLatest(tx, run, g)
		if err != nil {
			return err
		}
		if g.chunk != nil {
			err = addChunk(tx, id, g.points, g.chunk)
		} else {
			err = addTail(tx, id, g.points)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// addLatest counts the points of a group into their series, makes it where it
// is not there, and returns its number. Mostly the number is remembered, and
// one statement is enough.
func (s *Service) addLatest(tx *db.Tx, run int64, g *pointGroup) (int64, error) {
	touch := func(id int64) (bool, error) {
		n, err := tx.Exec(touchSeries, len(g.points), g.loose, g.last.Step, g.last.Time, float64(g.last.Value),
			id, run, g.key, g.model, g.dataset, g.digest)
		return n > 0, err
	}
	known := seriesName{run, g.seriesKey}
	if id, ok := s.series.get(known); ok {
		if ok, err := touch(id); ok || err != nil {
			return id, err
		}
	}
	args := []any{run, g.key, g.model, g.dataset, g.digest}
	id, err := tx.InsertID(addSeries, append(args, g.last.Step, g.last.Time, float64(g.last.Value), len(g.points), g.loose)...)
	if slipway.IsCode(err, slipway.NotFound) { // it is there, but was not remembered
		if id, err = db.One(tx, scanID, findSeries, args...); err == nil {
			_, err = touch(id)
		}
	}
	if err == nil {
		s.series.put(known, id)
	}
	return id, err
}

func addTail(tx *db.Tx, series int64, points []Point) error {
	for _, p := range points {
		if _, err := tx.Exec(`INSERT INTO metric_tail (series, step, time, value) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			series, p.Step, p.Time, float64(p.Value)); err != nil {
			return err
		}
	}
	return nil
}

func addChunk(tx *db.Tx, series int64, points []Point, data []byte) error {
	first, last := points[0], points[len(points)-1]
	low, high := first.Step, first.Step
	for _, p := range points {
		low, high = min(low, p.Step), max(high, p.Step)
	}
	_, err := tx.Exec(`INSERT INTO metric_chunk (series, n, min_step, max_step, min_time, max_time, data) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		series, len(points), low, high, first.Time, last.Time, data)
	return err
}

// readPoints reads the points of a series with steps from low to high, in the
// order of a history and without duplicates. fresh limits it to what a merge
// takes: the tail and small chunks.
func readPoints(tx *db.Tx, series int64, low, high int64, fresh bool) ([]Point, error) {
	below := int64(1) << 62
	if fresh {
		below = smallChunk
	}
	chunks, err := db.All(tx, scanBytes,
		`SELECT data FROM metric_chunk WHERE series = ? AND max_step >= ? AND min_step <= ? AND n < ? ORDER BY min_time, id`, series, low, high, below)
	if err != nil {
		return nil, err
	}
	var out []Point
	for _, c := range chunks {
		if out, err = decodePoints(out, c); err != nil {
			return nil, err
		}
	}
	tail, err := db.All(tx, scanPoint, `SELECT step, time, value FROM metric_tail WHERE series = ? AND step >= ? AND step <= ? ORDER BY step, time, value`,
		series, low, high)
	if err != nil {
		return nil, err
	}
	out = tidy(append(out, tail...))
	return slices.DeleteFunc(out, func(p Point) bool { return p.Step < low || p.Step > high }), nil
}

func scanBytes(r db.Scanner) (b []byte, err error) {
	err = r.Scan(&b)
	return b, err
}

func scanPoint(r db.Scanner) (p Point, err error) {
	var v float64
	err = r.Scan(&p.Step, &p.Time, &v)
	p.Value = Number(v)
	return p, err
}

// Range is the steps that a reader of a history wants, both ends included.
type Range struct{ Low, High int64 }

// EveryStep is the whole history.
var EveryStep = Range{-1 << 63, 1<<63 - 1}

// History reads all points of a metric of a run, by time, step and value. A
// metric that was never logged has none. It fails with NotFound when there is
// no such run.
func (s *Service) History(ctx context.Context, run, key string, steps Range) (out []Point, err error) {
	err = s.read(ctx, func(tx *db.Tx) error {
		k, err := openRun(tx, slipway.Reader, run)
		if err != nil {
			return err
		}
		out, err = readHistory(tx, k.number, key, steps)
		return err
	})
	return out, err
}

func readHistory(tx *db.Tx, run int64, key string, steps Range) ([]Point, error) {
	id, err := ownSeries(tx, run, key)
	if err != nil {
		return nil, ignoreNotFound(err)
	}
	return readPoints(tx, id, steps.Low, steps.High, false)
}
