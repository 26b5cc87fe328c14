package retrain

import (
	"context"

	"github.com/slipway-ml/slipway"
)

// Verbs are the events that Handle wants.
var Verbs = []string{"dataset.versioned", "revision.applied"}

// Handle notes data and code that came: the next tick asks the triggers.
func (s *Service) Handle(ctx context.Context, e slipway.Event) error {
	if e.Verb == "revision.applied" {
		return s.note(ctx, e.Project, "")
	}
	name, _ := e.Subject.Version()
	return s.note(ctx, e.Project, name)
}
