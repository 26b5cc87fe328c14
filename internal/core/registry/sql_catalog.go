package registry

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

const cardColumns = `m.project, m.name, m.description, m.actor, m.created, m.updated`

func scanCard(r db.Scanner) (c Card, err error) {
	err = r.Scan(&c.Project, &c.Name, &c.Description, &c.Actor, &c.Created, &c.Updated)
	return c, err
}

// living reads the bare card of a model that was not deleted.
func living(tx *db.Tx, project, name string) (Card, error) {
	c, err := db.One(tx, scanCard, `SELECT `+cardColumns+` FROM model m WHERE m.project = ? AND m.name = ? AND m.gone = 0`, project, name)
	if slipway.IsCode(err, slipway.NotFound) {
		return c, slipway.Errorf(slipway.NotFound, "there is no model %s in %s", name, project).WithHint("`slipway model ls` lists them")
	}
	return c, err
}

// revive makes a model, or brings back one of the same name that was deleted;
// that one goes on counting.
func revive(tx *db.Tx, c Card) error {
	_, err := tx.Exec(`INSERT INTO model (project, name, newest, created, actor, description, updated) VALUES (?, ?, 0, ?, ?, ?, ?)
		ON CONFLICT (project, name) DO UPDATE SET created = excluded.created, actor = excluded.actor, description = excluded.description,
			updated = excluded.updated, gone = 0`, c.Project, c.Name, c.Created, c.Actor, c.Description, c.Created)
	if err != nil {
		return err
	}
	tags := map[string]string{}
	for _, t := range c.Tag {
		tags[t.Key] = t.Value
		if err := putModelTag(tx, c.Project, c.Name, t); err != nil {
			return err
		}
	}
	told := map[string]any{"name": c.Name, "tags": tags, "description": orNull(c.Description)}
	if err := announce(tx, c.Project, ModelCreated, told); err != nil {
		return err
	}
	return tx.Record(modelEvent(c.Project, "model.created", c.Name, told))
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// modelEvent tells of a model as a whole.
func modelEvent(project, verb, name string, data any) slipway.Event {
	raw, _ := json.Marshal(data) // maps of strings always marshal
	return slipway.Event{Project: project, Verb: verb, Subject: slipway.NewRef(slipway.KindModel, name), Data: raw}
}

// CreateModel makes a model without versions. It fails with Conflict when there
// is one of that name.
func (s *Service) CreateModel(ctx context.Context, project, name, description string, tags []Tag) (Card, error) {
	err := CheckClientName(name)
	if err == nil {
		err = checkTags(tags)
	}
	if err != nil {
		return Card{}, err
	}
	err = s.o.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := living(tx, project, name)
		if err == nil {
			return slipway.Errorf(slipway.Conflict, "Registered Model (name=%s) already exists.", name)
		}
		if !slipway.IsCode(err, slipway.NotFound) {
			return err
		}
		return revive(tx, Card{Project: project, Name: name, Description: description, Tag: tags, Created: tx.Now(), Actor: slipway.PrincipalOf(ctx).Name})
	})
	if err != nil {
		return Card{}, err
	}
	s.ring()
	return s.Card(ctx, project, name)
}

// touch notes that a model changed.
func touch(tx *db.Tx, project, name string) error {
	_, err := tx.Exec(`UPDATE model SET updated = ? WHERE project = ? AND name = ?`, tx.Now(), project, name)
	return err
}

// Describe writes a model's description. It fails with NotFound.
func (s *Service) Describe(ctx context.Context, project, name, description string) (Card, error) {
	err := s.o.DB.Write(ctx, func(tx *db.Tx) error {
		if _, err := living(tx, project, name); err != nil {
			return err
		}
		_, err := tx.Exec(`UPDATE model SET description = ?, updated = ? WHERE project = ? AND name = ?`, description, tx.Now(), project, name)
		if err != nil {
			return err
		}
		return tx.Record(modelEvent(project, "model.described", name, map[string]string{"description": description}))
	})
	if err != nil {
		return Card{}, err
	}
	return s.Card(ctx, project, name)
}

// nameTables are the tables that hold a model's name beside model itself.
var nameTables = []string{"model_version", "model_alias", "model_alias_change", "model_tag", "model_version_tag", "model_stage_change"}

