package app

import (
	"context"
	"path/filepath"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/core/dataset"
	"github.com/slipway-ml/slipway/internal/core/delivery"
	"github.com/slipway-ml/slipway/internal/core/gate"
	"github.com/slipway-ml/slipway/internal/core/pipeline"
	"github.com/slipway-ml/slipway/internal/core/registry"
	"github.com/slipway-ml/slipway/internal/core/retrain"
	"github.com/slipway-ml/slipway/internal/core/tracking"
	"github.com/slipway-ml/slipway/internal/kit/query"
	"github.com/slipway-ml/slipway/internal/project"
)

// What one capability asks of another, answered by that other. The adapters
// stand here because capabilities do not know each other; each only turns one's
// words into the other's.

// tracker gives the pipeline's runs to tracking.
type tracker struct{ *tracking.Service }

func (t tracker) Start(ctx context.Context, r pipeline.TrackedRun) error {
	kind := tracking.KindStep
	if r.Parent == "" {
		kind = tracking.KindPipeline
	}
	_, err := t.StartRun(ctx, tracking.Start{ID: r.ID, Project: r.Project, Experiment: r.Experiment, Name: r.Name, Kind: kind,
		Parent: r.Parent, Tags: r.Tags, Params: r.Params, Begin: r.Start})
	return err
}

func (t tracker) Finish(ctx context.Context, _, id, status string, end time.Time) error {
	return t.FinishRun(ctx, id, tracking.Status(status), end)
}

func (t tracker) Metrics(ctx context.Context, _, id string) (map[string]float64, error) {
	return t.Service.Metrics(ctx, id)
}

// data finds dataset versions for the pipeline.
type data struct{ *dataset.Service }

func (d data) Resolve(ctx context.Context, project, name string, n int) (pipeline.DatasetVersion, error) {
	v, err := d.Service.Resolve(ctx, project, name, n)
	return pipeline.DatasetVersion{Name: v.Name, Version: v.Number, Tree: v.Tree, Format: v.Spec.Format, CSV: v.Spec.CSV, Schema: v.Schema}, err
}

// champions tells the gate what is in production.
type champions struct{ delivery **delivery.Service }

func (c champions) Champion(ctx context.Context, project, model, environment string) (slipway.Ref, bool, error) {
	return (*c.delivery).Champion(ctx, project, model, environment)
}

func (c champions) InUse(ctx context.Context, project string, version slipway.Ref) (string, error) {
	return (*c.delivery).InUse(ctx, project, version)
}

// judged waits until registry and gate have dealt with a run, and says what
// became of the model that it made; nil when it made none.
func (s *server) judged(ctx context.Context, p *parts, name, run string) (*pipeline.Judgement, error) {
	declared, err := p.pipeline.Project(ctx, name)
	if err != nil || declared.Model == nil {
		return nil, err
	}
	for _, consumer := range []string{"registry", "gate"} {
		if err := s.dispatcher.pass(ctx, consumer); err != nil {
			return nil, err
		}
	}
	v, err := p.models.Find(ctx, name, declared.Model.Name)
	if err != nil || v.Run != run {
		return nil, ignoreNotFound(err) // the same content as before is no new version
	}
	st, err := p.gate.Standing(ctx, name, slipway.NewRef(slipway.KindModel, v.ID()))
	if err != nil {
		return nil, ignoreNotFound(err)
	}
	return &pipeline.Judgement{Model: v.ID(), Verdict: st.Verdict, Reason: st.Reason}, nil
}

func ignoreNotFound(err error) error {
	if slipway.IsCode(err, slipway.NotFound) {
		return nil
	}
	return err
}

// models tells delivery and serving of registered versions.
type models struct{ *registry.Service }

