package mlflow

import (
	"context"
	"encoding/json"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/tracking"
)

// trackingRoutes is the table of experiments, runs and metrics.
func (s *Server) trackingRoutes() []route {
	t := s.o.Tracking
	return []route{
		{"POST", "experiments/create", s.createExperiment},
		{"GET", "experiments/get", s.getExperiment},
		{"GET", "experiments/get-by-name", s.getExperimentByName},
		{"POST", "experiments/delete", changeExperiment(t.DeleteExperiment)},
		{"POST", "experiments/restore", changeExperiment(t.RestoreExperiment)},
		{"POST", "experiments/update", s.updateExperiment},
		{"POST", "experiments/set-experiment-tag", s.setExperimentTag},
		{"POST", "experiments/delete-experiment-tag", s.deleteExperimentTag},
		{"POST", "experiments/search", s.searchExperiments},
		{"GET", "experiments/search", s.searchExperiments},
		{"POST", "experiments/search-datasets", s.searchDatasets},
		{"POST", "runs/create", s.createRun},
		{"GET", "runs/get", s.getRun},
		{"POST", "runs/update", s.updateRun},
		{"POST", "runs/delete", changeRun(t.DeleteRun)},
		{"POST", "runs/restore", changeRun(t.RestoreRun)},
		{"POST", "runs/search", s.searchRuns},
		{"POST", "runs/log-metric", s.logMetric},
		{"POST", "runs/log-parameter", s.logParam},
		{"POST", "runs/log-batch", s.logBatch},
		{"POST", "runs/set-tag", s.setTag},
		{"POST", "runs/delete-tag", s.deleteTag},
		{"POST", "runs/log-inputs", s.logInputs},
		{"POST", "runs/outputs", s.logOutputs},
		{"POST", "runs/log-model", s.logModel},
		{"GET", "metrics/get-history", s.history},
		{"GET", "metrics/get-history-bulk", s.historyBulk},
		{"GET", "metrics/get-history-bulk-interval", s.historyInterval},
		{"GET", "artifacts/list", s.listArtifacts},
	}
}

// viewType is how MLflow names a tracking.View.
type viewType string

func (v viewType) view() (tracking.View, error) {
	switch v {
	case "", "ACTIVE_ONLY":
		return tracking.ActiveOnly, nil
	case "DELETED_ONLY":
		return tracking.DeletedOnly, nil
	case "ALL":
		return tracking.All, nil
	}
	return "", slipway.Errorf(slipway.Invalid, "Invalid view type '%s'", v)
}

// runName is how requests name a run, in the old word or the new.
type runName struct {
	ID   string `json:"run_id"`
	UUID string `json:"run_uuid"`
}

func (n runName) id() (string, error) {
	if n.ID == "" {
		n.ID = n.UUID
	}
	return n.ID, required("run_id", n.ID)
}

// namedRun reads the run that a call names.
func namedRun(c *call) (string, error) {
	in, err := decode[runName](c)
	if err != nil {
		return "", err
	}
	return in.id()
}

// changeRun is an endpoint that names a run and returns nothing.
func changeRun(fn func(ctx context.Context, id string) error) endpoint {
	return func(ctx context.Context, c *call) (any, error) {
		id, err := namedRun(c)
		if err != nil {
			return nil, err
		}
		return empty{}, fn(ctx, id)
	}
}

func runReply(r *tracking.Run) []byte {
	return append(append([]byte(`{"run":`), encodeRun(r)...), '}')
}

func (s *Server) createRun(ctx context.Context, c *call) (any, error) {
	in, err := decode[struct {
		Experiment Text   `json:"experiment_id"`
		User       string `json:"user_id"`
		Name       string `json:"run_name"`
		Start      Int    `json:"start_time"`
		Tags       []pair `json:"tags"`
	}](c)
	if err != nil {
		return nil, err
	}
	if in.Experiment == "" {
		in.Experiment = "0"
	}
	id, err := experimentID(in.Experiment)
	if err != nil {
		return nil, err
	}
	n := tracking.NewRun{Experiment: id, User: in.User, Name: in.Name, Start: moment(in.Start), Tags: fromPairs(in.Tags)}
	r, err := s.o.Tracking.CreateRun(ctx, n)
	if err != nil {
		return nil, err
	}
	return runReply(r), nil
}

func (s *Server) getRun(ctx context.Context, c *call) (any, error) {
	id, err := namedRun(c)
	if err != nil {
		return nil, err
	}
	r, err := s.o.Tracking.Run(ctx, id)
	if err != nil {
		return nil, err
	}
	return runReply(r), nil
}

func (s *Server) updateRun(ctx context.Context, c *call) (any, error) {
	in, err := decode[struct {
		runName
		Status tracking.Status `json:"status"`
		End    Int             `json:"end_time"`
		Name   string          `json:"run_name"`
	}](c)
	if err != nil {
		return nil, err
	}
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	r, err := s.o.Tracking.UpdateRun(ctx, id, tracking.Change{Status: in.Status, End: moment(in.End), Name: in.Name})
	if err != nil {
		return nil, err
	}
	return map[string]any{"run_info": infoOut(r)}, nil
}

