package retrain

import (
	"context"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
	"github.com/slipway-ml/slipway/internal/project"
)

type (
	// InProject names a project.
	InProject struct {
		Project string `path:"project"`
	}
	// StartRetraining asks for a retraining by hand.
	StartRetraining struct {
		Project string `path:"project"`
		Body    struct {
			Reason string    `json:"reason" doc:"why; it is recorded"`
			At     time.Time `json:"at,omitzero" doc:"event time that ends the window; the clock's when left out"`
		}
	}
	// StartBacktest asks for a backtest.
	StartBacktest struct {
		Project string `path:"project"`
		Body    struct {
			From   time.Time                 `json:"from" doc:"time of the first training"`
			To     time.Time                 `json:"to" doc:"end of the history"`
			Every  string                    `json:"every,omitempty" doc:"month, or a length of time between trainings"`
			Last   []string                  `json:"last,omitempty" doc:"lengths of windows to try beside everything so far"`
			Metric string                    `json:"metric,omitempty" doc:"the first metric of the gates when left out"`
			Params map[string]map[string]any `json:"params,omitempty" doc:"params, by step, of the runs that only make rows to score"`
		}
	}
)

// Operations on retraining.
var (
	OpRetrain     = web.Op[StartRetraining, web.Job]{Method: "POST", Path: "/api/v1/projects/{project}/retrainings", Needs: slipway.Operator, Tag: "retrain", Summary: "Retrain now, on the declared window"}
	OpRetrainings = web.Op[InProject, []Retraining]{Method: "GET", Path: "/api/v1/projects/{project}/retrainings", Needs: slipway.Reader, Tag: "retrain", Summary: "When triggers spoke, newest first"}
	OpBacktest    = web.Op[StartBacktest, web.Job]{Method: "POST", Path: "/api/v1/projects/{project}/backtests", Needs: slipway.Operator, Tag: "retrain", Summary: "Score retraining policies on history"}
	OpBacktests   = web.Op[InProject, []Report]{Method: "GET", Path: "/api/v1/projects/{project}/backtests", Needs: slipway.Reader, Tag: "retrain", Summary: "Backtests, newest first"}
)

// Routes adds the operations. now is event time.
func (s *Service) Routes(a *web.API, now func() time.Time) {
	OpRetrain.Serve(a, func(ctx context.Context, in StartRetraining) (web.Job, error) {
		p, err := s.o.Applied.Project(ctx, in.Project)
		if err != nil {
			return web.Job{}, err
		}
		r := Retraining{ID: newID(), Project: in.Project, At: in.Body.At, Trigger: "by hand", Reason: in.Body.Reason, Actor: slipway.PrincipalOf(ctx).Name}
		if r.At.IsZero() {
			r.At = now()
		}
		if r.Reason == "" {
			r.Reason = "by hand"
		}
		return s.Start(ctx, p, r)
	})
	OpRetrainings.Serve(a, func(ctx context.Context, in InProject) ([]Retraining, error) { return s.List(ctx, in.Project) })
	OpBacktest.Serve(a, s.startBacktest)
	OpBacktests.Serve(a, func(ctx context.Context, in InProject) ([]Report, error) { return s.Reports(ctx, in.Project, 20) })
}

// startBacktest fills in what slipway.yaml says and starts the job.
func (s *Service) startBacktest(ctx context.Context, in StartBacktest) (web.Job, error) {
	p, err := s.o.Applied.Project(ctx, in.Project)
	if err != nil {
		return web.Job{}, err
	}
	if p.Gates == nil || p.Gates.Data.Step == "" {
		return web.Job{}, slipway.Errorf(slipway.Invalid, "a backtest scores the rows that the gates score, and slipway.yaml names none").
			WithHint("gates: {data: step.output}")
	}
	t := Test{Project: in.Project, From: in.Body.From, To: in.Body.To, Every: in.Body.Every, Metric: in.Body.Metric, Params: in.Body.Params,
		Rows: project.OutputRef{Step: p.Gates.Data.Step, Output: p.Gates.Data.Output}}
	if t.Every == "" {
		t.Every = "month"
	}
	if t.Metric == "" && len(p.Gates.Metrics) > 0 {
		t.Metric = p.Gates.Metrics[0].Metric
	}
	for _, text := range in.Body.Last {
		d, err := slipway.ParseDuration(text)
		if err != nil {
			return web.Job{}, err
		}
		t.Last = append(t.Last, d)
	}
	return s.o.Jobs.Start(ctx, "retrain.backtest", in.Project, func(ctx context.Context, say func(web.Progress)) (any, error) {
		return s.Backtest(ctx, t, say)
	}), nil
}
