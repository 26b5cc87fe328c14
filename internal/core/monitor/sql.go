package monitor

import (
	"context"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// Migration is the tables of monitor. Endpoints are told by number, since
// every logged prediction names its own.
var Migration = db.Migration{Name: "monitor", Statements: []string{
	`CREATE TABLE monitor_endpoint (
		number SERIAL KEY,
		project TEXT NOT NULL,
		name TEXT NOT NULL,
		seen BIGINT NOT NULL,
		decided BIGINT NOT NULL,
		matured BIGINT NOT NULL,
		runs BLOB NOT NULL,
		feed TEXT NOT NULL,
		UNIQUE (project, name))`,
	`CREATE TABLE monitor_variant (
		endpoint BIGINT NOT NULL,
		release TEXT NOT NULL,
		model TEXT NOT NULL,
		role TEXT NOT NULL,
		first BIGINT NOT NULL,
		last BIGINT NOT NULL,
		rows BIGINT NOT NULL,
		PRIMARY KEY (endpoint, release))`,
	// How far the log of each gateway is taken in.
	`CREATE TABLE monitor_gateway (gateway TEXT PRIMARY KEY, number BIGINT NOT NULL, at BIGINT NOT NULL)`,
	`CREATE TABLE monitor_import (project TEXT NOT NULL, endpoint TEXT NOT NULL, detail TEXT NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (project, endpoint))`,
	// What was answered: where its row is, and the label that it has by now.
	`CREATE TABLE prediction (
		endpoint BIGINT NOT NULL,
		day BIGINT NOT NULL,
		id TEXT NOT NULL,
		key TEXT NOT NULL,
		time BIGINT NOT NULL,
		release TEXT NOT NULL,
		label TEXT NOT NULL,
		label_time BIGINT NOT NULL,
		label_number BIGINT NOT NULL,
		PRIMARY KEY (endpoint, day, id)) WITHOUT ROWID`,
	`CREATE UNIQUE INDEX prediction_id ON prediction (id)`,
	`CREATE INDEX prediction_key ON prediction (endpoint, key, time)`,
	`CREATE TABLE prediction_part (
		number SERIAL KEY,
		endpoint BIGINT NOT NULL,
		day BIGINT NOT NULL,
		release TEXT NOT NULL,
		rows BIGINT NOT NULL,
		body BLOB NOT NULL,
		digest TEXT NOT NULL)`,
	`CREATE INDEX prediction_part_day ON prediction_part (endpoint, day, release)`,
	`CREATE INDEX prediction_part_digest ON prediction_part (digest, day)`,
	`CREATE TABLE prediction_count (
		endpoint BIGINT NOT NULL,
		release TEXT NOT NULL,
		hour BIGINT NOT NULL,
		rows BIGINT NOT NULL,
		failed BIGINT NOT NULL,
		body BLOB NOT NULL,
		PRIMARY KEY (endpoint, release, hour))`,
	`CREATE TABLE reference (
		project TEXT NOT NULL,
		model TEXT NOT NULL,
		body BLOB NOT NULL,
		at BIGINT NOT NULL,
		PRIMARY KEY (project, model))`,
	`CREATE TABLE drift (
		endpoint BIGINT NOT NULL,
		day BIGINT NOT NULL,
		feature TEXT NOT NULL,
		release TEXT NOT NULL,
		verdict TEXT NOT NULL,
		detail TEXT NOT NULL,
		PRIMARY KEY (endpoint, day, feature))`,
	`CREATE TABLE label (
		number SERIAL KEY,
		project TEXT NOT NULL,
		subject TEXT NOT NULL,
		time BIGINT NOT NULL,
		version BIGINT NOT NULL,
		value TEXT NOT NULL,
		received BIGINT NOT NULL)`,
	`CREATE INDEX label_subject ON label (project, subject, time)`,
	// Labels that no tick has looked at, and those whose prediction is unknown
	// as yet.
	`CREATE TABLE label_pending (number BIGINT PRIMARY KEY)`,
	`CREATE TABLE label_waiting (project TEXT NOT NULL, subject TEXT NOT NULL, number BIGINT NOT NULL, PRIMARY KEY (project, subject, number))`,
	`CREATE TABLE dirty_day (endpoint BIGINT NOT NULL, day BIGINT NOT NULL, PRIMARY KEY (endpoint, day))`,
	`CREATE TABLE quality (
		endpoint BIGINT NOT NULL,
		release TEXT NOT NULL,
		day BIGINT NOT NULL,
		version BIGINT NOT NULL,
		newest BIGINT NOT NULL,
		mature BIGINT NOT NULL,
		detail TEXT NOT NULL,
		at BIGINT NOT NULL,
		PRIMARY KEY (endpoint, release, day, version))`,
	`CREATE TABLE quality_window (
		endpoint BIGINT NOT NULL,
		release TEXT NOT NULL,
		day BIGINT NOT NULL,
		metric TEXT NOT NULL,
		verdict TEXT NOT NULL,
		detail TEXT NOT NULL,
		at BIGINT NOT NULL,
		PRIMARY KEY (endpoint, release, day, metric))`,
	`CREATE TABLE paired_loss (
		endpoint BIGINT NOT NULL,
		champion TEXT NOT NULL,
		challenger TEXT NOT NULL,
		day BIGINT NOT NULL,
		rows BIGINT NOT NULL,
		champion_loss DOUBLE PRECISION NOT NULL,
		challenger_loss DOUBLE PRECISION NOT NULL,
		PRIMARY KEY (endpoint, champion, challenger, day))`,
	`CREATE TABLE alarm (
		id TEXT PRIMARY KEY,
		project TEXT NOT NULL,
		endpoint TEXT NOT NULL,
		kind TEXT NOT NULL,
		subject TEXT NOT NULL,
		firing BIGINT NOT NULL,
		since BIGINT NOT NULL,
		until_time BIGINT NOT NULL,
		summary TEXT NOT NULL,
		detail TEXT NOT NULL,
		data TEXT NOT NULL,
		created BIGINT NOT NULL)`,
	`CREATE INDEX alarm_place ON alarm (project, endpoint, firing)`,
	`CREATE TABLE alert (
		number SERIAL KEY,
		project TEXT NOT NULL,
		endpoint TEXT NOT NULL,
		kind TEXT NOT NULL,
		secret TEXT NOT NULL,
		body TEXT NOT NULL,
		state TEXT NOT NULL,
		attempts BIGINT NOT NULL,
		next BIGINT NOT NULL,
		error TEXT NOT NULL,
		created BIGINT NOT NULL,
		sent BIGINT NOT NULL)`,
	`CREATE INDEX alert_state ON alert (state, next)`,
}}

// insertNew inserts the rows that are not there yet.
func insertNew(tx *db.Tx, table string, columns []string, n int, row func(i int) []any) error {
	const step = 64
	one := "(?" + strings.Repeat(", ?", len(columns)-1) + ")"
	head := "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES " + one
	full := head + strings.Repeat(", "+one, step-1) + " ON CONFLICT DO NOTHING"
	args := make([]any, 0, step*len(columns))
	for i := 0; i < n; {
		take, sql := step, full
		if n-i < step {
			take, sql = 1, head+" ON CONFLICT DO NOTHING"
		}
		args = args[:0]
		for range take {
			args = append(args, row(i)...)
			i++
		}
		if _, err := tx.Exec(sql, args...); err != nil {
			return err
		}
	}
	return nil
}

// places is n placeholders for an IN list.
func places(n int) string { return "(?" + strings.Repeat(", ?", n-1) + ")" }

// endpoint is the row of an endpoint.
type endpoint struct {
	number        int64
	project, name string
	seen          time.Time // latest event time of a prediction
	decided       time.Time // drift is decided for the days before it
	matured       time.Time // quality is decided for the days before it
	runs          []byte
	feed          feedState
}

const endpointColumns = `number, project, name, seen, decided, matured, runs, feed`

func scanEndpoint(r db.Scanner) (e endpoint, err error) {
	err = r.Scan(&e.number, &e.project, &e.name, &e.seen, &e.decided, &e.matured, &e.runs, db.JSON(&e.feed))
	return e, err
}

// number finds or makes the number of an endpoint.
func (s *Service) number(ctx context.Context, p place) (n int64, err error) {
	s.mu.Lock()
	n, known := s.known[p]
	s.mu.Unlock()
	if known {
		return n, nil
	}
	err = s.o.DB.Write(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(`INSERT INTO monitor_endpoint (project, name, seen, decided, matured, runs, feed) VALUES (?, ?, 0, 0, 0, ?, '{}') ON CONFLICT DO NOTHING`,
			p.project, p.endpoint, []byte{}); err != nil {
			return err
		}
		return tx.QueryRow(`SELECT number FROM monitor_endpoint WHERE project = ? AND name = ?`, p.project, p.endpoint).Scan(&n)
	})
	if err == nil {
		s.mu.Lock()
		s.known[p] = n
		s.mu.Unlock()
	}
	return n, err
}

