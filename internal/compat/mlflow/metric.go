package mlflow

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/tracking"
)

// metricIn is a metric as it comes; pointers tell what is there.
type metricIn struct {
	Key     string           `json:"key"`
	Value   *tracking.Number `json:"value"`
	Time    *Int             `json:"timestamp"`
	Step    Int              `json:"step"`
	Model   string           `json:"model_id"`
	Dataset string           `json:"dataset_name"`
	Digest  string           `json:"dataset_digest"`
}

// metric checks that all is there; at is where, such as "metrics[3].".
func (m metricIn) metric(at string) (tracking.Metric, error) {
	switch {
	case m.Key == "":
		return tracking.Metric{}, required(at+"key", "")
	case m.Value == nil:
		return tracking.Metric{}, required(at+"value", "")
	case m.Time == nil:
		return tracking.Metric{}, required(at+"timestamp", "")
	}
	return tracking.Metric{Key: m.Key, Point: tracking.Point{Step: int64(m.Step), Time: int64(*m.Time), Value: *m.Value},
		Model: m.Model, Dataset: m.Dataset, Digest: m.Digest}, nil
}

func (s *Server) logMetric(ctx context.Context, c *call) (any, error) {
	in, err := decode[struct {
		runName
		metricIn
	}](c)
	if err != nil {
		return nil, err
	}
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	m, err := in.metric("")
	if err != nil {
		return nil, err
	}
	return empty{}, s.o.Tracking.Log(ctx, id, tracking.Batch{Metrics: []tracking.Metric{m}})
}

// maxBatchBytes bounds a log-batch request, as MLflow does.
const maxBatchBytes = 1_000_000

func (s *Server) logBatch(ctx context.Context, c *call) (any, error) {
	if len(c.body) > maxBatchBytes {
		return nil, slipway.Errorf(slipway.Invalid, "Batched logging API requests must be at most %d bytes, got a request of size %d.", maxBatchBytes, len(c.body))
	}
	id, b, ok := scanBatch(c.body)
	if !ok {
		var err error
		if id, b, err = decodeBatch(c); err != nil {
			return nil, err
		}
	}
	if err := required("run_id", id); err != nil {
		return nil, err
	}
	return empty{}, s.o.Tracking.Log(ctx, id, b)
}

// decodeBatch reads a log-batch of any spelling.
func decodeBatch(c *call) (id string, b tracking.Batch, err error) {
	in, err := decode[struct {
		runName
		Metrics []metricIn `json:"metrics"`
		Params  []pair     `json:"params"`
		Tags    []pair     `json:"tags"`
	}](c)
	if err != nil {
		return "", b, err
	}
	if id, err = in.id(); err != nil {
		return "", b, err
	}
	if err := named("params", in.Params); err != nil {
		return "", b, err
	}
	if err := named("tags", in.Tags); err != nil {
		return "", b, err
	}
	b.Params, b.Tags = fromPairs(in.Params), fromPairs(in.Tags)
	for i, m := range in.Metrics {
		metric, err := m.metric(fmt.Sprintf("metrics[%d].", i))
		if err != nil {
			return "", b, err
		}
		b.Metrics = append(b.Metrics, metric)
	}
	return id, b, nil
}

// named checks that each of some params or tags has a key.
func named(list string, pairs []pair) error {
	for i, p := range pairs {
		if p.Key == "" {
			return required(fmt.Sprintf("%s[%d].key", list, i), "")
		}
	}
	return nil
}

// maxHistoryPage is how many points a page of a history has at most.
const maxHistoryPage = 25000

func (s *Server) history(ctx context.Context, c *call) (any, error) {
	in, err := decode[struct {
		runName
		Key   string `json:"metric_key"`
		Limit Int    `json:"max_results"`
		Page  string `json:"page_token"`
	}](c)
	if err != nil {
		return nil, err
	}
	id, err := in.id()
	if err == nil {
		err = required("metric_key", in.Key)
	}
	if err != nil {
		return nil, err
	}
	from, err := offset(in.Page)
	if err != nil {
		return nil, err
	}
	points, more, err := s.o.Tracking.HistoryPage(ctx, id, in.Key, from, max(0, int(in.Limit)))
	if err != nil {
		return nil, err
	}
	next := ""
	if more {
		next = base64.StdEncoding.EncodeToString(strconv.AppendInt(nil, int64(from+len(points)), 10))
	}
	key := quote(in.Key)
	b := append(make([]byte, 0, 64+len(points)*(80+len(key))), `{"metrics":[`...)
	for i, p := range points {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendPoint(b, key, nil, p)
	}
	b = append(b, ']')
	if next != "" {
		b = append(append(b, `,"next_page_token":`...), quote(next)...)
	}
	return append(b, '}'), nil
}

// offset reads a page token of a history.
func offset(token string) (int, error) {
	if token == "" {
		return 0, nil
	}
	b, err := base64.StdEncoding.DecodeString(token)
	if err == nil {
		var at int
		if at, err = strconv.Atoi(string(b)); err == nil && at >= 0 {
			return at, nil
		}
	}
	return 0, slipway.Errorf(slipway.Invalid, "Invalid page token, could not decode it")
}

