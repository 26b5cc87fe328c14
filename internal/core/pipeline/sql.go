package pipeline

import (
	"context"
	"encoding/json"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// database is the workspace's; only the files sql*.go know more of it.
type database = *db.DB

// Migration is the pipeline's tables.
var Migration = db.Migration{Name: "pipeline", Statements: []string{
	`CREATE TABLE revision (
		project TEXT NOT NULL, number BIGINT NOT NULL, yaml TEXT NOT NULL, code TEXT NOT NULL,
		commit_id TEXT NOT NULL, branch TEXT NOT NULL, dirty BIGINT NOT NULL, actor TEXT NOT NULL, at BIGINT NOT NULL,
		PRIMARY KEY (project, number)) WITHOUT ROWID`,
	`CREATE TABLE pipeline_run (
		id TEXT PRIMARY KEY, project TEXT NOT NULL, revision BIGINT NOT NULL, state TEXT NOT NULL, idle BIGINT NOT NULL,
		trigger_by TEXT NOT NULL, reason TEXT NOT NULL, actor TEXT NOT NULL, request TEXT NOT NULL, data TEXT NOT NULL,
		environment TEXT NOT NULL, error TEXT NOT NULL, created BIGINT NOT NULL, started BIGINT NOT NULL, ended BIGINT NOT NULL)`,
	`CREATE INDEX pipeline_run_newest ON pipeline_run (project, created)`,
	`CREATE INDEX pipeline_run_open ON pipeline_run (state, created)`,
	`CREATE TABLE task (
		run TEXT NOT NULL, step TEXT NOT NULL, project TEXT NOT NULL, position BIGINT NOT NULL, needs TEXT NOT NULL,
		state TEXT NOT NULL, why TEXT NOT NULL, cache_key TEXT NOT NULL, material TEXT NOT NULL, tracked TEXT NOT NULL,
		attempt BIGINT NOT NULL, tries BIGINT NOT NULL, lost BIGINT NOT NULL, started BIGINT NOT NULL, ended BIGINT NOT NULL,
		exit_code BIGINT, message TEXT NOT NULL, output TEXT NOT NULL, log TEXT NOT NULL,
		token TEXT NOT NULL, lease_until BIGINT NOT NULL, not_before BIGINT NOT NULL, handle TEXT NOT NULL, finished BIGINT NOT NULL,
		PRIMARY KEY (run, step))`,
	`CREATE INDEX task_position ON task (run, position)`,
	// The last success of every step with every key: what a result is reused from.
	`CREATE TABLE step_result (
		project TEXT NOT NULL, step TEXT NOT NULL, cache_key TEXT NOT NULL, run TEXT NOT NULL, tracked TEXT NOT NULL,
		material TEXT NOT NULL, output TEXT NOT NULL, at BIGINT NOT NULL,
		PRIMARY KEY (project, step, cache_key))`,
	`CREATE INDEX step_result_newest ON step_result (project, step, at)`,
	// Windows of datasets that were cut out already.
	`CREATE TABLE extract (project TEXT NOT NULL, cut TEXT NOT NULL, digest TEXT NOT NULL, size BIGINT NOT NULL, row_count BIGINT NOT NULL, at BIGINT NOT NULL,
		PRIMARY KEY (project, cut))`,
}}

const revisionColumns = `project, number, yaml, code, commit_id, branch, dirty, actor, at`

func scanRevision(r db.Scanner) (v Revision, err error) {
	err = r.Scan(&v.Project, &v.Number, &v.YAML, &v.Code, &v.Commit, &v.Branch, &v.Dirty, &v.Actor, &v.At)
	return v, err
}

// revision reads one revision; 0 is the newest.
func (s *Service) revision(ctx context.Context, project string, number int) (v Revision, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		if number == 0 {
			v, err = db.One(tx, scanRevision, `SELECT `+revisionColumns+` FROM revision WHERE project = ? ORDER BY number DESC LIMIT 1`, project)
			return err
		}
		v, err = db.One(tx, scanRevision, `SELECT `+revisionColumns+` FROM revision WHERE project = ? AND number = ?`, project, number)
		return err
	})
	if slipway.IsCode(err, slipway.NotFound) {
		if number == 0 {
			return v, slipway.Errorf(slipway.NotFound, "nothing was applied for the project %s", project).WithHint("run `slipway apply` in its folder")
		}
		return v, slipway.Errorf(slipway.NotFound, "the project %s has no revision %d", project, number)
	}
	return v, err
}

// Revisions lists a project's revisions without their text, newest first.
func (s *Service) Revisions(ctx context.Context, project string, limit int) (out []Revision, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, scanRevision, `SELECT project, number, '', code, commit_id, branch, dirty, actor, at
			FROM revision WHERE project = ? ORDER BY number DESC LIMIT ?`, project, limit)
		return err
	})
	return out, err
}

// Projects lists the projects of which something was applied.
func (s *Service) Projects(ctx context.Context) (out []string, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, func(r db.Scanner) (p string, err error) { return p, r.Scan(&p) }, `SELECT DISTINCT project FROM revision ORDER BY project`)
		return err
	})
	return out, err
}

// insertRevision gives the next number and records the event.
func (s *Service) insertRevision(ctx context.Context, v Revision) (Revision, error) {
	err := s.o.DB.Write(ctx, func(tx *db.Tx) error {
		var last int
		if err := tx.QueryRow(`SELECT COALESCE(MAX(number), 0) FROM revision WHERE project = ?`, v.Project).Scan(&last); err != nil {
			return err
		}
		v.Number = last + 1
		_, err := tx.Exec(`INSERT INTO revision (`+revisionColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			v.Project, v.Number, v.YAML, v.Code, v.Commit, v.Branch, v.Dirty, v.Actor, v.At)
		if err != nil {
			return err
		}
		data, err := json.Marshal(map[string]any{"revision": v.Number, "code": v.Code, "branch": v.Branch, "dirty": v.Dirty})
		if err != nil {
			return err
		}
		return tx.Record(slipway.Event{Project: v.Project, Actor: v.Actor, Verb: "revision.applied", Subject: v.Ref(), Data: data})
	})
	return v, err
}

// Roots lists the content that revisions, results and logs refer to.
func (s *Service) Roots(ctx context.Context) (out []slipway.Digest, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) error {
		out = nil
		one := func(r db.Scanner) (d slipway.Digest, err error) { return d, r.Scan(&d) }
		for _, sql := range []string{`SELECT code FROM revision`, `SELECT log FROM task WHERE log <> ''`, `SELECT digest FROM extract`} {
			some, err := db.All(tx, one, sql)
			if err != nil {
				return err
			}
			out = append(out, some...)
		}
		results, err := db.All(tx, func(r db.Scanner) (m map[string]Output, err error) { return m, r.Scan(db.JSON(&m)) }, `SELECT output FROM step_result`)
		for _, m := range results {
			for _, o := range m {
				out = append(out, o.Digest)
			}
		}
		if err != nil {
			return err
		}
		locks, err := db.All(tx, func(r db.Scanner) (e *Environment, err error) { return e, r.Scan(db.JSON(&e)) }, `SELECT environment FROM pipeline_run`)
		for _, e := range locks {
			if e != nil {
				out = append(out, e.Lock)
			}
		}
		return err
	})
	return out, err
}
