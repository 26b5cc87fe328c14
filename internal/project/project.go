// Package project reads slipway.yaml, the one file in which a repository says
// what Slipway shall do with it: its data, pipeline, model, gates, deployment,
// monitoring and retraining. A file is parsed into the types of this package,
// checked as a whole, and every mistake is shown with its line, its column and
// what was probably meant. The comments on the fields are the reference: the
// JSON Schema and docs/reference/slipway-yaml.md are made from them.
package project

import (
	"time"
)

// FileName is the name under which a project's file is looked for.
const FileName = "slipway.yaml"

// Project is one slipway.yaml. Every section is optional; a section that is
// left out is nil or empty.
type Project struct {
	// Name of the project: letters, digits, - and _. Defaults to the name of the folder that holds the file.
	Name string `json:"project"`
	// Timezone in which times without a zone are read and windows and schedules are aligned, as an IANA name such as America/New_York. Defaults to UTC.
	Timezone string `json:"timezone"`
	// Data names the datasets that the pipeline reads.
	Data map[string]Dataset `json:"data,omitempty"`
	// Pipeline is the steps by name. A step runs after the steps whose outputs it reads; their order in the file does not matter.
	Pipeline Pipeline `json:"pipeline,omitempty"`
	// Environment is the Python environment in which steps run and Python models are served.
	Environment *Environment `json:"environment,omitempty"`
	// Model is the model that the pipeline makes.
	Model *Model `json:"model,omitempty"`
	// Gates decide whether a new version of the model is good enough to be released.
	Gates *Gates `json:"gates,omitempty"`
	// Deploy is the environments to which versions are released, such as staging and production, by name.
	Deploy Deploy `json:"deploy,omitempty"`
	// Monitor watches the model in production.
	Monitor *Monitor `json:"monitor,omitempty"`
	// Retrain says when and on which rows the pipeline runs again by itself.
	Retrain *Retrain `json:"retrain,omitempty"`

	Dir    string `json:"-"` // folder of the file, to which its paths are relative
	Path   string `json:"-"` // the file itself
	Source []byte `json:"-"` // its bytes, as read

	location *time.Location
	position map[string]Position
}

// Location is the project's time zone; UTC when the project was not parsed.
func (p *Project) Location() *time.Location {
	if p.location == nil {
		return time.UTC
	}
	return p.location
}

// Environment is the Python environment of the project's steps and models.
type Environment struct {
	// Python is the interpreter's version, as a PEP 440 specifier such as ">=3.10". Any version will do when left out.
	Python string `json:"python,omitempty"`
	// Requirements is the path of a pip requirements file, whose packages are locked and installed before the first step.
	Requirements string `json:"requirements,omitempty"`
}

// Model is the model that the pipeline makes.
type Model struct {
	// Name of the model in the registry: letters, digits, - and _.
	Name string `json:"name" jsonschema:"required"`
	// From is the output that holds the model, as step.output, such as train.model.
	From OutputRef `json:"from" jsonschema:"required"`
	// Task is what the model predicts: binary (the probability of one of two classes), multiclass (a probability for each class) or regression (a number).
	Task string `json:"task" jsonschema:"required,enum=binary,enum=multiclass,enum=regression"`
	// Target is the column that the model predicts. Needed by gates.
	Target string `json:"target,omitempty"`
	// Flavor is how the model is loaded: lightgbm, xgboost, sklearn (a pickle) or pyfunc (an MLflow folder). Found out from the file when left out.
	Flavor string `json:"flavor,omitempty" jsonschema:"enum=lightgbm,enum=xgboost,enum=sklearn,enum=pyfunc"`
}
