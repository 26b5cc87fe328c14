package tracking

import (
	"context"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// AskCollect asks to remove for good what was deleted.
type AskCollect struct {
	Body struct {
		Seconds int64 `json:"seconds" minimum:"0" doc:"spare what was deleted in the last seconds"`
		Remove  bool  `json:"remove,omitempty" doc:"without it nothing is removed, only counted"`
	}
}

// OpCollect starts a job whose result is Collected.
var OpCollect = web.Op[AskCollect, web.Job]{Method: "POST", Path: "/api/v1/runs/gc", Needs: slipway.Operator, Tag: "tracking",
	Summary: "Remove runs, logged models and experiments that were deleted, for good; the job's result is Collected"}

func (s *Service) serveCollect(ctx context.Context, in AskCollect) (web.Job, error) {
	if s.o.Jobs == nil {
		return web.Job{}, slipway.Errorf(slipway.Invalid, "this server cannot collect")
	}
	before := s.now().Add(-time.Duration(in.Body.Seconds) * time.Second)
	return s.o.Jobs.Start(ctx, "tracking.gc", "", func(ctx context.Context, say func(web.Progress)) (any, error) {
		return s.Collect(ctx, before, in.Body.Remove, func(done int64) { say(web.Progress{Topic: "runs", Done: done, Unit: "run"}) })
	}), nil
}
