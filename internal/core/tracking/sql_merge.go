package tracking

import (
	"context"

	"github.com/slipway-ml/slipway/internal/kit/db"
)

// looseSeries finds series that want merging.
func (s *Service) looseSeries(ctx context.Context, limit int) (ids []int64, err error) {
	err = s.read(ctx, func(tx *db.Tx) error {
		ids, err = db.All(tx, scanID,
			`SELECT id FROM metric_series WHERE loose >= 1024 ORDER BY id LIMIT ?`, limit)
		return err
	})
	return ids, err
}

// mergeSeries rewrites a series' tail and small chunks as large chunks. It is
// one transaction: a reader sees the points in one form or the other, and a
// crash leaves them as they were.
func (s *Service) mergeSeries(ctx context.Context, id int64) error {
	return s.write(ctx, func(tx *db.Tx) error {
		points, err := readPoints(tx, id, EveryStep.Low, EveryStep.High, true)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM metric_tail WHERE series = ?`, id); err != nil {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM metric_chunk WHERE series = ? AND n < ?`, id, smallChunk); err != nil {
			return err
		}
		loose := 0
		for len(points) > 0 {
			part := points[:min(fullChunk, len(points))]
			points = points[len(part):]
			loose += looseness(len(part))
			if err := addChunk(tx, id, part, encodePoints(part)); err != nil {
				return err
			}
		}
		_, err = tx.Exec(`UPDATE metric_series SET loose = ? WHERE id = ?`, loose, id)
		return err
	})
}

func scanID(r db.Scanner) (id int64, err error) {
	err = r.Scan(&id)
	return id, err
}
