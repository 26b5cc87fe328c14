package mlflow

import (
	"context"
	"strconv"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/tracking"
)

// modelRoutes is the table of logged models, which came with MLflow 3.
func (s *Server) modelRoutes() []route {
	return []route{
		{"POST", "logged-models", s.createLoggedModel},
		{"POST", "logged-models/search", s.searchLoggedModels},
		{"GET", "logged-models/{id}", s.getLoggedModel},
		{"PATCH", "logged-models/{id}", s.finalizeLoggedModel},
		{"DELETE", "logged-models/{id}", func(ctx context.Context, c *call) (any, error) {
			return empty{}, s.o.Tracking.DeleteModel(ctx, c.PathValue("id"))
		}},
		{"PATCH", "logged-models/{id}/tags", s.setLoggedModelTags},
		{"DELETE", "logged-models/{id}/tags/{key}", func(ctx context.Context, c *call) (any, error) {
			return empty{}, s.o.Tracking.DeleteModelTag(ctx, c.PathValue("id"), c.PathValue("key"))
		}},
		{"POST", "logged-models/{id}/params", s.logModelParams},
		{"GET", "logged-models/{id}/artifacts/directories", s.listModelArtifacts},
	}
}

// modelStatus is how MLflow names a tracking.ModelStatus.
var modelStatus = map[tracking.ModelStatus]string{
	tracking.ModelPending: "LOGGED_MODEL_PENDING",
	tracking.ModelReady:   "LOGGED_MODEL_READY",
	tracking.ModelFailed:  "LOGGED_MODEL_UPLOAD_FAILED",
}

type modelWire struct {
	Info struct {
		ID         string          `json:"model_id"`
		Experiment string          `json:"experiment_id"`
		Name       string          `json:"name"`
		Created    int64           `json:"creation_timestamp_ms"`
		Updated    int64           `json:"last_updated_timestamp_ms"`
		Artifact   string          `json:"artifact_uri"`
		Status     string          `json:"status"`
		Type       string          `json:"model_type,omitempty"`
		Run        string          `json:"source_run_id,omitempty"`
		Message    string          `json:"status_message,omitempty"`
		Tags       []tracking.Pair `json:"tags"`
	} `json:"info"`
	Data struct {
		Params  []tracking.Pair `json:"params"`
		Metrics []metricWire    `json:"metrics"`
	} `json:"data"`
}

func modelOut(m tracking.LoggedModel) (w modelWire) {
	w.Info.ID, w.Info.Experiment, w.Info.Name, w.Info.Artifact = m.ID, strconv.FormatInt(m.Experiment, 10), m.Name, m.Artifact
	w.Info.Created, w.Info.Updated, w.Info.Status = millis(m.Created), millis(m.Updated), modelStatus[m.Status]
	w.Info.Type, w.Info.Run, w.Info.Message, w.Info.Tags = m.Type, m.Run, m.Message, toPairs(m.Tags)
	w.Data.Params, w.Data.Metrics = toPairs(m.Params), []metricWire{}
	for _, x := range m.Metrics {
		w.Data.Metrics = append(w.Data.Metrics, metricWire{x.Key, x.Value, x.Time, x.Step, x.Dataset, x.Digest, x.Model, x.Run})
	}
	return w
}

func modelReply(m tracking.LoggedModel, err error) (any, error) {
	return map[string]any{"model": modelOut(m)}, err
}

func (s *Server) createLoggedModel(ctx context.Context, c *call) (any, error) {
	in, err := decode[struct {
		Experiment Text   `json:"experiment_id"`
		Name       string `json:"name"`
		Type       string `json:"model_type"`
		Run        string `json:"source_run_id"`
		Params     []pair `json:"params"`
		Tags       []pair `json:"tags"`
	}](c)
	if err != nil {
		return nil, err
	}
	id, err := experimentID(in.Experiment)
	if err != nil {
		return nil, err
	}
	return modelReply(s.o.Tracking.CreateModel(ctx, tracking.NewModel{Experiment: id, Run: in.Run, Name: in.Name, Type: in.Type,
		Params: fromPairs(in.Params), Tags: fromPairs(in.Tags)}))
}