// rename moves every row of a model. The row of the old name stays behind,
// gone, with the number that it counted to.
func (s *Service) rename(ctx context.Context, project, name, to string) error {
	return s.o.DB.Write(ctx, func(tx *db.Tx) error {
		c, err := living(tx, project, name)
		if err != nil {
			return err
		}
		var taken int
		err = tx.QueryRow(`SELECT (SELECT COUNT(*) FROM model WHERE project = ? AND name = ? AND gone = 0)
			+ (SELECT COUNT(*) FROM model_version WHERE project = ? AND name = ?)`, project, to, project, to).Scan(&taken)
		if err != nil {
			return err
		}
		if taken > 0 {
			return slipway.Errorf(slipway.Conflict, "Registered Model (name=%s) already exists, or once had versions.", to)
		}
		_, err = tx.Exec(`INSERT INTO model (project, name, newest, created, actor, description, updated)
			SELECT project, ?, newest, created, actor, description, ? FROM model WHERE project = ? AND name = ?
			ON CONFLICT (project, name) DO UPDATE SET newest = CASE WHEN excluded.newest > model.newest THEN excluded.newest ELSE model.newest END,
				created = excluded.created, actor = excluded.actor, description = excluded.description, updated = excluded.updated, gone = 0`,
			to, tx.Now(), project, name)
		for i := 0; err == nil && i < len(nameTables); i++ {
			_, err = tx.Exec(`UPDATE `+nameTables[i]+` SET name = ? WHERE project = ? AND name = ?`, to, project, name)
		}
		if err == nil {
			_, err = tx.Exec(`UPDATE model_version SET updated = ? WHERE project = ? AND name = ?`, tx.Now(), project, to)
		}
		if err == nil {
			_, err = tx.Exec(`UPDATE model SET gone = ? WHERE project = ? AND name = ?`, tx.Now(), project, c.Name)
		}
		if err != nil {
			return err
		}
		e := modelEvent(project, "model.renamed", to, map[string]string{"from": name, "to": to})
		e.Link = []slipway.Link{{Relation: slipway.From, Ref: slipway.NewRef(slipway.KindModel, name)}}
		return tx.Record(e)
	})
}

func (s *Service) deleteModel(ctx context.Context, project, name string) error {
	err := s.o.DB.Write(ctx, func(tx *db.Tx) error {
		if _, err := living(tx, project, name); err != nil {
			return err
		}
		versions, err := db.All(tx, func(r db.Scanner) (n int, err error) { return n, r.Scan(&n) },
			`SELECT version FROM model_version WHERE project = ? AND name = ? AND state <> ? ORDER BY version`, project, name, slipway.ModelDeleted)
		if err != nil {
			return err
		}
		for _, n := range versions {
			if err := removeVersion(tx, project, name, n, true); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(`DELETE FROM model_tag WHERE project = ? AND name = ?`, project, name); err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE model SET gone = ?, description = '' WHERE project = ? AND name = ?`, tx.Now(), project, name); err != nil {
			return err
		}
		return tx.Record(modelEvent(project, "model.removed", name, map[string]int{"versions": len(versions)}))
	})
	s.ring()
	return err
}

func putModelTag(tx *db.Tx, project, name string, t Tag) error {
	_, err := tx.Exec(`INSERT INTO model_tag (project, name, key, value) VALUES (?, ?, ?, ?)
		ON CONFLICT (project, name, key) DO UPDATE SET value = excluded.value`, project, name, t.Key, t.Value)
	return err
}

func putVersionTag(tx *db.Tx, project, name string, n int, t Tag) error {
	_, err := tx.Exec(`INSERT INTO model_version_tag (project, name, version, key, value) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (project, name, version, key) DO UPDATE SET value = excluded.value`, project, name, n, t.Key, t.Value)
	return err
}

// SetTag tags a model, or version n of it. It fails with NotFound.
func (s *Service) SetTag(ctx context.Context, project, name string, n int, t Tag) error {
	if err := CheckTag(t); err != nil {
		return err
	}
	return s.changeTag(ctx, project, name, n, t, "model.tagged", func(tx *db.Tx) error {
		if n == 0 {
			if err := putModelTag(tx, project, name, t); err != nil {
				return err
			}
			return announce(tx, project, PromptTagSet, map[string]any{"name": name, "key": t.Key, "value": t.Value})
		}
		if err := putVersionTag(tx, project, name, n, t); err != nil {
			return err
		}
		return announce(tx, project, TagSet, map[string]any{"name": name, "version": strconv.Itoa(n), "key": t.Key, "value": t.Value})
	})
}

// DropTag takes a tag from a model, or from version n of it. One that is not
// there is no error. It fails with NotFound when there is no such version.
func (s *Service) DropTag(ctx context.Context, project, name string, n int, key string) error {
	return s.changeTag(ctx, project, name, n, Tag{Key: key}, "model.untagged", func(tx *db.Tx) error {
		if n == 0 {
			gone, err := tx.Exec(`DELETE FROM model_tag WHERE project = ? AND name = ? AND key = ?`, project, name, key)
			if err != nil || gone == 0 {
				return err
			}
			return announce(tx, project, PromptTagDeleted, map[string]any{"name": name, "key": key})
		}
		gone, err := tx.Exec(`DELETE FROM model_version_tag WHERE project = ? AND name = ? AND version = ? AND key = ?`, project, name, n, key)
		if err != nil || gone == 0 {
			return err
		}
		return announce(tx, project, TagDeleted, map[string]any{"name": name, "version": strconv.Itoa(n), "key": key})
	})
}

func (s *Service) changeTag(ctx context.Context, project, name string, n int, t Tag, verb string, change func(*db.Tx) error) error {
	err := s.o.DB.Write(ctx, func(tx *db.Tx) error {
		e := modelEvent(project, verb, name, t)
		_, err := living(tx, project, name)
		if err == nil && n > 0 {
			e.Subject = slipway.VersionRef(slipway.KindModel, name, n)
			_, err = version(tx, project, name, n)
		}
		if err == nil {
			err = change(tx)
		}
		if err != nil {
			return err
		}
		return tx.Record(e)
	})
	s.ring()
	return err
}