// Limits of the bulk histories that charts ask for.
const (
	maxBulkRuns     = 100
	maxBulkPoints   = 25000
	maxIntervalRuns = 2500
)

type bulkRequest struct {
	Runs  []string `json:"run_id"`
	IDs   []string `json:"run_ids"`
	Key   string   `json:"metric_key"`
	Start *Int     `json:"start_step"`
	End   *Int     `json:"end_step"`
	Limit *Int     `json:"max_results"`
}

// historyBulk returns the histories of one metric of several runs.
func (s *Server) historyBulk(ctx context.Context, c *call) (any, error) {
	in, err := decode[bulkRequest](c)
	if err != nil {
		return nil, err
	}
	if len(in.Runs) == 0 {
		return nil, slipway.Errorf(slipway.Invalid, "GetMetricHistoryBulk request must specify at least one run_id.")
	}
	if len(in.Runs) > maxBulkRuns {
		return nil, slipway.Errorf(slipway.Invalid, "GetMetricHistoryBulk request cannot specify more than %d run_ids. Received %d run_ids.", maxBulkRuns, len(in.Runs))
	}
	if in.Key == "" {
		return nil, slipway.Errorf(slipway.Invalid, "GetMetricHistoryBulk request must specify a metric_key.")
	}
	limit := maxBulkPoints
	if in.Limit != nil {
		limit = max(0, min(limit, int(*in.Limit)))
	}
	slices.Sort(in.Runs)
	b, n := []byte(`{"metrics":[`), 0
	for _, id := range in.Runs {
		points, err := s.o.Tracking.History(ctx, id, in.Key, tracking.EveryStep)
		if err != nil {
			return nil, err
		}
		points = points[:min(len(points), limit-n)]
		b = appendPoints(b, n, in.Key, id, points)
		n += len(points)
	}
	return append(b, `]}`...), nil
}

func appendPoints(b []byte, n int, key, run string, points []tracking.Point) []byte {
	k, r := quote(key), quote(run)
	for i, p := range points {
		if n+i > 0 {
			b = append(b, ',')
		}
		b = appendPoint(b, k, r, p)
	}
	return b
}

// historyInterval returns the same steps of one metric of several runs: all of
// them, or a spread of max_results that keeps each run's first and last.
func (s *Server) historyInterval(ctx context.Context, c *call) (any, error) {
	in, err := decode[bulkRequest](c)
	if err != nil {
		return nil, err
	}
	ids := append(in.IDs, in.Runs...)
	switch {
	case len(ids) == 0:
		return nil, required("run_ids", "")
	case len(ids) > maxBulkRuns:
		return nil, slipway.Errorf(slipway.Invalid, "GetMetricHistoryBulkInterval request must specify at most %d run_ids. Received %d run_ids.", maxBulkRuns, len(ids))
	case in.Key == "":
		return nil, required("metric_key", "")
	case in.Limit != nil && (*in.Limit < 1 || *in.Limit > maxIntervalRuns):
		return nil, slipway.Errorf(slipway.Invalid, "max_results must be between 1 and %d.", maxIntervalRuns)
	case (in.Start == nil) != (in.End == nil):
		return nil, slipway.Errorf(slipway.Invalid, "If either start step or end step are specified, both must be specified.")
	case in.Start != nil && *in.Start > *in.End:
		return nil, slipway.Errorf(slipway.Invalid, "end_step must be greater than start_step. Found start_step=%d and end_step=%d.", *in.Start, *in.End)
	}
	steps := tracking.EveryStep
	if in.Start != nil {
		steps = tracking.Range{Low: int64(*in.Start), High: int64(*in.End)}
	}
	limit := maxIntervalRuns
	if in.Limit != nil {
		limit = int(*in.Limit)
	}
	all := make([][]tracking.Point, len(ids))
	for i, id := range ids {
		if all[i], err = s.o.Tracking.History(ctx, id, in.Key, steps); err != nil {
			return nil, err
		}
	}
	keep := spread(all, limit)
	b, n := []byte(`{"metrics":[`), 0
	for i, id := range ids {
		points := slices.DeleteFunc(all[i], func(p tracking.Point) bool { return !keep[p.Step] })
		slices.SortStableFunc(points, func(p, q tracking.Point) int { return cmp.Or(cmp.Compare(p.Step, q.Step), cmp.Compare(p.Time, q.Time)) })
		points = points[:min(len(points), maxIntervalRuns)]
		b = appendPoints(b, n, in.Key, id, points)
		n += len(points)
	}
	return append(b, `]}`...), nil
}

// spread picks about limit of all steps, evenly, and the first and last step of
// every run.
func spread(all [][]tracking.Point, limit int) map[int64]bool {
	keep := map[int64]bool{}
	var steps []int64
	for _, points := range all {
		if len(points) == 0 {
			continue
		}
		low, high := int64(math.MaxInt64), int64(math.MinInt64)
		for _, p := range points {
			steps = append(steps, p.Step)
			low, high = min(low, p.Step), max(high, p.Step)
		}
		keep[low], keep[high] = true, true
	}
	slices.Sort(steps)
	steps = slices.Compact(steps)
	if len(steps) <= limit {
		limit = len(steps)
	}
	for i := range limit {
		keep[steps[i*len(steps)/limit]] = true
	}
	return keep
}
