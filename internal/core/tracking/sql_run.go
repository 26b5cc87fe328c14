package tracking

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// runKey is what a change of a run needs to know of it.
type runKey struct {
	number     int64
	uuid       string
	project    string
	experiment int64
	stage      Stage
	kind       Kind
	status     Status
}

func scanRunKey(r db.Scanner) (k runKey, err error) {
	err = r.Scan(&k.number, &k.uuid, &k.project, &k.experiment, &k.stage, &k.kind, &k.status)
	return k, err
}

// findRun finds a run by its id. It fails with NotFound.
func findRun(tx *db.Tx, id string) (runKey, error) {
	k, err := db.One(tx, scanRunKey, `SELECT id, uuid, project, experiment, stage, kind, status FROM run WHERE uuid = ?`, id)
	if slipway.IsCode(err, slipway.NotFound) {
		return k, noRun(id)
	}
	return k, err
}

// openRun finds a run that ctx may do what need says with.
func openRun(tx *db.Tx, need slipway.Role, id string) (runKey, error) {
	k, err := findRun(tx, id)
	if err != nil {
		return k, err
	}
	return k, slipway.Allow(tx.Context(), need, k.project)
}

// changeRun runs fn on an active run that ctx may write, and forgets what was
// cached of it.
func (s *Service) changeRun(ctx context.Context, id string, fn func(tx *db.Tx, k runKey) error) error {
	var number int64
	err := s.write(ctx, func(tx *db.Tx) error {
		k, err := openRun(tx, slipway.Writer, id)
		if err == nil {
			err = checkActive(id, k.stage)
		}
		if err != nil {
			return err
		}
		number = k.number
		return fn(tx, k)
	})
	s.cache.forget(number)
	return err
}

// CreateRun starts a run. It fails with NotFound when there is no such
// experiment and Conflict when the id is taken.
func (s *Service) CreateRun(ctx context.Context, in NewRun) (*Run, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	if in.ID == "" {
		in.ID = freshID()
	}
	if in.User == "" {
		in.User, _ = valueOf(in.Tags, userTag)
	}
	if in.User == "" {
		in.User = slipway.PrincipalOf(ctx).Name
	}
	var out *Run
	err := s.write(ctx, func(tx *db.Tx) error {
		e, err := openExperiment(tx, slipway.Writer, in.Experiment)
		if err != nil {
			return err
		}
		if e.Stage != Active {
			return slipway.Errorf(slipway.Invalid, "The experiment %d must be in the 'active' state. Current state is %s.", e.ID, e.Stage)
		}
		if err := s.admitRun(tx, e.Project); err != nil {
			return err
		}
		if out, err = addRun(tx, e, in); err != nil {
			return err
		}
		return tx.Record(startedEvent(out))
	})
	return out, err
}

// addRun writes a run that begins. It fails with Conflict when the id is taken.
func addRun(tx *db.Tx, e Experiment, in NewRun) (*Run, error) {
	r := &Run{ID: in.ID, Project: e.Project, Experiment: e.ID, Name: in.Name, Kind: in.Kind, Status: Running, User: in.User,
		Start: in.Start.UTC().Truncate(time.Microsecond), Stage: Active, Artifact: artifactRoot(e.Artifact, in.ID), Params: in.Params}
	number, err := tx.InsertID(`INSERT INTO run (uuid, project, experiment, name, kind, status, actor, started, ended, stage)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?) ON CONFLICT DO NOTHING`,
		r.ID, r.Project, r.Experiment, r.Name, r.Kind, r.Status, r.User, r.Start, r.Stage)
	if slipway.IsCode(err, slipway.NotFound) {
		return nil, slipway.Errorf(slipway.Conflict, "the run %s exists already", in.ID)
	}
	if err != nil {
		return nil, err
	}
	r.number, r.Tags = number, lastOfKey(in.Tags)
	err = tx.InsertRows("run_tag", []string{"run", "key", "value"}, len(r.Tags), func(i int) []any {
		return []any{number, r.Tags[i].Key, r.Tags[i].Value}
	})
	if err != nil {
		return nil, err
	}
	return r, addParams(tx, r.number, in.Params)
}

// lastOfKey sorts pairs by key, and keeps the last of those that share one.
func lastOfKey(pairs []Pair) []Pair {
	out := make([]Pair, 0, len(pairs))
	for i, p := range pairs {
		if _, again := valueOf(pairs[i+1:], p.Key); !again {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b Pair) int { return strings.Compare(a.Key, b.Key) })
	return out
}

func setTags(tx *db.Tx, run int64, tags []Pair) error {
	for _, t := range tags {
		_, err := tx.Exec(`INSERT INTO run_tag (run, key, value) VALUES (?, ?, ?)
			ON CONFLICT (run, key) DO UPDATE SET value = excluded.value`, run, t.Key, t.Value)
		if err != nil {
			return err
		}
		if t.Key == nameTag {
			if _, err := tx.Exec(`UPDATE run SET name = ? WHERE id = ?`, cut(t.Value, maxKey), run); err != nil {
				return err
			}
		}
	}
	return nil
}

