package registry

import (
	"context"
	"encoding/json"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

func (s *Service) moveStage(ctx context.Context, project, name string, n int, stage string, archive bool) error {
	return s.o.DB.Write(ctx, func(tx *db.Tx) error {
		v, err := version(tx, project, name, n)
		if err != nil {
			return err
		}
		if archive {
			others, err := db.All(tx, func(r db.Scanner) (n int, err error) { return n, r.Scan(&n) },
				`SELECT version FROM model_version WHERE project = ? AND name = ? AND stage = ? AND version <> ? AND state <> ? ORDER BY version`,
				project, name, stage, n, slipway.ModelDeleted)
			if err != nil {
				return err
			}
			for _, other := range others {
				if err := setStage(tx, project, name, other, stage, StageArchived); err != nil {
					return err
				}
			}
		}
		return setStage(tx, project, name, n, v.Stage, stage)
	})
}

func setStage(tx *db.Tx, project, name string, n int, before, stage string) error {
	_, err := tx.Exec(`UPDATE model_version SET stage = ?, updated = ? WHERE project = ? AND name = ? AND version = ?`, stage, tx.Now(), project, name, n)
	if err == nil {
		err = touch(tx, project, name)
	}
	if err != nil || before == stage {
		return err
	}
	c := StageChange{name, n, stage, before, tx.Now(), slipway.PrincipalOf(tx.Context()).Name}
	_, err = tx.Exec(`INSERT INTO model_stage_change (project, name, version, stage, before, at, actor) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		project, name, n, c.Stage, c.Before, c.At, c.Actor)
	if err != nil {
		return err
	}
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return tx.Record(slipway.Event{Project: project, Actor: c.Actor, Verb: "model.staged", Subject: slipway.VersionRef(slipway.KindModel, name, n), Data: data})
}

type namedAlias struct {
	AliasChange
	model string
}

// changes are the moves up to a time, oldest first.
func (s *Service) changes(ctx context.Context, project, name string, at time.Time) (stages []StageChange, aliases []namedAlias, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) error {
		stages, err = db.All(tx, func(r db.Scanner) (c StageChange, err error) {
			err = r.Scan(&c.Model, &c.Version, &c.Stage, &c.Before, &c.At, &c.Actor)
			return c, err
		}, `SELECT name, version, stage, before, at, actor FROM model_stage_change WHERE project = ? AND (name = ? OR ? = '') AND at <= ? ORDER BY number`,
			project, name, name, at)
		if err != nil {
			return err
		}
		aliases, err = db.All(tx, func(r db.Scanner) (c namedAlias, err error) {
			err = r.Scan(&c.model, &c.Alias, &c.Version, &c.Before, &c.At, &c.Actor)
			return c, err
		}, `SELECT name, alias, version, before, at, actor FROM model_alias_change WHERE project = ? AND (name = ? OR ? = '') AND at <= ? ORDER BY number`,
			project, name, name, at)
		return err
	})
	return stages, aliases, err
}

// DescribeVersion writes a version's description. It fails with NotFound.
func (s *Service) DescribeVersion(ctx context.Context, project, name string, n int, description string) (Entry, error) {
	err := s.o.DB.Write(ctx, func(tx *db.Tx) error {
		v, err := version(tx, project, name, n)
		if err != nil {
			return err
		}
		_, err = tx.Exec(`UPDATE model_version SET description = ?, updated = ? WHERE project = ? AND name = ? AND version = ?`,
			description, tx.Now(), project, name, n)
		if err != nil {
			return err
		}
		data, err := json.Marshal(map[string]string{"description": description})
		if err != nil {
			return err
		}
		return tx.Record(slipway.Event{Project: project, Verb: "model.described", Subject: v.Ref(), Data: data})
	})
	if err != nil {
		return Entry{}, err
	}
	return s.Entry(ctx, project, name, n)
}
