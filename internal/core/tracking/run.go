package tracking

import (
	"sync/atomic"
	"time"

	"github.com/slipway-ml/slipway"
)

// Status says how far a run is.
type Status string

// The states of a run. The last three end it.
const (
	Running   Status = "RUNNING"
	Scheduled Status = "SCHEDULED"
	Finished  Status = "FINISHED"
	Failed    Status = "FAILED"
	Killed    Status = "KILLED"
)

// Valid reports whether s is one of the states.
func (s Status) Valid() bool { return s == Running || s == Scheduled || s.Ended() }

// Ended reports whether s is a state that ends a run.
func (s Status) Ended() bool { return s == Finished || s == Failed || s == Killed }

// Kind says what made a run.
type Kind string

// The kinds of run.
const (
	KindClient   Kind = "client"   // a script with an MLflow client
	KindPipeline Kind = "pipeline" // the run of a pipeline
	KindStep     Kind = "step"     // one step of it
)

// Run is one execution and all that it logged. It must not be changed: several
// readers may hold the same one.
type Run struct {
	number int64 // its id inside the database

	ID         string    `json:"id"` // 32 hexadecimal characters
	Project    string    `json:"project"`
	Experiment int64     `json:"experiment"`
	Name       string    `json:"name"`
	Kind       Kind      `json:"kind"`
	Status     Status    `json:"status"`
	User       string    `json:"user"`
	Start      time.Time `json:"start"`
	End        time.Time `json:"end,omitzero"`
	Stage      Stage     `json:"stage"`
	Artifact   string    `json:"artifact_uri"`

	Metrics  []Metric       `json:"metrics"` // the latest value of each, by key
	Params   []Pair         `json:"params"`  // by key
	Tags     []Pair         `json:"tags"`    // by key
	Datasets []DatasetInput `json:"datasets,omitempty"`
	Models   []ModelLink    `json:"models,omitempty"`

	memo atomic.Pointer[[]byte]
}

// Memo is an encoded form of the run, made by encode once and kept as long as
// the run is cached. There is room for one form.
func (r *Run) Memo(encode func(*Run) []byte) []byte {
	if b := r.memo.Load(); b != nil {
		return *b
	}
	b := encode(r)
	r.memo.Store(&b)
	return b
}

// Parent is the id of the run in which this one is nested, or "".
func (r *Run) Parent() string {
	id, _ := valueOf(r.Tags, parentTag)
	return id
}

// Metric is one logged value, or the latest of a metric.
type Metric struct {
	Key string `json:"key"`
	Point
	Model   string `json:"model,omitempty"`   // id of a logged model that it judges too
	Dataset string `json:"dataset,omitempty"` // name of the dataset it was measured on
	Digest  string `json:"digest,omitempty"`  // that dataset's digest
}

// Batch is what one call logs, all or nothing.
type Batch struct {
	Metrics []Metric
	Params  []Pair
	Tags    []Pair
}

// Dataset is the description of some rows, as an MLflow client makes it.
type Dataset struct {
	Name       string `json:"name"`
	Digest     string `json:"digest"`
	SourceType string `json:"source_type"`
	Source     string `json:"source"`
	Schema     string `json:"schema,omitempty"`
	Profile    string `json:"profile,omitempty"`
}

// DatasetInput is a dataset that a run read.
type DatasetInput struct {
	Dataset
	Tags []Pair `json:"tags"`
}

// ModelLink says that a run read or wrote a logged model.
type ModelLink struct {
	Model  string `json:"model"`
	Output bool   `json:"output"`
	Step   int64  `json:"step"`
}

// NewRun asks for a run.
type NewRun struct {
	ID         string // chosen by the caller, or "" for a fresh one
	Experiment int64
	Name       string // "" takes the tag mlflow.runName, else a made-up name
	User       string
	Kind       Kind // "" is a client's
	Start      time.Time
	Tags       []Pair
	Params     []Pair
}

// Tags with a meaning of their own.
const (
	nameTag    = "mlflow.runName"
	userTag    = "mlflow.user"
	parentTag  = "mlflow.parentRunId"
	commitTag  = "mlflow.source.git.commit"
	contextTag = "mlflow.data.context" // of a dataset input
)

func (n *NewRun) check() error {
	for i := range n.Tags {
		if err := checkTag(&n.Tags[i]); err != nil {
			return err
		}
	}
	for i := range n.Params {
		if err := checkParam(&n.Params[i]); err != nil {
			return err
		}
	}
	tagged, ok := valueOf(n.Tags, nameTag)
	switch {
	case ok && n.Name != "" && tagged != n.Name:
		return slipway.Errorf(slipway.Invalid, "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values (run_name='%s', mlflow.runName='%s').", n.Name, tagged)
	case ok && tagged != "":
		n.Name = tagged
	case n.Name == "":
		n.Name = madeUpName()
	}
	n.Name = cut(n.Name, maxKey)
	if !ok {
		n.Tags = append(n.Tags, Pair{nameTag, n.Name})
	}
	if n.Kind == "" {
		n.Kind = KindClient
	}
	return nil
}

func noRun(id string) error {
	return slipway.Errorf(slipway.NotFound, "Run with id=%s not found", id).
		WithHint("`slipway runs` lists the runs of the project")
}

// checkActive refuses to change a deleted run.
func checkActive(id string, stage Stage) error {
	if stage == Active {
		return nil
	}
	return slipway.Errorf(slipway.Invalid, "The run %s must be in the 'active' state. Current state is %s.", id, stage)
}
