package pipeline

import (
	"context"
	"encoding/json"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

const runColumns = `id, project, revision, state, idle, trigger_by, reason, actor, request, data, environment, error, created, started, ended`

func scanRun(r db.Scanner) (v Run, err error) {
	err = r.Scan(&v.ID, &v.Project, &v.Revision, &v.State, &v.Nothing, &v.Trigger, &v.Reason, &v.Actor, db.JSON(&v.Request), db.JSON(&v.Data),
		db.JSON(&v.Environment), &v.Error, &v.Created, &v.Started, &v.Ended)
	return v, err
}

const taskColumns = `step, needs, state, why, cache_key, material, tracked, attempt, tries, lost, started, ended, exit_code, message, output, log,
	token, lease_until, not_before, handle, finished`

func scanTask(r db.Scanner) (v Task, err error) {
	err = r.Scan(&v.Step, db.JSON(&v.Needs), &v.State, db.JSON(&v.Why), &v.Key, db.JSON(&v.Material), &v.Run, &v.Attempt, &v.Tries, &v.Lost,
		&v.Started, &v.Ended, &v.Exit, &v.Message, db.JSON(&v.Output), &v.Log, &v.tokenHash, &v.leaseUntil, &v.notBefore, &v.handle, &v.finished)
	return v, err
}

// insertRun records a run that waits for its turn.
func (s *Service) insertRun(ctx context.Context, v Run) error {
	return s.o.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO pipeline_run (`+runColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			v.ID, v.Project, v.Revision, v.State, v.Nothing, v.Trigger, v.Reason, v.Actor, db.JSON(v.Request), db.JSON(v.Data),
			db.JSON(v.Environment), v.Error, v.Created, v.Started, v.Ended)
		return err
	})
}

// recordNothing records a run that found nothing to do, with what was decided
// about each step. Of such runs a project keeps the newest.
func (s *Service) recordNothing(ctx context.Context, v Run) error {
	return s.o.DB.Write(ctx, func(tx *db.Tx) error {
		const old = `SELECT id FROM pipeline_run WHERE project = ? AND idle <> 0`
		if _, err := tx.Exec(`DELETE FROM task WHERE run IN (`+old+`)`, v.Project); err != nil {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM pipeline_run WHERE project = ? AND idle <> 0`, v.Project); err != nil {
			return err
		}
		return writeRun(tx, v, true)
	})
}

