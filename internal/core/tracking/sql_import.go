package tracking

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// importExperiment finds the experiment of that name in a project, or makes it
// as it is told, and adds the tags that it does not have.
func (s *Service) importExperiment(ctx context.Context, project string, in Experiment) (out Experiment, err error) {
	err = s.write(ctx, func(tx *db.Tx) error {
		out, err = db.One(tx, scanExperiment, `SELECT `+experimentColumns+` FROM experiment e WHERE e.project = ? AND e.name = ?`, project, in.Name)
		if slipway.IsCode(err, slipway.NotFound) {
			if out, err = addExperiment(tx, NewExperiment{Project: project, Name: in.Name}); err == nil {
				_, err = tx.Exec(`UPDATE experiment SET stage = ?, created = ?, updated = ?, deleted = ? WHERE id = ?`,
					in.Stage, in.Created, in.Updated, deletedAt(tx, in.Stage), out.ID)
			}
		}
		if err != nil {
			return err
		}
		for _, t := range in.Tags {
			if _, err := tx.Exec(`INSERT INTO experiment_tag (experiment, key, value) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, out.ID, t.Key, t.Value); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// importRun writes a run with all its points, or completes one that is there:
// the source's word counts for status, params and tags. It reports whether the
// run is new and how many points are.
func (s *Service) importRun(ctx context.Context, e Experiment, r *Run, points map[string][]Point) (made bool, added int64, err error) {
	var number int64
	err = s.write(ctx, func(tx *db.Tx) error {
		made, added = false, 0
		k, err := findRun(tx, r.ID)
		switch {
		case slipway.IsCode(err, slipway.NotFound):
			made = true
			k = runKey{uuid: r.ID, project: e.Project, experiment: e.ID}
			k.number, err = insertImported(tx, e, r)
		case err == nil && k.project != e.Project:
			err = slipway.Errorf(slipway.Conflict, "the run %s exists in the project %s", r.ID, k.project)
		case err == nil:
			_, err = tx.Exec(`UPDATE run SET name = ?, status = ?, ended = ?, stage = ?, deleted = ? WHERE id = ?`,
				r.Name, r.Status, r.End, r.Stage, deletedAt(tx, r.Stage), k.number)
		}
		if err != nil {
			return err
		}
		number = k.number
		if err := upsertPairs(tx, "run_param", number, r.Params); err != nil {
			return err
		}
		if err := upsertPairs(tx, "run_tag", number, r.Tags); err != nil {
			return err
		}
		if added, err = s.importPoints(tx, number, points, made); err != nil {
			return err
		}
		if err := importLinks(tx, k, r); err != nil || !made {
			return err
		}
		data, err := json.Marshal(map[string]any{"points": added, "status": r.Status})
		if err != nil {
			return err
		}
		return tx.Record(slipway.Event{Project: e.Project, Verb: "run.imported", Subject: slipway.NewRef(slipway.KindRun, r.ID), Data: data})
	})
	s.cache.forget(number)
	return made, added, err
}

func insertImported(tx *db.Tx, e Experiment, r *Run) (int64, error) {
	return tx.InsertID(`INSERT INTO run (uuid, project, experiment, name, kind, status, actor, started, ended, stage, deleted)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, r.ID, e.Project, e.ID, r.Name, KindClient, r.Status, r.User, r.Start, r.End, r.Stage,
		deletedAt(tx, r.Stage))
}

// upsertPairs writes pairs over what is there.
func upsertPairs(tx *db.Tx, table string, run int64, pairs []Pair) error {
	for _, p := range lastOfKey(pairs) {
		if _, err := tx.Exec(`INSERT INTO `+table+` (run, key, value) VALUES (?, ?, ?)
			ON CONFLICT (run, key) DO UPDATE SET value = excluded.value`, run, p.Key, p.Value); err != nil {
			return err
		}
	}
	return nil
}

// importPoints adds the points that are not there, in full chunks.
func (s *Service) importPoints(tx *db.Tx, run int64, points map[string][]Point, fresh bool) (added int64, err error) {
	for key, all := range points {
		if !fresh {
			have, err := readHistory(tx, run, key, EveryStep)
			if err != nil {
				return 0, err
			}
			all = slices.DeleteFunc(slices.Clone(all), func(p Point) bool {
				_, there := slices.BinarySearchFunc(have, p, Point.compareHistory)
				return there
			})
		}
		added += int64(len(all))
		for len(all) > 0 {
			part := all[:min(fullChunk, len(all))]
			all = all[len(part):]
			g := &pointGroup{seriesKey: seriesKey{key: key}, points: part, last: slices.MaxFunc(part, Point.compare), loose: len(part)}
			if len(part) >= directChunk {
				g.chunk, g.loose = encodePoints(part), looseness(len(part))
			}
			if err := s.addPoints(tx, run, []*pointGroup{g}); err != nil {
				return 0, err
			}
		}
	}
	return added, nil
}

func importLinks(tx *db.Tx, k runKey, r *Run) error {
	for _, d := range r.Datasets {
		if err := addInput(tx, k, d); err != nil {
			return err
		}
	}
	for _, m := range r.Models {
		if _, err := tx.Exec(`INSERT INTO run_model (run, model, output, step) VALUES (?, ?, ?, ?)
			ON CONFLICT (run, model, output) DO UPDATE SET step = excluded.step`, k.number, m.Model, m.Output, m.Step); err != nil {
			return err
		}
	}
	return nil
}

// compareImported reads histories back and compares them with the source's. A
// run may have more than the source; then only its points are looked for.
func (s *Service) compareImported(ctx context.Context, run string, want map[string][]Point) error {
	got := make(map[string][]Point, len(want))
	err := s.read(ctx, func(tx *db.Tx) error {
		k, err := findRun(tx, run)
		if err != nil {
			return err
		}
		for key, points := range want {
			have, err := readHistory(tx, k.number, key, EveryStep)
			if err != nil {
				return err
			}
			if len(have) > len(points) {
				have = slices.DeleteFunc(have, func(p Point) bool {
					_, there := slices.BinarySearchFunc(points, p, Point.compareHistory)
					return !there
				})
			}
			got[key] = have
		}
		return nil
	})
	if err == nil && digestPoints(got) != digestPoints(want) {
		err = slipway.Errorf(slipway.Internal, "the points of run %s do not read back as they were written", run)
	}
	return err
}

// importModel writes a logged model, over what is there.
func (s *Service) importModel(ctx context.Context, e Experiment, m LoggedModel) error {
	if !strings.HasPrefix(m.ID, modelPrefix) {
		return slipway.Errorf(slipway.Invalid, "%q is not the id of a logged model", m.ID)
	}
	return s.write(ctx, func(tx *db.Tx) error {
		was, err := db.One(tx, scanModel, `SELECT `+modelColumns+` FROM logged_model m WHERE m.id = ?`, m.ID)
		switch {
		case slipway.IsCode(err, slipway.NotFound):
			_, err = tx.Exec(`INSERT INTO logged_model (id, project, experiment, run, name, status, type, artifact, message, created, updated, stage)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, m.ID, e.Project, e.ID, m.Run, m.Name, m.Status, m.Type,
				e.Artifact+"/models/"+m.ID+"/artifacts", m.Message, m.Created, m.Updated, m.Stage)
		case err == nil && was.Project != e.Project:
			err = slipway.Errorf(slipway.Conflict, "it exists in the project %s", was.Project)
		case err == nil:
			_, err = tx.Exec(`UPDATE logged_model SET status = ?, message = ?, updated = ?, stage = ? WHERE id = ?`, m.Status, m.Message, m.Updated, m.Stage, m.ID)
		}
		if err != nil {
			return err
		}
		if err := setFields(tx, m.ID, m.Params, m.Tags); err != nil {
			return err
		}
		return s.importModelMetrics(tx, m)
	})
}

// importModelMetrics writes what judges a model into its own series; the runs'
// series have the same points already.
func (s *Service) importModelMetrics(tx *db.Tx, m LoggedModel) error {
	for _, x := range m.Metrics {
		k, err := findRun(tx, x.Run)
		if slipway.IsCode(err, slipway.NotFound) {
			continue // a metric of a run that is gone
		}
		if err != nil {
			return err
		}
		p := x.Point
		p.Value = Number(storedValue(float64(p.Value)))
		g := &pointGroup{seriesKey: seriesKey{x.Key, m.ID, x.Dataset, x.Digest}, points: []Point{p}, last: p, loose: 1}
		if err := s.addPoints(tx, k.number, []*pointGroup{g}); err != nil {
			return err
		}
	}
	return nil
}
