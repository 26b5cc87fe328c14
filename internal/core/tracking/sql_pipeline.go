package tracking

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// pairs sorts a map by key.
func pairs(m map[string]string) []Pair {
	out := make([]Pair, 0, len(m))
	for k, v := range m {
		out = append(out, Pair{k, v})
	}
	slices.SortFunc(out, func(a, b Pair) int { return cmp.Compare(a.Key, b.Key) })
	return out
}

// startRun writes a run unless it is there.
func (s *Service) startRun(ctx context.Context, project, experiment string, n NewRun) error {
	return s.write(ctx, func(tx *db.Tx) error {
		if _, err := findRun(tx, n.ID); !slipway.IsCode(err, slipway.NotFound) {
			return err
		}
		e, err := ensureExperiment(tx, project, experiment)
		if err != nil {
			return err
		}
		_, err = addRun(tx, e, n)
		return err
	})
}

func (s *Service) logRun(ctx context.Context, id string, b Batch) error {
	groups := groupPoints(b.Metrics)
	var number int64
	err := s.write(ctx, func(tx *db.Tx) error {
		k, err := findRun(tx, id)
		if err != nil {
			return err
		}
		number = k.number
		if err := addParams(tx, k.number, b.Params); err != nil {
			return err
		}
		if err := setTags(tx, k.number, b.Tags); err != nil {
			return err
		}
		return s.addPoints(tx, k.number, groups)
	})
	s.cache.forget(number)
	return err
}

func (s *Service) endRun(ctx context.Context, id string, status Status, end time.Time) error {
	outputs, err := s.modelTrees(ctx, id, status)
	if err != nil {
		return err
	}
	var number int64
	err = s.write(ctx, func(tx *db.Tx) error {
		k, err := findRun(tx, id)
		if err != nil {
			return err
		}
		number = k.number
		return finishRun(tx, k, Change{Status: status, End: end}, outputs)
	})
	s.cache.forget(number)
	return err
}

// anyRun reads a run for another capability.
func (s *Service) anyRun(ctx context.Context, id string) (out *Run, err error) {
	at := s.cache.now()
	err = s.read(ctx, func(tx *db.Tx) error {
		k, err := findRun(tx, id)
		if err != nil {
			return err
		}
		runs, err := s.loadRuns(tx, at, []int64{k.number})
		if err == nil {
			out = runs[0]
		}
		return err
	})
	return out, err
}

// modelsOf lists the logged models that a run made.
func (s *Service) modelsOf(ctx context.Context, run string) (ids []string, err error) {
	err = s.read(ctx, func(tx *db.Tx) error {
		ids, err = db.All(tx, func(r db.Scanner) (id string, err error) {
			err = r.Scan(&id)
			return id, err
		}, `SELECT m.model FROM run_model m JOIN run r ON r.id = m.run WHERE r.uuid = ? AND m.output <> 0 ORDER BY m.step, m.model`, run)
		return err
	})
	return ids, err
}

// runIn fails with NotFound unless the run is one of the project.
func (s *Service) runIn(ctx context.Context, project, run string) error {
	return s.read(ctx, func(tx *db.Tx) error {
		k, err := findRun(tx, run)
		if err == nil && k.project != project {
			err = noRun(run)
		}
		return err
	})
}

// modelNamed finds the newest logged model of a run by its name.
func (s *Service) modelNamed(ctx context.Context, run, name string) (id string, err error) {
	err = s.read(ctx, func(tx *db.Tx) error {
		err := tx.QueryRow(`SELECT m.id FROM run_model l JOIN run r ON r.id = l.run JOIN logged_model m ON m.id = l.model
			WHERE r.uuid = ? AND l.output <> 0 AND m.name = ? AND m.stage = 'active' ORDER BY m.created DESC LIMIT 1`, run, name).Scan(&id)
		if slipway.IsCode(err, slipway.NotFound) {
			return noArtifact(Place{run, name})
		}
		return err
	})
	return id, err
}

// startedEvent tells that a client's run began.
func startedEvent(r *Run) slipway.Event {
	return slipway.Event{Project: r.Project, Verb: "run.started", Subject: slipway.NewRef(slipway.KindRun, r.ID),
		Link: fromCommit(r.Tags), Data: eventData(r.Kind, "")}
}

// recordEnd tells that a client's run ended, and what it made.
func recordEnd(tx *db.Tx, k runKey, status Status, outputs []slipway.Link) error {
	tags, err := db.All(tx, scanPair, `SELECT key, value FROM run_tag WHERE run = ? AND key = ?`, k.number, commitTag)
	if err != nil {
		return err
	}
	return tx.Record(slipway.Event{Project: k.project, Verb: "run.finished", Subject: slipway.NewRef(slipway.KindRun, k.uuid),
		Link: append(fromCommit(tags), outputs...), Data: eventData(k.kind, status)})
}

func fromCommit(tags []Pair) []slipway.Link {
	commit, ok := valueOf(tags, commitTag)
	if !ok || commit == "" {
		return nil
	}
	return []slipway.Link{{Relation: slipway.From, Ref: slipway.NewRef(slipway.KindCommit, commit)}}
}

func eventData(kind Kind, status Status) json.RawMessage {
	b, _ := json.Marshal(struct { // strings always marshal
		Kind   Kind   `json:"kind"`
		Status Status `json:"status,omitempty"`
	}{kind, status})
	return b
}
