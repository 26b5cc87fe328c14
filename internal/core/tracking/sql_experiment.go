package tracking

import (
	"context"
	"fmt"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

const experimentColumns = `e.id, e.project, e.name, e.artifact, e.stage, e.created, e.updated`

func scanExperiment(r db.Scanner) (e Experiment, err error) {
	err = r.Scan(&e.ID, &e.Project, &e.Name, &e.Artifact, &e.Stage, &e.Created, &e.Updated)
	return e, err
}

// insertExperiment writes a checked experiment with its tags.
func (s *Service) insertExperiment(ctx context.Context, in NewExperiment) (e Experiment, err error) {
	err = s.write(ctx, func(tx *db.Tx) error {
		e, err = addExperiment(tx, in)
		return err
	})
	return e, err
}

func addExperiment(tx *db.Tx, in NewExperiment) (Experiment, error) {
	e := Experiment{Project: in.Project, Name: in.Name, Artifact: in.Artifact, Stage: Active, Created: tx.Now(), Updated: tx.Now(), Tags: in.Tags}
	n, err := tx.Exec(`INSERT INTO experiment (project, name, artifact, stage, created, updated) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		e.Project, e.Name, e.Artifact, e.Stage, e.Created, e.Updated)
	if err != nil {
		return e, err
	}
	if n == 0 {
		return e, slipway.Errorf(slipway.Conflict, "Experiment '%s' already exists.", e.Name).
			WithHint("a deleted experiment keeps its name until `slipway gc --yes`; restore it, or choose another name")
	}
	if err := tx.QueryRow(`SELECT id FROM experiment WHERE project = ? AND name = ?`, e.Project, e.Name).Scan(&e.ID); err != nil {
		return e, err
	}
	if e.Artifact == "" {
		e.Artifact = defaultArtifact(e.ID)
		if _, err := tx.Exec(`UPDATE experiment SET artifact = ? WHERE id = ?`, e.Artifact, e.ID); err != nil {
			return e, err
		}
	}
	for _, t := range in.Tags {
		if err := setExperimentTag(tx, e.ID, t); err != nil {
			return e, err
		}
	}
	return e, nil
}

func setExperimentTag(tx *db.Tx, id int64, t Pair) error {
	_, err := tx.Exec(`INSERT INTO experiment_tag (experiment, key, value) VALUES (?, ?, ?)
		ON CONFLICT (experiment, key) DO UPDATE SET value = excluded.value`, id, t.Key, t.Value)
	return err
}

// openExperiment reads an experiment and checks that ctx may do what need says.
func openExperiment(tx *db.Tx, need slipway.Role, id int64) (Experiment, error) {
	e, err := db.One(tx, scanExperiment, `SELECT `+experimentColumns+` FROM experiment e WHERE e.id = ?`, id)
	if slipway.IsCode(err, slipway.NotFound) {
		return e, noExperiment(id)
	}
	if err != nil {
		return e, err
	}
	return e, slipway.Allow(tx.Context(), need, e.Project)
}

// withTags reads the tags of experiments.
func withTags(tx *db.Tx, all []Experiment) error {
	for i := range all {
		tags, err := db.All(tx, scanPair, `SELECT key, value FROM experiment_tag WHERE experiment = ? ORDER BY key`, all[i].ID)
		if err != nil {
			return err
		}
		all[i].Tags = tags
	}
	return nil
}

// Experiment reads one. It fails with NotFound.
func (s *Service) Experiment(ctx context.Context, id int64) (e Experiment, err error) {
	err = s.read(ctx, func(tx *db.Tx) error {
		one := make([]Experiment, 1)
		one[0], err = openExperiment(tx, slipway.Reader, id)
		if err == nil {
			err = withTags(tx, one)
		}
		e = one[0]
		return err
	})
	return e, err
}

// ExperimentByName finds an experiment, deleted or not. Without a project it
// looks in the principal's, else in "default", else in the oldest that has one
// of that name. It fails with NotFound.
func (s *Service) ExperimentByName(ctx context.Context, project, name string) (e Experiment, err error) {
	if project == "" {
		if project, err = scope(ctx, slipway.Reader); err != nil {
			return e, err
		}
	} else if err := slipway.Allow(ctx, slipway.Reader, project); err != nil {
		return e, err
	}
	err = s.read(ctx, func(tx *db.Tx) error {
		one, err := db.All(tx, scanExperiment, `SELECT `+experimentColumns+` FROM experiment e WHERE e.name = ?1 AND (?2 = '' OR e.project = ?2)
			ORDER BY CASE WHEN e.project = '`+DefaultProject+`' THEN 0 ELSE 1 END, e.id LIMIT 1`, name, project)
		if err != nil {
			return err
		}
		if len(one) == 0 {
			return slipway.Errorf(slipway.NotFound, "Could not find experiment with name '%s'", name)
		}
		if err := withTags(tx, one); err != nil {
			return err
		}
		e = one[0]
		return nil
	})
	return e, err
}

// changeExperiment runs fn on an experiment that ctx may write.
func (s *Service) changeExperiment(ctx context.Context, id int64, fn func(tx *db.Tx, e Experiment) error) error {
	return s.write(ctx, func(tx *db.Tx) error {
		e, err := openExperiment(tx, slipway.Writer, id)
		if err != nil {
			return err
		}
		if err := fn(tx, e); err != nil {
			return err
		}
		_, err = tx.Exec(`UPDATE experiment SET updated = ? WHERE id = ?`, tx.Now(), id)
		return err
	})
}

// RenameExperiment fails with Conflict when the project has one of that name.
func (s *Service) RenameExperiment(ctx context.Context, id int64, name string) error {
	if err := checkExperimentName(name); err != nil {
		return err
	}
	return s.changeExperiment(ctx, id, func(tx *db.Tx, e Experiment) error {
		if e.Stage != Active {
			return slipway.Errorf(slipway.Invalid, "Cannot rename a non-active experiment.")
		}
		err := tx.Try(func() error {
			_, err := tx.Exec(`UPDATE experiment SET name = ? WHERE id = ?`, name, id)
			return err
		})
		if slipway.IsCode(err, slipway.Conflict) {
			return slipway.Errorf(slipway.Conflict, "Experiment '%s' already exists.", name)
		}
		return err
	})
}

// DeleteExperiment deletes an experiment and its runs; both can be restored.
func (s *Service) DeleteExperiment(ctx context.Context, id int64) error {
	return s.moveExperiment(ctx, id, Active, Deleted)
}

// RestoreExperiment undoes DeleteExperiment.
func (s *Service) RestoreExperiment(ctx context.Context, id int64) error {
	return s.moveExperiment(ctx, id, Deleted, Active)
}

func (s *Service) moveExperiment(ctx context.Context, id int64, from, to Stage) error {
	defer s.cache.forgetAll()
	return s.changeExperiment(ctx, id, func(tx *db.Tx, e Experiment) error {
		if e.Stage != from {
			return noExperiment(fmt.Sprintf("%d in the stage %s", id, from))
		}
		at := deletedAt(tx, to)
		if _, err := tx.Exec(`UPDATE experiment SET stage = ?, deleted = ? WHERE id = ?`, to, at, id); err != nil {
			return err
		}
		_, err := tx.Exec(`UPDATE run SET stage = ?, deleted = ? WHERE experiment = ? AND stage = ?`, to, at, id, from)
		return err
	})
}

// SetExperimentTag writes a tag over what was there.
func (s *Service) SetExperimentTag(ctx context.Context, id int64, t Pair) error {
	if err := checkExperimentTag(t); err != nil {
		return err
	}
	return s.changeExperiment(ctx, id, func(tx *db.Tx, e Experiment) error {
		if e.Stage != Active {
			return slipway.Errorf(slipway.Invalid, "The experiment %d must be in the 'active' state. Current state is %s.", id, e.Stage)
		}
		return setExperimentTag(tx, id, t)
	})
}

// DeleteExperimentTag fails with NotFound when there is no such tag.
func (s *Service) DeleteExperimentTag(ctx context.Context, id int64, key string) error {
	return s.changeExperiment(ctx, id, func(tx *db.Tx, _ Experiment) error {
		n, err := tx.Exec(`DELETE FROM experiment_tag WHERE experiment = ? AND key = ?`, id, key)
		if err == nil && n == 0 {
			err = slipway.Errorf(slipway.NotFound, "No tag with name: %s in experiment with id %d", key, id)
		}
		return err
	})
}

// SearchExperiments finds experiments, newest change first unless asked
// otherwise.
func (s *Service) SearchExperiments(ctx context.Context, q Search) (out []Experiment, next string, err error) {
	project, err := s.searchScope(ctx, q.Project)
	if err != nil {
		return nil, "", err
	}
	w := where{}
	if project != "" {
		w.add(`e.project = ?`, project)
	}
	w.stage("e", q.View)
	if err := w.experiments(q.Filter); err != nil {
		return nil, "", err
	}
	order, err := experimentOrder(q.Order)
	if err != nil {
		return nil, "", err
	}
	limit, offset, err := q.window(maxExperimentsPage)
	if err != nil {
		return nil, "", err
	}
	err = s.read(ctx, func(tx *db.Tx) error {
		out, err = db.All(tx, scanExperiment, `SELECT `+experimentColumns+` FROM experiment e`+w.sql()+order+` LIMIT ? OFFSET ?`,
			append(w.args, limit+1, offset)...)
		if err != nil {
			return err
		}
		if len(out) > limit {
			out, next = out[:limit], q.offsetToken(offset+limit)
		}
		return withTags(tx, out)
	})
	return out, next, err
}

const maxExperimentsPage = 50000

var experimentColumn = map[string]string{"name": "e.name", "experiment_id": "e.id", "creation_time": "e.created", "last_update_time": "e.updated"}

func experimentOrder(keys []string) (string, error) {
	order, err := experimentGrammar.Order(keys)
	if err != nil {
		return "", err
	}
	sql := " ORDER BY "
	for _, o := range order {
		if o.Of != OfAttribute {
			return "", slipway.Errorf(slipway.Invalid, "Invalid order_by clause: experiments are ordered by name, experiment_id, creation_time and last_update_time")
		}
		sql += experimentColumn[o.Key] + direction(o.Descending) + ", "
	}
	if len(order) == 0 {
		sql += "e.created DESC, "
	}
	return sql + "e.id DESC", nil
}

// experiments adds the conditions of a filter.
func (w *where) experiments(filter string) error {
	conditions, err := experimentGrammar.Parse(filter)
	if err != nil {
		return err
	}
	for _, c := range conditions {
		if c.Of == OfTag {
			w.pair("experiment_tag", "experiment", "e.id", c)
			continue
		}
		w.attribute(experimentColumn[c.Key], c, c.Key != "experiment_id")
	}
	return nil
}

func direction(descending bool) string {
	if descending {
		return " DESC"
	}
	return " ASC"
}

// ensureExperiment finds an experiment of a project by name, or makes it.
func ensureExperiment(tx *db.Tx, project, name string) (Experiment, error) {
	e, err := db.One(tx, scanExperiment, `SELECT `+experimentColumns+` FROM experiment e WHERE e.project = ? AND e.name = ?`, project, name)
	if slipway.IsCode(err, slipway.NotFound) {
		return addExperiment(tx, NewExperiment{Project: project, Name: name})
	}
	return e, err
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