func (s *Server) getLoggedModel(ctx context.Context, c *call) (any, error) {
	return modelReply(s.o.Tracking.Model(ctx, c.PathValue("id"), c.URL.Query().Get("allow_deleted") == "true"))
}

func (s *Server) finalizeLoggedModel(ctx context.Context, c *call) (any, error) {
	in, err := decode[struct {
		Status string `json:"status"`
	}](c)
	if err != nil {
		return nil, err
	}
	for status, name := range modelStatus {
		if name == in.Status && status != tracking.ModelPending {
			return modelReply(s.o.Tracking.FinalizeModel(ctx, c.PathValue("id"), status))
		}
	}
	return nil, slipway.Errorf(slipway.Invalid, "Invalid model status '%s'. Expected statuses: LOGGED_MODEL_READY, LOGGED_MODEL_UPLOAD_FAILED", in.Status)
}

func (s *Server) setLoggedModelTags(ctx context.Context, c *call) (any, error) {
	in, err := decode[struct {
		Tags []pair `json:"tags"`
	}](c)
	if err != nil {
		return nil, err
	}
	_, err = s.o.Tracking.SetModelFields(ctx, c.PathValue("id"), nil, fromPairs(in.Tags))
	return empty{}, err
}

func (s *Server) logModelParams(ctx context.Context, c *call) (any, error) {
	in, err := decode[struct {
		Params []pair `json:"params"`
	}](c)
	if err != nil {
		return nil, err
	}
	_, err = s.o.Tracking.SetModelFields(ctx, c.PathValue("id"), fromPairs(in.Params), nil)
	return empty{}, err
}

func (s *Server) listModelArtifacts(ctx context.Context, c *call) (any, error) {
	m, err := s.o.Tracking.Model(ctx, c.PathValue("id"), false)
	if err != nil {
		return nil, err
	}
	found, err := s.o.Tracking.ListArtifacts(ctx, tracking.Place{Owner: m.ID, Path: c.URL.Query().Get("artifact_directory_path")})
	return map[string]any{"root_uri": m.Artifact, "files": files(found, false)}, err
}

func (s *Server) searchLoggedModels(ctx context.Context, c *call) (any, error) {
	in, err := decode[struct {
		IDs      []Text `json:"experiment_ids"`
		Filter   string `json:"filter"`
		Datasets []struct {
			Name   string `json:"dataset_name"`
			Digest string `json:"dataset_digest"`
		} `json:"datasets"`
		Limit Int `json:"max_results"`
		Order []struct {
			Field     string `json:"field_name"`
			Ascending *bool  `json:"ascending"`
		} `json:"order_by"`
		Page string `json:"page_token"`
	}](c)
	if err != nil {
		return nil, err
	}
	ids, err := experimentIDs(in.IDs)
	if err != nil {
		return nil, err
	}
	q := tracking.Search{Experiments: ids, Filter: in.Filter, Limit: int(in.Limit), Page: in.Page}
	if q.Limit == 0 {
		q.Limit = defaultModels
	}
	for _, o := range in.Order {
		key := o.Field
		if o.Ascending != nil && !*o.Ascending {
			key += " DESC"
		}
		q.Order = append(q.Order, key)
	}
	var on tracking.MetricScope
	for _, d := range in.Datasets {
		on = append(on, tracking.Dataset{Name: d.Name, Digest: d.Digest})
	}
	if len(ids) == 0 {
		return map[string]any{"models": []any{}}, nil
	}
	found, next, err := s.o.Tracking.SearchModels(ctx, q, on)
	if err != nil {
		return nil, err
	}
	out := struct {
		Models []modelWire `json:"models"`
		Next   string      `json:"next_page_token,omitempty"`
	}{[]modelWire{}, next}
	for _, m := range found {
		out.Models = append(out.Models, modelOut(m))
	}
	return out, nil
}

// defaultModels is how many logged models a page has unless it says otherwise.
const defaultModels = 50
