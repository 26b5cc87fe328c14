package mlflow

import (
	"context"
	"strconv"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/registry"
)

// registryRoutes is the table of registered models and their versions.
func (s *Server) registryRoutes() []route {
	r := s.o.Registry
	return append([]route{
		{"POST", "registered-models/create", s.createRegistered},
		{"GET", "registered-models/get", withModel(func(ctx context.Context, in registryRequest) (any, error) {
			return registeredReply(r.model(ctx, in.Name))
		})},
		{"GET", "registered-models/search", s.searchRegistered},
		{"POST", "registered-models/rename", withModel(func(ctx context.Context, in registryRequest) (any, error) {
			if strings.TrimSpace(in.NewName) == "" {
				return nil, required("new_name", "")
			}
			return registeredReply(inModel(ctx, r, slipway.Writer, in.Name, func(project string) (registry.Card, error) {
				return r.Models.Rename(ctx, project, in.Name, in.NewName)
			}))
		})},
		{"PATCH", "registered-models/update", withModel(func(ctx context.Context, in registryRequest) (any, error) {
			return registeredReply(inModel(ctx, r, slipway.Writer, in.Name, func(project string) (registry.Card, error) {
				return r.Models.Describe(ctx, project, in.Name, in.Description)
			}))
		})},
		{"DELETE", "registered-models/delete", withModel(func(ctx context.Context, in registryRequest) (any, error) {
			return inModel(ctx, r, slipway.Writer, in.Name, func(project string) (empty, error) {
				return empty{}, r.Models.DeleteModel(ctx, project, in.Name)
			})
		})},
		{"POST", "registered-models/set-tag", withModel(func(ctx context.Context, in registryRequest) (any, error) {
			return inModel(ctx, r, slipway.Writer, in.Name, func(project string) (empty, error) {
				return empty{}, r.Models.SetTag(ctx, project, in.Name, 0, in.tag())
			})
		})},
		{"DELETE", "registered-models/delete-tag", withModel(func(ctx context.Context, in registryRequest) (any, error) {
			return inModel(ctx, r, slipway.Writer, in.Name, func(project string) (empty, error) {
				return empty{}, r.Models.DropTag(ctx, project, in.Name, 0, in.Key)
			})
		})},
		{"POST", "registered-models/get-latest-versions", withModel(s.latestVersions)},
		{"GET", "registered-models/get-latest-versions", withModel(s.latestVersions)},
		{"POST", "registered-models/alias", withVersion(s.setAlias)},
		{"DELETE", "registered-models/alias", withModel(s.dropAlias)},
		{"GET", "registered-models/alias", withModel(func(ctx context.Context, in registryRequest) (any, error) {
			return versionReply(r.byAlias(ctx, in.Name, in.Alias))
		})},
	}, s.versionRoutes()...)
}

func (s *Server) versionRoutes() []route {
	r := s.o.Registry
	return []route{
		{"POST", "model-versions/create", s.createVersion},
		{"GET", "model-versions/get", withVersion(func(ctx context.Context, in registryRequest, n int) (any, error) {
			return versionReply(r.version(ctx, in.Name, n))
		})},
		{"GET", "model-versions/search", s.searchVersions},
		{"PATCH", "model-versions/update", withVersion(func(ctx context.Context, in registryRequest, n int) (any, error) {
			return versionReply(inVersion(ctx, r, slipway.Writer, in.Name, n, func(project string, _ registry.Entry) (registry.Entry, error) {
				return r.Models.DescribeVersion(ctx, project, in.Name, n, in.Description)
			}))
		})},
		{"POST", "model-versions/transition-stage", withVersion(s.transition)},
		{"DELETE", "model-versions/delete", withVersion(func(ctx context.Context, in registryRequest, n int) (any, error) {
			return inVersion(ctx, r, slipway.Writer, in.Name, n, func(project string, _ registry.Entry) (empty, error) {
				return empty{}, r.Models.DeleteVersion(ctx, project, in.Name, n)
			})
		})},
		{"POST", "model-versions/set-tag", withVersion(func(ctx context.Context, in registryRequest, n int) (any, error) {
			return inVersion(ctx, r, slipway.Writer, in.Name, n, func(project string, _ registry.Entry) (empty, error) {
				return empty{}, r.Models.SetTag(ctx, project, in.Name, n, in.tag())
			})
		})},
		{"DELETE", "model-versions/delete-tag", withVersion(func(ctx context.Context, in registryRequest, n int) (any, error) {
			return inVersion(ctx, r, slipway.Writer, in.Name, n, func(project string, _ registry.Entry) (empty, error) {
				return empty{}, r.Models.DropTag(ctx, project, in.Name, n, in.Key)
			})
		})},
		{"GET", "model-versions/get-download-uri", withVersion(func(ctx context.Context, in registryRequest, n int) (any, error) {
			e, err := r.version(ctx, in.Name, n)
			if err != nil {
				return nil, err
			}
			uri, err := r.downloadURI(ctx, e)
			return map[string]string{"artifact_uri": uri}, err
		})},
	}
}

// registryRequest has the fields that requests of the registry share.
type registryRequest struct {
	Name        string   `json:"name"`
	NewName     string   `json:"new_name"`
	Version     Text     `json:"version"`
	Description string   `json:"description"`
	Key         string   `json:"key"`
	Value       Text     `json:"value"`
	Alias       string   `json:"alias"`
	Stage       string   `json:"stage"`
	Stages      []string `json:"stages"`
	Archive     bool     `json:"archive_existing_versions"`
}

func (in registryRequest) tag() registry.Tag {
	return registry.Tag{Key: in.Key, Value: string(in.Value)}
}

