package dataset

import (
	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// release marks the batch of a version as released, in the transaction that
// makes the version, so that it is released once.
func release(tx *db.Tx, v *Version) error {
	r := v.Released
	q, err := db.One(tx, func(row db.Scanner) (q Quarantined, err error) {
		err = row.Scan(db.JSON(&q))
		return q, err
	}, `SELECT body FROM dataset_quarantine WHERE project = ? AND id = ?`, v.Project, r.Quarantine)
	if err != nil {
		return err
	}
	if q.Released != nil {
		return q.released()
	}
	r.Actor, r.At, r.Version = slipway.PrincipalOf(tx.Context()).Name, tx.Now(), v.Number
	q.Released = r
	if _, err := tx.Exec(`UPDATE dataset_quarantine SET body = ? WHERE project = ? AND id = ?`, db.JSON(q), v.Project, r.Quarantine); err != nil {
		return err
	}
	e, err := r.event(*v)
	if err != nil {
		return err
	}
	return tx.Record(e)
}
