package project

import "github.com/slipway-ml/slipway"

// Pipeline is the steps in the order of the file. Order gives the order in
// which they can run.
type Pipeline []Step

// Step finds a step by name, or nil.
func (p Pipeline) Step(name string) *Step {
	for i := range p {
		if p[i].Name == name {
			return &p[i]
		}
	}
	return nil
}

// Step is one command that reads inputs and writes outputs.
type Step struct {
	// Name is the key under which the step stands in pipeline.
	Name string `json:"-"`
	// Run is the command: one text for the shell, or a list of a program and its arguments.
	Run Command `json:"run" jsonschema:"required"`
	// In lists what the step reads: a dataset, a window of one (flights[2013-01..2013-03], both ends included), a part of its split (flights[train]) or of a window of it (flights[2013, train]), or an output of another step, by its path or as step.output.
	In Inputs `json:"in,omitempty"`
	// Out lists what the step writes: paths of files or folders (folders end in /), or a map of names to paths.
	Out Outputs `json:"out,omitempty"`
	// Params are handed to the step and recorded with its run. A changed one runs the step again.
	Params Params `json:"params,omitempty"`
	// Retries is how often a failed step is tried again. Defaults to 0.
	Retries int `json:"retries,omitempty" jsonschema:"minimum=0,maximum=100"`
	// Timeout ends a step that takes longer, and counts as a failure. Unlimited when left out.
	Timeout Duration `json:"timeout,omitempty"`
	// Resources that the step needs; it waits until they are free.
	Resources *Resources `json:"resources,omitempty"`
	// Env sets environment variables of the command. A value $NAME is a secret that the server resolves when the step starts.
	Env Env `json:"env,omitempty"`
}

// Output finds an output by its name or by its path, or nil.
func (s *Step) Output(name string) *Output {
	for i := range s.Out {
		if s.Out[i].Name == name || s.Out[i].Path == name {
			return &s.Out[i]
		}
	}
	return nil
}

// Command is what a step executes. Exactly one field is set.
type Command struct {
	Shell string   // a line for sh -c
	Args  []string // a program and its arguments, with no shell between
}

// Argv is the program and its arguments; a line goes to sh.
func (c Command) Argv() []string {
	if c.Shell != "" {
		return []string{"sh", "-c", c.Shell}
	}
	return c.Args
}

// Input is one thing that a step or a gate reads. Either Dataset or Step is
// set; a parsed project has resolved which.
type Input struct {
	Text    string         // as it was written
	Dataset string         // the dataset's name
	Window  slipway.Window // which of the dataset's rows, by event time; zero for all
	Step    string         // the step that writes it
	Output  string         // the name of that step's output
	Split   string         // the part of the dataset that is meant; after an output, the split whose rows are (gates only)
}

// Inputs is a list of inputs; one alone may be written without brackets.
type Inputs []Input

// Output is one file or folder that a step writes.
type Output struct {
	Name string // its key in a map, or its path
	Path string // relative to the project, cleaned; a folder keeps its final /
}

// Outputs is the outputs of a step in the order of the file.
type Outputs []Output

// OutputRef names an output of a step, written step.output.
type OutputRef struct {
	Step   string // the step
	Output string // the name of its output
}

func (r OutputRef) String() string { return r.Step + "." + r.Output }

// Params are a step's parameters. Values are string, bool, int64, uint64,
// float64, nil, []any and map[string]any.
type Params map[string]any

// Env is environment variables by name. A value that starts with $ is the name
// of a secret.
type Env map[string]string

// Resources is what a step needs of a machine.
type Resources struct {
	// CPU is the number of processor cores, such as 2 or 0.5.
	CPU float64 `json:"cpu,omitempty" jsonschema:"minimum=0"`
	// Memory is the amount of memory, such as 512MB or 4GB.
	Memory Size `json:"memory,omitempty"`
}
