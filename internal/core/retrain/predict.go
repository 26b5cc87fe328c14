package retrain

import (
	"context"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/project"
	"github.com/slipway-ml/slipway/internal/stat"
)

// Predict has a model answer the rows of a frame that holds the features, the
// target and the event time that the project declares. Rows without a target or
// a time are left out. It fails with Invalid where a column is missing or does
// not fit the model.
func Predict(ctx context.Context, m predictor.Model, rows *slipway.Frame, p *project.Project) (Scored, error) {
	rows, at, err := Known(rows, p)
	if err != nil {
		return Scored{}, err
	}
	sig := m.Signature()
	if sig.Task == "" {
		sig.Task = slipway.Task(p.Model.Task)
	}
	truth, err := stat.NewTruth(rows.Column(p.Model.Target), stat.Task(sig.Task), sig.Classes)
	if err != nil {
		return Scored{}, err
	}
	input := &slipway.Frame{Rows: rows.Rows}
	out := Scored{Time: at, Feature: map[string][]float64{}}
	for _, c := range sig.Input {
		s := rows.Column(c.Name)
		if s == nil {
			return Scored{}, slipway.Errorf(slipway.Invalid, "the rows have no column %s, which the model takes", c.Name)
		}
		input.Series = append(input.Series, *s)
		if s.Text == nil {
			out.Feature[s.Name] = s.Float
		}
	}
	answer, err := m.Predict(ctx, input)
	if err != nil {
		return Scored{}, err
	}
	out.Scored, err = truth.Scored(answer)
	return out, err
}

// Known keeps the rows that have a target and an event time, and returns those
// times. It fails with Invalid where either column is missing.
func Known(rows *slipway.Frame, p *project.Project) (*slipway.Frame, []time.Time, error) {
	target := rows.Column(p.Model.Target)
	if target == nil {
		return nil, nil, slipway.Errorf(slipway.Invalid, "the rows have no column %s, the target", p.Model.Target)
	}
	at := p.EventTime(rows)
	if at == nil {
		return nil, nil, slipway.Errorf(slipway.Invalid, "the rows have no column of event time").
			WithHint("a step that makes rows to score keeps the time of its data in one column")
	}
	var keep []int
	var times []time.Time
	for i := range rows.Rows {
		if !target.Missing(i) && !at.Missing(i) {
			keep, times = append(keep, i), append(times, time.UnixMicro(int64(at.Float[i])).UTC())
		}
	}
	if len(keep) < rows.Rows {
		rows = rows.Take(keep)
	}
	return rows, times, nil
}