// endpointNamed fails with NotFound when nothing of the endpoint was logged.
func (s *Service) endpointNamed(ctx context.Context, project, name string) (e endpoint, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		e, err = db.One(tx, scanEndpoint, `SELECT `+endpointColumns+` FROM monitor_endpoint WHERE project = ? AND name = ?`, project, name)
		return err
	})
	if slipway.IsCode(err, slipway.NotFound) {
		return e, slipway.Errorf(slipway.NotFound, "nothing was logged of an endpoint %s in the project %s", name, project).
			WithHint("`slipway monitor` lists the endpoints that were seen")
	}
	return e, err
}

// endpoints lists those of a project, or all.
func (s *Service) endpoints(ctx context.Context, project string) (out []endpoint, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, scanEndpoint, `SELECT `+endpointColumns+` FROM monitor_endpoint WHERE project = ? OR ? = '' ORDER BY project, name`, project, project)
		return err
	})
	return out, err
}

// SeenRelease is a release behind an endpoint, as its log shows it.
type SeenRelease struct {
	Release string              `json:"release"`
	Model   string              `json:"model"`
	Role    slipway.VariantRole `json:"role"`  // of its latest prediction
	First   time.Time           `json:"first"` // event times of its predictions
	Last    time.Time           `json:"last"`
	Rows    int64               `json:"rows"`
}

func scanVariant(r db.Scanner) (v SeenRelease, err error) {
	err = r.Scan(&v.Release, &v.Model, &v.Role, &v.First, &v.Last, &v.Rows)
	return v, err
}

// variants lists the releases of an endpoint, the latest used first.
func (s *Service) variants(ctx context.Context, endpoint int64) (out []SeenRelease, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, scanVariant, `SELECT release, model, role, first, last, rows FROM monitor_variant WHERE endpoint = ? ORDER BY last DESC, first DESC`, endpoint)
		return err
	})
	return out, err
}

// storedReference finds a reference. It fails with NotFound.
func (s *Service) storedReference(ctx context.Context, k modelKey) (body []byte, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) error {
		return tx.QueryRow(`SELECT body FROM reference WHERE project = ? AND model = ?`, k.project, k.model).Scan(&body)
	})
	return body, err
}

// storeReference keeps the first reference of a model: bins that something was
// counted in never change.
func (s *Service) storeReference(ctx context.Context, k modelKey, body []byte) error {
	return s.o.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO reference (project, model, body, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`, k.project, k.model, body, tx.Now())
		return err
	})
}
