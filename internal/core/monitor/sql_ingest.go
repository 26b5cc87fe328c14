package monitor

import (
	"context"
	"fmt"
	"slices"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// ingested is the last segment of each gateway that was taken in.
func (s *Service) ingested(ctx context.Context) (map[string]int64, error) {
	out := map[string]int64{}
	err := s.o.DB.Read(ctx, func(tx *db.Tx) error {
		type last struct {
			gateway string
			number  int64
		}
		all, err := db.All(tx, func(r db.Scanner) (l last, err error) { return l, r.Scan(&l.gateway, &l.number) }, `SELECT gateway, number FROM monitor_gateway`)
		for _, l := range all {
			out[l.gateway] = l.number
		}
		return err
	})
	return out, err
}

// commit writes an intake: all of it, or nothing.
func (s *Service) commit(ctx context.Context, in *intake, found []finding) error {
	targets, err := s.targets(ctx, found)
	if err != nil {
		return err
	}
	tallies := make(map[tallyKey]*tally, len(in.tallies))
	for k, c := range in.tallies {
		tallies[k] = c.done()
	}
	var queued bool
	err = s.o.DB.Write(ctx, func(tx *db.Tx) error {
		if err := in.claim(tx); err != nil {
			return err
		}
		for _, k := range in.sortedParts() {
			if err := insertPart(tx, k, int64(in.parts[k].rows), in.bodies[k], ""); err != nil {
				return err
			}
		}
		for _, k := range in.sortedTallies() {
			if err := addTally(tx, k, tallies[k]); err != nil {
				return err
			}
		}
		if err := in.index(tx); err != nil {
			return err
		}
		if err := in.state(tx); err != nil {
			return err
		}
		queued, err = apply(tx, found, targets)
		return err
	})
	if queued && err == nil {
		s.ring()
	}
	return err
}

// claim moves each gateway's position over the segments. It fails with Conflict
// when another process took them in.
func (in *intake) claim(tx *db.Tx) error {
	for _, gateway := range slices.Sorted(keysOf(in.segments)) {
		at := in.segments[gateway]
		if _, err := tx.Exec(`INSERT INTO monitor_gateway (gateway, number, at) VALUES (?, 0, ?) ON CONFLICT DO NOTHING`, gateway, tx.Now()); err != nil {
			return err
		}
		n, err := tx.Exec(`UPDATE monitor_gateway SET number = ?, at = ? WHERE gateway = ? AND number = ?`, at.last, tx.Now(), gateway, at.after)
		if err != nil {
			return err
		}
		if n == 0 {
			return slipway.Errorf(slipway.Conflict, "the segments of %s after %d were taken in by another process", gateway, at.after)
		}
	}
	return nil
}

// addTally adds to what is counted of an hour.
func addTally(tx *db.Tx, k tallyKey, t *tally) error {
	var body []byte
	err := tx.QueryRow(`SELECT body FROM prediction_count WHERE endpoint = ? AND release = ? AND hour = ?`, k.endpoint, k.release, k.hour).Scan(&body)
	sum := &tally{latency: histogram{}}
	switch {
	case slipway.IsCode(err, slipway.NotFound):
	case err != nil:
		return err
	default:
		if sum, err = unpackTally(body); err != nil {
			return fmt.Errorf("hour %s of endpoint %d: %w", k.hour, k.endpoint, err)
		}
	}
	sum.merge(t)
	_, err = tx.Exec(`INSERT INTO prediction_count (endpoint, release, hour, rows, failed, body) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (endpoint, release, hour) DO UPDATE SET rows = excluded.rows, failed = excluded.failed, body = excluded.body`,
		k.endpoint, k.release, k.hour, sum.rows, sum.failed, sum.pack())
	return err
}

// index adds the answered requests, marks their days for (re)statement, and
// puts labels that waited for them back in line.
func (in *intake) index(tx *db.Tx) error {
	columns := []string{"endpoint", "day", "id", "key", "time", "release", "label", "label_time", "label_number"}
	err := insertNew(tx, "prediction", columns, len(in.places), func(i int) []any {
		p := &in.places[i]
		return []any{p.endpoint, p.day, p.id, p.key, p.time, p.release, "", int64(0), int64(0)}
	})
	if err != nil {
		return err
	}
	var days []partKey
	for _, k := range in.sortedParts() {
		if d := (partKey{endpoint: k.endpoint, day: k.day}); !slices.Contains(days, d) {
			days = append(days, d)
		}
	}
	if err := markDirty(tx, days); err != nil {
		return err
	}
	return in.callWaiting(tx)
}

func markDirty(tx *db.Tx, days []partKey) error {
	return insertNew(tx, "dirty_day", []string{"endpoint", "day"}, len(days), func(i int) []any { return []any{days[i].endpoint, days[i].day} })
}

// callWaiting moves labels whose prediction has come from waiting to pending.
func (in *intake) callWaiting(tx *db.Tx) error {
	for _, f := range in.feeds {
		var waits int64
		err := tx.QueryRow(`SELECT number FROM label_waiting WHERE project = ? LIMIT 1`, f.project).Scan(&waits)
		if slipway.IsCode(err, slipway.NotFound) {
			continue
		}
		if err != nil {
			return err
		}
		var subjects []string
		for i := range in.places {
			if p := &in.places[i]; p.endpoint == f.number {
				subjects = append(subjects, subjectOf(slipway.Label{Prediction: p.id}))
				if p.key != "" {
					subjects = append(subjects, subjectOf(slipway.Label{Endpoint: f.name, Key: p.key}))
				}
			}
		}
		for part := range slices.Chunk(subjects, 500) {
			args := []any{f.project}
			for _, s := range part {
				args = append(args, s)
			}
			in := places(len(part))
			if _, err := tx.Exec(`INSERT INTO label_pending (number) SELECT DISTINCT number FROM label_waiting WHERE project = ? AND subject IN `+in+` ON CONFLICT DO NOTHING`, args...); err != nil {
				return err
			}
			if _, err := tx.Exec(`DELETE FROM label_waiting WHERE project = ? AND subject IN `+in, args...); err != nil {
				return err
			}
		}
	}
	return nil
}

// state moves the variants and endpoints on.
func (in *intake) state(tx *db.Tx) error {
	for k, v := range in.variants {
		_, err := tx.Exec(`INSERT INTO monitor_variant (endpoint, release, model, role, first, last, rows) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (endpoint, release) DO UPDATE SET
				role = CASE WHEN excluded.last >= monitor_variant.last THEN excluded.role ELSE monitor_variant.role END,
				first = CASE WHEN excluded.first < monitor_variant.first THEN excluded.first ELSE monitor_variant.first END,
				last = CASE WHEN excluded.last > monitor_variant.last THEN excluded.last ELSE monitor_variant.last END,
				rows = monitor_variant.rows + excluded.rows`,
			k.endpoint, v.Release, v.Model, v.Role, v.First, v.Last, v.Rows)
		if err != nil {
			return err
		}
	}
	for _, f := range in.feeds {
		_, err := tx.Exec(`UPDATE monitor_endpoint SET seen = ?, runs = ?, feed = ? WHERE number = ?`, f.seen, f.runs, db.JSON(f.state), f.number)
		if err != nil {
			return err
		}
	}
	return nil
}
