package registry

import (
	"context"
	"slices"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// CatalogModel is a registered model as MLflow's clients know it: what people
// wrote about it and its versions, in which stages they are and were.
type CatalogModel struct {
	Card
	Version []Entry       `json:"version"` // newest first
	Change  []StageChange `json:"change"`  // of stages, newest first
}

// Operations on what people wrote about models.
var (
	OpCatalog  = web.Op[NamedModel, CatalogModel]{Method: "GET", Path: modelsPath + "/{model}/catalog", Needs: slipway.Reader, Tag: "registry", Summary: "Stages, tags and descriptions of a model's versions, and how stages changed"}
	OpWebhooks = web.Op[InProject, []Webhook]{Method: "GET", Path: "/api/v1/projects/{project}/model-webhooks", Needs: slipway.Operator, Tag: "registry", Summary: "Who is told what happens to the models of a project, without secrets"}
)

func (s *Service) catalogRoutes(a *web.API) {
	OpCatalog.Serve(a, func(ctx context.Context, in NamedModel) (CatalogModel, error) {
		return s.Catalog(ctx, in.Project, in.Model)
	})
	OpWebhooks.Serve(a, func(ctx context.Context, in InProject) ([]Webhook, error) {
		all, _, err := s.Webhooks(ctx, Search{Project: in.Project, Limit: 1000})
		if all == nil {
			all = []Webhook{}
		}
		return all, err
	})
}

// Catalog reads a model with all its versions. It fails with NotFound.
func (s *Service) Catalog(ctx context.Context, project, name string) (out CatalogModel, err error) {
	if out.Card, err = s.Card(ctx, project, name); err != nil {
		return out, err
	}
	changes, _, err := s.changes(ctx, project, name, s.o.Webhook.Clock.Now())
	if err != nil {
		return out, err
	}
	slices.Reverse(changes)
	out.Change = append([]StageChange{}, changes...)
	out.Version, err = s.entries(ctx, project, name)
	return out, err
}
