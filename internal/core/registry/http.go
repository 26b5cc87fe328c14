package registry

import (
	"context"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

type (
	// InProject names a project.
	InProject struct {
		Project string `path:"project"`
	}
	// NamedModel names a model, or a version as NAME@vN or NAME@ALIAS.
	NamedModel struct {
		Project string `path:"project"`
		Model   string `path:"model" doc:"name, name@v3 or name@alias"`
	}
	// RegisterRun registers what a tracked run logged.
	RegisterRun struct {
		Project string `path:"project"`
		Model   string `path:"model" doc:"name"`
		Body    struct {
			Run  string `json:"run" doc:"id of a run"`
			Path string `json:"path" doc:"path of its artifact: a file or a folder"`
		}
	}
	// PointAlias points an alias to a version.
	PointAlias struct {
		Project string `path:"project"`
		Model   string `path:"model" doc:"name"`
		Alias   string `path:"alias"`
		Body    struct {
			Version int `json:"version" minimum:"1"`
		}
	}
	// NamedAlias names an alias.
	NamedAlias struct {
		Project string `path:"project"`
		Model   string `path:"model" doc:"name"`
		Alias   string `path:"alias"`
	}
	// ModelsAt asks what stages and aliases meant at a time.
	ModelsAt struct {
		Project string    `path:"project"`
		Model   string    `query:"model" doc:"name; every model when left out"`
		At      time.Time `query:"at" doc:"RFC 3339; now when left out"`
	}
	// CompareVersions names two versions.
	CompareVersions struct {
		Project string `path:"project"`
		From    string `query:"from" required:"true" doc:"name@v1"`
		To      string `query:"to" required:"true" doc:"name@v2"`
	}
)

const modelsPath = "/api/v1/projects/{project}/models"

// Operations on models.
// ExportVersion asks for a version in another format.
type ExportVersion struct {
	Project string `path:"project"`
	Model   string `path:"model" doc:"name, name@vN or name@alias"`
	Format  string `query:"to" enum:"onnx"`
}

var (
	OpModels      = web.Op[InProject, []Model]{Method: "GET", Path: modelsPath, Needs: slipway.Reader, Tag: "registry", Summary: "Models of a project"}
	OpModel       = web.Op[NamedModel, Model]{Method: "GET", Path: modelsPath + "/{model}", Needs: slipway.Reader, Tag: "registry", Summary: "A model, its versions and its aliases"}
	OpVersion     = web.Op[NamedModel, slipway.ModelVersion]{Method: "GET", Path: "/api/v1/projects/{project}/model-versions/{model}", Needs: slipway.Reader, Tag: "registry", Summary: "A version of a model"}
	OpRegisterRun = web.Op[RegisterRun, slipway.ModelVersion]{Method: "POST", Path: modelsPath + "/{model}/versions", Needs: slipway.Writer, Tag: "registry", Summary: "Register an artifact of a run as a version"}
	OpSetAlias    = web.Op[PointAlias, Alias]{Method: "PUT", Path: modelsPath + "/{model}/aliases/{alias}", Needs: slipway.Writer, Tag: "registry", Summary: "Point an alias to a version"}
	OpDropAlias   = web.Op[NamedAlias, Alias]{Method: "DELETE", Path: modelsPath + "/{model}/aliases/{alias}", Needs: slipway.Writer, Tag: "registry", Summary: "Take an alias away"}
	OpDelete      = web.Op[NamedModel, slipway.ModelVersion]{Method: "DELETE", Path: "/api/v1/projects/{project}/model-versions/{model}", Needs: slipway.Operator, Tag: "registry", Summary: "Delete a version"}
	OpImportance  = web.Op[NamedModel, []predictor.Importance]{Method: "GET", Path: "/api/v1/projects/{project}/model-versions/{model}/importance", Needs: slipway.Reader, Tag: "registry", Summary: "How much each feature of a version mattered in training"}
	OpHistory     = web.Op[ModelsAt, []Held]{Method: "GET", Path: "/api/v1/projects/{project}/model-history", Needs: slipway.Reader, Tag: "registry", Summary: "Which versions stood in which stage, and what each alias meant, at a time"}
	OpExport      = web.Op[ExportVersion, Exported]{Method: "GET", Path: "/api/v1/projects/{project}/model-versions/{model}/export", Needs: slipway.Reader, Tag: "registry", Summary: "A version in another format"}
	OpDiff        = web.Op[CompareVersions, Diff]{Method: "GET", Path: "/api/v1/projects/{project}/model-diff", Needs: slipway.Reader, Tag: "registry", Summary: "What differs between two versions"}
)

// Routes adds the operations.
func (s *Service) Routes(a *web.API) {
	s.catalogRoutes(a)
	OpModels.Serve(a, func(ctx context.Context, in InProject) ([]Model, error) { return s.List(ctx, in.Project) })
	OpModel.Serve(a, func(ctx context.Context, in NamedModel) (Model, error) { return s.Model(ctx, in.Project, in.Model) })
	OpVersion.Serve(a, func(ctx context.Context, in NamedModel) (slipway.ModelVersion, error) {
		return s.Find(ctx, in.Project, in.Model)
	})
	OpRegisterRun.Serve(a, s.registerRun)
	OpSetAlias.Serve(a, func(ctx context.Context, in PointAlias) (Alias, error) {
		return s.SetAlias(ctx, in.Project, in.Model, in.Alias, in.Body.Version)
	})
	OpDropAlias.Serve(a, func(ctx context.Context, in NamedAlias) (Alias, error) {
		return s.moveAlias(ctx, in.Project, in.Model, in.Alias, 0)
	})
	OpDelete.Serve(a, s.deleteNamed)
	OpImportance.Serve(a, func(ctx context.Context, in NamedModel) ([]predictor.Importance, error) {
		v, err := s.Find(ctx, in.Project, in.Model)
		if err != nil {
			return nil, err
		}
		return s.Importance(ctx, v)
	})
	OpHistory.Serve(a, func(ctx context.Context, in ModelsAt) ([]Held, error) {
		if in.At.IsZero() {
			in.At = s.o.Webhook.Clock.Now()
		}
		return s.History(ctx, in.Project, in.Model, in.At)
	})
	OpExport.Serve(a, func(ctx context.Context, in ExportVersion) (Exported, error) {
		v, err := s.Find(ctx, in.Project, in.Model)
		if err != nil {
			return Exported{}, err
		}
		return s.Export(ctx, v, in.Format)
	})
	OpDiff.Serve(a, func(ctx context.Context, in CompareVersions) (Diff, error) {
		from, err := s.Find(ctx, in.Project, in.From)
		if err != nil {
			return Diff{}, err
		}
		to, err := s.Find(ctx, in.Project, in.To)
		if err != nil {
			return Diff{}, err
		}
		return s.Diff(ctx, from, to)
	})
	a.Handle("POST "+modelsPath+"/{model}/upload", slipway.Writer, s.upload)
}

func (s *Service) registerRun(ctx context.Context, in RegisterRun) (slipway.ModelVersion, error) {
	v := slipway.ModelVersion{Project: in.Project, Name: in.Model, Run: in.Body.Run}
	if err := checkName(in.Model); err != nil {
		return v, err
	}
	if s.o.Artifacts == nil {
		return v, slipway.Errorf(slipway.Unavailable, "artifacts of runs cannot be read here")
	}
	out, err := s.o.Artifacts.Artifact(ctx, in.Project, in.Body.Run, in.Body.Path)
	if err != nil {
		return v, err
	}
	if out.Path == "" {
		out.Path = in.Body.Path
	}
	if v.Content, err = s.Tree(ctx, out); err != nil {
		return v, err
	}
	return s.Register(ctx, v, nil)
}

// Tree is the content.Tree of an artifact, which may be a single file.
func (s *Service) Tree(ctx context.Context, a slipway.Artifact) (slipway.Digest, error) {
	if a.Tree {
		return a.Digest, nil
	}
	return s.single(ctx, a)
}

// deleteNamed deletes a version that must be named with its number: the newest
// one, or one that an alias happens to point to, is too easily meant wrongly.
func (s *Service) deleteNamed(ctx context.Context, in NamedModel) (slipway.ModelVersion, error) {
	name, n := slipway.NewRef(slipway.KindModel, in.Model).Version()
	if n == 0 {
		return slipway.ModelVersion{}, slipway.Errorf(slipway.Invalid, "%q names no version to delete", in.Model).WithHint("write the version out: %s@v1", name)
	}
	return s.Delete(ctx, in.Project, name, n)
}

// single is the tree of one file.
func (s *Service) single(ctx context.Context, out slipway.Artifact) (slipway.Digest, error) {
	t, err := content.NewTree([]content.Entry{{Path: base(out.Path), Digest: out.Digest, Size: out.Size}})
	if err != nil {
		return "", err
	}
	return s.o.Content.PutTree(ctx, t)
}
