package retrain

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/project"
)

// memory is what is known of a project's triggers.
type memory struct {
	seen   time.Time // event time up to which triggers were asked
	ran    time.Time // event time of the newest retraining that was started
	data   []string  // datasets with versions that came since
	commit bool      // whether code was applied since
}

// ask asks the triggers in the order of the file; an answer without a trigger
// means that none speaks.
func (s *Service) ask(ctx context.Context, p *project.Project, m memory, now time.Time) (Retraining, error) {
	for _, t := range p.Retrain.On {
		reason, err := s.speaks(ctx, p, t, m, now)
		if err != nil {
			return Retraining{}, err
		}
		if reason != "" {
			return Retraining{Trigger: triggerName(t), Reason: reason}, nil
		}
	}
	return Retraining{}, nil
}

// speaks is a trigger's reason, or "".
func (s *Service) speaks(ctx context.Context, p *project.Project, t project.Trigger, m memory, now time.Time) (string, error) {
	switch {
	case t.Schedule != "":
		due, err := due(t.Schedule, p.Location(), m.seen, now)
		if err != nil || due.IsZero() {
			return "", err
		}
		return "scheduled for " + due.Format("2006-01-02 15:04 MST"), nil
	case t.Drift != nil:
		n, err := s.o.Monitor.Drifted(ctx, p.Name, t.Drift.Windows)
		if err != nil || n < t.Drift.Features {
			return "", err
		}
		return fmt.Sprintf("%d features drifted in %d windows in a row", n, t.Drift.Windows), nil
	case t.Metric != nil:
		v, ok, err := s.o.Monitor.Metric(ctx, p.Name, t.Metric.Metric)
		if err != nil || !ok || !t.Metric.Fires(v) {
			return "", err
		}
		return fmt.Sprintf("%s is %.4g, %s %g", t.Metric.Metric, v, t.Metric.Op, t.Metric.Value), nil
	case t.Data != "" && slices.Contains(m.data, t.Data):
		return "a new version of " + t.Data + " came", nil
	case t.Commit && m.commit:
		return "new code was applied", nil
	}
	return "", nil
}

// due is the newest scheduled time in (from, to], or zero. However many were
// passed at once, they ask for one run.
func due(schedule string, zone *time.Location, from, to time.Time) (time.Time, error) {
	plan, err := cron.ParseStandard(schedule)
	if err != nil {
		return time.Time{}, slipway.Errorf(slipway.Invalid, "the schedule %q is not cron: %v", schedule, err)
	}
	var last time.Time
	for at := plan.Next(from.In(zone)); !at.IsZero() && !at.After(to); at = plan.Next(at) {
		last = at
	}
	return last, nil
}

func triggerName(t project.Trigger) string {
	switch {
	case t.Schedule != "":
		return "schedule"
	case t.Drift != nil:
		return "drift"
	case t.Metric != nil:
		return "metric"
	case t.Data != "":
		return "data"
	}
	return "commit"
}
