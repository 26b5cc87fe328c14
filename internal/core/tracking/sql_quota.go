package tracking

import (
	"context"
	"io"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// countUsage counts what a project uses, as far as there is a quota.
func (s *Service) countUsage(tx *db.Tx, project string) (is usage, err error) {
	if s.o.Quota.Runs > 0 {
		if err := tx.QueryRow(`SELECT COUNT(*) FROM run WHERE project = ?`, project).Scan(&is.runs); err != nil {
			return is, err
		}
	}
	if s.o.Quota.Bytes == 0 {
		return is, nil
	}
	for _, owners := range []string{`run o ON o.uuid = a.owner`, `logged_model o ON o.id = a.owner`} {
		var n int64
		err := tx.QueryRow(`SELECT COALESCE(CAST(SUM(a.size) AS BIGINT), 0) FROM run_artifact a JOIN `+owners+` WHERE o.project = ?`, project).Scan(&n)
		if err != nil {
			return is, err
		}
		is.bytes += n
	}
	return is, nil
}

// admitRun fails with Exhausted when a project has all the runs that it may
// have, and counts one more otherwise.
func (s *Service) admitRun(tx *db.Tx, project string) error {
	limit := s.o.Quota.Runs
	if limit == 0 {
		return nil
	}
	is, err := s.used.get(project, s.now(), func(u usage) bool { return u.runs < limit }, func() (usage, error) { return s.countUsage(tx, project) })
	if err == nil && is.runs >= limit {
		err = tooManyRuns(project, limit)
	}
	if err == nil {
		s.used.addRun(project)
	}
	return err
}

// admit checks that the principal may write files of an owner, and bounds r by
// what the quotas leave.
func (s *Service) admit(ctx context.Context, owner string, r io.Reader) (out *limited, err error) {
	out = &limited{from: r, left: -1}
	err = s.read(ctx, func(tx *db.Tx) error {
		if out.project, err = ownerProject(tx, owner); err != nil {
			return err
		}
		if err := slipway.Allow(ctx, slipway.Writer, out.project); err != nil {
			return err
		}
		if limit := s.o.Quota.File; limit > 0 {
			out.left, out.err = limit, tooLarge(limit)
		}
		limit := s.o.Quota.Bytes
		if limit == 0 {
			return nil
		}
		is, err := s.used.get(out.project, s.now(), func(u usage) bool { return u.bytes < limit }, func() (usage, error) { return s.countUsage(tx, out.project) })
		if err != nil {
			return err
		}
		if is.bytes >= limit {
			return noRoom(out.project, limit)
		}
		if left := limit - is.bytes; out.left < 0 || left < out.left {
			out.left, out.err = left, noRoom(out.project, limit)
		}
		return nil
	})
	return out, err
}
