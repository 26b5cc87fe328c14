package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/slipway-ml/slipway"
)

// trackRun starts the run of the pipeline in tracking.
func (s *Service) trackRun(ctx context.Context, pl *plan, r Run) error {
	tags := pl.tags(r)
	tags["slipway.kind"] = "pipeline"
	return s.o.Tracker.Start(ctx, TrackedRun{ID: r.ID, Project: r.Project, Experiment: r.Project, Name: "pipeline " + r.ID[:8], Tags: tags, Start: r.Started})
}

// trackStep starts the run of a step, below that of the pipeline.
func (s *Service) trackStep(ctx context.Context, pl *plan, r Run, i int, t Task) error {
	st := pl.steps[i]
	tags := pl.tags(r)
	tags["slipway.kind"], tags["slipway.step"], tags["slipway.attempt"] = "step", st.Name, strconv.Itoa(t.Attempt)
	tags["slipway.why"] = t.Why.Reason
	for _, in := range st.In {
		if in.Dataset != "" {
			v := pl.versions[in.Dataset]
			tags["slipway.data."+in.Text] = fmt.Sprintf("%s@v%d", v.Name, v.Version)
		}
	}
	params := map[string]string{}
	for k, v := range pl.params(st) {
		params[k] = paramText(v)
	}
	return s.o.Tracker.Start(ctx, TrackedRun{ID: t.Run, Project: r.Project, Experiment: r.Project, Name: st.Name, Parent: r.ID,
		Tags: tags, Params: params, Start: t.Started})
}

// tags say where a run comes from.
func (pl *plan) tags(r Run) map[string]string {
	tags := map[string]string{"slipway.pipeline": r.ID, "slipway.revision": strconv.Itoa(r.Revision), "slipway.code": string(pl.revision.Code),
		"slipway.trigger": r.Trigger, "mlflow.user": r.Actor, "mlflow.source.type": "PROJECT", "mlflow.source.name": r.Project}
	if pl.revision.Commit != "" {
		tags["mlflow.source.git.commit"] = pl.revision.Commit
		tags["mlflow.source.git.dirty"] = strconv.FormatBool(pl.revision.Dirty)
		tags["mlflow.source.git.branch"] = pl.revision.Branch
	}
	if lock := pl.environment.Lock; lock != "" {
		tags["slipway.environment"] = string(lock)
	}
	return tags
}

func paramText(v any) string {
	if text, ok := v.(string); ok {
		return text
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

// links are what a run was made from, and to what it led.
func (pl *plan) links(to ...slipway.Ref) []slipway.Link {
	out := []slipway.Link{{Relation: slipway.From, Ref: pl.revision.Ref()}}
	if env, ok := pl.environment.Ref(); ok {
		out = append(out, slipway.Link{Relation: slipway.From, Ref: env})
	}
	for _, name := range slices.Sorted(maps.Keys(pl.versions)) {
		out = append(out, slipway.Link{Relation: slipway.From, Ref: pl.versions[name].Ref()})
	}
	for _, ref := range to {
		out = append(out, slipway.Link{Relation: slipway.To, Ref: ref})
	}
	return out
}

// stepLinks are those of one step: only what it reads, and what it wrote. The
// caller holds mu.
func (d *drive) stepLinks(i int, output map[string]Output) []slipway.Link {
	pl, st := d.plan, d.plan.steps[i]
	out := []slipway.Link{{Relation: slipway.From, Ref: slipway.NewRef(slipway.KindRun, d.run.ID)}, {Relation: slipway.From, Ref: pl.revision.Ref()}}
	if env, ok := pl.environment.Ref(); ok {
		out = append(out, slipway.Link{Relation: slipway.From, Ref: env})
	}
	seen := map[slipway.Ref]bool{}
	for _, in := range st.In {
		ref := pl.versions[in.Dataset].Ref()
		if in.Dataset == "" {
			digest := d.tasks[d.position(in.Step)].Output[in.Output].Digest
			ref = slipway.NewRef(slipway.KindArtifact, string(digest))
		}
		if !seen[ref] {
			seen[ref] = true
			out = append(out, slipway.Link{Relation: slipway.From, Ref: ref})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(output)) {
		out = append(out, slipway.Link{Relation: slipway.To, Ref: slipway.NewRef(slipway.KindArtifact, string(output[name].Digest))})
	}
	return out
}

// artifacts are the outputs that a run produced itself.
func artifacts(r Run) []slipway.Ref {
	var out []slipway.Ref
	for _, t := range r.Task {
		if t.State != Succeeded {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(t.Output)) {
			out = append(out, slipway.NewRef(slipway.KindArtifact, string(t.Output[name].Digest)))
		}
	}
	return out
}

// Finished is what run.finished says of a pipeline's run.
type Finished struct {
	Status  State             `json:"status"`
	Kind    string            `json:"kind"` // "pipeline", or "trial": its model is not to be registered
	Trigger string            `json:"trigger"`
	Reason  string            `json:"reason,omitempty"`
	Outputs map[string]Output `json:"outputs"` // by step.output, those that stood too
	// Model is the key in Outputs of the project's model.from, when a step of
	// this run made it and the whole run succeeded.
	Model     string         `json:"model,omitempty"`
	ModelName string         `json:"model_name,omitempty"`
	ModelRun  string         `json:"model_run,omitempty"` // of the step, in tracking
	Window    slipway.Window `json:"window,omitzero"`     // event time of the rows that were read, where one was named
	Revision  int            `json:"revision"`
	Error     string         `json:"error,omitempty"`
}

func finished(pl *plan, r Run) Finished {
	out := Finished{Status: r.State, Kind: runKind(r), Trigger: r.Trigger, Reason: r.Reason, Outputs: r.Outputs(), Window: pl.window(),
		Revision: r.Revision, Error: r.Error}
	m := pl.project.Model
	if m == nil || r.State != Succeeded {
		return out
	}
	if t := r.task(m.From.Step); t != nil && t.State == Succeeded {
		if _, ok := t.Output[m.From.Output]; ok {
			out.Model, out.ModelName, out.ModelRun = m.From.String(), m.Name, t.Run
		}
	}
	return out
}

// runKind tells a trial from a run whose model counts.
func runKind(r Run) string {
	if r.Request.Quiet {
		return "trial"
	}
	return "pipeline"
}

// window is the event time of the rows that the run reads: the request's, else
// the hull of the windows in slipway.yaml; zero when a step reads all rows.
func (pl *plan) window() slipway.Window {
	if !pl.request.Window.IsZero() {
		return pl.request.Window
	}
	var hull slipway.Window
	first := true
	for _, st := range pl.steps {
		for _, in := range st.In {
			if in.Dataset == "" {
				continue
			}
			if in.Window.IsZero() {
				return slipway.Window{}
			}
			if first {
				hull, first = in.Window, false
				continue
			}
			if in.Window.From.IsZero() || in.Window.From.Before(hull.From) {
				hull.From = in.Window.From
			}
			if in.Window.To.IsZero() || !hull.To.IsZero() && in.Window.To.After(hull.To) {
				hull.To = in.Window.To
			}
		}
	}
	return hull
}
