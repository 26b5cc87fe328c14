package mlflow

import (
	"errors"

	"github.com/slipway-ml/slipway/internal/core/tracking"
)

func (x *sqlExport) model(m tracking.LoggedModel) error {
	status := int64(0)
	for n, s := range keptStatus {
		if s == m.Status {
			status = n
		}
	}
	err := x.exec(`INSERT INTO logged_models (model_id, experiment_id, name, artifact_location, creation_timestamp_ms, last_updated_timestamp_ms, status,
		lifecycle_stage, model_type, source_run_id, status_message) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		m.ID, m.Experiment, m.Name, m.Artifact, m.Created.UnixMilli(), m.Updated.UnixMilli(), status, string(m.Stage), orNull(m.Type), orNull(m.Run), orNull(m.Message))
	for _, p := range m.Params {
		err = errors.Join(err, x.exec(`INSERT INTO logged_model_params (model_id, experiment_id, param_key, param_value) VALUES (?, ?, ?, ?)`, m.ID, m.Experiment, p.Key, p.Value))
	}
	for _, t := range m.Tags {
		err = errors.Join(err, x.exec(`INSERT INTO logged_model_tags (model_id, experiment_id, tag_key, tag_value) VALUES (?, ?, ?, ?)`, m.ID, m.Experiment, t.Key, t.Value))
	}
	for _, p := range m.Metrics {
		v, nan := number(p.Point)
		value := any(v)
		if nan {
			value = nil
		}
		err = errors.Join(err, x.exec(`INSERT OR IGNORE INTO logged_model_metrics (model_id, metric_name, metric_timestamp_ms, metric_step, metric_value,
			experiment_id, run_id, dataset_name, dataset_digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			m.ID, p.Key, p.Time, p.Step, value, m.Experiment, p.Run, orNull(p.Dataset), orNull(p.Digest)))
	}
	return err
}

func (x *sqlExport) registered(m sourceRegistered) error {
	err := x.exec(`INSERT INTO registered_models (name, creation_time, last_updated_time, description) VALUES (?, ?, ?, ?)`,
		m.Name, int64(m.Created), int64(m.Updated), m.Description)
	for _, t := range m.Tags {
		err = errors.Join(err, x.exec(`INSERT INTO registered_model_tags (key, value, name) VALUES (?, ?, ?)`, t.Key, t.Value, m.Name))
	}
	for _, v := range m.versions {
		stage := v.Stage
		if stage == "" {
			stage = "None"
		}
		err = errors.Join(err, x.exec(`INSERT INTO model_versions (name, version, creation_time, last_updated_time, description, user_id, current_stage, source, run_id,
			status, storage_location) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'READY', ?)`, m.Name, int64(v.Version), int64(v.Created), int64(v.Updated), v.Description,
			orNull(v.User), stage, v.Source, orNull(v.Run), orNull(v.location)))
		for _, t := range v.Tags {
			err = errors.Join(err, x.exec(`INSERT INTO model_version_tags (key, value, name, version) VALUES (?, ?, ?, ?)`, t.Key, t.Value, m.Name, int64(v.Version)))
		}
	}
	for _, a := range m.Aliases {
		err = errors.Join(err, x.exec(`INSERT INTO registered_model_aliases (alias, version, name) VALUES (?, ?, ?)`, a.Alias, int64(a.Version), m.Name))
	}
	return err
}

// file: MLflow lists files where they are.
func (x *sqlExport) file(exportedFile) error { return nil }
