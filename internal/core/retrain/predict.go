package retrain

import (
	"context"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/project"
)

// Predict has a model answer the rows of a frame that holds the features, the
// target and the event time that the project declares. Rows without a target or
// a time are left out. It serves binary classifiers whose target is 0 or 1, and
// regressions; it fails with Invalid for others.
func Predict(ctx context.Context, m predictor.Model, rows *slipway.Frame, p *project.Project) (Scored, error) {
	target, at, err := truthColumns(rows, p)
	if err != nil {
		return Scored{}, err
	}
	input := &slipway.Frame{Rows: rows.Rows}
	for _, c := range m.Signature().Input {
		s := rows.Column(c.Name)
		if s == nil {
			return Scored{}, slipway.Errorf(slipway.Invalid, "the rows have no column %s, which the model takes", c.Name)
		}
		input.Series = append(input.Series, *s)
	}
	answer, err := m.Predict(ctx, input)
	if err != nil {
		return Scored{}, err
	}
	if len(answer.Series) != 1 || answer.Series[0].Text != nil {
		return Scored{}, slipway.Errorf(slipway.Invalid, "a backtest compares models with one number a row; this one gives %d columns", len(answer.Series))
	}
	out := Scored{Feature: map[string][]float64{}}
	for i := range rows.Rows {
		if target.Missing(i) || at.Missing(i) {
			continue
		}
		out.Y = append(out.Y, target.Float[i])
		out.P = append(out.P, answer.Series[0].Float[i])
		out.Time = append(out.Time, time.UnixMicro(int64(at.Float[i])).UTC())
		for _, s := range input.Series {
			if s.Text == nil {
				out.Feature[s.Name] = append(out.Feature[s.Name], s.Float[i])
			}
		}
	}
	return out, nil
}

// truthColumns finds the target and the event time among the rows.
func truthColumns(rows *slipway.Frame, p *project.Project) (target, at *slipway.Series, err error) {
	if p.Model == nil {
		return nil, nil, slipway.Errorf(slipway.Invalid, "slipway.yaml declares no model")
	}
	if target = rows.Column(p.Model.Target); target == nil {
		return nil, nil, slipway.Errorf(slipway.Invalid, "the rows have no column %s, the target", p.Model.Target)
	}
	if target.Text != nil {
		return nil, nil, slipway.Errorf(slipway.Invalid, "the target %s is text; a backtest takes 0 and 1, or a number", p.Model.Target)
	}
	for _, d := range p.Data {
		if at = rows.Column(d.Time.Expression); at != nil && d.Time.Expression != "" {
			return target, at, nil
		}
	}
	return nil, nil, slipway.Errorf(slipway.Invalid, "the rows have no column of event time").
		WithHint("a step that makes rows to score keeps the time column of its data")
}
