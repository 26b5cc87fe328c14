package tracking

import (
	"context"
	"time"
	"unicode/utf8"

	"github.com/slipway-ml/slipway"
)

// LoggedModel is a model that a client logged: an object of its own since
// MLflow 3, with params, tags, metrics and artifacts. It is not yet a version
// in the registry.
type LoggedModel struct {
	ID         string      `json:"id"` // m- and 32 hexadecimal characters
	Project    string      `json:"project"`
	Experiment int64       `json:"experiment"`
	Run        string      `json:"run"` // that made it, or ""
	Name       string      `json:"name"`
	Status     ModelStatus `json:"status"`
	Type       string      `json:"type"`
	Artifact   string      `json:"artifact_uri"`
	Message    string      `json:"message"`
	Created    time.Time   `json:"created"`
	Updated    time.Time   `json:"updated"`
	Stage      Stage       `json:"stage"`
	Params     []Pair      `json:"params"`
	Tags       []Pair      `json:"tags"`
	Metrics    []RunMetric `json:"metrics"`
}

// RunMetric is a metric of a model, and the run that measured it.
type RunMetric struct {
	Metric
	Run string `json:"run"`
}

// ModelStatus says whether a logged model's files are all there.
type ModelStatus string

// The states of a logged model.
const (
	ModelPending ModelStatus = "PENDING"
	ModelReady   ModelStatus = "READY"
	ModelFailed  ModelStatus = "FAILED"
)

const modelPrefix = "m-"

// NewModel asks for a logged model.
type NewModel struct {
	Experiment int64
	Run        string
	Name       string // "" is made up
	Type       string
	Params     []Pair
	Tags       []Pair
}

func (n *NewModel) check() error {
	if n.Name == "" {
		n.Name = madeUpName()
	}
	for _, c := range n.Name {
		switch c {
		case '/', ':', '.', '%', '"', '\'':
			return slipway.Errorf(slipway.Invalid, "Invalid model name: %s. Model name must be a non-empty string and cannot contain the following characters: / : . %% \" '", n.Name)
		}
	}
	if utf8.RuneCountInString(n.Name) > maxKey {
		return tooLong("name", maxKey)
	}
	return checkFields(n.Params, n.Tags)
}

func checkFields(params, tags []Pair) error {
	for i := range params {
		if err := checkParam(&params[i]); err != nil {
			return err
		}
	}
	for i := range tags {
		if err := checkTag(&tags[i]); err != nil {
			return err
		}
	}
	return nil
}

// CreateModel makes a logged model whose files are still to come.
func (s *Service) CreateModel(ctx context.Context, in NewModel) (LoggedModel, error) {
	if err := in.check(); err != nil {
		return LoggedModel{}, err
	}
	return s.insertModel(ctx, in)
}

func noModel(id string) error {
	return slipway.Errorf(slipway.NotFound, "Logged model with ID '%s' not found.", id)
}
