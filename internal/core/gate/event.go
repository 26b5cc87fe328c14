package gate

import (
	"context"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// Verbs are the events that Handle wants.
var Verbs = []string{"model.registered"}

// Handle judges a version that the project's pipeline made. One that a client
// registered, or that no gate is declared for, gets a certificate with golden
// rows alone.
func (s *Service) Handle(ctx context.Context, e slipway.Event) error {
	if e.Verb != "model.registered" {
		return nil
	}
	if done, err := s.handled(ctx, e.ID); done || err != nil {
		return err
	}
	v, err := s.o.Models.Find(ctx, e.Project, e.Subject.ID)
	if slipway.IsCode(err, slipway.NotFound) {
		return nil // deleted meanwhile
	}
	if err != nil {
		return err
	}
	p, why, err := s.gates(ctx, v)
	if err != nil {
		return err
	}
	if why == "" && v.Source == slipway.FromClient {
		why = "a client registered it"
	}
	if why != "" {
		_, err = s.ungated(ctx, p, v, why, e.ID)
		return err
	}
	_, err = s.judge(ctx, p, v, e.ID, func(web.Progress) {})
	return err
}
