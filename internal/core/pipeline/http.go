package pipeline

import (
	"context"
	"net/http"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

type (
	projectIn struct {
		Project string `path:"project"`
	}
	listIn struct {
		Project string `path:"project"`
		Limit   int    `query:"limit" default:"50" minimum:"1" maximum:"1000"`
	}
	runIn struct {
		Project string `path:"project"`
		Run     string `path:"run" doc:"id, the beginning of one, or latest"`
	}
	applyIn struct {
		Project string `path:"project"`
		Body    struct {
			YAML   string          `json:"yaml"`
			Code   []content.Entry `json:"code"`
			Source Source          `json:"source"`
		}
	}
	startIn struct {
		Project string `path:"project"`
		Body    Request
	}
	revisionIn struct {
		Project string `path:"project"`
		Number  int    `path:"number" doc:"0 is the one in force"`
	}
)

// Operations on pipelines.
var (
	OpApply       = web.Op[applyIn, Applied]{Method: "POST", Path: "/api/v1/projects/{project}/revisions", Needs: slipway.Operator, Tag: "pipeline", MaxBody: 32 << 20, Summary: "Put a slipway.yaml and its code in force; content that is missing is named instead"}
	OpRevisions   = web.Op[listIn, []Revision]{Method: "GET", Path: "/api/v1/projects/{project}/revisions", Needs: slipway.Reader, Tag: "pipeline", Summary: "What was applied, newest first, without the text"}
	OpRevision    = web.Op[revisionIn, Revision]{Method: "GET", Path: "/api/v1/projects/{project}/revisions/{number}", Needs: slipway.Reader, Tag: "pipeline", Summary: "One revision with its text"}
	OpRun         = web.Op[startIn, web.Job]{Method: "POST", Path: "/api/v1/projects/{project}/pipeline/run", Needs: slipway.Operator, Tag: "pipeline", Summary: "Run the pipeline: the job's result is the run"}
	OpRuns        = web.Op[listIn, []Run]{Method: "GET", Path: "/api/v1/projects/{project}/pipeline/runs", Needs: slipway.Reader, Tag: "pipeline", Summary: "Runs of the pipeline, newest first, without their tasks"}
	OpGetRun      = web.Op[runIn, Run]{Method: "GET", Path: "/api/v1/projects/{project}/pipeline/runs/{run}", Needs: slipway.Reader, Tag: "pipeline", Summary: "One run with its tasks: graph, times, outputs, and why each ran"}
	OpCancelRun   = web.Op[runIn, Run]{Method: "POST", Path: "/api/v1/projects/{project}/pipeline/runs/{run}/cancel", Needs: slipway.Operator, Tag: "pipeline", Summary: "End a run; answers when it has ended"}
	OpEnvironment = web.Op[projectIn, web.Job]{Method: "POST", Path: "/api/v1/projects/{project}/environment", Needs: slipway.Operator, Tag: "pipeline", Summary: "Make the environment of the revision in force, if need be: the job's result says where it is"}
	OpMetrics     = web.Op[runIn, map[string]map[string]float64]{Method: "GET", Path: "/api/v1/projects/{project}/pipeline/runs/{run}/metrics", Needs: slipway.Reader, Tag: "pipeline", Summary: "The last values that each step of a run logged"}
)

// Routes adds the operations on pipelines, and those of steps.
func (s *Service) Routes(a *web.API) {
	OpApply.Serve(a, func(ctx context.Context, in applyIn) (Applied, error) {
		return s.Apply(ctx, in.Project, in.Body.YAML, in.Body.Code, in.Body.Source)
	})
	OpRevisions.Serve(a, func(ctx context.Context, in listIn) ([]Revision, error) {
		return s.Revisions(ctx, in.Project, in.Limit)
	})
	OpRevision.Serve(a, func(ctx context.Context, in revisionIn) (Revision, error) {
		return s.revision(ctx, in.Project, in.Number)
	})
	OpEnvironment.Serve(a, s.serveEnvironment)
	OpRun.Serve(a, s.serveRun)
	OpRuns.Serve(a, func(ctx context.Context, in listIn) ([]Run, error) { return s.Runs(ctx, in.Project, in.Limit) })
	OpGetRun.Serve(a, func(ctx context.Context, in runIn) (Run, error) { return s.Run(ctx, in.Project, in.Run) })
	OpCancelRun.Serve(a, func(ctx context.Context, in runIn) (Run, error) { return s.Cancel(ctx, in.Project, in.Run) })
	OpMetrics.Serve(a, s.serveMetrics)
	a.Handle("GET /api/v1/projects/{project}/pipeline/runs/{run}/logs/{step}", slipway.Reader, s.serveLogs)
	s.contentRoutes(a)
	s.leaseRoutes(a)
}

// serveEnvironment starts a job that makes the environment.
func (s *Service) serveEnvironment(ctx context.Context, in projectIn) (web.Job, error) {
	return s.o.Jobs.Start(ctx, "pipeline.environment", in.Project, func(ctx context.Context, say func(web.Progress)) (any, error) {
		e, err := s.interpreterOf(ctx, in.Project, say)
		if err == nil {
			e.SDK, err = s.sdk()
		}
		return e, err
	}), nil
}

// serveRun starts a job that follows a run. Cancelling the job cancels the run;
// the end of the server does not.
func (s *Service) serveRun(ctx context.Context, in startIn) (web.Job, error) {
	if in.Body.DryRun {
		return s.o.Jobs.Start(ctx, "pipeline.plan", in.Project, func(ctx context.Context, say func(web.Progress)) (any, error) {
			return s.DryRun(ctx, in.Project, in.Body, say)
		}), nil
	}
	d, err := s.submit(ctx, in.Project, in.Body)
	if err != nil {
		return web.Job{}, err
	}
	id := d.run.ID
	return s.o.Jobs.Start(ctx, "pipeline.run", in.Project, func(ctx context.Context, say func(web.Progress)) (any, error) {
		say(web.Progress{State: string(Queued), Message: id})
		run, err := s.watch(ctx, d, say)
		if ctx.Err() != nil && s.o.Jobs.Lifetime.Err() == nil {
			run, err = s.Cancel(context.WithoutCancel(ctx), in.Project, id)
		}
		if err == nil {
			err = run.verdict()
		}
		if err == nil && s.o.Judged != nil && !run.Nothing && !run.Request.Quiet {
			if run.Judgement, err = s.o.Judged(ctx, in.Project, id); err == nil {
				err = run.Judgement.refusal()
			}
		}
		for i := range run.Task {
			run.Task[i].Material = nil
		}
		return run, err
	}), nil
}

func (s *Service) serveMetrics(ctx context.Context, in runIn) (map[string]map[string]float64, error) {
	r, err := s.Run(ctx, in.Project, in.Run)
	if err != nil {
		return nil, err
	}
	out := map[string]map[string]float64{}
	for _, t := range r.Task {
		if t.Run == "" {
			continue
		}
		m, err := s.o.Tracker.Metrics(ctx, in.Project, t.Run)
		if err != nil && !slipway.IsCode(err, slipway.NotFound) {
			return nil, err
		}
		if len(m) > 0 {
			out[t.Step] = m
		}
	}
	return out, nil
}

// serveLogs streams what a step printed; with ?follow=1 until it has ended.
func (s *Service) serveLogs(w http.ResponseWriter, r *http.Request) error {
	project, run, step := r.PathValue("project"), r.PathValue("run"), r.PathValue("step")
	found, _, err := s.oneTask(r.Context(), project, run, step)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	flusher := http.NewResponseController(w)
	return s.WriteLog(r.Context(), flushing{w, flusher}, project, found.ID, step, r.URL.Query().Get("follow") != "")
}

// flushing sends every write at once.
type flushing struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (f flushing) Write(b []byte) (int, error) {
	n, err := f.ResponseWriter.Write(b)
	if err == nil {
		_ = f.control.Flush()
	}
	return n, err
}
