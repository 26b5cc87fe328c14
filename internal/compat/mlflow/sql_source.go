package mlflow

import (
	"context"
	"io"
	"math"
	"path/filepath"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/tracking"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// fileSource reads the SQLite file of an MLflow server, in the schema of
// mlflow/store/tracking/dbmodels. Tables and columns that came later may be
// missing.
type fileSource struct {
	disk
	db  *db.DB
	has map[string]bool // tables, and table.column
}

func openFile(ctx context.Context, file, artifacts string) (tracking.Source, error) {
	d, err := db.Open(ctx, file, db.Options{Foreign: true})
	if err != nil {
		return nil, err
	}
	s := &fileSource{disk{filepath.Dir(file), artifacts}, d, map[string]bool{}}
	err = s.each(ctx, `SELECT m.name, p.name FROM sqlite_master m, pragma_table_info(m.name) p WHERE m.type = 'table'`, nil, func(r db.Scanner) error {
		var table, column string
		err := r.Scan(&table, &column)
		s.has[table], s.has[table+"."+column] = true, true
		return err
	})
	if err == nil && !(s.has["experiments"] && s.has["runs"] && s.has["metrics.is_nan"]) {
		err = slipway.Errorf(slipway.Invalid, "%s is not the database of an MLflow server", file)
	}
	if err != nil {
		_ = d.Close() // the error before counts
		return nil, err
	}
	return s, nil
}

func (s *fileSource) Close() error { return s.db.Close() }

func (s *fileSource) each(ctx context.Context, sql string, args []any, row func(db.Scanner) error) error {
	return s.db.Read(ctx, func(tx *db.Tx) error {
		rows, err := tx.Query(sql, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if err := row(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

// fromMillis is a time that may be NULL; 0 is none.
func fromMillis(ms int64) time.Time { return moment(Int(ms)) }

func (s *fileSource) Experiments(ctx context.Context) (out []tracking.Experiment, err error) {
	err = s.each(ctx, `SELECT experiment_id, name, COALESCE(artifact_location, ''), lifecycle_stage, COALESCE(creation_time, 0), COALESCE(last_update_time, 0)
		FROM experiments ORDER BY experiment_id`, nil, func(r db.Scanner) error {
		var e tracking.Experiment
		var made, updated int64
		err := r.Scan(&e.ID, &e.Name, &e.Artifact, &e.Stage, &made, &updated)
		e.Created, e.Updated = fromMillis(made), fromMillis(updated)
		out = append(out, e)
		return err
	})
	for i := range out {
		if err == nil {
			out[i].Tags, err = s.pairs(ctx, `SELECT key, COALESCE(value, '') FROM experiment_tags WHERE experiment_id = ? ORDER BY key`, out[i].ID)
		}
	}
	return out, err
}

func (s *fileSource) pairs(ctx context.Context, sql string, id any) (out []tracking.Pair, err error) {
	err = s.each(ctx, sql, []any{id}, func(r db.Scanner) error {
		var p tracking.Pair
		err := r.Scan(&p.Key, &p.Value)
		out = append(out, p)
		return err
	})
	return out, err
}

func (s *fileSource) Runs(ctx context.Context, experiment int64, fn func(*tracking.Run) error) error {
	after := ""
	for {
		var part []*tracking.Run
		err := s.each(ctx, `SELECT run_uuid, COALESCE(name, ''), COALESCE(user_id, ''), status, COALESCE(start_time, 0), COALESCE(end_time, 0), lifecycle_stage, COALESCE(artifact_uri, '')
			FROM runs WHERE experiment_id = ? AND run_uuid > ? ORDER BY run_uuid LIMIT 500`, []any{experiment, after}, func(r db.Scanner) error {
			var run tracking.Run
			var start, end int64
			err := r.Scan(&run.ID, &run.Name, &run.User, &run.Status, &start, &end, &run.Stage, &run.Artifact)
			run.Start, run.End = fromMillis(start), fromMillis(end)
			part = append(part, &run)
			return err
		})
		if err != nil || len(part) == 0 {
			return err
		}
		for _, r := range part {
			if err := s.fill(ctx, r); err != nil {
				return err
			}
			if err := fn(r); err != nil {
				return err
			}
			after = r.ID
		}
	}
}

// fill reads what belongs to a run.
func (s *fileSource) fill(ctx context.Context, r *tracking.Run) (err error) {
	if r.Params, err = s.pairs(ctx, `SELECT key, value FROM params WHERE run_uuid = ? ORDER BY key`, r.ID); err != nil {
		return err
	}
	if r.Tags, err = s.pairs(ctx, `SELECT key, COALESCE(value, '') FROM tags WHERE run_uuid = ? ORDER BY key`, r.ID); err != nil {
		return err
	}
	err = s.each(ctx, `SELECT DISTINCT key FROM metrics WHERE run_uuid = ? ORDER BY key`, []any{r.ID}, func(row db.Scanner) error {
		var m tracking.Metric
		err := row.Scan(&m.Key)
		r.Metrics = append(r.Metrics, m)
		return err
	})
	if err != nil || !s.has["inputs"] {
		return err
	}
	var ids []string
	err = s.each(ctx, `SELECT i.input_uuid, d.name, d.digest, d.dataset_source_type, d.dataset_source, COALESCE(d.dataset_schema, ''), COALESCE(d.dataset_profile, '')
		FROM inputs i JOIN datasets d ON d.dataset_uuid = i.source_id
		WHERE i.source_type = 'DATASET' AND i.destination_type = 'RUN' AND i.destination_id = ? ORDER BY d.name, d.digest`, []any{r.ID}, func(row db.Scanner) error {
		var id string
		var d tracking.DatasetInput
		err := row.Scan(&id, &d.Name, &d.Digest, &d.SourceType, &d.Source, &d.Schema, &d.Profile)
		ids, r.Datasets = append(ids, id), append(r.Datasets, d)
		return err
	})
	for i, id := range ids {
		if err == nil {
			r.Datasets[i].Tags, err = s.pairs(ctx, `SELECT name, value FROM input_tags WHERE input_uuid = ? ORDER BY name`, id)
		}
	}
	if err != nil || !s.has["logged_models"] {
		return err
	}
	step := `0`
	if s.has["inputs.step"] {
		step = `COALESCE(step, 0)`
	}
	return s.each(ctx, `SELECT destination_id, source_type = 'RUN_OUTPUT', `+step+` FROM inputs
		WHERE source_id = ? AND source_type IN ('RUN_INPUT', 'RUN_OUTPUT') ORDER BY destination_id`, []any{r.ID}, func(row db.Scanner) error {
		var m tracking.ModelLink
		err := row.Scan(&m.Model, &m.Output, &m.Step)
		r.Models = append(r.Models, m)
		return err
	})
}

func (s *fileSource) Points(ctx context.Context, run, key string) (out []tracking.Point, err error) {
	err = s.each(ctx, `SELECT step, timestamp, value, is_nan FROM metrics WHERE run_uuid = ? AND key = ? ORDER BY timestamp, step, value`, []any{run, key}, func(r db.Scanner) error {
		var p tracking.Point
		var v float64
		var nan bool
		err := r.Scan(&p.Step, &p.Time, &v, &nan)
		if nan {
			v = math.NaN()
		}
		p.Value = tracking.Number(v)
		out = append(out, p)
		return err
	})
	return out, err
}

// keptStatus is the number under which MLflow's tables keep a state.
var keptStatus = map[int64]tracking.ModelStatus{1: tracking.ModelPending, 2: tracking.ModelReady, 3: tracking.ModelFailed}

func (s *fileSource) Models(ctx context.Context, experiment int64, fn func(tracking.LoggedModel) error) error {
	if !s.has["logged_models"] {
		return nil
	}
	var all []tracking.LoggedModel
	err := s.each(ctx, `SELECT model_id, name, artifact_location, creation_timestamp_ms, last_updated_timestamp_ms, status, lifecycle_stage,
		COALESCE(model_type, ''), COALESCE(source_run_id, ''), COALESCE(status_message, '') FROM logged_models WHERE experiment_id = ? ORDER BY model_id`,
		[]any{experiment}, func(r db.Scanner) error {
			var m tracking.LoggedModel
			var made, updated, status int64
			err := r.Scan(&m.ID, &m.Name, &m.Artifact, &made, &updated, &status, &m.Stage, &m.Type, &m.Run, &m.Message)
			m.Created, m.Updated, m.Status = fromMillis(made), fromMillis(updated), keptStatus[status]
			all = append(all, m)
			return err
		})
	for _, m := range all {
		if err == nil {
			m.Params, err = s.pairs(ctx, `SELECT param_key, param_value FROM logged_model_params WHERE model_id = ? ORDER BY param_key`, m.ID)
		}
		if err == nil {
			m.Tags, err = s.pairs(ctx, `SELECT tag_key, tag_value FROM logged_model_tags WHERE model_id = ? ORDER BY tag_key`, m.ID)
		}
		if err == nil {
			m.Metrics, err = s.modelMetrics(ctx, m.ID)
		}
		if err == nil {
			err = fn(m)
		}
	}
	return err
}

func (s *fileSource) modelMetrics(ctx context.Context, model string) (out []tracking.RunMetric, err error) {
	err = s.each(ctx, `SELECT metric_name, metric_timestamp_ms, metric_step, metric_value, run_id, COALESCE(dataset_name, ''), COALESCE(dataset_digest, '')
		FROM logged_model_metrics WHERE model_id = ? ORDER BY metric_name, metric_timestamp_ms`, []any{model}, func(r db.Scanner) error {
		var m tracking.RunMetric
		var v *float64
		err := r.Scan(&m.Key, &m.Time, &m.Step, &v, &m.Run, &m.Dataset, &m.Digest)
		if m.Value = tracking.Number(math.NaN()); v != nil {
			m.Value = tracking.Number(*v)
		}
		out = append(out, m)
		return err
	})
	return out, err
}

func (s *fileSource) Files(_ context.Context, _ tracking.Place, uri string) ([]tracking.Artifact, error) {
	return s.files(uri)
}

func (s *fileSource) Open(_ context.Context, at tracking.Place, uri string) (io.ReadCloser, error) {
	return s.open(uri, strings.TrimPrefix(at.Path, "/"))
}
