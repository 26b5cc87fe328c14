package tracking

import (
	"context"

	"github.com/slipway-ml/slipway/internal/kit/db"
)

// database is the workspace's database. The name keeps the rest of the package
// from importing it.
type database = *db.DB

// Migration is the tables. Ids are small inside and long at the edge: a run is
// its number in every table but its own. Experiment 0 is the one that MLflow
// clients use when they name none. Points carry the client's milliseconds.
var Migration = db.Migration{Name: "tracking", Statements: []string{
	`CREATE TABLE experiment (
		id SERIAL KEY,
		project TEXT NOT NULL,
		name TEXT NOT NULL,
		artifact TEXT NOT NULL,
		stage TEXT NOT NULL,
		created BIGINT NOT NULL,
		updated BIGINT NOT NULL,
		UNIQUE (project, name))`,
	`INSERT INTO experiment (id, project, name, artifact, stage, created, updated)
		VALUES (0, 'default', 'Default', 'mlflow-artifacts:/0', 'active', 0, 0)`,
	`CREATE TABLE experiment_tag (
		experiment BIGINT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
		PRIMARY KEY (experiment, key)) WITHOUT ROWID`,
	`CREATE TABLE run (
		id SERIAL KEY,
		uuid TEXT NOT NULL UNIQUE,
		project TEXT NOT NULL,
		experiment BIGINT NOT NULL,
		name TEXT NOT NULL,
		kind TEXT NOT NULL,
		status TEXT NOT NULL,
		actor TEXT NOT NULL,
		started BIGINT NOT NULL,
		ended BIGINT NOT NULL,
		stage TEXT NOT NULL)`,
	`CREATE INDEX run_by_experiment ON run (experiment, stage, started DESC, uuid)`,
	`CREATE INDEX run_by_project ON run (project, stage, started DESC, uuid)`,
	`CREATE TABLE run_param (
		run BIGINT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
		PRIMARY KEY (run, key)) WITHOUT ROWID`,
	`CREATE TABLE run_tag (
		run BIGINT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
		PRIMARY KEY (run, key)) WITHOUT ROWID`,
	`CREATE TABLE metric_series (
		id SERIAL KEY,
		run BIGINT NOT NULL,
		key TEXT NOT NULL,
		model TEXT NOT NULL,
		dataset TEXT NOT NULL,
		digest TEXT NOT NULL,
		last_step BIGINT NOT NULL,
		last_time BIGINT NOT NULL,
		last_value DOUBLE PRECISION NOT NULL,
		n BIGINT NOT NULL,
		loose BIGINT NOT NULL,
		UNIQUE (run, key, model, dataset, digest))`,
	`CREATE INDEX metric_series_by_value ON metric_series (key, last_value, run) WHERE model = ''`,
	`CREATE INDEX metric_series_by_model ON metric_series (model, key) WHERE model <> ''`,
	`CREATE INDEX metric_series_loose ON metric_series (id) WHERE loose >= 1024`,
	`CREATE TABLE metric_tail (
		series BIGINT NOT NULL, step BIGINT NOT NULL, time BIGINT NOT NULL, value DOUBLE PRECISION NOT NULL,
		PRIMARY KEY (series, step, time, value)) WITHOUT ROWID`,
	`CREATE TABLE metric_chunk (
		id SERIAL KEY,
		series BIGINT NOT NULL,
		n BIGINT NOT NULL,
		min_step BIGINT NOT NULL,
		max_step BIGINT NOT NULL,
		min_time BIGINT NOT NULL,
		max_time BIGINT NOT NULL,
		data BLOB NOT NULL)`,
	`CREATE INDEX metric_chunk_by_series ON metric_chunk (series)`,
	`CREATE TABLE run_dataset (
		id SERIAL KEY,
		experiment BIGINT NOT NULL,
		name TEXT NOT NULL,
		digest TEXT NOT NULL,
		source_type TEXT NOT NULL,
		source TEXT NOT NULL,
		shape TEXT NOT NULL,
		profile TEXT NOT NULL,
		UNIQUE (experiment, name, digest))`,
	`CREATE TABLE run_input (
		run BIGINT NOT NULL, dataset BIGINT NOT NULL, context TEXT NOT NULL, tags TEXT NOT NULL,
		PRIMARY KEY (run, dataset)) WITHOUT ROWID`,
	`CREATE TABLE run_model (
		run BIGINT NOT NULL, model TEXT NOT NULL, output BIGINT NOT NULL, step BIGINT NOT NULL,
		PRIMARY KEY (run, model, output)) WITHOUT ROWID`,
	`CREATE TABLE run_artifact (
		owner TEXT NOT NULL, path TEXT NOT NULL, digest TEXT NOT NULL, size BIGINT NOT NULL, at BIGINT NOT NULL,
		PRIMARY KEY (owner, path)) WITHOUT ROWID`,
	`CREATE TABLE logged_model (
		id TEXT PRIMARY KEY,
		project TEXT NOT NULL,
		experiment BIGINT NOT NULL,
		run TEXT NOT NULL,
		name TEXT NOT NULL,
		status TEXT NOT NULL,
		type TEXT NOT NULL,
		artifact TEXT NOT NULL,
		message TEXT NOT NULL,
		created BIGINT NOT NULL,
		updated BIGINT NOT NULL,
		stage TEXT NOT NULL)`,
	`CREATE INDEX logged_model_by_experiment ON logged_model (experiment, stage, created DESC, id)`,
	`CREATE TABLE logged_model_field (
		model TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
		PRIMARY KEY (model, kind, key)) WITHOUT ROWID`,
	// Values may be longer than Postgres lets an index hold, so it holds how they
	// begin.
	`CREATE INDEX run_param_by_value ON run_param (key, substr(value, 1, 64), run)`,
	`CREATE INDEX run_tag_by_value ON run_tag (key, substr(value, 1, 64), run)`,
	`CREATE INDEX run_by_name ON run (name)`,
	// When something was deleted, for collecting it later; 0 is not.
	`ALTER TABLE experiment ADD COLUMN deleted BIGINT NOT NULL DEFAULT 0`,
	`ALTER TABLE run ADD COLUMN deleted BIGINT NOT NULL DEFAULT 0`,
	`ALTER TABLE logged_model ADD COLUMN deleted BIGINT NOT NULL DEFAULT 0`,
	`CREATE INDEX run_deleted ON run (deleted, id) WHERE stage = 'deleted'`,
	`CREATE INDEX run_model_by_model ON run_model (model)`,
}}

func (s *Service) read(ctx context.Context, fn func(*db.Tx) error) error {
	return s.o.DB.Read(ctx, fn)
}

func (s *Service) write(ctx context.Context, fn func(*db.Tx) error) error {
	return s.o.DB.Write(ctx, fn)
}

func scanPair(r db.Scanner) (p Pair, err error) {
	err = r.Scan(&p.Key, &p.Value)
	return p, err
}

// list is n placeholders in parentheses. n is rounded up to a power of two, so
// that few different statements are ever prepared; pad fills the arguments.
func list(n int) (placeholders string, padded int) {
	padded = 1
	for padded < n {
		padded *= 2
	}
	b := make([]byte, 0, 3*padded+2)
	b = append(b, '(')
	for i := range padded {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '?')
	}
	return string(append(b, ')')), padded
}

// pad repeats the last of args until there are n.
func pad[T any](args []T, n int) []any {
	out := make([]any, n)
	for i := range out {
		out[i] = args[min(i, len(args)-1)]
	}
	return out
}