// addParams writes params. A param keeps its first value: another one fails
// with Invalid.
func addParams(tx *db.Tx, run int64, params []Pair) error {
	for _, p := range params {
		n, err := tx.Exec(`INSERT INTO run_param (run, key, value) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, run, p.Key, p.Value)
		if err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		var was string
		if err := tx.QueryRow(`SELECT value FROM run_param WHERE run = ? AND key = ?`, run, p.Key).Scan(&was); err != nil {
			return err
		}
		if was != p.Value {
			return slipway.Errorf(slipway.Invalid, "Changing param values is not allowed. Param with key='%s' was already logged with value='%s'. "+
				"Attempted logging new value '%s'.", p.Key, was, p.Value)
		}
	}
	return nil
}

// Change is what UpdateRun changes; zero fields stay as they are.
type Change struct {
	Status Status
	End    time.Time
	Name   string
}

// UpdateRun changes a run's status, end or name, and returns it.
func (s *Service) UpdateRun(ctx context.Context, id string, c Change) (*Run, error) {
	if c.Status != "" && !c.Status.Valid() {
		return nil, slipway.Errorf(slipway.Invalid, "Invalid run status '%s'", c.Status)
	}
	outputs, err := s.modelTrees(ctx, id, c.Status)
	if err != nil {
		return nil, err
	}
	err = s.changeRun(ctx, id, func(tx *db.Tx, k runKey) error {
		if c.Name != "" {
			if err := setTags(tx, k.number, []Pair{{nameTag, c.Name}}); err != nil {
				return err
			}
		}
		if c.Status == "" && c.End.IsZero() {
			return nil
		}
		return finishRun(tx, k, c, outputs)
	})
	if err != nil {
		return nil, err
	}
	return s.Run(ctx, id)
}

// finishRun writes status and end, and tells the end of a client's run.
func finishRun(tx *db.Tx, k runKey, c Change, outputs []slipway.Link) error {
	if c.Status == "" {
		c.Status = k.status
	}
	if c.Status.Ended() && c.End.IsZero() {
		c.End = tx.Now()
	}
	_, err := tx.Exec(`UPDATE run SET status = ?, ended = ? WHERE id = ?`, c.Status, c.End, k.number)
	if err != nil || k.kind != KindClient || !c.Status.Ended() || k.status.Ended() {
		return err
	}
	return recordEnd(tx, k, c.Status, outputs)
}

// DeleteRun hides a run; RestoreRun brings it back.
func (s *Service) DeleteRun(ctx context.Context, id string) error {
	return s.moveRun(ctx, id, Active, Deleted)
}

// RestoreRun undoes DeleteRun.
func (s *Service) RestoreRun(ctx context.Context, id string) error {
	return s.moveRun(ctx, id, Deleted, Active)
}

func (s *Service) moveRun(ctx context.Context, id string, from, to Stage) error {
	var number int64
	err := s.write(ctx, func(tx *db.Tx) error {
		k, err := openRun(tx, slipway.Writer, id)
		if err != nil {
			return err
		}
		number = k.number
		if k.stage != from {
			return slipway.Errorf(slipway.Invalid, "The run %s must be in the '%s' state. Current state is %s.", id, from, k.stage)
		}
		n, err := tx.Exec(`UPDATE run SET stage = ?, deleted = ? WHERE id = ?`, to, deletedAt(tx, to), k.number)
		if err == nil && n == 0 {
			err = noRun(id) // collected meanwhile
		}
		return err
	})
	s.cache.forget(number)
	return err
}

// DeleteTag fails with NotFound when the run has no such tag.
func (s *Service) DeleteTag(ctx context.Context, id, key string) error {
	return s.changeRun(ctx, id, func(tx *db.Tx, k runKey) error {
		n, err := tx.Exec(`DELETE FROM run_tag WHERE run = ? AND key = ?`, k.number, key)
		if err == nil && n == 0 {
			err = slipway.Errorf(slipway.NotFound, "No tag with name: %s in run with id %s", key, id)
		}
		return err
	})
}

// Log writes metrics, params and tags of a run, all or nothing.
func (s *Service) Log(ctx context.Context, id string, b Batch) error {
	if err := b.check(); err != nil {
		return err
	}
	groups := groupPoints(b.Metrics)
	return s.changeRun(ctx, id, func(tx *db.Tx, k runKey) error {
		for _, g := range groups {
			if err := checkModelHere(tx, k, g.model); err != nil {
				return err
			}
		}
		if err := addParams(tx, k.number, b.Params); err != nil {
			return err
		}
		if err := setTags(tx, k.number, b.Tags); err != nil {
			return err
		}
		return s.addPoints(tx, k.number, groups)
	})
}
