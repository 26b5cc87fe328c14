package tracking

import (
	"context"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// HistoryPage reads up to limit points of a metric of a run (0: all), from
// offset on, in the order of History, and says whether more follow. What it
// costs grows with the page and little with the history before it. It fails
// with NotFound when there is no such run.
func (s *Service) HistoryPage(ctx context.Context, run, key string, offset, limit int) (out []Point, more bool, err error) {
	offset, limit = min(offset, maxPoints), min(limit, maxPoints)
	err = s.read(ctx, func(tx *db.Tx) error {
		k, err := openRun(tx, slipway.Reader, run)
		if err != nil {
			return err
		}
		id, err := ownSeries(tx, k.number, key)
		if err != nil {
			out = nil
			return ignoreNotFound(err)
		}
		out, more, err = readPage(tx, id, offset, limit)
		return err
	})
	return out, more, err
}

// ownSeries finds the series of a run's metric. It fails with NotFound.
func ownSeries(tx *db.Tx, run int64, key string) (id int64, err error) {
	err = tx.QueryRow(`SELECT id FROM metric_series WHERE run = ? AND key = ? AND model = '' AND dataset = '' AND digest = ''`, run, key).Scan(&id)
	return id, err
}

func ignoreNotFound(err error) error {
	if slipway.IsCode(err, slipway.NotFound) {
		return nil
	}
	return err
}

// maxPoints is more than a history has.
const maxPoints = 1 << 40

// chunkSpan is what is known of a chunk without reading its points.
type chunkSpan struct {
	id       int64
	n        int
	from, to int64 // time of its first and last point
}

// readPage reads a page of a history. Where the chunks follow each other in
// time, as they do when one client logs, only those of the page are read.
func readPage(tx *db.Tx, series int64, offset, limit int) (out []Point, more bool, err error) {
	spans, err := db.All(tx, func(r db.Scanner) (c chunkSpan, err error) {
		err = r.Scan(&c.id, &c.n, &c.from, &c.to)
		return c, err
	}, `SELECT id, n, min_time, max_time FROM metric_chunk WHERE series = ? ORDER BY min_time, id`, series)
	if err != nil {
		return nil, false, err
	}
	tail, err := db.All(tx, scanPoint, `SELECT step, time, value FROM metric_tail WHERE series = ? ORDER BY step, time, value`, series)
	if err != nil {
		return nil, false, err
	}
	tail = tidy(tail)
	if inSequence(spans, tail) {
		out, err = readSpans(tx, spans, tail, &offset, limit)
	} else {
		out, err = readPoints(tx, series, EveryStep.Low, EveryStep.High, false)
	}
	out = out[min(offset, len(out)):]
	if limit > 0 && len(out) > limit {
		return out[:limit], true, err
	}
	return out, false, err
}

// inSequence reports whether each chunk, and then the tail, begins after the one
// before has ended: one behind the other they are the history, without points
// that stand twice.
func inSequence(spans []chunkSpan, tail []Point) bool {
	for i := 1; i < len(spans); i++ {
		if spans[i].from <= spans[i-1].to {
			return false
		}
	}
	return len(spans) == 0 || len(tail) == 0 || tail[0].Time > spans[len(spans)-1].to
}

// readSpans reads the chunks of a page that begins at offset and, if there is
// one, a point beyond it. It takes from offset what it passes over.
func readSpans(tx *db.Tx, spans []chunkSpan, tail []Point, offset *int, limit int) (out []Point, err error) {
	for len(spans) > 0 && *offset >= spans[0].n {
		*offset -= spans[0].n
		spans = spans[1:]
	}
	n := 0
	for _, c := range spans {
		n += c.n
	}
	want := n + len(tail)
	if limit > 0 {
		want = min(want, *offset+limit+1)
	}
	out = make([]Point, 0, min(n, want+fullChunk)+len(tail))
	for _, c := range spans {
		if len(out) >= want {
			return out, nil
		}
		var data []byte
		if err := tx.QueryRow(`SELECT data FROM metric_chunk WHERE id = ?`, c.id).Scan(&data); err != nil {
			return nil, err
		}
		if out, err = decodePoints(out, data); err != nil {
			return nil, err
		}
	}
	return append(out, tail...), nil
}
