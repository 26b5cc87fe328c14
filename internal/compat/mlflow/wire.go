package mlflow

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/slipway-ml/slipway/internal/core/tracking"
)

// pair is a param or a tag on the wire.
type pair struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

func fromPairs(in []pair) []tracking.Pair {
	out := make([]tracking.Pair, len(in))
	for i, p := range in {
		out[i] = tracking.Pair(p)
	}
	return out
}

func toPairs(in []tracking.Pair) []tracking.Pair {
	if in == nil {
		return []tracking.Pair{}
	}
	return in
}

// millis is a time on the wire; the zero time is 0.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// moment is a time from the wire; 0 is none.
func moment(ms Int) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms)).UTC()
}

type experimentWire struct {
	ID       string          `json:"experiment_id"`
	Name     string          `json:"name"`
	Artifact string          `json:"artifact_location"`
	Stage    tracking.Stage  `json:"lifecycle_stage"`
	Updated  int64           `json:"last_update_time"`
	Created  int64           `json:"creation_time"`
	Tags     []tracking.Pair `json:"tags"`
}

func experimentOut(e tracking.Experiment) experimentWire {
	return experimentWire{strconv.FormatInt(e.ID, 10), e.Name, e.Artifact, e.Stage, millis(e.Updated), millis(e.Created), toPairs(e.Tags)}
}

type metricWire struct {
	Key     string          `json:"key"`
	Value   tracking.Number `json:"value"`
	Time    int64           `json:"timestamp"`
	Step    int64           `json:"step"`
	Dataset string          `json:"dataset_name,omitempty"`
	Digest  string          `json:"dataset_digest,omitempty"`
	Model   string          `json:"model_id,omitempty"`
	Run     string          `json:"run_id,omitempty"`
}

type runInfo struct {
	ID         string          `json:"run_id"`
	UUID       string          `json:"run_uuid"`
	Name       string          `json:"run_name"`
	Experiment string          `json:"experiment_id"`
	User       string          `json:"user_id"`
	Status     tracking.Status `json:"status"`
	Start      int64           `json:"start_time"`
	End        int64           `json:"end_time,omitempty"`
	Artifact   string          `json:"artifact_uri"`
	Stage      tracking.Stage  `json:"lifecycle_stage"`
}

func infoOut(r *tracking.Run) runInfo {
	return runInfo{r.ID, r.ID, r.Name, strconv.FormatInt(r.Experiment, 10), r.User, r.Status, millis(r.Start), millis(r.End), r.Artifact, r.Stage}
}

type datasetWire struct {
	Name       string `json:"name"`
	Digest     string `json:"digest"`
	SourceType string `json:"source_type"`
	Source     string `json:"source"`
	Schema     string `json:"schema,omitempty"`
	Profile    string `json:"profile,omitempty"`
}

type inputWire struct {
	Tags    []pair      `json:"tags"`
	Dataset datasetWire `json:"dataset"`
}

type modelLinkWire struct {
	Model string `json:"model_id"`
	Step  Int    `json:"step,omitempty"`
}

type runWire struct {
	Info runInfo `json:"info"`
	Data struct {
		Metrics []metricWire    `json:"metrics"`
		Params  []tracking.Pair `json:"params"`
		Tags    []tracking.Pair `json:"tags"`
	} `json:"data"`
	Inputs struct {
		Datasets []inputWire     `json:"dataset_inputs,omitempty"`
		Models   []modelLinkWire `json:"model_inputs,omitempty"`
	} `json:"inputs"`
	Outputs struct {
		Models []modelLinkWire `json:"model_outputs,omitempty"`
	} `json:"outputs"`
}

// encodeRun is a run as JSON, kept with the run as long as that is cached.
func encodeRun(r *tracking.Run) []byte {
	return r.Memo(func(r *tracking.Run) []byte {
		var w runWire
		w.Info = infoOut(r)
		w.Data.Params, w.Data.Tags, w.Data.Metrics = toPairs(r.Params), toPairs(r.Tags), make([]metricWire, len(r.Metrics))
		for i, m := range r.Metrics {
			w.Data.Metrics[i] = metricWire{Key: m.Key, Value: m.Value, Time: m.Time, Step: m.Step}
		}
		for _, d := range r.Datasets {
			in := inputWire{Dataset: datasetWire(d.Dataset), Tags: []pair{}}
			for _, t := range d.Tags {
				in.Tags = append(in.Tags, pair(t))
			}
			w.Inputs.Datasets = append(w.Inputs.Datasets, in)
		}
		for _, m := range r.Models {
			link := modelLinkWire{m.Model, Int(m.Step)}
			if m.Output {
				w.Outputs.Models = append(w.Outputs.Models, link)
			} else {
				w.Inputs.Models = append(w.Inputs.Models, link)
			}
		}
		b, _ := json.Marshal(w) // strings and numbers always marshal
		return b
	})
}

// appendPoint writes a point of a metric; key and run are JSON already, run may
// be nil.
func appendPoint(b, key, run []byte, p tracking.Point) []byte {
	b = append(append(b, `{"key":`...), key...)
	b = p.Value.AppendJSON(append(b, `,"value":`...))
	b = strconv.AppendInt(append(b, `,"timestamp":`...), p.Time, 10)
	b = strconv.AppendInt(append(b, `,"step":`...), p.Step, 10)
	if run != nil {
		b = append(append(b, `,"run_id":`...), run...)
	}
	return append(b, '}')
}

// quote is a string as JSON.
func quote(s string) []byte {
	b, _ := json.Marshal(s) // a string always marshals
	return b
}
