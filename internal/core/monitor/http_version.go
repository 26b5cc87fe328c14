package monitor

import (
	"context"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// AskVersion asks for a comparison with a version.
type AskVersion struct {
	Project string `path:"project"`
	Body    struct {
		Endpoint string   `json:"endpoint"`
		With     string   `json:"with" doc:"name@v3, name@alias, or name for the newest"`
		By       string   `json:"by,omitempty" enum:"month,week,day" doc:"month when left out; a week begins on Monday"`
		Metric   []string `json:"metric,omitempty" maxItems:"20" doc:"the declared metric and the task's first two when left out"`
		From     string   `json:"from,omitempty" doc:"a day in the project's time zone, as 2013-09-01, or a time; the first prediction when left out"`
		To       string   `json:"to,omitempty" doc:"likewise, not included; the latest prediction when left out"`
	}
}

// OpCompare needs a writer, as a prediction does: it has a model compute.
var OpCompare = web.Op[AskVersion, web.Job]{Method: "POST", Path: under + "/monitor/compare", Needs: slipway.Writer, Tag: "monitor",
	Summary: "What the answers were worth against what another version would have answered to the same requests"}

func (s *Service) versionRoute(a *web.API) {
	OpCompare.Serve(a, func(ctx context.Context, in AskVersion) (web.Job, error) {
		ask := CompareVersion(in.Body)
		c, err := s.comparing(ctx, in.Project, ask)
		if err != nil {
			return web.Job{}, err
		}
		return s.o.Jobs.Start(ctx, "monitor.compare", in.Project, func(ctx context.Context, say func(web.Progress)) (any, error) {
			return s.compareVersion(ctx, c, ask.With, say)
		}), nil
	})
}
