package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/slipway-ml/slipway"
)

// The stages of a version, which are MLflow's.
const (
	StageNone       = "None"
	StageStaging    = "Staging"
	StageProduction = "Production"
	StageArchived   = "Archived"
)

// Stages are all that there are.
var Stages = []string{StageNone, StageStaging, StageProduction, StageArchived}

// stageOf is the stage that an environment stands for.
var stageOf = map[string]string{"staging": StageStaging, "production": StageProduction}

// StageChange is one move of a version from a stage to another.
type StageChange struct {
	Model   string    `json:"model"`
	Version int       `json:"version"`
	Stage   string    `json:"stage"`
	Before  string    `json:"before"`
	At      time.Time `json:"at"`
	Actor   string    `json:"actor"`
}

// Transition moves a version to a stage. archive sends the other versions that
// are there to Archived. It fails with NotFound.
func (s *Service) Transition(ctx context.Context, project, name string, n int, stage string, archive bool) (Entry, error) {
	if archive && stage != StageStaging && stage != StageProduction {
		return Entry{}, slipway.Errorf(slipway.Invalid, "Model version transition cannot archive existing model versions because '%s' is not an Active stage. "+
			"Valid stages are Staging, Production", stage)
	}
	if err := s.moveStage(ctx, project, name, n, stage, archive); err != nil {
		return Entry{}, err
	}
	return s.Entry(ctx, project, name, n)
}

// released writes down what a release did to the stage of its version: the
// champion of an environment is in that stage, and one that ceased to be is
// archived unless it moved on.
func (s *Service) released(ctx context.Context, e slipway.Event) error {
	var r struct {
		Environment string `json:"environment"`
		Model       string `json:"model"`
	}
	if err := json.Unmarshal(e.Data, &r); err != nil {
		return fmt.Errorf("%s: %w", e.Verb, err)
	}
	stage := stageOf[r.Environment]
	name, n := slipway.NewRef(slipway.KindModel, r.Model).Version()
	if stage == "" || n == 0 {
		return nil
	}
	ctx = slipway.WithPrincipal(ctx, slipway.Principal{Name: e.Actor, Role: slipway.Operator})
	if e.Verb == "release.activated" {
		return gone(s.moveStage(ctx, e.Project, name, n, stage, false))
	}
	v, err := s.Version(ctx, e.Project, name, n)
	if err != nil || v.Stage != stage {
		return gone(err)
	}
	return gone(s.moveStage(ctx, e.Project, name, n, StageArchived, false))
}

// gone passes over what was deleted meanwhile.
func gone(err error) error {
	if slipway.IsCode(err, slipway.NotFound) {
		return nil
	}
	return err
}

// Held is what a stage or an alias of a model meant at a time.
type Held struct {
	Model   string    `json:"model"`
	Kind    string    `json:"kind"` // stage or alias
	Name    string    `json:"name"` // such as Production
	Version int       `json:"version"`
	Since   time.Time `json:"since"`
	Actor   string    `json:"actor"`
}

// History is which versions stood in which stages, and what each alias meant,
// at a time. name "" is every model of the project.
func (s *Service) History(ctx context.Context, project, name string, at time.Time) ([]Held, error) {
	stages, aliases, err := s.changes(ctx, project, name, at)
	if err != nil {
		return nil, err
	}
	type key struct {
		model, kind, name string
		version           int
	}
	last := map[key]Held{}
	var order []key
	note := func(k key, h Held) {
		if _, ok := last[k]; !ok {
			order = append(order, k)
		}
		last[k] = h
	}
	for _, c := range stages {
		note(key{c.Model, "stage", "", c.Version}, Held{c.Model, "stage", c.Stage, c.Version, c.At, c.Actor})
	}
	for _, c := range aliases {
		note(key{c.model, "alias", c.Alias, 0}, Held{c.model, "alias", c.Alias, c.Version, c.At, c.Actor})
	}
	out := []Held{}
	for _, k := range order {
		if h := last[k]; h.Name != StageNone && h.Version != 0 {
			out = append(out, h)
		}
	}
	return out, nil
}
