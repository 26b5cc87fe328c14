package app

import (
	"context"
	"iter"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/core/audit"
	"github.com/slipway-ml/slipway/internal/core/delivery"
	"github.com/slipway-ml/slipway/internal/core/monitor"
	"github.com/slipway-ml/slipway/internal/core/pipeline"
	"github.com/slipway-ml/slipway/internal/core/registry"
	"github.com/slipway-ml/slipway/internal/core/serving"
)

// Adapters around the prediction log: serving writes it, monitor reads it, and
// delivery, retrain and audit ask monitor what was in it.

// gateway is the name of this process's own gateway in the log.
const gateway = "local"

// predictionLog gives the sealed segments of this process's gateway, and those
// that others sent, to monitor.
type predictionLog struct{ *serving.Service }

func (l predictionLog) Sealed(ctx context.Context, ingested map[string]int64) iter.Seq2[monitor.Segment, error] {
	return func(yield func(monitor.Segment, error) bool) {
		for _, all := range []iter.Seq2[serving.Segment, error]{l.Segments(ctx, ingested[gateway]), l.Received(ctx, ingested)} {
			for segment, err := range all {
				out := monitor.Segment{Gateway: segment.Gateway, Number: segment.Number}
				if err == nil {
					out.Batches, err = segment.All()
				}
				if !yield(out, err) || err != nil {
					return
				}
			}
		}
	}
}

// training tells monitor what a model learned from and was judged by: together
// they are the past that drift is measured against.
type training struct {
	models  *registry.Service
	applied *pipeline.Service
}

func (t training) Training(ctx context.Context, project, model string) (monitor.Training, error) {
	r, err := t.models.Reference(ctx, project, model)
	out := monitor.Training{Signature: r.Signature, Rows: r.Rows, Time: r.Time}
	if err != nil || r.Rows == nil {
		return out, err
	}
	p, err := t.applied.Project(ctx, project)
	if err != nil || p.Gates == nil {
		return out, ignore(err, slipway.NotFound)
	}
	v, err := t.models.Find(ctx, project, model)
	if err != nil {
		return out, err
	}
	names := r.Rows.Schema().Names()
	judged, err := t.models.Input(ctx, v, p.Gates.Data, names)
	if err != nil || len(judged.Series) != len(names) {
		return out, ignore(err, slipway.NotFound)
	}
	rows := r.Rows.Select(names)
	if err := rows.Append(judged); err != nil {
		return out, nil // of another shape: the training rows alone serve
	}
	out.Rows = rows
	return out, nil
}

// ignore drops an error of the code.
func ignore(err error, code slipway.Code) error {
	if slipway.IsCode(err, code) {
		return nil
	}
	return err
}

// openedModels lets monitor score logged requests with another version.
type openedModels struct {
	registry *registry.Service
	loader   registry.Loader
}

func (o openedModels) Open(ctx context.Context, project, model string) (string, predictor.Model, error) {
	v, err := o.registry.Find(ctx, project, model)
	if err != nil {
		return "", nil, err
	}
	m, err := o.loader.Load(ctx, project, v.Content, &v.Signature)
	return v.ID(), m, err
}

// evidence tells delivery how the variants of an endpoint did. It is bound late:
// monitor is made after delivery.
type evidence struct{ monitor **monitor.Service }

func (e evidence) Compare(ctx context.Context, project, endpoint, champion, challenger string, since time.Time) (delivery.Comparison, error) {
	c, err := (*e.monitor).Compare(ctx, project, endpoint, champion, challenger, since)
	out := delivery.Comparison{Failure: c.Failure, Requests: c.Requests, Failed: c.Failed, P99: c.P99}
	for _, l := range c.Loss {
		out.Loss = append(out.Loss, delivery.Loss(l))
	}
	return out, err
}

// logged finds predictions that left the gateway's own log.
type logged struct{ monitor **monitor.Service }

func (l logged) Prediction(ctx context.Context, project, id string) (*slipway.Frame, string, error) {
	p, err := (*l.monitor).Prediction(ctx, project, id)
	return p.Row, p.Model, err
}

// predictions lets audit trace an answer.
type predictions struct{ *monitor.Service }

func (p predictions) Prediction(ctx context.Context, project, id string) (audit.Prediction, error) {
	found, err := p.Service.Prediction(ctx, project, id)
	if err != nil {
		return audit.Prediction{}, err
	}
	data := map[string]any{"time": found.Time, "key": found.Key, "model": found.Model}
	for name, v := range found.Output {
		data[name] = v
	}
	for name, v := range found.Input {
		data["input."+name] = v
	}
	if found.Label != nil {
		data["label"] = found.Label
	}
	return audit.Prediction{ID: id, Endpoint: found.Endpoint, Release: found.Release, Model: found.Model, Data: data}, nil
}
