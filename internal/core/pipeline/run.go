package pipeline

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/project"
)

// Request asks for a run of a project's pipeline.
type Request struct {
	Revision int                       `json:"revision,omitempty" doc:"revision to run; 0 is the one in force"`
	Steps    []string                  `json:"steps,omitempty" doc:"steps to bring up to date, with those before them; empty is all"`
	Params   map[string]map[string]any `json:"params,omitempty" doc:"values that replace those of slipway.yaml, by step and name"`
	Window   slipway.Window            `json:"window,omitzero" doc:"event time of the rows to read, instead of the windows in slipway.yaml"`
	Data     map[string]int            `json:"data,omitempty" doc:"dataset versions to read; the newest where none is given"`
	Force    bool                      `json:"force,omitempty" doc:"run every step, whatever is known"`
	DryRun   bool                      `json:"dry_run,omitempty" doc:"only say what would run and why"`
	Trigger  string                    `json:"trigger,omitempty" doc:"what asks: by hand, schedule, drift, metric, data, commit"`
	Reason   string                    `json:"reason,omitempty" doc:"one sentence for people"`
	Quiet    bool                      `json:"quiet,omitempty" doc:"a trial: its model is not to be registered"`
}

// State says how far a run or a task is.
type State string

// The states. A run is queued, running, succeeded, failed or cancelled.
const (
	Queued    State = "queued"    // a run waits for the one before it in the project
	Waiting   State = "waiting"   // a task waits for inputs, resources, or its next attempt
	Running   State = "running"   //
	Succeeded State = "succeeded" //
	Reused    State = "reused"    // a task whose earlier result stands
	Failed    State = "failed"    //
	Skipped   State = "skipped"   // a task whose input failed
	Cancelled State = "cancelled" //
)

// Done reports whether a run or a task has ended.
func (s State) Done() bool { return s != Queued && s != Waiting && s != Running }

// Run is one execution of a pipeline. Its id is that of its run in tracking.
type Run struct {
	ID          string                    `json:"id"`
	Project     string                    `json:"project"`
	Revision    int                       `json:"revision"`
	State       State                     `json:"state"`
	Nothing     bool                      `json:"nothing,omitempty"` // every step's earlier result stands; no step ran
	Trigger     string                    `json:"trigger"`
	Reason      string                    `json:"reason,omitempty"`
	Actor       string                    `json:"actor"`
	Request     Request                   `json:"request"`
	Data        map[string]DatasetVersion `json:"data,omitempty"` // the versions that were resolved, once
	Environment *Environment              `json:"environment,omitempty"`
	Error       string                    `json:"error,omitempty"`
	Created     time.Time                 `json:"created"`
	Started     time.Time                 `json:"started,omitzero"`
	Ended       time.Time                 `json:"ended,omitzero"`
	Task        []Task                    `json:"task,omitempty"`      // in an order in which they can run
	Judgement   *Judgement                `json:"judgement,omitempty"` // of the model that it made, for who waited for it
}

// Judgement is what the gates said of the model that a run made.
type Judgement struct {
	Model   string          `json:"model"` // name@vN
	Verdict slipway.Verdict `json:"verdict"`
	Reason  string          `json:"reason,omitempty"`
}

// refusal is the error of a model that may not be released; nil for one that may.
func (j *Judgement) refusal() error {
	if j == nil || j.Verdict != slipway.Refuse && j.Verdict != slipway.Undecided {
		return nil
	}
	return slipway.Errorf(slipway.Refused, "%s does not pass: %s", j.Model, j.Reason).WithHint("`slipway gate show %s` has the evidence", j.Model)
}

// Task is one step of a run.
type Task struct {
	Step     string            `json:"step"`
	Needs    []string          `json:"needs,omitempty"` // steps whose outputs it reads
	State    State             `json:"state"`
	Why      Why               `json:"why"`
	Key      slipway.Digest    `json:"key,omitempty"`
	Material Material          `json:"material,omitempty"`
	Run      string            `json:"run,omitempty"` // in tracking; the run that made the result when it is reused
	Attempt  int               `json:"attempt"`       // fencing number: only the newest may complete
	Tries    int               `json:"tries"`         // attempts that failed by themselves
	Lost     int               `json:"lost"`          // attempts whose process or machine went away
	Started  time.Time         `json:"started,omitzero"`
	Ended    time.Time         `json:"ended,omitzero"`
	Exit     *int              `json:"exit,omitempty"`
	Message  string            `json:"message,omitempty"` // why it failed
	Output   map[string]Output `json:"output,omitempty"`
	Log      slipway.Digest    `json:"log,omitempty"`

	leaseUntil time.Time
	notBefore  time.Time
	handle     string
	tokenHash  string
	finished   bool // tracking knows that it ended
}

