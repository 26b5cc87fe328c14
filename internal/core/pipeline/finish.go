package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// finish records how the run ended. cause is what kept it from running its
// steps, or nil.
func (d *drive) finish(ctx context.Context, cause error) error {
	d.mu.Lock()
	d.run.Ended = d.s.now()
	switch {
	case cause != nil && !d.cancelled:
		d.run.State, d.run.Error = Failed, message(cause)
		if slipway.AsError(cause).Code == slipway.Internal {
			slog.ErrorContext(ctx, "a run cannot go on", "run", d.run.ID, "error", cause)
		}
	case d.cancelled:
		d.run.State, d.run.Error = Cancelled, cancelledText
	default:
		d.run.State = Succeeded
		for _, t := range d.tasks {
			if t.State == Failed {
				d.run.State = Failed
				d.run.Error = fmt.Sprintf("step %s failed: %s", t.Step, t.Message)
				break
			}
		}
	}
	d.cause = cause
	run, plan := d.run, d.plan
	d.mu.Unlock()
	var events []slipway.Event
	if plan != nil && !run.Started.IsZero() {
		events = append(events, event(run.Project, run.Actor, "run.finished", run.ID, plan.links(artifacts(run)...), finished(plan, run)))
		if err := d.s.o.Tracker.Finish(ctx, run.Project, run.ID, trackedStatus(run.State), run.Ended); err != nil {
			slog.WarnContext(ctx, "the end of a run is not tracked", "run", run.ID, "error", err)
		}
	}
	err := d.s.updateRun(ctx, run, false, events...)
	d.say(web.Progress{State: string(run.State), Message: run.Error})
	if scratch := filepath.Join(d.s.o.Dir, "scratch", run.ID); cause == nil {
		err = errors.Join(err, os.RemoveAll(scratch))
	}
	return err
}

// message is what a user may read of an error.
func message(err error) string {
	e := slipway.AsError(err)
	if e.Hint != "" {
		return e.Message + " (" + e.Hint + ")"
	}
	return e.Message
}

func trackedStatus(s State) string {
	switch s {
	case Succeeded, Reused:
		return "FINISHED"
	case Cancelled:
		return "KILLED"
	}
	return "FAILED"
}
