package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/project"
)

// Verbs are the events that Handle wants.
var Verbs = []string{"run.finished", "gate.decided", "release.activated", "release.retired", "release.rolled_back"}

// Handle registers the model that a run of the pipeline made, and writes down
// what a gate said of a version and the stage that a release brought it to.
func (s *Service) Handle(ctx context.Context, e slipway.Event) error {
	switch e.Verb {
	case "run.finished":
		return s.finished(ctx, e)
	case "gate.decided":
		return s.decided(ctx, e)
	case "release.activated", "release.retired", "release.rolled_back":
		return s.released(ctx, e)
	}
	return nil
}

// finishedRun is what run.finished says.
type finishedRun struct {
	Status  string                      `json:"status"`
	Kind    string                      `json:"kind"`
	Outputs map[string]slipway.Artifact `json:"outputs"` // by step.output, those of earlier runs that still stand too
	Model   string                      `json:"model"`   // the key in Outputs of the project's model, when a step of this very run made it
	Window  slipway.Window              `json:"window"`  // event time of the rows that were read, where one was named
}

func (s *Service) finished(ctx context.Context, e slipway.Event) error {
	var run finishedRun
	if err := json.Unmarshal(e.Data, &run); err != nil {
		return fmt.Errorf("run.finished: %w", err)
	}
	if run.Kind != "pipeline" || run.Status != "succeeded" {
		return nil
	}
	p, err := s.o.Applied.Project(ctx, e.Project)
	if slipway.IsCode(err, slipway.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if p.Model == nil {
		return nil
	}
	key := p.Model.From.String()
	out, ok := run.Outputs[key]
	if !ok {
		return nil // the run was asked for other steps only
	}
	v := slipway.ModelVersion{Project: e.Project, Name: p.Model.Name, Source: slipway.FromPipeline, Run: e.Subject.ID,
		Output: run.Outputs, Window: run.Window, Size: out.Size, State: slipway.ModelRegistered, Actor: e.Actor}
	lineage(&v, e.Link)
	if v.Content, err = s.tree(ctx, p, key, out); err != nil {
		return err
	}
	v.Training = training(p, key, run.Outputs)
	known, err := s.known(ctx, v, run.Model != "")
	if err != nil || known {
		return err
	}
	if err := s.describe(ctx, p, &v); err != nil {
		return fmt.Errorf("the model of run %s: %w", v.Run, err)
	}
	_, err = s.insert(ctx, arrival{ModelVersion: v, cause: e.ID})
	return err
}

// tree is the content.Tree of a run's output, which may be a single file.
func (s *Service) tree(ctx context.Context, p *project.Project, key string, out slipway.Artifact) (slipway.Digest, error) {
	if out.Tree {
		return out.Digest, nil
	}
	if out.Path == "" {
		step, output, _ := strings.Cut(key, ".")
		out.Path = output
		if st := p.Pipeline.Step(step); st != nil && st.Output(output) != nil {
			out.Path = st.Output(output).Path
		}
	}
	return s.single(ctx, out)
}

// training is the output that the step which trains reads its rows from: the
// first of its inputs that another step wrote.
func training(p *project.Project, model string, outputs map[string]slipway.Artifact) string {
	name, _, _ := strings.Cut(model, ".")
	step := p.Pipeline.Step(name)
	if step == nil {
		return ""
	}
	for _, in := range step.In {
		key := project.OutputRef{Step: in.Step, Output: in.Output}.String()
		if _, ok := outputs[key]; ok && in.Step != "" {
			return key
		}
	}
	return ""
}

// decision is what gate.decided says.
type decision struct {
	Verdict slipway.Verdict `json:"verdict"`
	Model   string          `json:"model"` // name@vN
}

var stateOf = map[slipway.Verdict]slipway.ModelState{
	slipway.Pass: slipway.ModelPassed, slipway.Refuse: slipway.ModelRefused,
	slipway.Undecided: slipway.ModelUndecided, slipway.Ungated: slipway.ModelUngated,
}

func (s *Service) decided(ctx context.Context, e slipway.Event) error {
	var d decision
	if err := json.Unmarshal(e.Data, &d); err != nil {
		return fmt.Errorf("gate.decided: %w", err)
	}
	state, ok := stateOf[d.Verdict]
	name, n := slipway.NewRef(slipway.KindModel, d.Model).Version()
	if !ok || n == 0 {
		return nil
	}
	return s.setState(ctx, e.Project, name, n, state)
}

// lineage takes from a run's links what it read and ran in.
func lineage(v *slipway.ModelVersion, links []slipway.Link) {
	for _, l := range links {
		if l.Relation != slipway.From {
			continue
		}
		switch l.Ref.Kind {
		case slipway.KindDataset:
			v.Dataset = append(v.Dataset, l.Ref)
		case slipway.KindCommit:
			v.Commit = l.Ref.ID
		case slipway.KindEnvironment:
			v.Environment = l.Ref.ID
		}
	}
}
