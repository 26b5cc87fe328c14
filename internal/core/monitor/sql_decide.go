package monitor

import (
	"context"
	"reflect"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// counts are the packed tallies of a release's hours, oldest first.
func (s *Service) counts(ctx context.Context, endpoint int64, release string, from, to time.Time) (out [][]byte, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, func(r db.Scanner) (b []byte, err error) { return b, r.Scan(&b) },
			`SELECT body FROM prediction_count WHERE endpoint = ? AND release = ? AND hour >= ? AND hour < ? ORDER BY hour`, endpoint, release, from, to)
		return err
	})
	return out, err
}

// share is the least share of a day's requests that a release saw, over the days
// from one to another on which there were any; 1 when there were none. Shadows
// see all; canaries and the champions beside them do not.
func (s *Service) share(ctx context.Context, endpoint int64, release string, days []time.Time) (least float64, err error) {
	least = 1
	err = s.o.DB.Read(ctx, func(tx *db.Tx) error {
		least = 1
		for i := 0; i+1 < len(days); i++ {
			var answered, seen int64
			err := tx.QueryRow(`SELECT COUNT(*) FROM prediction WHERE endpoint = ? AND day >= ? AND day < ?`, endpoint, days[i], days[i+1]).Scan(&answered)
			if err != nil {
				return err
			}
			if answered == 0 {
				continue
			}
			err = tx.QueryRow(`SELECT COALESCE(SUM(rows), 0) FROM prediction_count WHERE endpoint = ? AND release = ? AND hour >= ? AND hour < ?`,
				endpoint, release, days[i], days[i+1]).Scan(&seen)
			if err != nil {
				return err
			}
			least = min(least, float64(seen)/float64(answered))
		}
		return nil
	})
	return least, err
}

// championOn is the release that answered most requests in a time: the
// champion, unless its challenger answers more than it does. "" when none did.
func (s *Service) championOn(ctx context.Context, endpoint int64, from, to time.Time) (release string, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) error {
		return tx.QueryRow(`SELECT release FROM prediction WHERE endpoint = ? AND day >= ? AND day < ? GROUP BY release ORDER BY COUNT(*) DESC, release LIMIT 1`,
			endpoint, from, to).Scan(&release)
	})
	if slipway.IsCode(err, slipway.NotFound) {
		err = nil
	}
	return release, err
}

// pastVerdicts are the verdicts on each feature in the last n windows before a
// day, the latest first.
func (s *Service) pastVerdicts(ctx context.Context, endpoint int64, before time.Time, n int) (map[string][]Verdict, error) {
	out := map[string][]Verdict{}
	err := s.o.DB.Read(ctx, func(tx *db.Tx) error {
		type past struct {
			feature string
			verdict Verdict
		}
		all, err := db.All(tx, func(r db.Scanner) (p past, err error) { return p, r.Scan(&p.feature, &p.verdict) },
			`SELECT feature, verdict FROM drift WHERE endpoint = ? AND day < ? AND day >= ? ORDER BY day DESC`, endpoint, before, before.Add(-time.Duration(n)*day-2*time.Hour))
		for _, p := range all {
			out[p.feature] = append(out[p.feature], p.verdict)
		}
		return err
	})
	return out, err
}

func (s *Service) dirtyDays(ctx context.Context, endpoint int64) (out []time.Time, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, func(r db.Scanner) (t time.Time, err error) { return t, r.Scan(&t) },
			`SELECT day FROM dirty_day WHERE endpoint = ? ORDER BY day`, endpoint)
		return err
	})
	return out, err
}