func insertTasks(tx *db.Tx, v Run) error {
	for i, t := range v.Task {
		_, err := tx.Exec(`INSERT INTO task (run, project, position, `+taskColumns+`)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			v.ID, v.Project, i, t.Step, db.JSON(t.Needs), t.State, db.JSON(t.Why), t.Key, db.JSON(t.Material), t.Run, t.Attempt, t.Tries, t.Lost,
			t.Started, t.Ended, t.Exit, t.Message, db.JSON(t.Output), t.Log, t.tokenHash, t.leaseUntil, t.notBefore, t.handle, t.finished)
		if err != nil {
			return err
		}
	}
	return nil
}

func record(tx *db.Tx, events []slipway.Event) error {
	for _, e := range events {
		if err := tx.Record(e); err != nil {
			return err
		}
	}
	return nil
}

// updateRun writes a run's own row, and its tasks the first time they are known.
func (s *Service) updateRun(ctx context.Context, v Run, tasks bool, events ...slipway.Event) error {
	return s.o.DB.Write(ctx, func(tx *db.Tx) error {
		if err := writeRun(tx, v, tasks); err != nil {
			return err
		}
		return record(tx, events)
	})
}

func writeRun(tx *db.Tx, v Run, tasks bool) error {
	_, err := tx.Exec(`UPDATE pipeline_run SET state = ?, idle = ?, data = ?, environment = ?, error = ?, started = ?, ended = ? WHERE id = ?`,
		v.State, v.Nothing, db.JSON(v.Data), db.JSON(v.Environment), v.Error, v.Started, v.Ended, v.ID)
	if err != nil || !tasks {
		return err
	}
	return insertTasks(tx, v)
}

// was is how a task stood when it was looked at.
type was struct {
	state   State
	attempt int
}

// updateTask writes a task. It fails with Conflict when the row is not as it
// was: somebody else has taken the step over.
func (s *Service) updateTask(ctx context.Context, run, project string, old was, t Task, events ...slipway.Event) error {
	return s.o.DB.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(`UPDATE task SET state = ?, why = ?, cache_key = ?, material = ?, tracked = ?, attempt = ?, tries = ?, lost = ?, started = ?,
			ended = ?, exit_code = ?, message = ?, output = ?, log = ?, token = ?, lease_until = ?, not_before = ?, handle = ?, finished = ?
			WHERE run = ? AND step = ? AND attempt = ? AND state = ?`,
			t.State, db.JSON(t.Why), t.Key, db.JSON(t.Material), t.Run, t.Attempt, t.Tries, t.Lost, t.Started,
			t.Ended, t.Exit, t.Message, db.JSON(t.Output), t.Log, t.tokenHash, t.leaseUntil, t.notBefore, t.handle, t.finished, run, t.Step, old.attempt, old.state)
		if err != nil {
			return err
		}
		if n == 0 {
			return slipway.Errorf(slipway.Conflict, "attempt %d of step %s is over", old.attempt, t.Step)
		}
		if t.State == Succeeded {
			_, err := tx.Exec(`INSERT INTO step_result (project, step, cache_key, run, tracked, material, output, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
				ON CONFLICT (project, step, cache_key) DO UPDATE SET run = excluded.run, tracked = excluded.tracked, material = excluded.material,
				output = excluded.output, at = excluded.at`,
				project, t.Step, t.Key, run, t.Run, db.JSON(t.Material), db.JSON(t.Output), tx.Now())
			if err != nil {
				return err
			}
		}
		return record(tx, events)
	})
}

// setHandle writes down how to find a step's process.
func (s *Service) setHandle(ctx context.Context, run, step string, attempt int, handle string) error {
	return s.o.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE task SET handle = ? WHERE run = ? AND step = ? AND attempt = ?`, handle, run, step, attempt)
		return err
	})
}