// Output is what a step wrote.
type Output = slipway.Artifact

// Outputs is everything that the steps of a run wrote, by step.output, with
// the results that stood.
func (r Run) Outputs() map[string]Output {
	out := map[string]Output{}
	for _, t := range r.Task {
		for name, o := range t.Output {
			out[t.Step+"."+name] = o
		}
	}
	return out
}

// priorTask is an earlier success of a step.
type priorTask struct {
	Run      string // of the pipeline
	Tracked  string // of the step
	Key      slipway.Digest
	Material Material
	Output   map[string]Output
}

// selectSteps is the steps of a request with those before them, in an order in
// which they can run. It fails with NotFound for a step that does not exist.
func selectSteps(p *project.Project, names []string) ([]*project.Step, error) {
	order, err := p.Pipeline.Order()
	if err != nil || len(names) == 0 {
		return order, err
	}
	wanted := map[string]bool{}
	var want func(name string)
	want = func(name string) {
		if !wanted[name] {
			wanted[name] = true
			for _, need := range p.Pipeline.Step(name).Needs() {
				want(need)
			}
		}
	}
	for _, name := range names {
		if p.Pipeline.Step(name) == nil {
			return nil, slipway.Errorf(slipway.NotFound, "there is no step %q", name).WithHint("the steps are %s", stepNames(p))
		}
		want(name)
	}
	return slices.DeleteFunc(order, func(st *project.Step) bool { return !wanted[st.Name] }), nil
}

func stepNames(p *project.Project) string {
	names := make([]string, len(p.Pipeline))
	for i, st := range p.Pipeline {
		names[i] = st.Name
	}
	return strings.Join(names, ", ")
}

// check refuses a request that cannot be met by p.
func (s *Service) check(p *project.Project, r Request) error {
	if len(p.Pipeline) == 0 {
		return slipway.Errorf(slipway.Invalid, "the project %s has no pipeline", p.Name).WithHint("add steps under pipeline in slipway.yaml")
	}
	steps, err := selectSteps(p, r.Steps)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(r.Params)) {
		st := p.Pipeline.Step(name)
		if st == nil {
			return slipway.Errorf(slipway.NotFound, "there is no step %q to give a param to", name).WithHint("the steps are %s", stepNames(p))
		}
		for param := range r.Params[name] {
			if _, ok := st.Params[param]; !ok {
				known := strings.Join(slices.Sorted(maps.Keys(st.Params)), ", ")
				return slipway.Errorf(slipway.Invalid, "step %s has no param %q", name, param).
					WithHint("it has: %s; a new one is declared under pipeline.%s.params", known, name)
			}
		}
	}
	for name := range r.Data {
		if _, ok := p.Data[name]; !ok {
			return slipway.Errorf(slipway.NotFound, "there is no dataset %q in slipway.yaml", name)
		}
	}
	for _, st := range steps {
		if need := st.Resources; need != nil && (need.CPU > s.o.CPU || int64(need.Memory) > s.o.Memory) {
			return slipway.Errorf(slipway.Invalid, "step %s needs %v cores and %s; this machine has %v and %s", st.Name,
				need.CPU, need.Memory, s.o.CPU, project.Size(s.o.Memory>>20<<20)).WithHint("lower pipeline.%s.resources", st.Name)
		}
		for _, v := range st.Env {
			if secret, ok := strings.CutPrefix(v, "$"); ok {
				if _, ok := s.o.Secret(secret); !ok {
					return slipway.Errorf(slipway.Invalid, "step %s wants the secret $%s, which the server does not have", st.Name, secret).
						WithHint("set the environment variable %s where the server runs", secret)
				}
			}
		}
	}
	return nil
}

// sameWork reports whether two requests ask for the same, so that the second
// may join the first.
func sameWork(a, b Request) bool {
	a.Trigger, b.Trigger, a.Reason, b.Reason = "", "", "", ""
	x, errA := json.Marshal(a)
	y, errB := json.Marshal(b)
	return errA == nil && errB == nil && string(x) == string(y)
}
