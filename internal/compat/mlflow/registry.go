package mlflow

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/core/registry"
	"github.com/slipway-ml/slipway/internal/core/tracking"
)

// Registry is the model registry as MLflow's API sees it. It is the one
// registry of core/registry: what is added here is which project a name
// belongs to, where a client's files are, and MLflow's words for what went
// wrong. Its methods check the principal.
type Registry struct {
	Models   *registry.Service
	Tracking *tracking.Service
	Content  *content.Store
	Deploy   Deploy // nil: stages are labels only
}

// Deploy knows what projects declare about models, and releases versions.
type Deploy interface {
	// Home is the project whose slipway.yaml names a model, "" when none does or
	// several do.
	Home(ctx context.Context, model string) (string, error)
	// Release asks for a version, name@vN, to be released to an environment.
	// declared is false when the project's deploy: does not speak of that model
	// and environment, and nothing was done. active says that it answers now and
	// is not still being rolled out. It fails with Refused, and Denied.
	Release(ctx context.Context, project, version, environment string) (declared, active bool, err error)
}

// environmentOf is the environment that a stage stands for.
var environmentOf = map[string]string{registry.StageStaging: "staging", registry.StageProduction: "production"}

// home is the project of a name: the caller's, the one that has a model of that
// name, the one whose slipway.yaml names it, or the default one.
func (r *Registry) home(ctx context.Context, need slipway.Role, name string) (string, error) {
	own := slipway.PrincipalOf(ctx).Project
	if err := slipway.Allow(ctx, need, own); err != nil || own != "" {
		return own, err
	}
	if err := registry.CheckClientName(name); err != nil {
		return "", err
	}
	homes, err := r.Models.Homes(ctx, name)
	if err != nil || len(homes) == 1 {
		return strings.Join(homes, ""), err
	}
	if r.Deploy != nil {
		if own, err = r.Deploy.Home(ctx, name); err != nil {
			return "", err
		}
	}
	switch {
	case own != "" && (len(homes) == 0 || slices.Contains(homes, own)):
		return own, nil
	case len(homes) == 0 || slices.Contains(homes, tracking.DefaultProject):
		return tracking.DefaultProject, nil
	}
	return "", slipway.Errorf(slipway.Invalid, "The projects %s each have a registered model %s", strings.Join(homes, ", "), name).
		WithHint("use a token of the project that you mean")
}

// inModel calls fn with the project of a name, and says what is missing in
// MLflow's words.
func inModel[T any](ctx context.Context, r *Registry, need slipway.Role, name string, fn func(project string) (T, error)) (out T, err error) {
	project, err := r.home(ctx, need, name)
	if err == nil {
		out, err = fn(project)
	}
	switch {
	case slipway.IsCode(err, slipway.NotFound) && !strings.HasPrefix(slipway.AsError(err).Message, "Model Version"):
		err = slipway.Errorf(slipway.NotFound, "Registered Model with name=%s not found", name)
	case slipway.IsCode(err, slipway.Conflict) && !strings.HasPrefix(slipway.AsError(err).Message, "Registered Model"):
		err = slipway.Errorf(slipway.Refused, "%s", slipway.AsError(err).Message) // a release needs it
	}
	return out, err
}

// inVersion is inModel for a version, which must be there.
func inVersion[T any](ctx context.Context, r *Registry, need slipway.Role, name string, n int, fn func(project string, e registry.Entry) (T, error)) (T, error) {
	return inModel(ctx, r, need, name, func(project string) (out T, err error) {
		if _, err = r.Models.Card(ctx, project, name); err != nil {
			return out, err
		}
		e, err := r.Models.Entry(ctx, project, name, n)
		if err != nil {
			return out, err
		}
		return fn(project, e)
	})
}

func (r *Registry) createModel(ctx context.Context, name, description string, tags []registry.Tag) (registry.Card, error) {
	return inModel(ctx, r, slipway.Writer, name, func(project string) (registry.Card, error) {
		return r.Models.CreateModel(ctx, project, name, description, tags)
	})
}

func (r *Registry) model(ctx context.Context, name string) (registry.Card, error) {
	return inModel(ctx, r, slipway.Reader, name, func(project string) (registry.Card, error) { return r.Models.Card(ctx, project, name) })
}

// scoped limits a search to what the principal may read.
func scoped(ctx context.Context, q registry.Search) (registry.Search, error) {
	q.Project = slipway.PrincipalOf(ctx).Project
	return q, slipway.Allow(ctx, slipway.Reader, q.Project)
}

