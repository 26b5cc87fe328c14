package dataset

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// NameMigration is the tables of what versions are called: tags, names that a
// dataset had before, and versions that somebody removed.
var NameMigration = db.Migration{Name: "dataset_name", Statements: []string{
	`CREATE TABLE dataset_tag (project TEXT NOT NULL, name TEXT NOT NULL, tag TEXT NOT NULL, number BIGINT NOT NULL,
		created BIGINT NOT NULL, actor TEXT NOT NULL, PRIMARY KEY (project, name, tag))`,
	`CREATE TABLE dataset_alias (project TEXT NOT NULL, name TEXT NOT NULL, now TEXT NOT NULL, PRIMARY KEY (project, name))`,
	`CREATE TABLE dataset_removed (project TEXT NOT NULL, name TEXT NOT NULL, number BIGINT NOT NULL, tree TEXT NOT NULL,
		created BIGINT NOT NULL, actor TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (project, name, number))`,
}}

// Tag is a name that a person gave to a version.
type Tag struct {
	Name    string    `json:"name"` // of the dataset
	Tag     string    `json:"tag"`
	Version int       `json:"version"`
	Actor   string    `json:"actor"`
	Created time.Time `json:"created"`
}

// Tags lists the tags of a project, or of one dataset.
func (s *Service) Tags(ctx context.Context, project, name string) (out []Tag, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		where, args := `project = ?`, []any{project}
		if name != "" {
			where, args = where+` AND name = ?`, append(args, name)
		}
		out, err = db.All(tx, func(r db.Scanner) (t Tag, err error) {
			return t, r.Scan(&t.Name, &t.Tag, &t.Version, &t.Actor, &t.Created)
		}, `SELECT name, tag, number, actor, created FROM dataset_tag WHERE `+where+` ORDER BY name, tag`, args...)
		return err
	})
	return out, err
}

// SetTag names a version. A tag that names another one already stays, unless
// move is said: it fails with Conflict.
func (s *Service) SetTag(ctx context.Context, project, name, tag string, n int, move bool) (out Tag, err error) {
	if err := checkTag(tag); err != nil {
		return out, err
	}
	err = s.o.DB.Write(ctx, func(tx *db.Tx) error {
		v, err := findIn(tx, project, name, n)
		if err != nil {
			return err
		}
		was, err := tagIn(tx, project, v.Name, tag)
		switch {
		case slipway.IsCode(err, slipway.NotFound):
		case err != nil:
			return err
		case was == v.Number:
			out = Tag{Name: v.Name, Tag: tag, Version: v.Number, Actor: slipway.PrincipalOf(tx.Context()).Name, Created: tx.Now()}
			return nil
		case !move:
			return slipway.Errorf(slipway.Conflict, "the tag %s is on %s@v%d", tag, v.Name, was).WithHint("--move puts it on v%d", v.Number)
		}
		out = Tag{Name: v.Name, Tag: tag, Version: v.Number, Actor: slipway.PrincipalOf(tx.Context()).Name, Created: tx.Now()}
		if _, err := tx.Exec(`DELETE FROM dataset_tag WHERE project = ? AND name = ? AND tag = ?`, project, v.Name, tag); err != nil {
			return err
		}
		if _, err := tx.Exec(`INSERT INTO dataset_tag (project, name, tag, number, created, actor) VALUES (?, ?, ?, ?, ?, ?)`,
			project, v.Name, tag, v.Number, out.Created, out.Actor); err != nil {
			return err
		}
		return recordName(tx, project, "dataset.tagged", v.Ref(), map[string]any{"tag": tag, "was": was})
	})
	return out, err
}

