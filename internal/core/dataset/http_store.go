package dataset

import (
	"context"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

type (
	// FindVersion names a version by what stands after name@.
	FindVersion struct {
		Project string `path:"project"`
		Name    string `path:"name"`
		Ref     string `query:"ref" doc:"v3, 3, latest, a tag, or eight digits of the digest of its files"`
	}
	// ReadTags lists tags.
	ReadTags struct {
		Project string `path:"project"`
		Name    string `query:"name" doc:"only of this dataset"`
	}
	// PutTag names a version.
	PutTag struct {
		Project string `path:"project"`
		Name    string `path:"name"`
		Tag     string `path:"tag"`
		Body    struct {
			Version int  `json:"version" minimum:"0" doc:"0 is the newest"`
			Move    bool `json:"move,omitempty" doc:"also when it names another version"`
		}
	}
	// OneTag names a tag.
	OneTag struct {
		Project string `path:"project"`
		Name    string `path:"name"`
		Tag     string `path:"tag"`
	}
	// RemoveVersion forgets a version.
	RemoveVersion struct {
		Project string `path:"project"`
		Name    string `path:"name"`
		Version int    `path:"version" minimum:"1"`
		Reason  string `query:"reason"`
		Force   bool   `query:"force" doc:"also when something was made from it"`
	}
	// RenameDataset gives a dataset another name.
	RenameDataset struct {
		Project string `path:"project"`
		Name    string `path:"name"`
		Body    struct {
			To string `json:"to"`
		}
	}
	// AskTransport pushes or pulls.
	AskTransport struct {
		Project string `path:"project"`
		Body    Transport
	}
	// AskCollection collects garbage.
	AskCollection struct{ Body Collection }
)

// Operations on how versions are named, kept and moved.
var (
	OpFind   = web.Op[FindVersion, Version]{Method: "GET", Path: dataPath + "/{name}/find", Needs: slipway.Reader, Tag: "dataset", Summary: "The version that a tag, a number or a digest means"}
	OpTags   = web.Op[ReadTags, []Tag]{Method: "GET", Path: "/api/v1/projects/{project}/tags", Needs: slipway.Reader, Tag: "dataset", Summary: "Tags of datasets"}
	OpTag    = web.Op[PutTag, Tag]{Method: "PUT", Path: dataPath + "/{name}/tags/{tag}", Needs: slipway.Writer, Tag: "dataset", Summary: "Give a version a name"}
	OpUntag  = web.Op[OneTag, web.None]{Method: "DELETE", Path: dataPath + "/{name}/tags/{tag}", Needs: slipway.Writer, Tag: "dataset", Summary: "Take a tag away"}
	OpRemove = web.Op[RemoveVersion, Version]{Method: "DELETE", Path: dataPath + "/{name}/versions/{version}", Needs: slipway.Operator, Tag: "dataset", Summary: "Forget a version"}
	OpRename = web.Op[RenameDataset, Version]{Method: "POST", Path: dataPath + "/{name}/rename", Needs: slipway.Operator, Tag: "dataset", Summary: "Give a dataset another name"}
	OpPush   = web.Op[AskTransport, web.Job]{Method: "POST", Path: "/api/v1/projects/{project}/push", Needs: slipway.Operator, Tag: "dataset", Summary: "Send versions to a remote; the job's result is a Moved"}
	OpPull   = web.Op[AskTransport, web.Job]{Method: "POST", Path: "/api/v1/projects/{project}/pull", Needs: slipway.Operator, Tag: "dataset", Summary: "Fetch versions from a remote; the job's result is a Moved"}
	OpGC     = web.Op[AskCollection, web.Job]{Method: "POST", Path: "/api/v1/content/gc", Needs: slipway.Operator, Tag: "dataset", Summary: "Remove content that nothing refers to; the job's result is a GCReport"}
	OpFsck   = web.Op[web.None, web.Job]{Method: "POST", Path: "/api/v1/content/fsck", Needs: slipway.Operator, Tag: "dataset", Summary: "Read and check everything that is stored; the job's result is a Checked"}
)

// storeRoutes adds the operations.
func (s *Service) storeRoutes(a *web.API) {
	OpFind.Serve(a, func(ctx context.Context, in FindVersion) (Version, error) {
		return s.Find(ctx, in.Project, in.Name, in.Ref)
	})
	OpTags.Serve(a, func(ctx context.Context, in ReadTags) ([]Tag, error) { return s.Tags(ctx, in.Project, in.Name) })
	OpTag.Serve(a, func(ctx context.Context, in PutTag) (Tag, error) {
		return s.SetTag(ctx, in.Project, in.Name, in.Tag, in.Body.Version, in.Body.Move)
	})
	OpUntag.Serve(a, func(ctx context.Context, in OneTag) (web.None, error) {
		return web.None{}, s.DropTag(ctx, in.Project, in.Name, in.Tag)
	})
	OpRemove.Serve(a, func(ctx context.Context, in RemoveVersion) (Version, error) {
		return s.Remove(ctx, in.Project, in.Name, in.Version, in.Reason, in.Force)
	})
	OpRename.Serve(a, func(ctx context.Context, in RenameDataset) (Version, error) {
		return s.Rename(ctx, in.Project, in.Name, in.Body.To)
	})
	OpPush.Serve(a, func(ctx context.Context, in AskTransport) (web.Job, error) {
		return s.o.Jobs.Start(ctx, "dataset.push", in.Project, func(ctx context.Context, say func(web.Progress)) (any, error) {
			return s.Push(ctx, in.Project, in.Body, say)
		}), nil
	})
	OpPull.Serve(a, func(ctx context.Context, in AskTransport) (web.Job, error) {
		return s.o.Jobs.Start(ctx, "dataset.pull", in.Project, func(ctx context.Context, say func(web.Progress)) (any, error) {
			return s.Pull(ctx, in.Project, in.Body, say)
		}), nil
	})
	OpGC.Serve(a, func(ctx context.Context, in AskCollection) (web.Job, error) {
		return job(ctx, s.o.Jobs, "dataset.gc", "", func(ctx context.Context) (content.GCReport, error) { return s.Collect(ctx, in.Body) })
	})
	OpFsck.Serve(a, func(ctx context.Context, _ web.None) (web.Job, error) {
		return job(ctx, s.o.Jobs, "dataset.fsck", "", s.Fsck)
	})
}
