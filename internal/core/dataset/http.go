package dataset

import (
	"context"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

type (
	// OfProject names a project.
	OfProject struct {
		Project string `path:"project"`
	}
	// OfDataset names a dataset.
	OfDataset struct {
		Project string `path:"project"`
		Name    string `path:"name"`
	}
	// OfVersion names a version of a dataset; 0 is the newest.
	OfVersion struct {
		Project string `path:"project"`
		Name    string `path:"name"`
		Version int    `query:"version" minimum:"0" doc:"0 is the newest"`
	}
	// AddVersion asks for a version.
	AddVersion struct {
		Project string `path:"project"`
		Name    string `path:"name"`
		Body    Addition
	}
)

const dataPath = "/api/v1/projects/{project}/data"

// Operations on datasets.
var (
	OpList    = web.Op[OfProject, []Version]{Method: "GET", Path: dataPath, Needs: slipway.Reader, Tag: "dataset", Summary: "The newest version of every dataset"}
	OpLog     = web.Op[OfDataset, []Version]{Method: "GET", Path: dataPath + "/{name}/versions", Needs: slipway.Reader, Tag: "dataset", Summary: "Versions of a dataset, newest first"}
	OpVersion = web.Op[OfVersion, Version]{Method: "GET", Path: dataPath + "/{name}", Needs: slipway.Reader, Tag: "dataset", Summary: "One version of a dataset"}
	OpAdd     = web.Op[AddVersion, web.Job]{Method: "POST", Path: dataPath + "/{name}/versions", Needs: slipway.Writer, Tag: "dataset", MaxBody: 16 << 20,
		Summary: "Make a version of content that was sent; the job's result is an Outcome"}
)

// Routes adds the operations.
func (s *Service) Routes(a *web.API) {
	OpList.Serve(a, func(ctx context.Context, in OfProject) ([]Version, error) { return s.List(ctx, in.Project) })
	OpLog.Serve(a, func(ctx context.Context, in OfDataset) ([]Version, error) { return s.Log(ctx, in.Project, in.Name) })
	OpVersion.Serve(a, func(ctx context.Context, in OfVersion) (Version, error) {
		return s.Version(ctx, in.Project, in.Name, in.Version)
	})
	OpAdd.Serve(a, func(ctx context.Context, in AddVersion) (web.Job, error) {
		return s.o.Jobs.Start(ctx, "dataset.add", in.Project, func(ctx context.Context, say func(web.Progress)) (any, error) {
			return s.Add(ctx, in.Project, in.Name, in.Body, say)
		}), nil
	})
}
