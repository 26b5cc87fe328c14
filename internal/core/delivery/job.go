package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/project"
)

// Verbs are the events that Handle wants.
var Verbs = []string{"gate.decided"}

// Handle releases a version that the gates have decided about: to the
// environments that take versions by themselves, and onward from there. It is
// idempotent: a version that was released is not released again.
func (s *Service) Handle(ctx context.Context, e slipway.Event) error {
	var decided struct {
		Model   string `json:"model"`
		Verdict string `json:"verdict"`
	}
	if err := json.Unmarshal(e.Data, &decided); err != nil {
		return slipway.Errorf(slipway.Invalid, "event %d says nothing of a model: %v", e.Number, err)
	}
	if decided.Verdict != "pass" && decided.Verdict != "ungated" {
		return nil
	}
	p, err := s.o.Applied.Project(ctx, e.Project)
	if slipway.IsCode(err, slipway.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if p.Model == nil {
		return nil
	}
	if name, _ := slipway.NewRef(slipway.KindModel, decided.Model).Version(); name != p.Model.Name {
		return nil // a version of a model that this project does not deploy
	}
	return s.releaseAlong(ctx, p, decided.Model, decided.Verdict)
}

// releaseAlong releases to every environment that takes registered versions,
// then to those that take theirs from there.
func (s *Service) releaseAlong(ctx context.Context, p *project.Project, model, verdict string) error {
	reached := map[string]bool{}
	for _, env := range p.Deploy {
		if env.On != "registered" && !reached[env.From] {
			continue
		}
		if env.Name == Production && verdict != "pass" {
			continue
		}
		was, err := s.wasReleased(ctx, p.Name, env.Name, model)
		if err != nil {
			return err
		}
		if !was {
			_, err = s.Release(ctx, Request{Project: p.Name, Environment: env.Name, Model: model, Reason: "the gates passed it"})
			if slipway.IsCode(err, slipway.Refused) || slipway.IsCode(err, slipway.Conflict) {
				return nil // recorded with the release
			}
			if err != nil {
				return err
			}
		}
		reached[env.Name] = true
	}
	return nil
}

// Tick looks at every rollout under way.
func (s *Service) Tick(ctx context.Context, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	live, err := s.live(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for i := range live {
		if live[i].inRollout() {
			errs = append(errs, s.look(ctx, &live[i], live, now))
		}
	}
	return errors.Join(errs...)
}

// look decides about one release. The declaration is the one in force now, so
// that a person can slow a rollout down while it runs.
func (s *Service) look(ctx context.Context, r *Release, live []Release, now time.Time) error {
	p, err := s.o.Applied.Project(ctx, r.Project)
	if err != nil {
		return err
	}
	env := p.Deploy.Environment(r.Environment)
	if env == nil || env.Rollout == nil {
		return s.activate(ctx, r, "the declaration knows no rollout any more")
	}
	champion := ""
	for _, other := range live {
		if other.Project == r.Project && other.Environment == r.Environment && other.State == Active {
			champion = other.ID
		}
	}
	c, err := s.o.Evidence.Compare(ctx, r.Project, r.Endpoint, champion, r.ID, r.Since)
	if err != nil {
		return err
	}
	return s.follow(ctx, r, *env.Rollout, decide(*env.Rollout, *r, c, now))
}
