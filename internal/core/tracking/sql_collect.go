package tracking

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// deletedAt is what the column deleted says of a row that changes to a stage.
func deletedAt(tx *db.Tx, to Stage) time.Time {
	if to == Deleted {
		return tx.Now()
	}
	return time.Time{}
}

// collectable are the runs that a collection takes.
const collectable = `stage = 'deleted' AND deleted < ? AND (kind = 'client' OR status IN ('FINISHED', 'FAILED', 'KILLED'))`

func (s *Service) collectRuns(ctx context.Context, out *Collected, say func(int64)) error {
	for after := int64(0); ; {
		var part []runKey
		err := s.read(ctx, func(tx *db.Tx) (err error) {
			part, err = db.All(tx, scanRunKey, `SELECT id, uuid, project, experiment, stage, kind, status FROM run WHERE `+collectable+`
				AND id > ? ORDER BY id LIMIT ?`, out.Before, after, collectPage)
			return err
		})
		if err != nil || len(part) == 0 {
			return err
		}
		for _, k := range part {
			after = k.number
			if err := s.collectRun(ctx, out, k); err != nil {
				return err
			}
			say(out.Runs)
		}
	}
}

// collectRun removes one run, unless it was restored meanwhile.
func (s *Service) collectRun(ctx context.Context, out *Collected, k runKey) error {
	files, bytes, gone := int64(0), int64(0), false
	step := func(tx *db.Tx) (err error) {
		if files, bytes, err = sizeOf(tx, k.uuid); err != nil || !out.Removed {
			return err
		}
		n, err := tx.Exec(`DELETE FROM run WHERE id = ? AND `+collectable, k.number, out.Before)
		if gone = err == nil && n > 0; !gone {
			return err
		}
		if err := dropSeries(tx, `run = ?`, k.number); err != nil {
			return err
		}
		for _, table := range []string{"run_param", "run_tag", "run_input", "run_model"} {
			if _, err := tx.Exec(`DELETE FROM `+table+` WHERE run = ?`, k.number); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(`DELETE FROM run_artifact WHERE owner = ?`, k.uuid); err != nil {
			return err
		}
		return tx.Record(slipway.Event{Project: k.project, Verb: "run.collected", Subject: slipway.NewRef(slipway.KindRun, k.uuid)})
	}
	err := s.collectStep(ctx, out, step)
	s.cache.forget(k.number)
	if err == nil && (gone || !out.Removed) {
		out.Runs, out.Files, out.Bytes = out.Runs+1, out.Files+files, out.Bytes+bytes
	}
	return err
}

// collectStep runs fn in a transaction that may write, if anything shall be
// removed.
func (s *Service) collectStep(ctx context.Context, out *Collected, fn func(*db.Tx) error) error {
	if out.Removed {
		return s.write(ctx, fn)
	}
	return s.read(ctx, fn)
}

// sizeOf counts the files that an owner has.
func sizeOf(tx *db.Tx, owner string) (files, bytes int64, err error) {
	err = tx.QueryRow(`SELECT COUNT(*), COALESCE(CAST(SUM(size) AS BIGINT), 0) FROM run_artifact WHERE owner = ?`, owner).Scan(&files, &bytes)
	return files, bytes, err
}

// dropSeries removes series with their points.
func dropSeries(tx *db.Tx, which string, arg any) error {
	for _, table := range []string{"metric_tail", "metric_chunk"} {
		if _, err := tx.Exec(`DELETE FROM `+table+` WHERE series IN (SELECT id FROM metric_series WHERE `+which+`)`, arg); err != nil {
			return err
		}
	}
	_, err := tx.Exec(`DELETE FROM metric_series WHERE `+which, arg)
	return err
}

// collectModels removes logged models that were deleted, by themselves or with
// their experiment.
func (s *Service) collectModels(ctx context.Context, out *Collected) error {
	const which = `(m.stage = 'deleted' AND m.deleted < ?1 OR EXISTS (SELECT 1 FROM experiment e
		WHERE e.id = m.experiment AND e.id <> 0 AND e.stage = 'deleted' AND e.deleted < ?1))`
	for after := ""; ; {
		var part []string
		err := s.read(ctx, func(tx *db.Tx) (err error) {
			part, err = db.All(tx, func(r db.Scanner) (id string, err error) {
				err = r.Scan(&id)
				return id, err
			}, `SELECT m.id FROM logged_model m WHERE `+which+` AND m.id > ?2 ORDER BY m.id LIMIT ?3`, out.Before, after, collectPage)
			return err
		})
		if err != nil || len(part) == 0 {
			return err
		}
		for _, id := range part {
			after = id
			files, bytes, gone := int64(0), int64(0), false
			err := s.collectStep(ctx, out, func(tx *db.Tx) (err error) {
				if files, bytes, err = sizeOf(tx, id); err != nil || !out.Removed {
					return err
				}
				n, err := tx.Exec(`DELETE FROM logged_model AS m WHERE `+which+` AND m.id = ?2`, out.Before, id)
				if gone = err == nil && n > 0; !gone {
					return err
				}
				return dropModel(tx, id)
			})
			if err != nil {
				return err
			}
			if gone || !out.Removed {
				out.Models, out.Files, out.Bytes = out.Models+1, out.Files+files, out.Bytes+bytes
			}
		}
		s.cache.forgetAll() // runs name the models that they made
	}
}

// dropModel removes what belongs to a logged model.
func dropModel(tx *db.Tx, id string) error {
	if err := dropSeries(tx, `model <> '' AND model = ?`, id); err != nil {
		return err
	}
	for _, sql := range []string{`DELETE FROM logged_model_field WHERE model = ?`, `DELETE FROM run_model WHERE model = ?`, `DELETE FROM run_artifact WHERE owner = ?`} {
		if _, err := tx.Exec(sql, id); err != nil {
			return err
		}
	}
	return nil
}

// collectExperiments removes deleted experiments that hold nothing any more.
func (s *Service) collectExperiments(ctx context.Context, out *Collected) error {
	empty := ` AND NOT EXISTS (SELECT 1 FROM run r WHERE r.experiment = e.id)`
	if !out.Removed {
		empty = ` AND NOT EXISTS (SELECT 1 FROM run r WHERE r.experiment = e.id AND NOT (r.stage = 'deleted' AND r.deleted < ?1
			AND (r.kind = 'client' OR r.status IN ('FINISHED', 'FAILED', 'KILLED'))))`
	}
	which := `e.id <> 0 AND e.stage = 'deleted' AND e.deleted < ?1` + empty
	return s.collectStep(ctx, out, func(tx *db.Tx) error {
		found, err := db.All(tx, scanExperiment, `SELECT `+experimentColumns+` FROM experiment e WHERE `+which, out.Before)
		if err != nil {
			return err
		}
		out.Experiments = int64(len(found))
		if !out.Removed {
			return nil
		}
		for _, e := range found {
			for _, sql := range []string{`DELETE FROM experiment_tag WHERE experiment = ?`, `DELETE FROM run_dataset WHERE experiment = ?`, `DELETE FROM experiment WHERE id = ?`} {
				if _, err := tx.Exec(sql, e.ID); err != nil {
					return err
				}
			}
			data, err := json.Marshal(map[string]string{"name": e.Name})
			if err != nil {
				return err
			}
			if err := tx.Record(slipway.Event{Project: e.Project, Verb: "experiment.collected", Subject: slipway.NewRef("experiment", strconv.FormatInt(e.ID, 10)), Data: data}); err != nil {
				return err
			}
		}
		return nil
	})
}
