package retrain

import (
	"context"
	"encoding/json"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// Migration is the tables of retrain.
var Migration = db.Migration{Name: "retrain", Statements: []string{
	`CREATE TABLE retrain_watch (project TEXT PRIMARY KEY, seen BIGINT NOT NULL, ran BIGINT NOT NULL, data TEXT NOT NULL, code BIGINT NOT NULL)`,
	`CREATE TABLE retraining (
		id TEXT PRIMARY KEY,
		project TEXT NOT NULL,
		at BIGINT NOT NULL,
		cause TEXT NOT NULL,
		reason TEXT NOT NULL,
		run TEXT NOT NULL,
		state TEXT NOT NULL,
		error TEXT NOT NULL,
		actor TEXT NOT NULL)`,
	`CREATE INDEX retraining_project ON retraining (project, at)`,
	`CREATE TABLE backtest (id TEXT PRIMARY KEY, project TEXT NOT NULL, at BIGINT NOT NULL, report TEXT NOT NULL)`,
	`CREATE INDEX backtest_project ON backtest (project, at)`,
}}

// watched reads what is known of a project's triggers. A project that was never
// watched is watched from now on: what lies before starts nothing.
func (s *Service) watched(ctx context.Context, project string, now time.Time) (m memory, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) error {
		m = memory{}
		return tx.QueryRow(`SELECT seen, ran, data, code FROM retrain_watch WHERE project = ?`, project).
			Scan(&m.seen, &m.ran, db.JSON(&m.data), &m.commit)
	})
	if slipway.IsCode(err, slipway.NotFound) {
		return memory{seen: now}, s.seen(ctx, project, now)
	}
	if err == nil && m.seen.IsZero() { // known from an event only
		m.seen = now
		err = s.seen(ctx, project, now)
	}
	return m, err
}

// seen writes down up to when triggers were asked.
func (s *Service) seen(ctx context.Context, project string, now time.Time) error {
	return s.o.DB.Write(ctx, func(tx *db.Tx) error { return see(tx, project, now) })
}

func see(tx *db.Tx, project string, now time.Time) error {
	_, err := tx.Exec(`INSERT INTO retrain_watch (project, seen, ran, data, code) VALUES (?, ?, 0, '[]', 0)
		ON CONFLICT (project) DO UPDATE SET seen = excluded.seen`, project, now)
	return err
}

// skip records that a trigger spoke in vain.
func (s *Service) skip(ctx context.Context, r Retraining, now time.Time) error {
	return s.o.DB.Write(ctx, func(tx *db.Tx) error {
		if err := insert(tx, r); err != nil {
			return err
		}
		if err := see(tx, r.Project, now); err != nil {
			return err
		}
		return tx.Record(retrainEvent("retrain.skipped", r))
	})
}

// begin records that a retraining starts, and forgets what asked for it.
func (s *Service) begin(ctx context.Context, r *Retraining) error {
	return s.o.DB.Write(ctx, func(tx *db.Tx) error {
		if err := insert(tx, *r); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO retrain_watch (project, seen, ran, data, code) VALUES (?, ?, ?, '[]', 0)
			ON CONFLICT (project) DO UPDATE SET seen = excluded.seen, ran = excluded.ran, data = excluded.data, code = excluded.code`, r.Project, r.At, r.At)
		if err != nil {
			return err
		}
		return tx.Record(retrainEvent("retrain.triggered", *r))
	})
}

// end records how a retraining ended.
func (s *Service) end(ctx context.Context, r Retraining) error {
	return s.o.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE retraining SET run = ?, state = ?, error = ? WHERE id = ?`, r.Run, r.State, r.Error, r.ID)
		if err != nil {
			return err
		}
		return tx.Record(retrainEvent("retrain.finished", r))
	})
}

func insert(tx *db.Tx, r Retraining) error {
	_, err := tx.Exec(`INSERT INTO retraining (id, project, at, cause, reason, run, state, error, actor) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		r.ID, r.Project, r.At, r.Trigger, r.Reason, r.Run, r.State, r.Error, r.Actor)
	return err
}

// note remembers that data or code came, for the triggers that wait for it.
func (s *Service) note(ctx context.Context, project, dataset string) error {
	return s.o.DB.Write(ctx, func(tx *db.Tx) error {
		var data []string
		var code bool
		err := tx.QueryRow(`SELECT data, code FROM retrain_watch WHERE project = ?`, project).Scan(db.JSON(&data), &code)
		if err != nil && !slipway.IsCode(err, slipway.NotFound) {
			return err
		}
		if dataset == "" {
			code = true
		} else {
			data = append(data, dataset)
		}
		_, err = tx.Exec(`INSERT INTO retrain_watch (project, seen, ran, data, code) VALUES (?, 0, 0, ?, ?)
			ON CONFLICT (project) DO UPDATE SET data = excluded.data, code = excluded.code`, project, db.JSON(data), code)
		return err
	})
}

const retrainingColumns = `id, project, at, cause, reason, run, state, error, actor`

func scanRetraining(d db.Scanner) (r Retraining, err error) {
	err = d.Scan(&r.ID, &r.Project, &r.At, &r.Trigger, &r.Reason, &r.Run, &r.State, &r.Error, &r.Actor)
	return r, err
}

// List returns retrainings, newest first.
func (s *Service) List(ctx context.Context, project string) (out []Retraining, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, scanRetraining, `SELECT `+retrainingColumns+` FROM retraining WHERE project = ? ORDER BY at DESC, id LIMIT 500`, project)
		return err
	})
	return out, err
}

// started returns the retrainings of which no end is known.
func (s *Service) started(ctx context.Context) (out []Retraining, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, scanRetraining, `SELECT `+retrainingColumns+` FROM retraining WHERE state = 'started'`)
		return err
	})
	return out, err
}

// keepReport stores a backtest's report.
func (s *Service) keepReport(ctx context.Context, id string, r Report) error {
	return s.o.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO backtest (id, project, at, report) VALUES (?, ?, ?, ?)`, id, r.Project, tx.Now(), db.JSON(r))
		return err
	})
}

// Reports returns the newest backtests of a project.
func (s *Service) Reports(ctx context.Context, project string, limit int) (out []Report, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, func(d db.Scanner) (r Report, err error) {
			err = d.Scan(db.JSON(&r))
			return r, err
		}, `SELECT report FROM backtest WHERE project = ? ORDER BY at DESC LIMIT ?`, project, limit)
		return err
	})
	return out, err
}

func retrainEvent(verb string, r Retraining) slipway.Event {
	data, _ := json.Marshal(r) // times and strings always marshal
	e := slipway.Event{Project: r.Project, Verb: verb, Subject: slipway.NewRef(slipway.KindRetraining, r.ID), Data: data}
	if r.Run != "" {
		e.Link = []slipway.Link{{Relation: slipway.To, Ref: slipway.NewRef(slipway.KindRun, r.Run)}}
	}
	return e
}