// DropTag takes a tag away; the version stays. It fails with NotFound.
func (s *Service) DropTag(ctx context.Context, project, name, tag string) error {
	return s.o.DB.Write(ctx, func(tx *db.Tx) error {
		was, err := tagIn(tx, project, name, tag)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM dataset_tag WHERE project = ? AND name = ? AND tag = ?`, project, name, tag); err != nil {
			return err
		}
		return recordName(tx, project, "dataset.untagged", slipway.VersionRef(slipway.KindDataset, name, was), map[string]any{"tag": tag})
	})
}

func tagIn(tx *db.Tx, project, name, tag string) (int, error) {
	n, err := db.One(tx, func(r db.Scanner) (n int, err error) { return n, r.Scan(&n) },
		`SELECT number FROM dataset_tag WHERE project = ? AND name = ? AND tag = ?`, project, name, tag)
	if slipway.IsCode(err, slipway.NotFound) {
		return 0, slipway.Errorf(slipway.NotFound, "dataset %s has no tag %s", name, tag).WithHint("slipway data tag %s lists them", name)
	}
	return n, err
}

func recordName(tx *db.Tx, project, verb string, ref slipway.Ref, data map[string]any, link ...slipway.Link) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return err
	}
	return tx.Record(slipway.Event{Project: project, Verb: verb, Subject: ref, Link: link, Data: raw})
}

// remove forgets a version. Its number is never given again.
func (s *Service) remove(ctx context.Context, v Version, reason string) error {
	return s.o.DB.Write(ctx, func(tx *db.Tx) error {
		if _, err := findIn(tx, v.Project, v.Name, v.Number); err != nil {
			return err
		}
		tag, err := db.All(tx, func(r db.Scanner) (t string, err error) { return t, r.Scan(&t) },
			`SELECT tag FROM dataset_tag WHERE project = ? AND name = ? AND number = ?`, v.Project, v.Name, v.Number)
		if err != nil {
			return err
		}
		if len(tag) > 0 {
			return slipway.Errorf(slipway.Conflict, "%s is tagged %s", v.ID(), some(tag, 5)).WithHint("slipway data tag %s --delete %s", v.Name, tag[0])
		}
		if _, err := tx.Exec(`INSERT INTO dataset_removed (project, name, number, tree, created, actor, reason) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			v.Project, v.Name, v.Number, v.Tree, tx.Now(), slipway.PrincipalOf(tx.Context()).Name, reason); err != nil {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM dataset_version WHERE project = ? AND name = ? AND number = ?`, v.Project, v.Name, v.Number); err != nil {
			return err
		}
		return recordName(tx, v.Project, "dataset.removed", v.Ref(), map[string]any{"tree": v.Tree, "reason": reason})
	})
}

// rename gives a dataset another name. The old one goes on meaning it.
func (s *Service) rename(ctx context.Context, project, from, to string) error {
	return s.o.DB.Write(ctx, func(tx *db.Tx) error {
		newest, err := findIn(tx, project, from, 0)
		if err != nil {
			return err
		}
		if there, err := findIn(tx, project, to, 0); err == nil && there.Name == to {
			return slipway.Errorf(slipway.Conflict, "there is a dataset %s already", to)
		} else if err != nil && !slipway.IsCode(err, slipway.NotFound) {
			return err
		}
		for _, table := range []string{"dataset_version", "dataset_tag", "dataset_quarantine", "dataset_removed"} {
			if _, err := tx.Exec(`UPDATE `+table+` SET name = ? WHERE project = ? AND name = ?`, to, project, newest.Name); err != nil {
				return err
			}
		}
		for _, sql := range []string{`DELETE FROM dataset_alias WHERE project = ? AND name = ?`} {
			if _, err := tx.Exec(sql, project, to); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(`UPDATE dataset_alias SET now = ? WHERE project = ? AND now = ?`, to, project, newest.Name); err != nil {
			return err
		}
		if _, err := tx.Exec(`INSERT INTO dataset_alias (project, name, now) VALUES (?, ?, ?)`, project, newest.Name, to); err != nil {
			return err
		}
		return recordName(tx, project, "dataset.renamed", slipway.NewRef(slipway.KindDataset, to), map[string]any{"was": newest.Name},
			slipway.Link{Relation: slipway.From, Ref: slipway.NewRef(slipway.KindDataset, newest.Name)})
	})
}

// aliased is what a dataset is called now, "" when it never had another name.
func aliased(tx *db.Tx, project, name string) (string, error) {
	now, err := db.One(tx, func(r db.Scanner) (n string, err error) { return n, r.Scan(&n) },
		`SELECT now FROM dataset_alias WHERE project = ? AND name = ?`, project, name)
	if slipway.IsCode(err, slipway.NotFound) {
		return "", nil
	}
	return now, err
}

// whyAbsent says that a version was removed, where it was.
func whyAbsent(tx *db.Tx, project, name string, n int, otherwise *slipway.Error) error {
	gone, err := db.One(tx, func(r db.Scanner) (t string, err error) {
		var at time.Time
		var actor, reason string
		if err := r.Scan(&at, &actor, &reason); err != nil {
			return "", err
		}
		return fmt.Sprintf("by %s at %s: %s", actor, at.UTC().Format("2006-01-02 15:04"), reason), nil
	}, `SELECT created, actor, reason FROM dataset_removed WHERE project = ? AND name = ? AND number = ?`, project, name, n)
	if slipway.IsCode(err, slipway.NotFound) {
		return otherwise
	}
	if err != nil {
		return err
	}
	return slipway.Errorf(slipway.NotFound, "%s@v%d was removed %s", name, n, gone)
}

// lastNumber is the highest number that a dataset ever gave.
func lastNumber(tx *db.Tx, project, name string) (n int, err error) {
	err = tx.QueryRow(`SELECT COALESCE(MAX(number), 0) FROM (SELECT number FROM dataset_version WHERE project = ? AND name = ?
		UNION SELECT number FROM dataset_removed WHERE project = ? AND name = ?) AS every`, project, name, project, name).Scan(&n)
	return n, err
}

// byTree finds the newest version whose files have a digest that begins so.
func (s *Service) byTree(ctx context.Context, project, name, prefix string) (v Version, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) error {
		v, err = db.One(tx, scanVersion, `SELECT `+versionColumns+` FROM dataset_version WHERE project = ? AND name = ? AND tree LIKE ? ORDER BY number DESC LIMIT 1`,
			project, name, prefix+"%")
		return err
	})
	return v, err
}

// adopt takes in a version that was made elsewhere, under its own number where
// that is free, else under the next one. Who made it, and when, stays.
func (s *Service) adopt(ctx context.Context, v *Version) error {
	return s.o.DB.Write(ctx, func(tx *db.Tx) error {
		there, err := db.All(tx, scanVersion, `SELECT `+versionColumns+` FROM dataset_version WHERE project = ? AND name = ? AND tree = ?`, v.Project, v.Name, v.Tree)
		if err != nil {
			return err
		}
		for _, t := range there {
			if t.same(*v) { // another pull was faster
				*v = t
				return nil
			}
		}
		var taken int
		err = tx.QueryRow(`SELECT COUNT(*) FROM (SELECT number FROM dataset_version WHERE project = ? AND name = ? AND number = ?
			UNION SELECT number FROM dataset_removed WHERE project = ? AND name = ? AND number = ?) AS every`,
			v.Project, v.Name, v.Number, v.Project, v.Name, v.Number).Scan(&taken)
		if err == nil && (taken > 0 || v.Number < 1) {
			v.Number, err = lastNumber(tx, v.Project, v.Name)
			v.Number++
		}
		if err != nil {
			return err
		}
		return insertIn(tx, v)
	})
}

// every lists all versions of all projects.
func (s *Service) every(ctx context.Context) (out []Version, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, scanVersion, `SELECT `+versionColumns+` FROM dataset_version ORDER BY project, name, number`)
		return err
	})
	return out, err
}
