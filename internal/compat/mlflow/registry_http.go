package mlflow

import (
	"context"
	"strconv"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/tracking"
)

// registryRoutes is the table of registered models and their versions.
func (s *Server) registryRoutes() []route {
	r := s.o.Registry
	return []route{
		{"POST", "registered-models/create", s.createRegistered},
		{"GET", "registered-models/get", withModel(func(ctx context.Context, in registryRequest) (any, error) {
			return registeredReply(r.Model(ctx, in.Name))
		})},
		{"GET", "registered-models/search", s.searchRegistered},
		{"POST", "registered-models/rename", withModel(func(ctx context.Context, in registryRequest) (any, error) {
			if err := checkModelName(in.NewName); err != nil {
				return nil, err
			}
			return registeredReply(r.RenameModel(ctx, in.Name, in.NewName))
		})},
		{"PATCH", "registered-models/update", withModel(func(ctx context.Context, in registryRequest) (any, error) {
			return registeredReply(r.DescribeModel(ctx, in.Name, in.Description))
		})},
		{"DELETE", "registered-models/delete", withModel(func(ctx context.Context, in registryRequest) (any, error) {
			return empty{}, r.DeleteModel(ctx, in.Name)
		})},
		{"POST", "registered-models/set-tag", withModel(func(ctx context.Context, in registryRequest) (any, error) {
			return empty{}, r.SetModelTag(ctx, in.Name, in.tag())
		})},
		{"DELETE", "registered-models/delete-tag", withModel(func(ctx context.Context, in registryRequest) (any, error) {
			return empty{}, r.DeleteModelTag(ctx, in.Name, in.Key)
		})},
		{"POST", "registered-models/get-latest-versions", withModel(s.latestVersions)},
		{"GET", "registered-models/get-latest-versions", withModel(s.latestVersions)},
		{"POST", "registered-models/alias", withVersion(func(ctx context.Context, in registryRequest, version int) (any, error) {
			if err := checkAlias(in.Alias); err != nil {
				return nil, err
			}
			return empty{}, r.SetAlias(ctx, in.Name, in.Alias, version)
		})},
		{"DELETE", "registered-models/alias", withModel(func(ctx context.Context, in registryRequest) (any, error) {
			return empty{}, r.DeleteAlias(ctx, in.Name, in.Alias)
		})},
		{"GET", "registered-models/alias", withModel(func(ctx context.Context, in registryRequest) (any, error) {
			return versionReply(r.ByAlias(ctx, in.Name, in.Alias))
		})},
		{"POST", "model-versions/create", s.createVersion},
		{"GET", "model-versions/get", withVersion(func(ctx context.Context, in registryRequest, version int) (any, error) {
			return versionReply(r.Version(ctx, in.Name, version))
		})},
		{"GET", "model-versions/search", s.searchVersions},
		{"PATCH", "model-versions/update", withVersion(func(ctx context.Context, in registryRequest, version int) (any, error) {
			return versionReply(r.DescribeVersion(ctx, in.Name, version, in.Description))
		})},
		{"POST", "model-versions/transition-stage", withVersion(s.transition)},
		{"DELETE", "model-versions/delete", withVersion(func(ctx context.Context, in registryRequest, version int) (any, error) {
			return empty{}, r.DeleteVersion(ctx, in.Name, version)
		})},
		{"POST", "model-versions/set-tag", withVersion(func(ctx context.Context, in registryRequest, version int) (any, error) {
			return empty{}, r.SetVersionTag(ctx, in.Name, version, in.tag())
		})},
		{"DELETE", "model-versions/delete-tag", withVersion(func(ctx context.Context, in registryRequest, version int) (any, error) {
			return empty{}, r.DeleteVersionTag(ctx, in.Name, version, in.Key)
		})},
		{"GET", "model-versions/get-download-uri", withVersion(func(ctx context.Context, in registryRequest, version int) (any, error) {
			uri, err := r.DownloadURI(ctx, in.Name, version)
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

func (in registryRequest) tag() tracking.Pair {
	return tracking.Pair{Key: in.Key, Value: string(in.Value)}
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
			return nil, slipway.Errorf(slipway.Invalid, "Invalid value '%s' for parameter 'version' supplied: it must be an integer", in.Version)
		}
		return fn(ctx, in, n)
	})
}

// checkModelName refuses names that a URI such as models:/name/1 could not hold.
func checkModelName(name string) error {
	if strings.TrimSpace(name) == "" {
		return required("name", "")
	}
	if strings.ContainsAny(name, "/:") || name == "." || strings.HasPrefix(name, "..") {
		return slipway.Errorf(slipway.Invalid, "Invalid model name '%s'. Names cannot contain '/' or ':'.", name)
	}
	return nil
}

// checkAlias refuses "latest" and v1, which mean something else in a URI.
func checkAlias(alias string) error {
	if err := required("alias", alias); err != nil {
		return err
	}
	rest, isV := strings.CutPrefix(strings.ToLower(alias), "v")
	_, err := strconv.Atoi(rest)
	if strings.EqualFold(alias, "latest") || isV && err == nil {
		return slipway.Errorf(slipway.Invalid, "'%s' alias name is reserved.", alias)
	}
	if len(alias) > maxAlias {
		return slipway.Errorf(slipway.Invalid, "Registered model alias name exceeds the maximum length of %d characters", maxAlias)
	}
	return nil
}

const maxAlias = 255

func (s *Server) createRegistered(ctx context.Context, c *call) (any, error) {
	in, err := decode[struct {
		Name        string `json:"name"`
		Description string `json:"description"`
		Tags        []pair `json:"tags"`
	}](c)
	if err == nil {
		err = checkModelName(in.Name)
	}
	if err != nil {
		return nil, err
	}
	return registeredReply(s.o.Registry.CreateModel(ctx, in.Name, in.Description, fromPairs(in.Tags)))
}

type searchRequest struct {
	Filter string   `json:"filter"`
	Order  []string `json:"order_by"`
	Limit  Int      `json:"max_results"`
	Page   string   `json:"page_token"`
}

func (in searchRequest) query() RegistrySearch {
	return RegistrySearch{in.Filter, in.Order, int(in.Limit), in.Page}
}

func (s *Server) searchRegistered(ctx context.Context, c *call) (any, error) {
	in, err := decode[searchRequest](c)
	if err != nil {
		return nil, err
	}
	found, next, err := s.o.Registry.SearchModels(ctx, in.query())
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
	found, err := s.o.Registry.Latest(ctx, in.Name, in.Stages)
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
	return versionReply(s.o.Registry.CreateVersion(ctx, NewVersion{Name: in.Name, Description: in.Description, Source: in.Source,
		Run: in.Run, RunLink: in.RunLink, LoggedModel: in.Model, Tags: fromPairs(in.Tags)}))
}

func (s *Server) searchVersions(ctx context.Context, c *call) (any, error) {
	in, err := decode[searchRequest](c)
	if err != nil {
		return nil, err
	}
	found, next, err := s.o.Registry.SearchVersions(ctx, in.query())
	out := struct {
		Versions []versionWire `json:"model_versions"`
		Next     string        `json:"next_page_token,omitempty"`
	}{versionsOut(found), next}
	return out, err
}

// stages are the only ones there are.
var stages = []string{"None", "Staging", "Production", "Archived"}

func (s *Server) transition(ctx context.Context, in registryRequest, version int) (any, error) {
	for _, stage := range stages {
		if strings.EqualFold(stage, in.Stage) {
			return versionReply(s.o.Registry.Transition(ctx, in.Name, version, stage, in.Archive))
		}
	}
	return nil, slipway.Errorf(slipway.Invalid, "Invalid Model Version stage: %s. Value must be one of None, Staging, Production, Archived.", in.Stage)
}
