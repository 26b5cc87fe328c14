package project

import "regexp"

// specifier is a list of PEP 440 clauses; a version alone means that version.
var specifier = regexp.MustCompile(`^\s*(~=|==|!=|<=|>=|<|>)?\s*[0-9]+(\.[0-9]+)*(\.\*)?(\s*,\s*(~=|==|!=|<=|>=|<|>)\s*[0-9]+(\.[0-9]+)*(\.\*)?)*\s*$`)

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

func (m *Model) check(c *checker) {
	c.name("model.name", m.Name)
	c.output("model.from", &m.From)
}

func (e *Environment) check(c *checker) {
	if e.Python != "" && !specifier.MatchString(e.Python) {
		c.fault("environment.python", `write ">=3.10", "3.12" or ">=3.10, <3.14"`, "%q is not a version of Python", e.Python)
	}
	if e.Requirements != "" {
		e.Requirements = c.path("environment.requirements", e.Requirements)
	}
}
