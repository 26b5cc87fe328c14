package registry

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

func (s *Service) byAlias(ctx context.Context, project, name, alias string) (v slipway.ModelVersion, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) error {
		n, err := aliased(tx, project, name, alias)
		if err != nil {
			return err
		}
		if n == 0 {
			return slipway.Errorf(slipway.NotFound, "model %s has no alias %q", name, alias).WithHint("`slipway model show %s` lists them", name)
		}
		v, err = version(tx, project, name, n)
		return err
	})
	return v, err
}

// aliased is the version that an alias points to, 0 when there is no such
// alias.
func aliased(tx *db.Tx, project, name, alias string) (n int, err error) {
	err = tx.QueryRow(`SELECT version FROM model_alias WHERE project = ? AND name = ? AND alias = ?`, project, name, alias).Scan(&n)
	if slipway.IsCode(err, slipway.NotFound) {
		return 0, nil
	}
	return n, err
}

// moveAlias points an alias to a version, or takes it away for version 0.
func (s *Service) moveAlias(ctx context.Context, project, name, alias string, n int) (a Alias, err error) {
	err = s.o.DB.Write(ctx, func(tx *db.Tx) (err error) {
		a, err = setAlias(tx, project, name, alias, n)
		return err
	})
	s.ring()
	return a, err
}

func setAlias(tx *db.Tx, project, name, alias string, n int) (Alias, error) {
	before, err := aliased(tx, project, name, alias)
	if err != nil {
		return Alias{}, err
	}
	a := Alias{alias, n, tx.Now(), slipway.PrincipalOf(tx.Context()).Name}
	switch {
	case before == n && n > 0:
		return a, nil
	case n == 0 && before == 0:
		return a, slipway.Errorf(slipway.NotFound, "model %s has no alias %q", name, alias)
	case n == 0:
		_, err = tx.Exec(`DELETE FROM model_alias WHERE project = ? AND name = ? AND alias = ?`, project, name, alias)
	default:
		if _, err := version(tx, project, name, n); err != nil {
			return a, err
		}
		_, err = tx.Exec(`INSERT INTO model_alias (project, name, alias, version, at, actor) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (project, name, alias) DO UPDATE SET version = excluded.version, at = excluded.at, actor = excluded.actor`,
			project, name, alias, n, a.At, a.Actor)
	}
	if err != nil {
		return a, err
	}
	return a, recordAlias(tx, project, name, a, before)
}

func recordAlias(tx *db.Tx, project, name string, a Alias, before int) error {
	_, err := tx.Exec(`INSERT INTO model_alias_change (project, name, alias, version, before, at, actor) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		project, name, a.Alias, a.Version, before, a.At, a.Actor)
	if err != nil {
		return err
	}
	topic, told := AliasCreated, map[string]any{"name": name, "alias": a.Alias, "version": strconv.Itoa(a.Version)}
	if a.Version == 0 {
		topic = AliasDeleted
		delete(told, "version")
	}
	if err := announce(tx, project, topic, told); err != nil {
		return err
	}
	data, err := json.Marshal(AliasChange{a.Alias, a.Version, before, a.At, a.Actor})
	if err != nil {
		return err
	}
	return tx.Record(slipway.Event{Project: project, Verb: "model.aliased", Subject: slipway.VersionRef(slipway.KindModel, name, max(a.Version, before)), Data: data})
}

// remove marks a version as deleted. Its aliases are taken away with it, or
// stand in the way.
func (s *Service) remove(ctx context.Context, v slipway.ModelVersion, aliases bool) (slipway.ModelVersion, error) {
	err := s.o.DB.Write(ctx, func(tx *db.Tx) error { return removeVersion(tx, v.Project, v.Name, v.Version, aliases) })
	v.State = slipway.ModelDeleted
	s.ring()
	return v, err
}

func removeVersion(tx *db.Tx, project, name string, n int, aliases bool) error {
	ref := slipway.VersionRef(slipway.KindModel, name, n)
	pointing, err := db.All(tx, func(r db.Scanner) (alias string, err error) { return alias, r.Scan(&alias) },
		`SELECT alias FROM model_alias WHERE project = ? AND name = ? AND version = ? ORDER BY alias`, project, name, n)
	if err != nil {
		return err
	}
	for _, alias := range pointing {
		if !aliases {
			return slipway.Errorf(slipway.Conflict, "the alias %q points to %s", alias, ref.ID).WithHint("move it first: slipway model alias %s@vN %s", name, alias)
		}
		if _, err := setAlias(tx, project, name, alias, 0); err != nil {
			return err
		}
	}
	var stage string
	if err := tx.QueryRow(`SELECT stage FROM model_version WHERE project = ? AND name = ? AND version = ?`, project, name, n).Scan(&stage); err != nil {
		return err
	}
	if stage != StageNone {
		if err := setStage(tx, project, name, n, stage, StageNone); err != nil {
			return err
		}
	}
	changed, err := tx.Exec(`UPDATE model_version SET state = ?, updated = ? WHERE project = ? AND name = ? AND version = ? AND state <> ?`,
		slipway.ModelDeleted, tx.Now(), project, name, n, slipway.ModelDeleted)
	if err != nil || changed == 0 {
		return err
	}
	if err := touch(tx, project, name); err != nil {
		return err
	}
	return tx.Record(slipway.Event{Project: project, Verb: "model.deleted", Subject: ref})
}
