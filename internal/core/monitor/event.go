package monitor

import (
	"context"
	"encoding/json"

	"github.com/slipway-ml/slipway"
)

// Verbs are the events that Handle wants.
var Verbs = []string{"model.registered", "gate.decided"}

// Handle makes the reference of a version before its first request, so that
// counting need not wait for it. It is idempotent: a reference is made once.
func (s *Service) Handle(ctx context.Context, e slipway.Event) error {
	model := ""
	switch e.Verb {
	case "model.registered":
		model = e.Subject.ID
	case "gate.decided":
		var decided struct {
			Model string `json:"model"`
		}
		if err := json.Unmarshal(e.Data, &decided); err != nil {
			return slipway.Errorf(slipway.Invalid, "event %d says nothing of a model: %v", e.Number, err)
		}
		model = decided.Model
	}
	if model == "" {
		return nil
	}
	rules, err := s.rules(ctx, place{project: e.Project})
	if err != nil {
		return err
	}
	k := modelKey{e.Project, model}
	s.mu.Lock()
	if ref := s.references[k]; ref == nil || len(ref.Feature) == 0 {
		delete(s.references, k) // it may be known by now
	}
	s.mu.Unlock()
	_, err = s.reference(ctx, k, rules.zone)
	return err
}
