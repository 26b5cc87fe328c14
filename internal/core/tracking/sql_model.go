package tracking

import (
	"context"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

const modelColumns = `m.id, m.project, m.experiment, m.run, m.name, m.status, m.type, m.artifact, m.message, m.created, m.updated, m.stage`

func scanModel(r db.Scanner) (m LoggedModel, err error) {
	err = r.Scan(&m.ID, &m.Project, &m.Experiment, &m.Run, &m.Name, &m.Status, &m.Type, &m.Artifact, &m.Message, &m.Created, &m.Updated, &m.Stage)
	return m, err
}

func (s *Service) insertModel(ctx context.Context, in NewModel) (out LoggedModel, err error) {
	err = s.write(ctx, func(tx *db.Tx) error {
		e, err := openExperiment(tx, slipway.Writer, in.Experiment)
		if err != nil {
			return err
		}
		if e.Stage != Active {
			return slipway.Errorf(slipway.Invalid, "The experiment %d must be in the 'active' state. Current state is %s.", e.ID, e.Stage)
		}
		m := LoggedModel{ID: modelPrefix + freshID(), Project: e.Project, Experiment: e.ID, Run: in.Run, Name: in.Name,
			Status: ModelPending, Type: in.Type, Created: tx.Now(), Updated: tx.Now(), Stage: Active}
		m.Artifact = e.Artifact + "/models/" + m.ID + "/artifacts"
		if _, err := tx.Exec(`INSERT INTO logged_model (id, project, experiment, run, name, status, type, artifact, message, created, updated, stage)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, '', ?, ?, ?)`, m.ID, m.Project, m.Experiment, m.Run, m.Name, m.Status, m.Type, m.Artifact,
			m.Created, m.Updated, m.Stage); err != nil {
			return err
		}
		if err := setFields(tx, m.ID, in.Params, in.Tags); err != nil {
			return err
		}
		out, err = readModel(tx, m.ID)
		return err
	})
	return out, err
}

func setFields(tx *db.Tx, id string, params, tags []Pair) error {
	for kind, pairs := range map[string][]Pair{"param": params, "tag": tags} {
		for _, p := range pairs {
			if _, err := tx.Exec(`INSERT INTO logged_model_field (model, kind, key, value) VALUES (?, ?, ?, ?)
				ON CONFLICT (model, kind, key) DO UPDATE SET value = excluded.value`, id, kind, p.Key, p.Value); err != nil {
				return err
			}
		}
	}
	return nil
}

// readModel reads a logged model with all that belongs to it.
func readModel(tx *db.Tx, id string) (LoggedModel, error) {
	m, err := db.One(tx, scanModel, `SELECT `+modelColumns+` FROM logged_model m WHERE m.id = ?`, id)
	if slipway.IsCode(err, slipway.NotFound) {
		return m, noModel(id)
	}
	if err != nil {
		return m, err
	}
	err = fillModel(tx, &m)
	return m, err
}

func fillModel(tx *db.Tx, m *LoggedModel) error {
	m.Params, m.Tags, m.Metrics = []Pair{}, []Pair{}, []RunMetric{}
	err := each(tx, `SELECT kind, key, value FROM logged_model_field WHERE model = ? ORDER BY key`, []any{m.ID}, func(r db.Scanner) error {
		var kind string
		var p Pair
		if err := r.Scan(&kind, &p.Key, &p.Value); err != nil {
			return err
		}
		if kind == "param" {
			m.Params = append(m.Params, p)
		} else {
			m.Tags = append(m.Tags, p)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return each(tx, `SELECT s.key, s.last_step, s.last_time, s.last_value, s.model, s.dataset, s.digest, r.uuid
		FROM metric_series s JOIN run r ON r.id = s.run WHERE s.model = ? ORDER BY s.key, s.dataset, s.digest, r.uuid`, []any{m.ID}, func(r db.Scanner) error {
		var x RunMetric
		var v float64
		err := r.Scan(&x.Key, &x.Step, &x.Time, &v, &x.Model, &x.Dataset, &x.Digest, &x.Run)
		x.Value = Number(v)
		m.Metrics = append(m.Metrics, x)
		return err
	})
}

// Model reads a logged model; a deleted one only when asked for.
func (s *Service) Model(ctx context.Context, id string, deleted bool) (m LoggedModel, err error) {
	err = s.read(ctx, func(tx *db.Tx) error {
		if m, err = readModel(tx, id); err != nil {
			return err
		}
		if m.Stage == Deleted && !deleted {
			return noModel(id)
		}
		return slipway.Allow(ctx, slipway.Reader, m.Project)
	})
	return m, err
}

// changeModel runs fn on a logged model and returns what it came to.
func (s *Service) changeModel(ctx context.Context, id string, fn func(tx *db.Tx) error) (m LoggedModel, err error) {
	err = s.write(ctx, func(tx *db.Tx) error {
		was, err := readModel(tx, id)
		if err == nil {
			err = slipway.Allow(ctx, slipway.Writer, was.Project)
		}
		if err == nil && was.Stage == Deleted {
			err = noModel(id)
		}
		if err != nil {
			return err
		}
		if err := fn(tx); err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE logged_model SET updated = ? WHERE id = ?`, tx.Now(), id); err != nil {
			return err
		}
		m, err = readModel(tx, id)
		return err
	})
	return m, err
}

// FinalizeModel says how the upload of a model's files ended.
func (s *Service) FinalizeModel(ctx context.Context, id string, status ModelStatus) (LoggedModel, error) {
	return s.changeModel(ctx, id, func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE logged_model SET status = ? WHERE id = ?`, status, id)
		return err
	})
}

// SetModelFields writes params and tags over what was there.
func (s *Service) SetModelFields(ctx context.Context, id string, params, tags []Pair) (LoggedModel, error) {
	if err := checkFields(params, tags); err != nil {
		return LoggedModel{}, err
	}
	return s.changeModel(ctx, id, func(tx *db.Tx) error { return setFields(tx, id, params, tags) })
}

// DeleteModelTag fails with NotFound when there is no such tag.
func (s *Service) DeleteModelTag(ctx context.Context, id, key string) error {
	_, err := s.changeModel(ctx, id, func(tx *db.Tx) error {
		n, err := tx.Exec(`DELETE FROM logged_model_field WHERE model = ? AND kind = 'tag' AND key = ?`, id, key)
		if err == nil && n == 0 {
			err = slipway.Errorf(slipway.NotFound, "No tag with key '%s' found for model with ID '%s'.", key, id)
		}
		return err
	})
	return err
}

// DeleteModel hides a logged model.
func (s *Service) DeleteModel(ctx context.Context, id string) error {
	_, err := s.changeModel(ctx, id, func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE logged_model SET stage = 'deleted', deleted = ? WHERE id = ?`, tx.Now(), id)
		return err
	})
	return err
}

const maxModelsPage = 50000

var modelColumn = map[string]string{"name": "m.name", "model_id": "m.id", "model_type": "m.type", "status": "m.status",
	"source_run_id": "m.run", "creation_time": "m.created", "last_update_time": "m.updated"}

// MetricScope limits which metrics of a model a search looks at: those measured
// on one of these datasets. A Dataset with a name alone takes every digest.
type MetricScope []Dataset

// SearchModels finds logged models, newest first unless asked otherwise.
func (s *Service) SearchModels(ctx context.Context, q Search, on MetricScope) (out []LoggedModel, next string, err error) {
	project, err := s.searchScope(ctx, q.Project)
	if err != nil {
		return nil, "", err
	}
	var w where
	if project != "" {
		w.add(`m.project = ?`, project)
	}
	w.stage("m", q.View)
	if len(q.Experiments) > 0 {
		in, n := list(len(q.Experiments))
		w.add(`m.experiment IN `+in, pad(q.Experiments, n)...)
	}
	if err := w.models(q.Filter, on); err != nil {
		return nil, "", err
	}
	if scope, args := on.sql(); scope != "" {
		w.add(`EXISTS (SELECT 1 FROM metric_series x WHERE x.model = m.id AND x.model <> ''`+scope+`)`, args...)
	}
	order, args, err := modelOrder(q.Order, on)
	if err != nil {
		return nil, "", err
	}
	limit, offset, err := q.window(maxModelsPage)
	if err != nil {
		return nil, "", err
	}
	args = append(append(append([]any{}, w.args...), args...), limit+1, offset)
	err = s.read(ctx, func(tx *db.Tx) error {
		out, err = db.All(tx, scanModel, `SELECT `+modelColumns+` FROM logged_model m`+w.sql()+` ORDER BY `+order+` LIMIT ? OFFSET ?`, args...)
		if err != nil {
			return err
		}
		if len(out) > limit {
			out, next = out[:limit], q.offsetToken(offset+limit)
		}
		for i := range out {
			if err := fillModel(tx, &out[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return out, next, err
}

// models adds the conditions of a filter on logged models.
func (w *where) models(filter string, on MetricScope) error {
	conditions, err := modelGrammar.Parse(filter)
	if err != nil {
		return err
	}
	for _, c := range conditions {
		switch c.Of {
		case OfMetric:
			sql, args := on.sql()
			w.add(`EXISTS (SELECT 1 FROM metric_series x WHERE x.model = m.id AND x.model <> '' AND x.key = ?
				AND x.last_value `+c.Op+` ? AND x.last_value <= `+maxNumber+sql+`)`, append([]any{c.Key, c.Number}, args...)...)
		case OfParam, OfTag:
			w.pair(`(SELECT model, key, value FROM logged_model_field WHERE kind = '`+string(c.Of)+`')`, "model", "m.id", c)
		default:
			if c.Key == "status" && len(c.Text) > 0 {
				c.Text = modelStatuses(c.Text)
			}
			w.attribute(modelColumn[c.Key], c, true)
		}
	}
	return nil
}

// modelStatuses accepts a status in MLflow's long spelling too.
func modelStatuses(names []string) []string {
	long := map[string]ModelStatus{"LOGGED_MODEL_PENDING": ModelPending, "LOGGED_MODEL_READY": ModelReady, "LOGGED_MODEL_UPLOAD_FAILED": ModelFailed}
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = name
		if s, ok := long[name]; ok {
			out[i] = string(s)
		}
	}
	return out
}

// sql limits a series x to the datasets of the scope.
func (on MetricScope) sql() (string, []any) {
	if len(on) == 0 {
		return "", nil
	}
	var sql string
	var args []any
	for i, d := range on {
		if i > 0 {
			sql += " OR "
		}
		sql += "x.dataset = ?"
		args = append(args, d.Name)
		if d.Digest != "" {
			sql += " AND x.digest = ?"
			args = append(args, d.Digest)
		}
	}
	return " AND (" + sql + ")", args
}

func modelOrder(keys []string, on MetricScope) (sql string, args []any, err error) {
	order, err := modelGrammar.Order(keys)
	if err != nil {
		return "", nil, err
	}
	for _, o := range order {
		last := direction(o.Descending) + ` NULLS LAST, `
		switch o.Of {
		case OfMetric:
			scope, more := on.sql()
			sql += `(SELECT MAX(x.last_value) FROM metric_series x WHERE x.model = m.id AND x.model <> '' AND x.key = ? AND x.last_value <= ` + maxNumber + scope + `)` + last
			args = append(append(args, o.Key), more...)
		case OfParam, OfTag:
			sql += `(SELECT x.value FROM logged_model_field x WHERE x.model = m.id AND x.kind = '` + string(o.Of) + `' AND x.key = ?)` + last
			args = append(args, o.Key)
		default:
			sql += modelColumn[o.Key] + last
		}
	}
	return sql + `m.created DESC, m.id`, args, nil
}
