package delivery

import (
	"context"
	"encoding/json"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// Migration is the tables of delivery.
var Migration = db.Migration{Name: "delivery", Statements: []string{
	`CREATE TABLE release (
		id TEXT PRIMARY KEY,
		project TEXT NOT NULL,
		environment TEXT NOT NULL,
		endpoint TEXT NOT NULL,
		model TEXT NOT NULL,
		certificate TEXT NOT NULL,
		state TEXT NOT NULL,
		weight BIGINT NOT NULL,
		stage BIGINT NOT NULL,
		begun BIGINT NOT NULL,
		since BIGINT NOT NULL,
		from_time BIGINT NOT NULL,
		until_time BIGINT NOT NULL,
		created BIGINT NOT NULL,
		actor TEXT NOT NULL,
		reason TEXT NOT NULL,
		evidence TEXT NOT NULL)`,
	`CREATE INDEX release_place ON release (project, environment, created)`,
	`CREATE INDEX release_state ON release (state)`,
	`CREATE TABLE manifest (number BIGINT PRIMARY KEY, body TEXT NOT NULL, at BIGINT NOT NULL)`,
	// Who was the champion when, in machine time too: what was in production
	// at the time of an incident is asked by the clock on the wall.
	`CREATE TABLE reign (
		project TEXT NOT NULL,
		environment TEXT NOT NULL,
		release TEXT NOT NULL,
		begun BIGINT NOT NULL,
		begun_event BIGINT NOT NULL,
		ended BIGINT NOT NULL,
		ended_event BIGINT NOT NULL)`,
	`CREATE INDEX reign_place ON reign (project, environment, begun)`,
}}

const releaseColumns = `id, project, environment, endpoint, model, certificate, state, weight, stage, begun, since, from_time, until_time, created, actor, reason, evidence`

func scanRelease(s db.Scanner) (r Release, err error) {
	err = s.Scan(&r.ID, &r.Project, &r.Environment, &r.Endpoint, &r.Model, &r.Certificate, &r.State, &r.Weight, &r.Stage,
		&r.Begun, &r.Since, &r.From, &r.Until, &r.Created, &r.Actor, &r.Reason, db.JSON(&r.Evidence))
	return r, err
}

// insert writes a new release and its event.
func (s *Service) insert(ctx context.Context, r *Release) error {
	return s.o.DB.Write(ctx, func(tx *db.Tx) error {
		r.Created = tx.Now()
		_, err := tx.Exec(`INSERT INTO release (`+releaseColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			r.ID, r.Project, r.Environment, r.Endpoint, r.Model, r.Certificate, r.State, r.Weight, r.Stage,
			r.Begun, r.Since, r.From, r.Until, r.Created, r.Actor, r.Reason, db.JSON(r.Evidence))
		if err != nil {
			return err
		}
		return tx.Record(releaseEvent(*r, "release.created"))
	})
}

// change is a move of a release to another state or stage.
type change struct {
	state         State
	stage, weight int
	verb, reason  string
	evidence      *Decision
}

// change moves a release and records it.
func (s *Service) change(ctx context.Context, r *Release, c change) error {
	return s.o.DB.Write(ctx, func(tx *db.Tx) error { return s.move(tx, r, c) })
}

func (s *Service) move(tx *db.Tx, r *Release, c change) error {
	now := s.o.Now()
	r.State, r.Stage, r.Weight, r.Since, r.Reason = c.state, c.stage, c.weight, now, c.reason
	_, err := tx.Exec(`UPDATE release SET state = ?, stage = ?, weight = ?, since = ?, from_time = ?, until_time = ?, reason = ?, evidence = ? WHERE id = ?`,
		r.State, r.Stage, r.Weight, r.Since, r.From, r.Until, r.Reason, db.JSON(r.Evidence), r.ID)
	if err != nil {
		return err
	}
	return tx.Record(releaseEvent(*r, c.verb))
}

// swap makes r the champion of its environment and retires the one before.
func (s *Service) swap(ctx context.Context, r *Release, reason string) error {
	return s.o.DB.Write(ctx, func(tx *db.Tx) error {
		return s.crown(tx, r, change{state: Retired, verb: "release.retired", reason: "replaced by " + r.Model}, reason)
	})
}

// rollbackTo makes r the champion again in place of one that is taken out.
func (s *Service) rollbackTo(ctx context.Context, r *Release, reason string) error {
	err := s.o.DB.Write(ctx, func(tx *db.Tx) error {
		return s.crown(tx, r, change{state: RolledBack, verb: "release.rolled_back", reason: reason}, "brought back: "+reason)
	})
	if err != nil {
		return err
	}
	return s.publish(ctx)
}

// crown ends the present champion's reign as fate says and begins r's.
func (s *Service) crown(tx *db.Tx, r *Release, fate change, reason string) error {
	now := s.o.Now()
	before, err := db.All(tx, scanRelease, `SELECT `+releaseColumns+` FROM release WHERE project = ? AND environment = ? AND state = ?`,
		r.Project, r.Environment, Active)
	if err != nil {
		return err
	}
	for i := range before {
		before[i].Until = now
		if err := s.move(tx, &before[i], fate); err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE reign SET ended = ?, ended_event = ? WHERE release = ? AND ended = 0`, tx.Now(), now, before[i].ID); err != nil {
			return err
		}
	}
	r.From, r.Until = now, time.Time{}
	if err := s.move(tx, r, change{state: Active, verb: "release.activated", reason: reason, weight: 100}); err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO reign (project, environment, release, begun, begun_event, ended, ended_event) VALUES (?, ?, ?, ?, ?, 0, 0)`,
		r.Project, r.Environment, r.ID, tx.Now(), now)
	return err
}

func (s *Service) saveEvidence(ctx context.Context, r Release) error {
	return s.o.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE release SET evidence = ? WHERE id = ?`, db.JSON(r.Evidence), r.ID)
		return err
	})
}

// releases reads those that where chooses.
func (s *Service) releases(ctx context.Context, where string, args ...any) (out []Release, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, scanRelease, `SELECT `+releaseColumns+` FROM release WHERE `+where, args...)
		return err
	})
	return out, err
}

// live is every release that answers or scores, champions first.
func (s *Service) live(ctx context.Context) ([]Release, error) {
	return s.releases(ctx, `state IN ('active', 'canary', 'shadow') ORDER BY project, environment, CASE state WHEN 'active' THEN 0 ELSE 1 END, created`)
}

// current is what is live in one environment.
func (s *Service) current(ctx context.Context, project, environment string) ([]Release, error) {
	return s.releases(ctx, `project = ? AND environment = ? AND state IN ('active', 'canary', 'shadow') ORDER BY created`, project, environment)
}

func (s *Service) find(ctx context.Context, project, id string) (Release, error) {
	found, err := s.releases(ctx, `project = ? AND id = ?`, project, id)
	if err != nil {
		return Release{}, err
	}
	if len(found) == 0 {
		return Release{}, slipway.Errorf(slipway.NotFound, "no release %s in the project %s", id, project).WithHint("`slipway release ls` lists them")
	}
	return found[0], nil
}

// earlier is the champion before the present one, or the release named.
func (s *Service) earlier(ctx context.Context, project, environment, id string) (Release, error) {
	if id != "" {
		r, err := s.find(ctx, project, id)
		if err == nil && (r.Environment != environment || r.From.IsZero()) {
			err = slipway.Errorf(slipway.Invalid, "release %s was never the champion of %s", id, environment)
		}
		return r, err
	}
	found, err := s.releases(ctx, `project = ? AND environment = ? AND state = ? ORDER BY until_time DESC, created DESC LIMIT 1`, project, environment, Retired)
	if err != nil {
		return Release{}, err
	}
	if len(found) == 0 {
		return Release{}, slipway.Errorf(slipway.NotFound, "%s has no earlier version to go back to", environment)
	}
	return found[0], nil
}

// wasReleased reports whether a version is, or has been, live in an environment.
func (s *Service) wasReleased(ctx context.Context, project, environment, model string) (bool, error) {
	found, err := s.releases(ctx, `project = ? AND environment = ? AND model = ? AND state NOT IN ('created', 'refused')`, project, environment, model)
	return len(found) > 0, err
}

// insertManifest numbers, signs and keeps a manifest.
func (s *Service) insertManifest(ctx context.Context, endpoints []slipway.Endpoint) (m slipway.Manifest, err error) {
	err = s.o.DB.Write(ctx, func(tx *db.Tx) error {
		var last int64
		if err := tx.QueryRow(`SELECT COALESCE(MAX(number), 0) FROM manifest`).Scan(&last); err != nil {
			return err
		}
		var err error
		if m, err = Sign(slipway.Manifest{Number: last + 1, Time: tx.Now(), Endpoint: endpoints}, s.o.Key); err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO manifest (number, body, at) VALUES (?, ?, ?)`, m.Number, db.JSON(m), m.Time)
		return err
	})
	return m, err
}

// releaseEvent tells of a release.
func releaseEvent(r Release, verb string) slipway.Event {
	data, _ := json.Marshal(map[string]any{"environment": r.Environment, "endpoint": r.Endpoint, "model": r.Model,
		"state": r.State, "weight": r.Weight, "reason": r.Reason, "since": r.Since})
	e := slipway.Event{Project: r.Project, Verb: verb, Subject: r.ref(), Data: data,
		Link: []slipway.Link{{Relation: slipway.From, Ref: r.modelRef()}}}
	if r.Certificate != "" {
		e.Link = append(e.Link, slipway.Link{Relation: slipway.From, Ref: slipway.NewRef(slipway.KindCertificate, string(r.Certificate))})
	}
	return e
}