// renew moves the end of a lease.
func (s *Service) renew(ctx context.Context, run string, t Task) error {
	return s.o.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE task SET lease_until = ? WHERE run = ? AND step = ? AND attempt = ?`, t.leaseUntil, run, t.Step, t.Attempt)
		return err
	})
}

// Run reads a run with its tasks. id may be the beginning of an id, or "" or
// "latest" for the newest. It fails with NotFound, and with Invalid when the
// beginning fits several.
func (s *Service) Run(ctx context.Context, project, id string) (v Run, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) error {
		var found []Run
		if id == "" || id == "latest" {
			found, err = db.All(tx, scanRun, `SELECT `+runColumns+` FROM pipeline_run WHERE project = ? ORDER BY created DESC, id LIMIT 1`, project)
		} else {
			found, err = db.All(tx, scanRun, `SELECT `+runColumns+` FROM pipeline_run WHERE project = ? AND id >= ? AND id < ? LIMIT 2`, project, id, id+"~")
		}
		switch {
		case err != nil:
			return err
		case len(found) == 0 && (id == "" || id == "latest"):
			return slipway.Errorf(slipway.NotFound, "the pipeline of %s has not run yet", project).WithHint("`slipway run` runs it")
		case len(found) == 0:
			return slipway.Errorf(slipway.NotFound, "the pipeline of %s has no run %s", project, id).WithHint("`slipway runs` lists them")
		case len(found) > 1:
			return slipway.Errorf(slipway.Invalid, "several runs begin with %s", id).WithHint("write more of the id")
		}
		v = found[0]
		v.Task, err = db.All(tx, scanTask, `SELECT `+taskColumns+` FROM task WHERE run = ? ORDER BY position`, v.ID)
		return err
	})
	return v, err
}

// Runs lists a project's runs without their tasks, newest first.
func (s *Service) Runs(ctx context.Context, project string, limit int) (out []Run, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, scanRun, `SELECT `+runColumns+` FROM pipeline_run WHERE project = ? ORDER BY created DESC, id LIMIT ?`, project, limit)
		return err
	})
	return out, err
}

// openRuns lists every run that has not ended, oldest first, with its tasks.
func (s *Service) openRuns(ctx context.Context) (out []Run, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, scanRun, `SELECT `+runColumns+` FROM pipeline_run WHERE state IN ('queued', 'running') ORDER BY created, id`)
		for i := range out {
			if err == nil {
				out[i].Task, err = db.All(tx, scanTask, `SELECT `+taskColumns+` FROM task WHERE run = ? ORDER BY position`, out[i].ID)
			}
		}
		return err
	})
	return out, err
}

func scanPrior(r db.Scanner) (p priorTask, err error) {
	err = r.Scan(&p.Run, &p.Tracked, &p.Key, db.JSON(&p.Material), db.JSON(&p.Output))
	return p, err
}

// priors reads what is known of steps: the result with a given key, else the
// last one. lookup runs inside one snapshot of the database.
func (s *Service) priors(ctx context.Context, project string, fn func(lookup func(step string, key slipway.Digest) (hit, last *priorTask, err error)) error) error {
	const columns = `SELECT run, tracked, cache_key, material, output FROM step_result WHERE project = ? AND step = ? `
	return s.o.DB.Read(ctx, func(tx *db.Tx) error {
		return fn(func(step string, key slipway.Digest) (hit, last *priorTask, err error) {
			p, err := db.One(tx, scanPrior, columns+`AND cache_key = ?`, project, step, key)
			if err == nil {
				return &p, nil, nil
			}
			if slipway.IsCode(err, slipway.NotFound) {
				p, err = db.One(tx, scanPrior, columns+`ORDER BY at DESC LIMIT 1`, project, step)
			}
			if slipway.IsCode(err, slipway.NotFound) {
				return nil, nil, nil
			}
			return nil, &p, err
		})
	})
}

// extracted finds a window that was cut out before.
func (s *Service) extracted(ctx context.Context, project, key string) (o Output, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) error {
		return tx.QueryRow(`SELECT digest, size FROM extract WHERE project = ? AND cut = ?`, project, key).Scan(&o.Digest, &o.Size)
	})
	return o, err
}

func (s *Service) insertExtract(ctx context.Context, project, key string, o Output, rows int64) error {
	return s.o.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO extract (project, cut, digest, size, row_count, at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (project, cut)
			DO UPDATE SET digest = excluded.digest, size = excluded.size, row_count = excluded.row_count, at = excluded.at`,
			project, key, o.Digest, o.Size, rows, tx.Now())
		return err
	})
}

// event makes an event about a run.
func event(project, actor, verb, run string, link []slipway.Link, data any) slipway.Event {
	raw, _ := json.Marshal(data)
	return slipway.Event{Project: project, Actor: actor, Verb: verb, Subject: slipway.NewRef(slipway.KindRun, run), Link: link, Data: raw}
}

// handle reads how to find a step's process.
func (s *Service) handle(ctx context.Context, run, step string, attempt int) (id string, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) error {
		return tx.QueryRow(`SELECT handle FROM task WHERE run = ? AND step = ? AND attempt = ?`, run, step, attempt).Scan(&id)
	})
	return id, err
}

// oneTask reads a run and one of its tasks, which is quick also where the run
// has a thousand. It fails with NotFound.
func (s *Service) oneTask(ctx context.Context, project, run, step string) (v Run, t Task, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) error {
		found, err := db.All(tx, scanRun, `SELECT `+runColumns+` FROM pipeline_run WHERE project = ? AND id >= ? AND id < ? LIMIT 2`, project, run, run+"~")
		if err != nil {
			return err
		}
		if len(found) != 1 {
			return slipway.Errorf(slipway.NotFound, "the pipeline of %s has no run %s", project, run)
		}
		v = found[0]
		t, err = db.One(tx, scanTask, `SELECT `+taskColumns+` FROM task WHERE run = ? AND step = ?`, v.ID, step)
		if slipway.IsCode(err, slipway.NotFound) {
			return slipway.Errorf(slipway.NotFound, "run %s has no step %q", v.ID[:8], step)
		}
		return err
	})
	return v, t, err
}
