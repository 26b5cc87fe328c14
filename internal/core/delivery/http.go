package delivery

import (
	"context"
	"slices"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

type (
	// CreateRelease asks for a release.
	CreateRelease struct {
		Project string `path:"project"`
		Body    struct {
			Model       string `json:"model" doc:"name@vN"`
			Environment string `json:"environment" doc:"such as production"`
			Now         bool   `json:"now,omitempty" doc:"take over at once, without the declared rollout"`
			Reason      string `json:"reason,omitempty"`
		}
	}
	// InEnvironment names an environment and says why.
	InEnvironment struct {
		Project     string `path:"project"`
		Environment string `path:"environment"`
		Body        struct {
			To      string `json:"to,omitempty" doc:"release to go back to; the one before when left out"`
			Rollout bool   `json:"rollout,omitempty" doc:"only take out what is being rolled out; never touch the champion"`
			Reason  string `json:"reason,omitempty"`
		}
	}
	// ListReleases asks for releases, newest first.
	ListReleases struct {
		Project     string `path:"project"`
		Environment string `query:"environment"`
	}
	// AtTime asks what was in force at a time.
	AtTime struct {
		Project   string    `path:"project"`
		At        time.Time `query:"at" doc:"RFC 3339; now when left out"`
		EventTime bool      `query:"event" doc:"the time is event time"`
	}
	// NamedRelease names a release.
	NamedRelease struct {
		Project string `path:"project"`
		ID      string `path:"id"`
	}
)

// Operations on releases.
var (
	OpRelease  = web.Op[CreateRelease, Release]{Method: "POST", Path: "/api/v1/projects/{project}/releases", Needs: slipway.Operator, Tag: "delivery", Summary: "Release a model version to an environment"}
	OpReleases = web.Op[ListReleases, []Release]{Method: "GET", Path: "/api/v1/projects/{project}/releases", Needs: slipway.Reader, Tag: "delivery", Summary: "Releases, newest first"}
	OpShow     = web.Op[NamedRelease, Release]{Method: "GET", Path: "/api/v1/projects/{project}/releases/{id}", Needs: slipway.Reader, Tag: "delivery", Summary: "One release with the evidence of its last decision"}
	OpHistory  = web.Op[AtTime, []Reign]{Method: "GET", Path: "/api/v1/projects/{project}/release-history", Needs: slipway.Reader, Tag: "delivery", Summary: "Which version was the champion of each environment at a time"}
	OpRollback = web.Op[InEnvironment, Release]{Method: "POST", Path: "/api/v1/projects/{project}/environments/{environment}/rollback", Needs: slipway.Operator, Tag: "delivery", Summary: "Take out what is being rolled out, or bring the earlier champion back"}
	OpPromote  = web.Op[InEnvironment, Release]{Method: "POST", Path: "/api/v1/projects/{project}/environments/{environment}/promote", Needs: slipway.Operator, Tag: "delivery", Summary: "Make what is being rolled out the champion now"}
)

// Routes adds the operations.
func (s *Service) Routes(a *web.API) {
	OpRelease.Serve(a, func(ctx context.Context, in CreateRelease) (Release, error) {
		return s.Release(ctx, Request{in.Project, in.Body.Environment, in.Body.Model, in.Body.Now, in.Body.Reason})
	})
	OpReleases.Serve(a, func(ctx context.Context, in ListReleases) ([]Release, error) {
		all, err := s.releases(ctx, `project = ? ORDER BY created DESC, id`, in.Project)
		return slices.DeleteFunc(all, func(r Release) bool { return in.Environment != "" && r.Environment != in.Environment }), err
	})
	OpShow.Serve(a, func(ctx context.Context, in NamedRelease) (Release, error) { return s.find(ctx, in.Project, in.ID) })
	OpHistory.Serve(a, func(ctx context.Context, in AtTime) ([]Reign, error) {
		return s.History(ctx, in.Project, in.At, in.EventTime)
	})
	OpRollback.Serve(a, func(ctx context.Context, in InEnvironment) (Release, error) {
		return s.Rollback(ctx, in)
	})
	OpPromote.Serve(a, func(ctx context.Context, in InEnvironment) (Release, error) {
		return s.Promote(ctx, in.Project, in.Environment, in.Body.Reason)
	})
}
