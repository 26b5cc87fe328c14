package mlflow

import (
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/google/uuid"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/slipway-ml/slipway/internal/core/tracking"
)

// sqlExport writes the SQLite file of an MLflow server. It is one transaction:
// what broke off is removed with its folder.
type sqlExport struct {
	conn     *sqlite.Conn
	path     string
	datasets map[uuid.UUID]bool
}

func newSQLExport(file string) (*sqlExport, error) {
	conn, err := sqlite.OpenConn(file, sqlite.OpenReadWrite|sqlite.OpenCreate)
	if err != nil {
		return nil, err
	}
	x := &sqlExport{conn, file, map[uuid.UUID]bool{}}
	for _, sql := range append([]string{`PRAGMA journal_mode = OFF`, `PRAGMA synchronous = OFF`, `BEGIN`}, mlflowSchema...) {
		err = errors.Join(err, sqlitex.ExecuteTransient(conn, sql, nil))
	}
	if err == nil {
		err = x.exec(`INSERT INTO alembic_version (version_num) VALUES (?)`, mlflowRevision)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return x, nil
}

func (x *sqlExport) exec(sql string, args ...any) error {
	return sqlitex.Execute(x.conn, sql, &sqlitex.ExecOptions{Args: args})
}

func (x *sqlExport) close() error {
	err := errors.Join(sqlitex.ExecuteTransient(x.conn, `COMMIT`, nil), x.conn.Close())
	f, ferr := os.OpenFile(x.path, os.O_RDWR, 0)
	if ferr != nil {
		return errors.Join(err, ferr)
	}
	return errors.Join(err, f.Sync(), f.Close())
}

// orNull is a text, or NULL for none.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func millisOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

func (x *sqlExport) experiment(e tracking.Experiment) error {
	err := x.exec(`INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, creation_time, last_update_time) VALUES (?, ?, ?, ?, ?, ?)`,
		e.ID, e.Name, e.Artifact, string(e.Stage), millisOrNull(e.Created), millisOrNull(e.Updated))
	for _, t := range e.Tags {
		err = errors.Join(err, x.exec(`INSERT INTO experiment_tags (key, value, experiment_id) VALUES (?, ?, ?)`, t.Key, t.Value, e.ID))
	}
	return err
}

func (x *sqlExport) run(r exportedRun) error {
	var deleted any
	if r.Stage == tracking.Deleted {
		deleted = time.Now().UnixMilli()
	}
	err := x.exec(`INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time, end_time, source_version,
		lifecycle_stage, artifact_uri, experiment_id, deleted_time) VALUES (?, ?, 'UNKNOWN', '', '', ?, ?, ?, ?, '', ?, ?, ?, ?)`,
		r.ID, r.Name, r.User, string(r.Status), millisOrNull(r.Start), millisOrNull(r.End), string(r.Stage), r.Artifact, r.experiment, deleted)
	for _, p := range r.Params {
		err = errors.Join(err, x.exec(`INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)`, p.Key, p.Value, r.ID))
	}
	for _, t := range r.Tags {
		err = errors.Join(err, x.exec(`INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)`, t.Key, t.Value, r.ID))
	}
	for key, points := range r.points {
		err = errors.Join(err, x.points(r.ID, key, points))
	}
	for _, d := range r.Datasets {
		err = errors.Join(err, x.dataset(r, d))
	}
	for _, m := range r.Models {
		source, destination := "RUN_INPUT", "MODEL_INPUT"
		if m.Output {
			source, destination = "RUN_OUTPUT", "MODEL_OUTPUT"
		}
		err = errors.Join(err, x.exec(`INSERT INTO inputs (input_uuid, source_type, source_id, destination_type, destination_id, step) VALUES (?, ?, ?, ?, ?, ?)`,
			uuid.NewString(), source, r.ID, destination, m.Model, m.Step))
	}
	return err
}

// points writes a history and its latest point: that of the highest step, then
// time, then value, as MLflow has it.
func (x *sqlExport) points(run, key string, points []tracking.Point) error {
	var latest tracking.Point
	for i, p := range points {
		v, nan := number(p)
		if err := x.exec(`INSERT OR IGNORE INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, ?)`, key, v, p.Time, run, p.Step, nan); err != nil {
			return err
		}
		if i == 0 || p.Step > latest.Step || p.Step == latest.Step && (p.Time > latest.Time || p.Time == latest.Time && p.Value > latest.Value) {
			latest = p
		}
	}
	if len(points) == 0 {
		return nil
	}
	v, nan := number(latest)
	return x.exec(`INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) VALUES (?, ?, ?, ?, ?, ?)`, key, v, latest.Time, latest.Step, nan, run)
}

// number is a value as MLflow's tables keep it: NaN is 0 and a mark, infinities
// are the largest numbers.
func number(p tracking.Point) (v float64, nan bool) {
	v = float64(p.Value)
	if math.IsNaN(v) {
		return 0, true
	}
	return min(max(v, -math.MaxFloat64), math.MaxFloat64), false
}

// dataset writes what a run read, and the dataset itself once an experiment.
func (x *sqlExport) dataset(r exportedRun, d tracking.DatasetInput) error {
	id := uuid.NewSHA1(uuid.NameSpaceURL, fmt.Appendf(nil, "%d %q %q", r.experiment, d.Name, d.Digest))
	var err error
	if !x.datasets[id] {
		x.datasets[id] = true
		err = x.exec(`INSERT INTO datasets (dataset_uuid, experiment_id, name, digest, dataset_source_type, dataset_source, dataset_schema, dataset_profile)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, id.String(), r.experiment, d.Name, d.Digest, d.SourceType, d.Source, orNull(d.Schema), orNull(d.Profile))
	}
	input := uuid.NewString()
	err = errors.Join(err, x.exec(`INSERT OR IGNORE INTO inputs (input_uuid, source_type, source_id, destination_type, destination_id, step) VALUES (?, 'DATASET', ?, 'RUN', ?, 0)`,
		input, id.String(), r.ID))
	for _, t := range d.Tags {
		err = errors.Join(err, x.exec(`INSERT INTO input_tags (input_uuid, name, value) VALUES (?, ?, ?)`, input, t.Key, t.Value))
	}
	return err
}
