package tracking

import (
	"context"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// Run reads a run with all its latest values. It fails with NotFound.
func (s *Service) Run(ctx context.Context, id string) (out *Run, err error) {
	at := s.cache.now()
	err = s.read(ctx, func(tx *db.Tx) error {
		k, err := openRun(tx, slipway.Reader, id)
		if err != nil {
			return err
		}
		runs, err := s.loadRuns(tx, at, []int64{k.number})
		if err != nil {
			return err
		}
		out = runs[0]
		return nil
	})
	return out, err
}

// loadRuns reads runs by their numbers, in that order, from the cache where it
// can. at is the cache's clock before tx began.
func (s *Service) loadRuns(tx *db.Tx, at uint64, numbers []int64) ([]*Run, error) {
	out := make([]*Run, len(numbers))
	var missing []int64
	for i, n := range numbers {
		if out[i] = s.cache.get(n); out[i] == nil {
			missing = append(missing, n)
		}
	}
	found, err := readRuns(tx, missing)
	if err != nil {
		return nil, err
	}
	for i, n := range numbers {
		if out[i] == nil {
			out[i] = found[n]
			s.cache.put(found[n], at)
		}
	}
	return out, nil
}

// partSize bounds the ids of one statement.
const partSize = 512

// readRuns reads whole runs, in a handful of statements for many.
func readRuns(tx *db.Tx, numbers []int64) (map[int64]*Run, error) {
	out := make(map[int64]*Run, len(numbers))
	for len(numbers) > 0 {
		part := numbers[:min(partSize, len(numbers))]
		numbers = numbers[len(part):]
		in, n := list(len(part))
		args := pad(part, n)
		for _, read := range []func(*db.Tx, map[int64]*Run, string, []any) error{readHeads, readParams, readTags, readLatest, readInputs, readModelLinks} {
			if err := read(tx, out, in, args); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// each walks over the rows of a query.
func each(tx *db.Tx, sql string, args []any, row func(db.Scanner) error) error {
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
}

func readHeads(tx *db.Tx, out map[int64]*Run, in string, args []any) error {
	return each(tx, `SELECT r.id, r.uuid, r.project, r.experiment, r.name, r.kind, r.status, r.actor, r.started, r.ended, r.stage, e.artifact
		FROM run r JOIN experiment e ON e.id = r.experiment WHERE r.id IN `+in, args, func(row db.Scanner) error {
		r := &Run{Metrics: []Metric{}, Params: []Pair{}, Tags: []Pair{}}
		var root string
		err := row.Scan(&r.number, &r.ID, &r.Project, &r.Experiment, &r.Name, &r.Kind, &r.Status, &r.User, &r.Start, &r.End, &r.Stage, &root)
		r.Artifact = artifactRoot(root, r.ID)
		out[r.number] = r
		return err
	})
}

func readParams(tx *db.Tx, out map[int64]*Run, in string, args []any) error {
	return each(tx, `SELECT run, key, value FROM run_param WHERE run IN `+in+` ORDER BY run, key`, args, func(row db.Scanner) error {
		var n int64
		var p Pair
		if err := row.Scan(&n, &p.Key, &p.Value); err != nil {
			return err
		}
		out[n].Params = append(out[n].Params, p)
		return nil
	})
}

func readTags(tx *db.Tx, out map[int64]*Run, in string, args []any) error {
	return each(tx, `SELECT run, key, value FROM run_tag WHERE run IN `+in+` ORDER BY run, key`, args, func(row db.Scanner) error {
		var n int64
		var p Pair
		if err := row.Scan(&n, &p.Key, &p.Value); err != nil {
			return err
		}
		out[n].Tags = append(out[n].Tags, p)
		return nil
	})
}

func readLatest(tx *db.Tx, out map[int64]*Run, in string, args []any) error {
	return each(tx, `SELECT run, key, last_step, last_time, last_value FROM metric_series
		WHERE run IN `+in+` AND model = '' ORDER BY run, key`, args, func(row db.Scanner) error {
		var n int64
		var m Metric
		var v float64
		if err := row.Scan(&n, &m.Key, &m.Step, &m.Time, &v); err != nil {
			return err
		}
		m.Value = Number(v)
		out[n].Metrics = append(out[n].Metrics, m)
		return nil
	})
}

func readInputs(tx *db.Tx, out map[int64]*Run, in string, args []any) error {
	return each(tx, `SELECT i.run, d.name, d.digest, d.source_type, d.source, d.shape, d.profile, i.tags
		FROM run_input i JOIN run_dataset d ON d.id = i.dataset WHERE i.run IN `+in+` ORDER BY i.run, d.id`, args, func(row db.Scanner) error {
		var n int64
		var d DatasetInput
		if err := row.Scan(&n, &d.Name, &d.Digest, &d.SourceType, &d.Source, &d.Schema, &d.Profile, db.JSON(&d.Tags)); err != nil {
			return err
		}
		out[n].Datasets = append(out[n].Datasets, d)
		return nil
	})
}

func readModelLinks(tx *db.Tx, out map[int64]*Run, in string, args []any) error {
	return each(tx, `SELECT run, model, output, step FROM run_model WHERE run IN `+in+` ORDER BY run, output, step, model`, args, func(row db.Scanner) error {
		var n int64
		var m ModelLink
		if err := row.Scan(&n, &m.Model, &m.Output, &m.Step); err != nil {
			return err
		}
		out[n].Models = append(out[n].Models, m)
		return nil
	})
}

// expand completes the beginning of a run's id inside a project. It fails with
// NotFound, and with Conflict when several runs begin so.
func (s *Service) expand(ctx context.Context, project, id string) (string, error) {
	if len(id) >= 32 {
		return id, nil
	}
	var found []string
	err := s.read(ctx, func(tx *db.Tx) (err error) {
		// "g" is above every hexadecimal digit.
		found, err = db.All(tx, func(r db.Scanner) (uuid string, err error) {
			err = r.Scan(&uuid)
			return uuid, err
		}, `SELECT uuid FROM run WHERE uuid >= ? AND uuid < ? AND project = ? ORDER BY uuid LIMIT 2`, id, id+"g", project)
		return err
	})
	switch {
	case err != nil:
		return "", err
	case len(found) == 0 || id == "":
		return "", noRun(id)
	case len(found) > 1:
		return "", slipway.Errorf(slipway.Conflict, "several runs begin with %s", id).WithHint("write more of the id")
	}
	return found[0], nil
}
