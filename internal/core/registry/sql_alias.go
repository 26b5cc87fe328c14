package registry

import (
	"context"
	"encoding/json"

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
	err = s.o.DB.Write(ctx, func(tx *db.Tx) error {
		before, err := aliased(tx, project, name, alias)
		if err != nil {
			return err
		}
		a = Alias{alias, n, tx.Now(), slipway.PrincipalOf(ctx).Name}
		if before == n && n > 0 {
			return nil
		}
		if n == 0 {
			if before == 0 {
				return slipway.Errorf(slipway.NotFound, "model %s has no alias %q", name, alias)
			}
			_, err = tx.Exec(`DELETE FROM model_alias WHERE project = ? AND name = ? AND alias = ?`, project, name, alias)
		} else {
			if _, err := version(tx, project, name, n); err != nil {
				return err
			}
			_, err = tx.Exec(`INSERT INTO model_alias (project, name, alias, version, at, actor) VALUES (?, ?, ?, ?, ?, ?)
				ON CONFLICT (project, name, alias) DO UPDATE SET version = excluded.version, at = excluded.at, actor = excluded.actor`,
				project, name, alias, n, a.At, a.Actor)
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO model_alias_change (project, name, alias, version, before, at, actor) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			project, name, alias, n, before, a.At, a.Actor)
		if err != nil {
			return err
		}
		data, err := json.Marshal(AliasChange{alias, n, before, a.At, a.Actor})
		if err != nil {
			return err
		}
		return tx.Record(slipway.Event{Project: project, Verb: "model.aliased", Subject: slipway.VersionRef(slipway.KindModel, name, max(n, before)), Data: data})
	})
	return a, err
}

// remove marks a version as deleted.
func (s *Service) remove(ctx context.Context, v slipway.ModelVersion) (slipway.ModelVersion, error) {
	err := s.o.DB.Write(ctx, func(tx *db.Tx) error {
		var alias string
		err := tx.QueryRow(`SELECT alias FROM model_alias WHERE project = ? AND name = ? AND version = ? ORDER BY alias`, v.Project, v.Name, v.Version).Scan(&alias)
		if err == nil {
			return slipway.Errorf(slipway.Conflict, "the alias %q points to %s", alias, v.ID()).WithHint("move it first: slipway model alias %s@vN %s", v.Name, alias)
		}
		if !slipway.IsCode(err, slipway.NotFound) {
			return err
		}
		n, err := tx.Exec(`UPDATE model_version SET state = ? WHERE project = ? AND name = ? AND version = ? AND state <> ?`,
			slipway.ModelDeleted, v.Project, v.Name, v.Version, slipway.ModelDeleted)
		if err != nil || n == 0 {
			return err
		}
		return tx.Record(slipway.Event{Project: v.Project, Verb: "model.deleted", Subject: v.Ref()})
	})
	v.State = slipway.ModelDeleted
	return v, err
}
