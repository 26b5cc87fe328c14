package dataset

import (
	"context"
	"encoding/json"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// Migration is the tables of datasets.
var Migration = db.Migration{Name: "dataset", Statements: []string{
	`CREATE TABLE dataset_version (
		project TEXT NOT NULL,
		name TEXT NOT NULL,
		number BIGINT NOT NULL,
		tree TEXT NOT NULL,
		row_count BIGINT NOT NULL,
		byte_count BIGINT NOT NULL,
		from_time BIGINT NOT NULL,
		to_time BIGINT NOT NULL,
		created BIGINT NOT NULL,
		actor TEXT NOT NULL,
		contract TEXT NOT NULL,
		report TEXT NOT NULL,
		profile TEXT NOT NULL,
		body TEXT NOT NULL,
		PRIMARY KEY (project, name, number))`,
	`CREATE TABLE dataset_quarantine (
		id TEXT PRIMARY KEY,
		project TEXT NOT NULL,
		name TEXT NOT NULL,
		tree TEXT NOT NULL,
		report TEXT NOT NULL,
		created BIGINT NOT NULL,
		actor TEXT NOT NULL,
		body TEXT NOT NULL)`,
	`CREATE INDEX dataset_quarantine_name ON dataset_quarantine (project, name, created)`,
}}

const versionColumns = `project, name, number, created, actor, from_time, to_time, body`

func scanVersion(r db.Scanner) (v Version, err error) {
	var w slipway.Window
	var head Version
	if err = r.Scan(&head.Project, &head.Name, &head.Number, &head.Created, &head.Actor, &w.From, &w.To, db.JSON(&v)); err != nil {
		return v, err
	}
	v.Project, v.Name, v.Number, v.Created, v.Actor, v.Covers = head.Project, head.Name, head.Number, head.Created, head.Actor, w
	return v, nil
}

// find reads version n, or the newest.
func (s *Service) find(ctx context.Context, project, name string, n int) (v Version, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		v, err = findIn(tx, project, name, n)
		return err
	})
	return v, err
}

func findIn(tx *db.Tx, project, name string, n int) (v Version, err error) {
	where, args := `project = ? AND name = ? ORDER BY number DESC LIMIT 1`, []any{project, name}
	if n != 0 {
		where, args = `project = ? AND name = ? AND number = ?`, append(args, n)
	}
	v, err = db.One(tx, scanVersion, `SELECT `+versionColumns+` FROM dataset_version WHERE `+where, args...)
	if !slipway.IsCode(err, slipway.NotFound) {
		return v, err
	}
	now, err := aliased(tx, project, name)
	if err != nil {
		return v, err
	}
	if now != "" {
		return findIn(tx, project, now, n)
	}
	if n == 0 {
		return v, slipway.Errorf(slipway.NotFound, "dataset %s has no version in project %s", name, project).WithHint("slipway data add %s", name)
	}
	return v, whyAbsent(tx, project, name, n,
		slipway.Errorf(slipway.NotFound, "dataset %s has no version %d in project %s", name, n, project).WithHint("slipway data log %s", name))
}

// Log lists the versions of a dataset, newest first. It fails with NotFound
// when there are none.
func (s *Service) Log(ctx context.Context, project, name string) (out []Version, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, scanVersion, `SELECT `+versionColumns+` FROM dataset_version WHERE project = ? AND name = ? ORDER BY number DESC`, project, name)
		if err != nil || len(out) > 0 {
			return err
		}
		newest, err := findIn(tx, project, name, 0)
		if err == nil { // it has another name now
			out, err = db.All(tx, scanVersion, `SELECT `+versionColumns+` FROM dataset_version WHERE project = ? AND name = ? ORDER BY number DESC`, project, newest.Name)
		}
		return err
	})
	return out, err
}

// List is the newest version of every dataset of a project, by name.
func (s *Service) List(ctx context.Context, project string) (out []Version, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, scanVersion, `SELECT `+versionColumns+` FROM dataset_version v WHERE project = ?
			AND number = (SELECT MAX(number) FROM dataset_version m WHERE m.project = v.project AND m.name = v.name) ORDER BY name`, project)
		return err
	})
	return out, err
}

