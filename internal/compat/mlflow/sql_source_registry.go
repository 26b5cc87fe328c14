package mlflow

import (
	"context"
	"strconv"

	"github.com/slipway-ml/slipway/internal/kit/db"
)

func (s *fileSource) registered(ctx context.Context, fn func(sourceRegistered) error) error {
	if !s.has["registered_models"] {
		return nil
	}
	var all []sourceRegistered
	err := s.each(ctx, `SELECT name, COALESCE(description, '') FROM registered_models ORDER BY name`, nil, func(r db.Scanner) error {
		var m sourceRegistered
		err := r.Scan(&m.Name, &m.Description)
		all = append(all, m)
		return err
	})
	for _, m := range all {
		if err == nil {
			err = s.fillRegistered(ctx, &m)
		}
		if err == nil {
			err = fn(m)
		}
	}
	return err
}

func (s *fileSource) fillRegistered(ctx context.Context, m *sourceRegistered) error {
	tags, err := s.pairs(ctx, `SELECT key, COALESCE(value, '') FROM registered_model_tags WHERE name = ? ORDER BY key`, m.Name)
	if err != nil {
		return err
	}
	m.Tags = toWire(tags)
	if s.has["registered_model_aliases"] {
		err = s.each(ctx, `SELECT alias, version FROM registered_model_aliases WHERE name = ? ORDER BY alias`, []any{m.Name}, func(r db.Scanner) error {
			var a sourceAlias
			var n int64
			err := r.Scan(&a.Alias, &n)
			a.Version = Int(n)
			m.Aliases = append(m.Aliases, a)
			return err
		})
		if err != nil {
			return err
		}
	}
	err = s.each(ctx, `SELECT version, COALESCE(current_stage, ''), COALESCE(description, ''), COALESCE(source, ''), COALESCE(run_id, '')
		FROM model_versions WHERE name = ? AND current_stage <> 'Deleted_Internal' ORDER BY version`, []any{m.Name}, func(r db.Scanner) error {
		var v sourceVersion
		var n int64
		err := r.Scan(&n, &v.Stage, &v.Description, &v.Source, &v.Run)
		v.Version = Int(n)
		m.versions = append(m.versions, v)
		return err
	})
	for i := range m.versions {
		if err == nil {
			tags, err = s.pairs(ctx, `SELECT key, COALESCE(value, '') FROM model_version_tags WHERE version = `+strconv.FormatInt(int64(m.versions[i].Version), 10)+` AND name = ? ORDER BY key`, m.Name)
			m.versions[i].Tags = toWire(tags)
		}
	}
	return err
}