func (m models) Model(ctx context.Context, project, name string, n int) (delivery.Model, error) {
	v, err := m.Service.Version(ctx, project, name, n)
	if err == nil && v.Content == "" {
		err = slipway.Errorf(slipway.Refused, "the files of %s are not kept here but at %s", v.ID(), v.Origin).
			WithHint("fetch them, and register them with `slipway model register PATH %s`", name)
	}
	return delivery.Model{Content: v.Content, Signature: v.Signature, Range: v.Range}, err
}

func (m models) Version(ctx context.Context, project, model string) (slipway.Digest, slipway.Signature, error) {
	v, err := m.Find(ctx, project, model)
	return v.Content, v.Signature, err
}

// Learned gives the inputs that a version was trained on.
func (m models) Learned(ctx context.Context, project, model string) (*slipway.Frame, error) {
	r, err := m.Reference(ctx, project, model)
	return r.Rows, err
}

// certificates tells delivery what the gates said, and replays golden rows.
type certificates struct{ gate *gate.Service }

func (c certificates) Certificate(ctx context.Context, project, model string) (delivery.Certificate, error) {
	st, err := c.gate.Standing(ctx, project, slipway.NewRef(slipway.KindModel, model))
	out := delivery.Certificate{Digest: st.Certificate, Verdict: string(st.Verdict)}
	if st.Waiver != nil {
		out.Waived = st.Waiver.Actor
	}
	return out, err
}

func (c certificates) Reproduce(ctx context.Context, project, model string, digest slipway.Digest) error {
	return c.gate.Reproduce(ctx, project, model, digest)
}

// runner runs pipelines for retraining.
type runner struct{ *pipeline.Service }

func (r runner) Run(ctx context.Context, name string, in retrain.Run) (retrain.Outcome, error) {
	run, err := r.Do(ctx, name, pipeline.Request{Steps: in.Steps, Params: in.Params, Window: in.Window, Data: in.Data,
		Trigger: in.Trigger, Reason: in.Reason, Quiet: in.Quiet}, nil)
	if err != nil {
		return retrain.Outcome{ID: run.ID}, err
	}
	p, err := r.Project(ctx, name)
	if err != nil {
		return retrain.Outcome{ID: run.ID}, err
	}
	out := retrain.Outcome{ID: run.ID, Output: run.Outputs()}
	if p.Model != nil {
		if a, ok := out.Output[p.Model.From.String()]; ok {
			out.Model = &a
		}
	}
	return out, nil
}

// scorer scores rows for a backtest.
type scorer struct {
	applied *pipeline.Service
	content *content.Store
	loader  registry.Loader
	rows    *query.Engine
}

func (s scorer) Score(ctx context.Context, name string, model, data slipway.Artifact) (retrain.Scored, error) {
	p, frame, err := s.read(ctx, name, data)
	if err != nil {
		return retrain.Scored{}, err
	}
	tree := model.Digest
	if !model.Tree {
		one, err := content.NewTree([]content.Entry{{Path: filepath.Base(model.Path), Digest: model.Digest, Size: model.Size}})
		if err != nil {
			return retrain.Scored{}, err
		}
		if tree, err = s.content.PutTree(ctx, one); err != nil {
			return retrain.Scored{}, err
		}
	}
	m, err := s.loader.Load(ctx, name, tree, nil)
	if err != nil {
		return retrain.Scored{}, err
	}
	defer m.Close()
	return retrain.Predict(ctx, m, frame, p)
}

func (s scorer) Times(ctx context.Context, name string, data slipway.Artifact) ([]time.Time, error) {
	p, frame, err := s.read(ctx, name, data)
	if err != nil {
		return nil, err
	}
	_, at, err := retrain.Known(frame, p)
	return at, err
}

// read is the rows of a step's output, and the project that declares their columns.
func (s scorer) read(ctx context.Context, name string, data slipway.Artifact) (*project.Project, *slipway.Frame, error) {
	p, err := s.applied.Project(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	file, err := s.content.File(ctx, data.Digest)
	if err != nil {
		return nil, nil, err
	}
	frame, err := s.rows.Read(ctx, []string{file}, "", nil, p.Timezone)
	return p, frame, err
}
