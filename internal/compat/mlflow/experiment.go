package mlflow

import (
	"context"
	"net/url"
	"path/filepath"
	"strconv"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/tracking"
)

// empty is the reply of an endpoint that has nothing to say.
type empty struct{}

func (s *Server) createExperiment(ctx context.Context, c *call) (any, error) {
	in, err := decode[struct {
		Name     string `json:"name"`
		Artifact string `json:"artifact_location"`
		Tags     []pair `json:"tags"`
	}](c)
	if err != nil {
		return nil, err
	}
	if err := required("name", in.Name); err != nil {
		return nil, err
	}
	e, err := s.o.Tracking.CreateExperiment(ctx, tracking.NewExperiment{Name: in.Name, Artifact: absolute(in.Artifact), Tags: fromPairs(in.Tags)})
	return map[string]string{"experiment_id": strconv.FormatInt(e.ID, 10)}, err
}

// absolute is a location as MLflow keeps it: a path on a disk becomes one from
// the root, for it goes to clients that stand in other folders.
func absolute(location string) string {
	if u, err := url.Parse(location); location == "" || err != nil || u.Scheme != "" {
		return location
	}
	if whole, err := filepath.Abs(location); err == nil {
		return whole
	}
	return location
}

type experimentReply struct {
	Experiment experimentWire `json:"experiment"`
}

func (s *Server) getExperiment(ctx context.Context, c *call) (any, error) {
	in, err := decode[struct {
		ID Text `json:"experiment_id"`
	}](c)
	if err != nil {
		return nil, err
	}
	id, err := experimentID(in.ID)
	if err != nil {
		return nil, err
	}
	e, err := s.o.Tracking.Experiment(ctx, id)
	return experimentReply{experimentOut(e)}, err
}

func (s *Server) getExperimentByName(ctx context.Context, c *call) (any, error) {
	in, err := decode[struct {
		Name string `json:"experiment_name"`
	}](c)
	if err == nil {
		err = required("experiment_name", in.Name)
	}
	if err != nil {
		return nil, err
	}
	e, err := s.o.Tracking.ExperimentByName(ctx, "", in.Name)
	return experimentReply{experimentOut(e)}, err
}

// changeExperiment is an endpoint that names an experiment and returns nothing.
func changeExperiment(fn func(ctx context.Context, id int64) error) endpoint {
	return func(ctx context.Context, c *call) (any, error) {
		in, err := decode[struct {
			ID Text `json:"experiment_id"`
		}](c)
		if err != nil {
			return nil, err
		}
		id, err := experimentID(in.ID)
		if err != nil {
			return nil, err
		}
		return empty{}, fn(ctx, id)
	}
}

func (s *Server) updateExperiment(ctx context.Context, c *call) (any, error) {
	in, err := decode[struct {
		ID   Text   `json:"experiment_id"`
		Name string `json:"new_name"`
	}](c)
	if err != nil {
		return nil, err
	}
	id, err := experimentID(in.ID)
	if err == nil {
		err = required("new_name", in.Name)
	}
	if err != nil {
		return nil, err
	}
	return empty{}, s.o.Tracking.RenameExperiment(ctx, id, in.Name)
}

func (s *Server) setExperimentTag(ctx context.Context, c *call) (any, error) {
	in, err := decode[struct {
		ID Text `json:"experiment_id"`
		pair
	}](c)
	if err != nil {
		return nil, err
	}
	id, err := experimentID(in.ID)
	if err == nil {
		err = required("key", in.Key)
	}
	if err != nil {
		return nil, err
	}
	return empty{}, s.o.Tracking.SetExperimentTag(ctx, id, tracking.Pair(in.pair))
}

func (s *Server) deleteExperimentTag(ctx context.Context, c *call) (any, error) {
	in, err := decode[struct {
		ID  Text   `json:"experiment_id"`
		Key string `json:"key"`
	}](c)
	if err != nil {
		return nil, err
	}
	id, err := experimentID(in.ID)
	if err != nil {
		return nil, err
	}
	return empty{}, s.o.Tracking.DeleteExperimentTag(ctx, id, in.Key)
}

func (s *Server) searchExperiments(ctx context.Context, c *call) (any, error) {
	in, err := decode[struct {
		Filter string   `json:"filter"`
		Order  []string `json:"order_by"`
		View   viewType `json:"view_type"`
		Limit  Int      `json:"max_results"`
		Page   string   `json:"page_token"`
	}](c)
	if err != nil {
		return nil, err
	}
	view, err := in.View.view()
	if err != nil {
		return nil, err
	}
	found, next, err := s.o.Tracking.SearchExperiments(ctx, tracking.Search{Filter: in.Filter, Order: in.Order, View: view, Limit: int(in.Limit), Page: in.Page})
	if err != nil {
		return nil, err
	}
	out := struct {
		Experiments []experimentWire `json:"experiments"`
		Next        string           `json:"next_page_token,omitempty"`
	}{[]experimentWire{}, next}
	for _, e := range found {
		out.Experiments = append(out.Experiments, experimentOut(e))
	}
	return out, nil
}

// maxDatasetExperiments is how many experiments one search for datasets names.
const maxDatasetExperiments = 20

func (s *Server) searchDatasets(ctx context.Context, c *call) (any, error) {
	in, err := decode[struct {
		IDs []Text `json:"experiment_ids"`
	}](c)
	if err != nil {
		return nil, err
	}
	switch {
	case len(in.IDs) == 0:
		return nil, slipway.Errorf(slipway.Invalid, "SearchDatasets request must specify at least one experiment_id.")
	case len(in.IDs) > maxDatasetExperiments:
		return nil, slipway.Errorf(slipway.Invalid, "SearchDatasets request cannot specify more than %d experiment_ids. Received %d experiment_ids.", maxDatasetExperiments, len(in.IDs))
	}
	ids, err := experimentIDs(in.IDs)
	if err != nil {
		return nil, err
	}
	found, err := s.o.Tracking.Datasets(ctx, ids)
	type summary struct {
		Experiment string `json:"experiment_id"`
		Name       string `json:"name"`
		Digest     string `json:"digest"`
		Context    string `json:"context,omitempty"`
	}
	out := []summary{}
	for _, d := range found {
		out = append(out, summary{strconv.FormatInt(d.Experiment, 10), d.Name, d.Digest, d.Context})
	}
	return map[string]any{"dataset_summaries": out}, err
}
