package monitor

import (
	"context"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// hourly is what a release did in an hour.
type hourly struct {
	release      string
	hour         time.Time
	rows, failed int64
}

func scanHourly(r db.Scanner) (h hourly, err error) {
	return h, r.Scan(&h.release, &h.hour, &h.rows, &h.failed)
}

func (s *Service) failuresByHour(ctx context.Context, endpoint int64, champion, challenger string, from, to time.Time) (out []hourly, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, scanHourly, `SELECT release, hour, rows, failed FROM prediction_count
			WHERE endpoint = ? AND release IN (?, ?) AND hour >= ? AND hour < ? ORDER BY hour`, endpoint, champion, challenger, from, to)
		return err
	})
	return out, err
}

// trafficOf is what every release did by hour.
func (s *Service) trafficOf(ctx context.Context, endpoint int64, from, to time.Time) (out []hourly, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, scanHourly, `SELECT release, hour, rows, failed FROM prediction_count WHERE endpoint = ? AND hour >= ? AND hour < ? ORDER BY hour, release`, endpoint, from, to)
		return err
	})
	return out, err
}

// losses are the paired losses of complete days with mature labels.
func (s *Service) losses(ctx context.Context, endpoint int64, champion, challenger string, since time.Time) (out []Loss, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, func(r db.Scanner) (l Loss, err error) {
			return l, r.Scan(&l.Start, &l.Rows, &l.Champion, &l.Challenger)
		}, `SELECT p.day, p.rows, p.champion_loss, p.challenger_loss FROM paired_loss p
			JOIN quality q ON q.endpoint = p.endpoint AND q.release = p.challenger AND q.day = p.day AND q.newest <> 0 AND q.mature <> 0
			WHERE p.endpoint = ? AND p.champion = ? AND p.challenger = ? AND p.day >= ? ORDER BY p.day`, endpoint, champion, challenger, since)
		return err
	})
	return out, err
}

// windowsOf are a release's estimates ("" for every release's) whose window
// ends in a time, oldest first.
func (s *Service) windowsOf(ctx context.Context, endpoint int64, release, metric string, from, to time.Time) (out []WindowQuality, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, func(r db.Scanner) (w WindowQuality, err error) { return w, r.Scan(db.JSON(&w)) },
			`SELECT detail FROM quality_window WHERE endpoint = ? AND (release = ? OR ? = '') AND (metric = ? OR ? = '') AND day > ? AND day <= ? ORDER BY day, release, metric`,
			endpoint, release, release, metric, metric, from, to)
		return err
	})
	return out, err
}

// daysOf is the quality of every release by day, oldest first, with the
// versions before a restatement when all is set.
func (s *Service) daysOf(ctx context.Context, endpoint int64, from, to time.Time, all bool) (out []DayQuality, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, func(r db.Scanner) (q DayQuality, err error) { return q, r.Scan(db.JSON(&q)) },
			`SELECT detail FROM quality WHERE endpoint = ? AND day >= ? AND day < ? AND (newest <> 0 OR ? <> 0) ORDER BY day, release, version`, endpoint, from, to, all)
		return err
	})
	return out, err
}

// verdictsOf are the drift verdicts by day, oldest first.
func (s *Service) verdictsOf(ctx context.Context, endpoint int64, from, to time.Time) (out []FeatureDrift, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, func(r db.Scanner) (f FeatureDrift, err error) { return f, r.Scan(db.JSON(&f)) },
			`SELECT detail FROM drift WHERE endpoint = ? AND day >= ? AND day < ? ORDER BY day, feature`, endpoint, from, to)
		return err
	})
	return out, err
}

// whereabouts says where a prediction's row is.
type whereabouts struct {
	endpoint  int64
	name      string
	day       time.Time
	key       string
	time      time.Time
	release   string
	label     string
	labelTime time.Time
}

// whereIs fails with NotFound.
func (s *Service) whereIs(ctx context.Context, project, id string) (w whereabouts, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) error {
		return tx.QueryRow(`SELECT p.endpoint, e.name, p.day, p.key, p.time, p.release, p.label, p.label_time FROM prediction p
			JOIN monitor_endpoint e ON e.number = p.endpoint WHERE p.id = ? AND e.project = ?`, id, project).
			Scan(&w.endpoint, &w.name, &w.day, &w.key, &w.time, &w.release, &w.label, &w.labelTime)
	})
	if slipway.IsCode(err, slipway.NotFound) {
		err = slipway.Errorf(slipway.NotFound, "no prediction %s in the project %s", id, project).
			WithHint("a reply carries its prediction_id; an answer of the last seconds is taken in soon")
	}
	return w, err
}

// lastIDs are the last predictions that a release answered.
func (s *Service) lastIDs(ctx context.Context, endpoint int64, v SeenRelease, limit int) (out []string, err error) {
	if limit <= 0 {
		return nil, nil
	}
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, func(r db.Scanner) (id string, err error) { return id, r.Scan(&id) },
			`SELECT id FROM prediction WHERE endpoint = ? AND day >= ? AND day <= ? AND release = ? ORDER BY time DESC, id LIMIT ?`,
			endpoint, v.Last.Add(-2*day), v.Last, v.Release, limit)
		return err
	})
	return out, err
}