// insert gives v the next number and writes it with its event. It fails with
// Conflict when another version came since v was compared with version
// v.Change.From.
func (s *Service) insert(ctx context.Context, v *Version) error {
	return s.o.DB.Write(ctx, func(tx *db.Tx) error {
		last := 0
		newest, err := findIn(tx, v.Project, v.Name, 0)
		if err == nil {
			last = newest.Number
		} else if !slipway.IsCode(err, slipway.NotFound) {
			return err
		}
		if last != v.Change.From {
			return slipway.Errorf(slipway.Conflict, "somebody added %s meanwhile", newest.ID()).WithHint("run the command again")
		}
		if v.Number, err = lastNumber(tx, v.Project, v.Name); err != nil {
			return err
		}
		v.Number++
		v.Created, v.Actor = tx.Now(), slipway.PrincipalOf(tx.Context()).Name
		if v.Released != nil {
			if err := release(tx, v); err != nil {
				return err
			}
		}
		return insertIn(tx, v)
	})
}

// insertIn writes a version that has its number, with its event.
func insertIn(tx *db.Tx, v *Version) error {
	_, err := tx.Exec(`INSERT INTO dataset_version (project, name, number, tree, row_count, byte_count, from_time, to_time, created, actor, contract, report, profile, body)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		v.Project, v.Name, v.Number, v.Tree, v.Rows, v.Bytes, v.Covers.From, v.Covers.To, v.Created, v.Actor, v.Contract, v.Report, v.Profile, db.JSON(*v))
	if err != nil {
		return err
	}
	data := map[string]any{"rows": v.Rows, "bytes": v.Bytes, "from": v.Covers.From, "to": v.Covers.To, "verdict": v.Verdict}
	if v.Origin != "" {
		data["origin"] = v.Origin
	}
	raw, err := json.Marshal(data)
	if err != nil {
		return err
	}
	e := slipway.Event{Project: v.Project, Verb: "dataset.versioned", Subject: v.Ref(), Data: raw}
	if v.Run != "" {
		e.Link = append(e.Link, slipway.Link{Relation: slipway.From, Ref: slipway.NewRef(slipway.KindRun, v.Run)})
	}
	if v.Commit != "" {
		e.Link = append(e.Link, slipway.Link{Relation: slipway.From, Ref: slipway.NewRef(slipway.KindCommit, v.Commit)})
	}
	return tx.Record(e)
}

// quarantine writes down a batch that was refused, with its event.
func (s *Service) quarantine(ctx context.Context, q *Quarantined) error {
	return s.o.DB.Write(ctx, func(tx *db.Tx) error {
		q.Created, q.Actor = tx.Now(), slipway.PrincipalOf(tx.Context()).Name
		_, err := tx.Exec(`INSERT INTO dataset_quarantine (id, project, name, tree, report, created, actor, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			q.ID, q.Project, q.Name, q.Tree, q.Report, q.Created, q.Actor, db.JSON(*q))
		if err != nil {
			return err
		}
		data, err := json.Marshal(map[string]any{"report": q.Report, "rows": q.Rows, "checks": q.Checks, "quarantine": q.ID})
		if err != nil {
			return err
		}
		return tx.Record(slipway.Event{Project: q.Project, Verb: "dataset.refused", Subject: slipway.NewRef(slipway.KindDataset, q.Name), Data: data})
	})
}

// Quarantine lists the refused batches of a project, or of one dataset, newest
// first.
func (s *Service) Quarantine(ctx context.Context, project, name string) (out []Quarantined, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		where, args := `project = ?`, []any{project}
		if name != "" {
			where, args = where+` AND name = ?`, append(args, name)
		}
		out, err = db.All(tx, func(r db.Scanner) (q Quarantined, err error) {
			var name string
			err = r.Scan(&name, db.JSON(&q))
			q.Name = name
			return q, err
		}, `SELECT name, body FROM dataset_quarantine WHERE `+where+` ORDER BY created DESC, id`, args...)
		return err
	})
	return out, err
}

// roots is every digest that a row refers to.
func (s *Service) roots(ctx context.Context) (out []slipway.Digest, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, func(r db.Scanner) (d slipway.Digest, err error) {
			err = r.Scan(&d)
			return d, err
		}, `SELECT tree FROM dataset_version UNION SELECT contract FROM dataset_version UNION SELECT report FROM dataset_version
			UNION SELECT profile FROM dataset_version UNION SELECT tree FROM dataset_quarantine UNION SELECT report FROM dataset_quarantine`)
		return err
	})
	return out, err
}
