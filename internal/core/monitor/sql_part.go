package monitor

import (
	"context"
	"iter"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

func scanPart(r db.Scanner) (p stored, err error) {
	err = r.Scan(&p.number, &p.release, &p.rows, &p.body, &p.digest)
	return p, err
}

// parts lists the partitions of a day, in the order in which they were logged.
func (s *Service) parts(ctx context.Context, endpoint int64, release string, start time.Time) (out []stored, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, scanPart, `SELECT number, release, rows, body, digest FROM prediction_part
			WHERE endpoint = ? AND day = ? AND (release = ? OR ? = '') ORDER BY number`, endpoint, start, release, release)
		return err
	})
	return out, err
}

// packable finds the partitions of days that began before the time given and
// lie in the database still, and those of later days with many batches.
func (s *Service) packable(ctx context.Context, before time.Time, many int) (out []partKey, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, func(r db.Scanner) (k partKey, err error) {
			return k, r.Scan(&k.endpoint, &k.release, &k.day)
		}, `SELECT endpoint, release, day FROM prediction_part WHERE digest = '' GROUP BY endpoint, release, day
			HAVING day < ? OR COUNT(*) >= ? ORDER BY day, endpoint, release`, before, many)
		return err
	})
	return out, err
}

func (s *Service) hotParts(ctx context.Context, k partKey) (out []stored, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, scanPart, `SELECT number, release, rows, body, digest FROM prediction_part
			WHERE endpoint = ? AND day = ? AND release = ? AND digest = '' ORDER BY number`, k.endpoint, k.day, k.release)
		return err
	})
	return out, err
}

// replaceParts puts one file in the place of the batches that it holds.
func (s *Service) replaceParts(ctx context.Context, k partKey, parts []stored, rows int64, digest slipway.Digest) error {
	return s.o.DB.Write(ctx, func(tx *db.Tx) error {
		gone := int64(0)
		for _, p := range parts {
			n, err := tx.Exec(`DELETE FROM prediction_part WHERE number = ? AND digest = ''`, p.number)
			if err != nil {
				return err
			}
			gone += n
		}
		if gone != int64(len(parts)) {
			return slipway.Errorf(slipway.Conflict, "the predictions of a day were packed by somebody else")
		}
		return insertPart(tx, k, rows, nil, digest)
	})
}

func insertPart(tx *db.Tx, k partKey, rows int64, body []byte, digest slipway.Digest) error {
	if body == nil {
		body = []byte{}
	}
	_, err := tx.Exec(`INSERT INTO prediction_part (endpoint, day, release, rows, body, digest) VALUES (?, ?, ?, ?, ?, ?)`,
		k.endpoint, k.day, k.release, rows, body, digest)
	return err
}

// Roots yields the content that monitor refers to, which garbage collection
// keeps.
func (s *Service) Roots(ctx context.Context) iter.Seq2[slipway.Digest, error] {
	return func(yield func(slipway.Digest, error) bool) {
		var all []slipway.Digest
		err := s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
			all, err = db.All(tx, func(r db.Scanner) (d slipway.Digest, err error) { return d, r.Scan(&d) },
				`SELECT DISTINCT digest FROM prediction_part WHERE digest <> ''`)
			return err
		})
		for _, d := range all {
			if !yield(d, nil) {
				return
			}
		}
		if err != nil {
			yield("", err)
		}
	}
}
