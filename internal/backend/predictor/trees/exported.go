package trees

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/linear"
	"github.com/slipway-ml/slipway/internal/tree"
)

// formVersion is the newest form that is read; docs/model-format.md sets it out.
const formVersion = 1

// form is a file that the Python SDK's save_model writes: columns, the features
// made of them, and one of trees, linear and library.
type form struct {
	Version  int            `json:"slipway_model"`
	Source   string         `json:"source"`
	Task     slipway.Task   `json:"task"`
	Classes  []string       `json:"classes"`
	Columns  []formColumn   `json:"columns"`
	Features []formFeature  `json:"features"`
	Trees    *tree.Stored   `json:"trees"`
	Linear   *formLinear    `json:"linear"`
	Library  *formOfLibrary `json:"library"`
	Missing  string         `json:"missing"` // "refuse": the model has no answer to a missing feature
}

type formColumn struct {
	Name  string `json:"name"`
	Type  string `json:"type"`  // float or text
	Known []any  `json:"known"` // where not nil, the values that are answered; null is a missing one
}

type formFeature struct {
	Column int     `json:"column"`
	Name   string  `json:"name"`
	Steps  [][]any `json:"steps"`
}

type formLinear struct {
	Weight    [][]float64 `json:"weight"`
	Intercept []float64   `json:"intercept"`
	Link      linear.Link `json:"link"`
	Mean      []float64   `json:"mean"`
}

// formOfLibrary is a model as LightGBM or XGBoost writes it.
type formOfLibrary struct {
	Text string `json:"text"`
}

const maxColumns = 1 << 16

// isForm tells the form by its first bytes.
func isForm(b []byte) bool { return bytes.HasPrefix(b, []byte(`{"slipway_model":`)) }

// parseForm reads a form into a model that has no registered signature yet.
func parseForm(data []byte) (*model, error) {
	var f form
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, slipway.Errorf(slipway.Invalid, "the model file is damaged: %v", err)
	}
	if f.Version != formVersion {
		return nil, slipway.Errorf(slipway.Invalid, "the model's form %d is not known (%d is)", f.Version, formVersion).
			WithHint("it was written by a newer SDK: use the server of its release")
	}
	if len(f.Columns) == 0 || len(f.Columns) > maxColumns || len(f.Features) == 0 || len(f.Features) > maxColumns {
		return nil, slipway.Errorf(slipway.Invalid, "the model has %d columns and %d features; 1 to %d are supported", len(f.Columns), len(f.Features), maxColumns)
	}
	d, err := newDerived(&f)
	if err != nil {
		return nil, err
	}
	s, err := f.signature()
	if err != nil {
		return nil, err
	}
	if f.Missing != "" && f.Missing != "refuse" {
		return nil, slipway.Errorf(slipway.Invalid, "what to do with missing values is %.40q, not \"refuse\"", f.Missing)
	}
	m := &model{signature: s, derived: d, whole: f.Missing == "refuse"}
	m.ready()
	if err := f.engine(m); err != nil {
		return nil, err
	}
	if m.engine.Features() != len(f.Features) {
		return nil, slipway.Errorf(slipway.Invalid, "the model takes %d features, and the file makes %d", m.engine.Features(), len(f.Features))
	}
	if want := max(1, len(m.signature.Output)); m.engine.Outputs() != want {
		return nil, slipway.Errorf(slipway.Invalid, "the model has %d outputs, and its task %s needs %d", m.engine.Outputs(), f.Task, want)
	}
	return m, nil
}

func (f *form) engine(m *model) (err error) {
	switch {
	case f.Linear != nil && f.Trees == nil && f.Library == nil:
		l := &linear.Model{Weight: f.Linear.Weight, Intercept: f.Linear.Intercept, Link: f.Linear.Link, Mean: f.Linear.Mean}
		if err := l.Check(); err != nil {
			return err
		}
		m.linear, m.engine = l, l
		return nil
	case f.Trees != nil && f.Linear == nil && f.Library == nil:
		m.ensemble, err = f.Trees.Ensemble(len(f.Features))
	case f.Library != nil && f.Linear == nil && f.Trees == nil:
		m.ensemble, err = tree.Parse([]byte(f.Library.Text))
	default:
		return slipway.Errorf(slipway.Invalid, "the model file has not just one of trees, linear and library")
	}
	if err != nil {
		return err
	}
	m.engine = tree.NewPredictor(m.ensemble)
	return nil
}

func (f *form) signature() (slipway.Signature, error) {
	s := slipway.Signature{Task: f.Task, Classes: f.Classes}
	seen := map[string]bool{}
	for i, c := range f.Columns {
		if c.Name == "" || seen[c.Name] {
			return s, slipway.Errorf(slipway.Invalid, "column %d of the model has no name of its own", i+1)
		}
		seen[c.Name] = true
		column := slipway.Column{Name: c.Name, Type: slipway.Float, Nullable: true}
		if c.Type == "text" {
			column.Type = slipway.Text
		} else if c.Type != "float" {
			return s, slipway.Errorf(slipway.Invalid, "column %q of the model is %.40q, neither float nor text", c.Name, c.Type)
		}
		s.Input = append(s.Input, column)
	}
	switch {
	case f.Task == slipway.Regression:
		s.Output = slipway.Schema{{Name: predictor.Prediction, Type: slipway.Float}}
	case f.Task == slipway.BinaryTask && len(f.Classes) == 2:
		s.Output = slipway.Schema{{Name: predictor.Probability, Type: slipway.Float}}
	case f.Task == slipway.Multiclass && len(f.Classes) > 2:
		s.Output = columns(f.Classes)
	default:
		return s, slipway.Errorf(slipway.Invalid, "the task %.40q does not fit %d classes", f.Task, len(f.Classes))
	}
	return s, nil
}

// register merges the registered signature into a form's.
func (m *model) register(registered *slipway.Signature) error {
	if registered != nil && len(registered.Input) == len(m.signature.Input) && nameless(m.signature.Input) {
		for i := range m.signature.Input {
			m.signature.Input[i].Name = registered.Input[i].Name
		}
	}
	own := m.signature
	s, err := predictor.Merge(own, registered)
	if err != nil {
		return err
	}
	for i, c := range s.Input {
		if (c.Type == slipway.Text) != (own.Input[i].Type == slipway.Text) {
			return slipway.Errorf(slipway.Invalid, "column %q is %s in the signature, and %s in the model", c.Name, c.Type, own.Input[i].Type)
		}
	}
	m.signature = s
	return nil
}

// nameless reports whether a model was trained on a matrix: x0, x1, ….
func nameless(input slipway.Schema) bool {
	for i, c := range input {
		if c.Name != "x"+strconv.Itoa(i) {
			return false
		}
	}
	return true
}
