package app

import (
	"context"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/delivery"
	"github.com/slipway-ml/slipway/internal/core/pipeline"
)

// declared tells the MLflow API what projects deploy, and asks delivery for
// what a stage means there.
type declared struct {
	applied  *pipeline.Service
	delivery *delivery.Service
}

func (d declared) Home(ctx context.Context, model string) (string, error) {
	projects, err := d.applied.Projects(ctx)
	if err != nil {
		return "", err
	}
	home := ""
	for _, name := range projects {
		p, err := d.applied.Project(ctx, name)
		if err != nil {
			return "", err
		}
		if p.Model == nil || p.Model.Name != model {
			continue
		}
		if home != "" {
			return "", nil
		}
		home = name
	}
	return home, nil
}

func (d declared) Release(ctx context.Context, name, version, environment string) (known, active bool, err error) {
	p, err := d.applied.Project(ctx, name)
	if err != nil {
		return false, false, ignoreNotFound(err)
	}
	model, _ := slipway.NewRef(slipway.KindModel, version).Version()
	if p.Model == nil || p.Model.Name != model || p.Deploy.Environment(environment) == nil {
		return false, false, nil
	}
	if err := slipway.Allow(ctx, slipway.Operator, name); err != nil {
		return true, false, err
	}
	r, err := d.delivery.Release(ctx, delivery.Request{Project: name, Environment: environment, Model: version, Reason: "asked for by the stage of the model registry"})
	if slipway.IsCode(err, slipway.Conflict) {
		err = nil // it is there already, or on its way
	}
	return true, r.State == delivery.Active, err
}