// tagsOf turns the wire's pairs into tags.
func tagsOf(pairs []pair) []registry.Tag {
	out := make([]registry.Tag, len(pairs))
	for i, p := range fromPairs(pairs) {
		out[i] = registry.Tag{Key: p.Key, Value: p.Value}
	}
	return out
}

// withModel is an endpoint that names a registered model.
func withModel(fn func(context.Context, registryRequest) (any, error)) endpoint {
	return func(ctx context.Context, c *call) (any, error) {
		in, err := decode[registryRequest](c)
		if err == nil {
			err = required("name", in.Name)
		}
		if err != nil {
			return nil, err
		}
		return fn(ctx, in)
	}
}

// withVersion is an endpoint that names a version.
func withVersion(fn func(ctx context.Context, in registryRequest, version int) (any, error)) endpoint {
	return withModel(func(ctx context.Context, in registryRequest) (any, error) {
		if err := required("version", string(in.Version)); err != nil {
			return nil, err
		}
		n, err := strconv.Atoi(string(in.Version))
		if err != nil {
			return nil, notInteger("version", string(in.Version))
		}
		return fn(ctx, in, n)
	})
}

func notInteger(name, value string) error {
	return slipway.Errorf(slipway.Invalid, "Parameter '%s' must be an integer, got '%s'.", name, value)
}

func (s *Server) setAlias(ctx context.Context, in registryRequest, n int) (any, error) {
	if err := registry.CheckClientAlias(in.Alias); err != nil {
		return nil, err
	}
	r := s.o.Registry
	return inVersion(ctx, r, slipway.Writer, in.Name, n, func(project string, _ registry.Entry) (empty, error) {
		return empty{}, r.Models.PointAlias(ctx, project, in.Name, in.Alias, n)
	})
}

func (s *Server) dropAlias(ctx context.Context, in registryRequest) (any, error) {
	r := s.o.Registry
	return inModel(ctx, r, slipway.Writer, in.Name, func(project string) (empty, error) {
		_, err := r.Models.Card(ctx, project, in.Name)
		if err != nil {
			return empty{}, err
		}
		return empty{}, ignoreMissing(r.Models.PointAlias(ctx, project, in.Name, in.Alias, 0))
	})
}

func (s *Server) createRegistered(ctx context.Context, c *call) (any, error) {
	in, err := decode[struct {
		Name        string `json:"name"`
		Description string `json:"description"`
		Tags        []pair `json:"tags"`
	}](c)
	if err == nil {
		err = required("name", in.Name)
	}
	if err != nil {
		return nil, err
	}
	return registeredReply(s.o.Registry.createModel(ctx, in.Name, in.Description, tagsOf(in.Tags)))
}

type searchRequest struct {
	Filter string   `json:"filter"`
	Order  []string `json:"order_by"`
	Limit  Int      `json:"max_results"`
	Page   string   `json:"page_token"`
}

// query is the search within what the caller may read.
func (in searchRequest) query(ctx context.Context) (registry.Search, error) {
	if in.Limit < 0 {
		return registry.Search{}, slipway.Errorf(slipway.Invalid, "Invalid value %d for parameter 'max_results' supplied: It must be a positive integer", in.Limit)
	}
	return scoped(ctx, registry.Search{Filter: in.Filter, Order: in.Order, Limit: int(in.Limit), Page: in.Page})
}

func (s *Server) searchRegistered(ctx context.Context, c *call) (any, error) {
	in, err := decode[searchRequest](c)
	if err != nil {
		return nil, err
	}
	q, err := in.query(ctx)
	if err != nil {
		return nil, err
	}
	found, next, err := s.o.Registry.Models.SearchModels(ctx, q)
	out := struct {
		Models []registeredWire `json:"registered_models"`
		Next   string           `json:"next_page_token,omitempty"`
	}{[]registeredWire{}, next}
	for _, m := range found {
		out.Models = append(out.Models, registeredOut(m))
	}
	return out, err
}

func (s *Server) latestVersions(ctx context.Context, in registryRequest) (any, error) {
	found, err := s.o.Registry.latest(ctx, in.Name, in.Stages)
	return map[string]any{"model_versions": versionsOut(found)}, err
}

func (s *Server) createVersion(ctx context.Context, c *call) (any, error) {
	in, err := decode[struct {
		Name        string `json:"name"`
		Source      string `json:"source"`
		Run         string `json:"run_id"`
		RunLink     string `json:"run_link"`
		Description string `json:"description"`
		Model       string `json:"model_id"`
		Tags        []pair `json:"tags"`
	}](c)
	if err == nil {
		err = required("name", in.Name)
	}
	if err == nil {
		err = required("source", in.Source)
	}
	if err != nil {
		return nil, err
	}
	return versionReply(s.o.Registry.create(ctx, registry.Arrival{Name: in.Name, Description: in.Description, Origin: in.Source,
		Run: in.Run, RunLink: in.RunLink, LoggedModel: in.Model, Tag: tagsOf(in.Tags)}))
}

func (s *Server) searchVersions(ctx context.Context, c *call) (any, error) {
	in, err := decode[searchRequest](c)
	if err != nil {
		return nil, err
	}
	q, err := in.query(ctx)
	if err != nil {
		return nil, err
	}
	found, next, err := s.o.Registry.Models.SearchVersions(ctx, q)
	out := struct {
		Versions []versionWire `json:"model_versions"`
		Next     string        `json:"next_page_token,omitempty"`
	}{versionsOut(found), next}
	return out, err
}

func (s *Server) transition(ctx context.Context, in registryRequest, n int) (any, error) {
	stage, err := canonicalStage(in.Stage)
	if err != nil {
		return nil, err
	}
	return versionReply(s.o.Registry.transition(ctx, in.Name, n, stage, in.Archive))
}