// latest are the newest versions of the stages that are named, or of all.
func (r *Registry) latest(ctx context.Context, name string, stages []string) ([]registry.Entry, error) {
	wanted := map[string]bool{}
	for _, text := range stages {
		stage, err := canonicalStage(text)
		if err != nil {
			return nil, err
		}
		wanted[stage] = true
	}
	c, err := r.model(ctx, name)
	return slices.DeleteFunc(c.Latest, func(e registry.Entry) bool { return len(wanted) > 0 && !wanted[e.Stage] }), err
}

// canonicalStage reads a stage in any case. It fails with Invalid.
func canonicalStage(text string) (string, error) {
	for _, stage := range registry.Stages {
		if strings.EqualFold(stage, text) {
			return stage, nil
		}
	}
	return "", slipway.Errorf(slipway.Invalid, "Invalid Model Version stage: %s. Value must be one of %s.", text, strings.Join(registry.Stages, ", "))
}

func (r *Registry) byAlias(ctx context.Context, name, alias string) (registry.Entry, error) {
	return inModel(ctx, r, slipway.Reader, name, func(project string) (e registry.Entry, err error) {
		if _, err = r.Models.Card(ctx, project, name); err != nil {
			return e, err
		}
		n, err := r.Models.Aliased(ctx, project, name, alias)
		if err == nil && n == 0 {
			err = slipway.Errorf(slipway.Invalid, "Registered model alias %s not found.", alias)
		}
		if err != nil {
			return e, err
		}
		return r.Models.Entry(ctx, project, name, n)
	})
}

// transition moves a version to a stage. For a model that its project deploys,
// staging and production are environments, and to go there is to ask for a
// release; elsewhere stages are labels.
func (r *Registry) transition(ctx context.Context, name string, n int, stage string, archive bool) (registry.Entry, error) {
	return inVersion(ctx, r, slipway.Writer, name, n, func(project string, e registry.Entry) (registry.Entry, error) {
		environment := environmentOf[stage]
		if environment == "" {
			if err := r.Models.Unneeded(ctx, project, name, n); err != nil {
				return e, err
			}
		} else if r.Deploy != nil {
			id := slipway.VersionRef(slipway.KindModel, name, n).ID
			declared, active, err := r.Deploy.Release(ctx, project, id, environment)
			if slipway.IsCode(err, slipway.Refused) {
				err = slipway.Errorf(slipway.Invalid, "%s cannot go to %s: %s", id, stage, slipway.AsError(err).Message).WithHint("%s", slipway.AsError(err).Hint)
			}
			if err != nil || declared && !active {
				return e, err // on its way: the stage follows when the rollout is through
			}
			archive = archive && !declared // the release before has been retired, and archived by that
		}
		return r.Models.Transition(ctx, project, name, n, stage, archive)
	})
}

// create registers a version of the files that a client names.
func (r *Registry) create(ctx context.Context, in registry.Arrival) (registry.Entry, error) {
	return inModel(ctx, r, slipway.Writer, in.Name, func(project string) (registry.Entry, error) {
		if _, err := r.Models.Card(ctx, project, in.Name); err != nil {
			return registry.Entry{}, err
		}
		in.Project = project
		if err := r.resolve(ctx, &in); err != nil {
			return registry.Entry{}, err
		}
		e, err := r.Models.Arrive(ctx, in)
		if err == nil && in.LoggedModel != "" {
			err = r.tagLogged(ctx, in.LoggedModel, e)
		}
		return e, err
	})
}

// versionsTag is the tag of a logged model that lists the versions that it
// became, written as MLflow writes it: clients add to it by themselves.
const versionsTag = "mlflow.modelVersions"

func (r *Registry) tagLogged(ctx context.Context, id string, e registry.Entry) error {
	m, err := r.Tracking.Model(ctx, id, false)
	if err != nil {
		return ignoreMissing(err)
	}
	name, err := json.Marshal(e.Name)
	if err != nil {
		return err
	}
	text := fmt.Sprintf(`{"name": %s, "version": %d}`, name, e.Version)
	for _, t := range m.Tags {
		if list, ok := strings.CutSuffix(t.Value, "]"); t.Key == versionsTag && ok && len(list) > 1 {
			text = list[1:] + ", " + text
		}
	}
	_, err = r.Tracking.SetModelFields(ctx, id, nil, []tracking.Pair{{Key: versionsTag, Value: "[" + text + "]"}})
	return err
}
