package mlflow

import (
	"context"
	"strconv"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/tracking"
)

// sourceModel is a logged model as a server tells it.
type sourceModel struct {
	Info struct {
		ID       string `json:"model_id"`
		Name     string `json:"name"`
		Created  Int    `json:"creation_timestamp_ms"`
		Updated  Int    `json:"last_updated_timestamp_ms"`
		Artifact string `json:"artifact_uri"`
		Status   string `json:"status"`
		Type     string `json:"model_type"`
		Run      string `json:"source_run_id"`
		Message  string `json:"status_message"`
		Tags     []pair `json:"tags"`
	} `json:"info"`
	Data struct {
		Params  []pair `json:"params"`
		Metrics []struct {
			metricIn
			Run string `json:"run_id"`
		} `json:"metrics"`
	} `json:"data"`
}

func (in sourceModel) model() tracking.LoggedModel {
	m := tracking.LoggedModel{ID: in.Info.ID, Name: in.Info.Name, Created: moment(in.Info.Created), Updated: moment(in.Info.Updated),
		Artifact: in.Info.Artifact, Type: in.Info.Type, Run: in.Info.Run, Message: in.Info.Message, Stage: tracking.Active,
		Params: fromPairs(in.Data.Params), Tags: fromPairs(in.Info.Tags), Status: tracking.ModelPending}
	switch {
	case strings.Contains(in.Info.Status, "READY"):
		m.Status = tracking.ModelReady
	case strings.Contains(in.Info.Status, "FAILED"):
		m.Status = tracking.ModelFailed
	}
	for _, x := range in.Data.Metrics {
		m.Metrics = append(m.Metrics, tracking.RunMetric{Run: x.Run, Metric: tracking.Metric{Key: x.Key, Point: x.point(), Model: m.ID, Dataset: x.Dataset, Digest: x.Digest}})
	}
	return m
}

// Models finds the logged models; a server of before MLflow 3 has none.
func (s *serverSource) Models(ctx context.Context, experiment int64, fn func(tracking.LoggedModel) error) error {
	for page := ""; ; {
		var in struct {
			Models []sourceModel `json:"models"`
			Next   string        `json:"next_page_token"`
		}
		err := s.call(ctx, "logged-models/search", map[string]any{"experiment_ids": []string{strconv.FormatInt(experiment, 10)},
			"max_results": sourceModels, "page_token": page}, &in)
		if slipway.IsCode(err, slipway.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, m := range in.Models {
			if err := fn(m.model()); err != nil {
				return err
			}
		}
		if page = in.Next; page == "" {
			return nil
		}
	}
}

// point is a metric as a server tells it; some versions of MLflow leave out what
// is zero.
func (m metricIn) point() tracking.Point {
	p := tracking.Point{Step: int64(m.Step)}
	if m.Time != nil {
		p.Time = int64(*m.Time)
	}
	if m.Value != nil {
		p.Value = *m.Value
	}
	return p
}