func (s *Server) searchRuns(ctx context.Context, c *call) (any, error) {
	in, err := decode[struct {
		IDs    []Text   `json:"experiment_ids"`
		Filter string   `json:"filter"`
		View   viewType `json:"run_view_type"`
		Limit  Int      `json:"max_results"`
		Order  []string `json:"order_by"`
		Page   string   `json:"page_token"`
	}](c)
	if err != nil {
		return nil, err
	}
	ids, err := experimentIDs(in.IDs)
	if err != nil {
		return nil, err
	}
	view, err := in.View.view()
	if err != nil || len(ids) == 0 {
		return map[string]any{"runs": []any{}}, err
	}
	found, next, err := s.o.Tracking.SearchRuns(ctx, tracking.Search{Experiments: ids, Filter: in.Filter, Order: in.Order, View: view, Limit: int(in.Limit), Page: in.Page})
	if err != nil {
		return nil, err
	}
	size := 64
	for _, r := range found {
		size += len(encodeRun(r)) + 1
	}
	b := append(make([]byte, 0, size+len(next)), `{"runs":[`...)
	for i, r := range found {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, encodeRun(r)...)
	}
	b = append(b, ']')
	if next != "" {
		b = append(append(b, `,"next_page_token":`...), quote(next)...)
	}
	return append(b, '}'), nil
}

func (s *Server) logParam(ctx context.Context, c *call) (any, error) {
	in, err := decode[struct {
		runName
		pair
	}](c)
	if err != nil {
		return nil, err
	}
	id, err := in.id()
	if err == nil {
		err = required("key", in.Key)
	}
	if err != nil {
		return nil, err
	}
	return empty{}, s.o.Tracking.Log(ctx, id, tracking.Batch{Params: fromPairs([]pair{in.pair})})
}

func (s *Server) setTag(ctx context.Context, c *call) (any, error) {
	in, err := decode[struct {
		runName
		pair
	}](c)
	if err != nil {
		return nil, err
	}
	id, err := in.id()
	if err == nil {
		err = required("key", in.Key)
	}
	if err != nil {
		return nil, err
	}
	return empty{}, s.o.Tracking.Log(ctx, id, tracking.Batch{Tags: fromPairs([]pair{in.pair})})
}

func (s *Server) deleteTag(ctx context.Context, c *call) (any, error) {
	in, err := decode[struct {
		runName
		Key string `json:"key"`
	}](c)
	if err != nil {
		return nil, err
	}
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	return empty{}, s.o.Tracking.DeleteTag(ctx, id, in.Key)
}

func (s *Server) logInputs(ctx context.Context, c *call) (any, error) {
	in, err := decode[struct {
		runName
		Datasets []inputWire     `json:"datasets"`
		Models   []modelLinkWire `json:"models"`
	}](c)
	if err != nil {
		return nil, err
	}
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	datasets := make([]tracking.DatasetInput, len(in.Datasets))
	for i, d := range in.Datasets {
		datasets[i] = tracking.DatasetInput{Dataset: tracking.Dataset(d.Dataset), Tags: fromPairs(d.Tags)}
	}
	return empty{}, s.o.Tracking.LogInputs(ctx, id, datasets, links(in.Models, false))
}

func (s *Server) logOutputs(ctx context.Context, c *call) (any, error) {
	in, err := decode[struct {
		runName
		Models []modelLinkWire `json:"models"`
	}](c)
	if err != nil {
		return nil, err
	}
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	return empty{}, s.o.Tracking.LogInputs(ctx, id, nil, links(in.Models, true))
}

func links(in []modelLinkWire, output bool) []tracking.ModelLink {
	out := make([]tracking.ModelLink, len(in))
	for i, m := range in {
		out[i] = tracking.ModelLink{Model: m.Model, Output: output, Step: int64(m.Step)}
	}
	return out
}

// historyTag is where clients before MLflow 3 look for the models of a run.
const historyTag = "mlflow.log-model.history"

// logModel is how clients before MLflow 3 tell of a model: a list in a tag.
func (s *Server) logModel(ctx context.Context, c *call) (any, error) {
	in, err := decode[struct {
		runName
		Model string `json:"model_json"`
	}](c)
	if err != nil {
		return nil, err
	}
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	var model map[string]json.RawMessage
	if err := json.Unmarshal([]byte(in.Model), &model); err != nil {
		return nil, slipway.Errorf(slipway.Invalid, "Malformed model info. \n %s \n is not a valid JSON.", in.Model)
	}
	for _, key := range []string{"artifact_path", "flavors", "utc_time_created", "run_id"} {
		if _, ok := model[key]; !ok {
			return nil, slipway.Errorf(slipway.Invalid, "Model json is missing mandatory fields: '%s'", key)
		}
	}
	r, err := s.o.Tracking.Run(ctx, id)
	if err != nil {
		return nil, err
	}
	var history []json.RawMessage
	for _, t := range r.Tags {
		if t.Key == historyTag {
			if err := json.Unmarshal([]byte(t.Value), &history); err != nil {
				return nil, slipway.Errorf(slipway.Invalid, "the tag %s is not a list of models", historyTag)
			}
		}
	}
	value, err := json.Marshal(append(history, json.RawMessage(in.Model)))
	if err != nil {
		return nil, err
	}
	return empty{}, s.o.Tracking.Log(ctx, id, tracking.Batch{Tags: []tracking.Pair{{Key: historyTag, Value: string(value)}}})
}