// commitDecision writes what was decided.
func (s *Service) commitDecision(ctx context.Context, d decision, now time.Time) error {
	targets, err := s.targets(ctx, d.found)
	if err != nil {
		return err
	}
	var queued bool
	err = s.o.DB.Write(ctx, func(tx *db.Tx) error {
		for _, f := range d.drift {
			_, err := tx.Exec(`INSERT INTO drift (endpoint, day, feature, release, verdict, detail) VALUES (?, ?, ?, ?, ?, ?)
				ON CONFLICT (endpoint, day, feature) DO UPDATE SET release = excluded.release, verdict = excluded.verdict, detail = excluded.detail`,
				d.endpoint.number, f.Day, f.Feature, f.Release, string(f.Verdict), db.JSON(f))
			if err != nil {
				return err
			}
		}
		for _, q := range d.days {
			if err := putDay(tx, d.endpoint.number, q, now); err != nil {
				return err
			}
		}
		if err := putWindows(tx, d, now); err != nil {
			return err
		}
		for _, day := range d.clean {
			if _, err := tx.Exec(`DELETE FROM dirty_day WHERE endpoint = ? AND day = ?`, d.endpoint.number, day); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(`UPDATE monitor_endpoint SET decided = ?, matured = ? WHERE number = ?`, d.endpoint.decided, d.endpoint.matured, d.endpoint.number); err != nil {
			return err
		}
		var err error
		queued, err = apply(tx, d.found, targets)
		return err
	})
	if queued && err == nil {
		s.ring()
	}
	return err
}

// putDay writes a day's quality. A day that was complete and comes out
// otherwise gets a new version; the old one stays.
func putDay(tx *db.Tx, endpoint int64, q DayQuality, now time.Time) error {
	var before DayQuality
	err := tx.QueryRow(`SELECT detail FROM quality WHERE endpoint = ? AND release = ? AND day = ? AND newest <> 0`, endpoint, q.Release, q.Day).Scan(db.JSON(&before))
	switch {
	case slipway.IsCode(err, slipway.NotFound):
		q.Version = 1
	case err != nil:
		return err
	default:
		q.Version = before.Version
		q.Mature = q.Mature || before.Mature
		if before.Mature && before.differs(q) {
			q.Version++
			if _, err := tx.Exec(`UPDATE quality SET newest = 0 WHERE endpoint = ? AND release = ? AND day = ?`, endpoint, q.Release, q.Day); err != nil {
				return err
			}
		}
	}
	_, err = tx.Exec(`INSERT INTO quality (endpoint, release, day, version, newest, mature, detail, at) VALUES (?, ?, ?, ?, 1, ?, ?, ?)
		ON CONFLICT (endpoint, release, day, version) DO UPDATE SET mature = excluded.mature, detail = excluded.detail, at = excluded.at`,
		endpoint, q.Release, q.Day, q.Version, q.Mature, db.JSON(q), now)
	return err
}

// differs reports whether a restatement says something else.
func (q DayQuality) differs(o DayQuality) bool {
	return q.Predictions != o.Predictions || q.Labelled != o.Labelled || q.Invalid != o.Invalid || !reflect.DeepEqual(q.rounded(), o.rounded())
}

// rounded is the metrics to twelve digits, so that reading them from JSON and
// an undefined one make no difference.
func (q DayQuality) rounded() map[string]int64 {
	out := map[string]int64{}
	for name, v := range q.Metric {
		if v == v {
			out[name] = int64(v * 1e12)
		}
	}
	return out
}

func putWindows(tx *db.Tx, d decision, now time.Time) error {
	for _, w := range d.windows {
		_, err := tx.Exec(`INSERT INTO quality_window (endpoint, release, day, metric, verdict, detail, at) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (endpoint, release, day, metric) DO UPDATE SET verdict = excluded.verdict, detail = excluded.detail, at = excluded.at`,
			d.endpoint.number, w.Release, w.To, w.Metric, string(w.Verdict), db.JSON(w), now)
		if err != nil {
			return err
		}
	}
	for _, p := range d.pairs {
		_, err := tx.Exec(`INSERT INTO paired_loss (endpoint, champion, challenger, day, rows, champion_loss, challenger_loss) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (endpoint, champion, challenger, day) DO UPDATE SET rows = excluded.rows, champion_loss = excluded.champion_loss, challenger_loss = excluded.challenger_loss`,
			d.endpoint.number, p.Champion, p.Challenger, p.Day, p.Rows, p.ChampionLoss, p.ChallengerLoss)
		if err != nil {
			return err
		}
	}
	return nil
}
