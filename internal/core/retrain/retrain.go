// Package retrain keeps a model fresh: triggers that start the pipeline again by
// themselves, on a declared window of rows, no more often than declared; and the
// backtest, which scores retraining policies on history before one is trusted.
package retrain

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/web"
	"github.com/slipway-ml/slipway/internal/project"
)

// Options is what a Service needs. The interfaces are what retrain asks of
// other capabilities; app connects them.
type Options struct {
	DB      *db.DB
	Applied Applied
	Runner  Runner
	Monitor Monitor
	Scorer  Scorer
	Jobs    *web.Jobs
}

// Applied knows the projects as they are in force.
type Applied interface {
	// Project fails with NotFound when the project was never applied.
	Project(ctx context.Context, name string) (*project.Project, error)
	// Projects lists the projects that were applied.
	Projects(ctx context.Context) ([]string, error)
}

// Run asks for a run of the applied pipeline.
type Run struct {
	Steps   []string                  // to bring up to date; empty is all
	Params  map[string]map[string]any // by step and name
	Window  slipway.Window            // rows to read, by event time
	Data    map[string]int            // dataset versions; the newest where none is given
	Trigger string                    // slipway.Trial: its model is not registered
	Reason  string
	Quiet   bool // a trial: its model is not registered
}

// Outcome is what a run made.
type Outcome struct {
	ID     string
	Output map[string]slipway.Artifact // by step.output
	Model  *slipway.Artifact           // the declared model; nil when no step made it
}

// Runner runs pipelines, and returns when they have ended.
type Runner interface {
	Run(ctx context.Context, project string, r Run) (Outcome, error)
}

// Monitor knows how the model in production does.
type Monitor interface {
	// Drifted is how many features drifted in each of the last windows: the
	// least over them.
	Drifted(ctx context.Context, project string, windows int) (int, error)
	// Metric is the newest value over a whole window; ok is false while too few
	// labels have come.
	Metric(ctx context.Context, project, metric string) (value float64, ok bool, err error)
}

// Service watches triggers.
type Service struct{ o Options }

// New makes a Service.
func New(o Options) *Service { return &Service{o} }

// Retraining is one time that a trigger spoke.
type Retraining struct {
	ID      string    `json:"id"`
	Project string    `json:"project"`
	At      time.Time `json:"at"` // event time
	Trigger string    `json:"trigger"`
	Reason  string    `json:"reason"`
	Run     string    `json:"run,omitempty"`   // the run; "" when it was skipped or could not start
	State   string    `json:"state"`           // started, skipped, failed, succeeded, interrupted
	Error   string    `json:"error,omitempty"` // why a run failed
	Actor   string    `json:"actor"`
}

// Tick asks every trigger of every applied project whether it speaks at the
// event time now.
func (s *Service) Tick(ctx context.Context, now time.Time) error {
	names, err := s.o.Applied.Projects(ctx)
	if err != nil {
		return err
	}
	errs := []error{s.sweep(ctx)}
	for _, name := range names {
		errs = append(errs, s.watch(ctx, name, now))
	}
	return errors.Join(errs...)
}

// sweep writes down the retrainings whose job went with its process. Their
// pipeline runs go on: the pipeline resumes by itself.
func (s *Service) sweep(ctx context.Context) error {
	open, err := s.started(ctx)
	if err != nil || len(open) == 0 || s.o.Jobs.Busy() {
		return err
	}
	for _, r := range open {
		r.State, r.Error = "interrupted", "the server ended while it ran"
		if err := s.end(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// watch asks one project's triggers; the first that speaks starts the run.
func (s *Service) watch(ctx context.Context, name string, now time.Time) error {
	p, err := s.o.Applied.Project(ctx, name)
	if err != nil || p.Retrain == nil {
		return err
	}
	last, err := s.watched(ctx, name, now)
	if err != nil || !now.After(last.seen) {
		return err
	}
	spoken, err := s.ask(ctx, p, last, now)
	if err != nil {
		return err
	}
	if spoken.Trigger == "" {
		return s.seen(ctx, name, now)
	}
	spoken.ID, spoken.Project, spoken.At, spoken.Actor = newID(), name, now, slipway.PrincipalOf(ctx).Name
	if rest := last.ran.Add(p.Retrain.Cooldown.D()).Sub(now); !last.ran.IsZero() && rest > 0 {
		spoken.State = "skipped"
		spoken.Reason += "; the cool-down lasts " + slipway.FormatDuration(rest.Round(time.Hour)) + " more"
		return s.skip(ctx, spoken, now)
	}
	_, err = s.Start(ctx, p, spoken)
	return err
}

// Start begins a retraining as a job: the window is resolved now, and the
// outcome is written down when the run has ended.
func (s *Service) Start(ctx context.Context, p *project.Project, r Retraining) (web.Job, error) {
	r.State = "started"
	if err := s.begin(ctx, &r); err != nil {
		return web.Job{}, err
	}
	run := Run{Window: window(p.Retrain, r.At), Trigger: r.Trigger, Reason: r.Reason}
	return s.o.Jobs.Start(ctx, "retrain.run", p.Name, func(ctx context.Context, say func(web.Progress)) (any, error) {
		say(web.Progress{Message: r.Reason})
		out, err := s.o.Runner.Run(ctx, p.Name, run)
		r.Run, r.State = out.ID, "succeeded"
		if err != nil {
			r.State, r.Error = "failed", slipway.AsError(err).Message
		}
		return r, errors.Join(err, s.end(context.WithoutCancel(ctx), r))
	}), nil
}

// newID is 16 random hexadecimal characters.
func newID() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// window is the rows to train on at the event time now.
func window(r *project.Retrain, now time.Time) slipway.Window {
	if r == nil {
		return slipway.Window{To: now}
	}
	switch r.Window.Kind {
	case project.Last:
		return slipway.Window{From: now.Add(-r.Window.Last.D()), To: now}
	case project.Fixed:
		return slipway.Window{}
	}
	return slipway.Window{To: now}
}
