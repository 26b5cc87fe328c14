package tracking

import (
	"context"
	"unicode/utf8"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// check fails with Invalid.
func (d DatasetInput) check() error {
	if d.Name == "" || d.Digest == "" {
		return slipway.Errorf(slipway.Invalid, "Missing value for required parameter 'name' or 'digest' of a dataset")
	}
	for _, l := range []struct {
		what, value string
		limit       int
	}{{"name", d.Name, maxDatasetName}, {"digest", d.Digest, maxDatasetDigest}, {"source", d.Source, maxDatasetSource},
		{"schema", d.Schema, maxDatasetSchema}, {"profile", d.Profile, maxDatasetProfile}} {
		if utf8.RuneCountInString(l.value) > l.limit {
			return tooLong("dataset."+l.what, l.limit)
		}
	}
	for _, t := range d.Tags {
		if utf8.RuneCountInString(t.Key) > maxInputTagKey {
			return tooLong("tags.key", maxInputTagKey)
		}
		if utf8.RuneCountInString(t.Value) > maxInputTagValue {
			return tooLong("tags.value", maxInputTagValue)
		}
	}
	return nil
}

// LogInputs records datasets and logged models that a run read or wrote.
func (s *Service) LogInputs(ctx context.Context, id string, datasets []DatasetInput, models []ModelLink) error {
	for _, d := range datasets {
		if err := d.check(); err != nil {
			return err
		}
	}
	return s.changeRun(ctx, id, func(tx *db.Tx, k runKey) error {
		for _, d := range datasets {
			if err := addInput(tx, k, d); err != nil {
				return err
			}
		}
		for _, m := range models {
			if err := checkModelHere(tx, k, m.Model); err != nil {
				return err
			}
			if _, err := tx.Exec(`INSERT INTO run_model (run, model, output, step) VALUES (?, ?, ?, ?)
				ON CONFLICT (run, model, output) DO UPDATE SET step = excluded.step`, k.number, m.Model, m.Output, m.Step); err != nil {
				return err
			}
		}
		return nil
	})
}

func addInput(tx *db.Tx, k runKey, d DatasetInput) error {
	_, err := tx.Exec(`INSERT INTO run_dataset (experiment, name, digest, source_type, source, shape, profile)
		VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`, k.experiment, d.Name, d.Digest, d.SourceType, d.Source, d.Schema, d.Profile)
	if err != nil {
		return err
	}
	var id int64
	if err := tx.QueryRow(`SELECT id FROM run_dataset WHERE experiment = ? AND name = ? AND digest = ?`, k.experiment, d.Name, d.Digest).Scan(&id); err != nil {
		return err
	}
	role, _ := valueOf(d.Tags, contextTag)
	_, err = tx.Exec(`INSERT INTO run_input (run, dataset, context, tags) VALUES (?, ?, ?, ?)
		ON CONFLICT (run, dataset) DO UPDATE SET context = excluded.context, tags = excluded.tags`, k.number, id, role, db.JSON(d.Tags))
	return err
}

// DatasetSummary is a dataset that runs of an experiment read.
type DatasetSummary struct {
	Experiment int64  `json:"experiment"`
	Name       string `json:"name"`
	Digest     string `json:"digest"`
	Context    string `json:"context"`
}

// Datasets lists what the runs of experiments read, at most 1,000.
func (s *Service) Datasets(ctx context.Context, experiments []int64) (out []DatasetSummary, err error) {
	project, err := scope(ctx, slipway.Reader)
	if err != nil || len(experiments) == 0 {
		return nil, err
	}
	in, n := list(len(experiments))
	args := append(pad(experiments, n), project, project)
	err = s.read(ctx, func(tx *db.Tx) error {
		out, err = db.All(tx, func(r db.Scanner) (d DatasetSummary, err error) {
			err = r.Scan(&d.Experiment, &d.Name, &d.Digest, &d.Context)
			return d, err
		}, `SELECT DISTINCT d.experiment, d.name, d.digest, i.context FROM run_dataset d
			JOIN run_input i ON i.dataset = d.id JOIN run r ON r.id = i.run
			WHERE d.experiment IN `+in+` AND (? = '' OR r.project = ?) AND r.stage = 'active'
			ORDER BY d.experiment, d.name, d.digest, i.context LIMIT 1000`, args...)
		return err
	})
	return out, err
}

// checkModelHere refuses to say something about a logged model of another
// project, in the words for one that is not there.
func checkModelHere(tx *db.Tx, k runKey, model string) error {
	if model == "" {
		return nil
	}
	var project string
	err := tx.QueryRow(`SELECT project FROM logged_model WHERE id = ?`, model).Scan(&project)
	if slipway.IsCode(err, slipway.NotFound) {
		return nil // MLflow takes such points too
	}
	if err == nil && project != k.project {
		err = noModel(model)
	}
	return err
}
