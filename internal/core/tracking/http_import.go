package tracking

import (
	"context"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// ImportFrom asks to copy from another tracking server.
type ImportFrom struct {
	Project string `path:"project"`
	Body    struct {
		URI       string `json:"uri" doc:"http://… of a running server, or sqlite:///… of its file"`
		Artifacts string `json:"artifacts,omitempty" doc:"the folder that the server keeps artifacts in, for a file"`
		DryRun    bool   `json:"dry_run,omitempty" doc:"count, and copy nothing"`
	}
}

// OpImport starts a job whose result is Imported.
var OpImport = web.Op[ImportFrom, web.Job]{Method: "POST", Path: "/api/v1/projects/{project}/import", Needs: slipway.Operator, Tag: "tracking",
	Summary: "Copy experiments, runs, models and artifacts from an MLflow server"}

func (s *Service) serveImport(ctx context.Context, in ImportFrom) (web.Job, error) {
	if s.o.Open == nil || s.o.Jobs == nil {
		return web.Job{}, slipway.Errorf(slipway.Invalid, "this server cannot import")
	}
	from, err := s.o.Open(ctx, in.Body.URI, in.Body.Artifacts)
	if err != nil {
		return web.Job{}, err
	}
	return s.o.Jobs.Start(ctx, "tracking.import", in.Project, func(ctx context.Context, say func(web.Progress)) (any, error) {
		defer from.Close()
		out, err := s.Import(ctx, in.Project, from, in.Body.DryRun, func(done, total int64, what string) {
			say(web.Progress{Topic: what, Done: done, Total: total, Unit: "run"})
		})
		if err == nil && s.o.Registered != nil {
			err = s.o.Registered(ctx, in.Project, from, &out)
		}
		return out, err
	}), nil
}
