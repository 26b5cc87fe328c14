package pipeline

import (
	"context"
	"fmt"
	"maps"
	"sync"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/web"
	"github.com/slipway-ml/slipway/internal/project"
)

// plan is what a run needs to know about its revision to decide about steps.
type plan struct {
	project     *project.Project
	revision    Revision
	request     Request
	steps       []*project.Step // in an order in which they can run
	tree        content.Tree
	index       *snapshotIndex
	environment Environment
	versions    map[string]DatasetVersion    // by dataset
	rows        map[string]Output            // what stands for a dataset input, by its text
	code        map[string]map[string]string // what a command reaches, by the command
	whole       slipway.Digest
}

// prepare reads a revision and everything that its steps read. resolved are the
// dataset versions of a run that began earlier; nil resolves them now.
func (s *Service) prepare(ctx context.Context, r Run, say func(web.Progress)) (*plan, error) {
	p, rev, err := s.Revision(ctx, r.Project, r.Revision)
	if err != nil {
		return nil, err
	}
	if err := s.check(p, r.Request); err != nil {
		return nil, err
	}
	pl := &plan{project: p, revision: rev, request: r.Request, rows: map[string]Output{}, code: map[string]map[string]string{}}
	if pl.steps, err = selectSteps(p, r.Request.Steps); err != nil {
		return nil, err
	}
	if pl.tree, err = s.o.Content.GetTree(ctx, rev.Code); err != nil {
		return nil, err
	}
	pl.index = newSnapshotIndex(pl.tree, s.textReader(ctx))
	pl.versions = maps.Clone(r.Data)
	if pl.versions == nil {
		pl.versions = map[string]DatasetVersion{}
	}
	for _, st := range pl.steps {
		for _, in := range st.In {
			if in.Dataset == "" {
				continue
			}
			if err := s.resolveInput(ctx, pl, in, say); err != nil {
				return nil, err
			}
		}
	}
	pl.environment, err = s.environment(ctx, pl, say)
	return pl, err
}

// resolveInput finds the content that stands for a dataset or its window.
func (s *Service) resolveInput(ctx context.Context, pl *plan, in project.Input, say func(web.Progress)) error {
	if _, ok := pl.rows[in.Text]; ok {
		return nil
	}
	v, ok := pl.versions[in.Dataset]
	if !ok {
		var err error
		v, err = s.o.Data.Resolve(ctx, pl.project.Name, in.Dataset, pl.request.Data[in.Dataset])
		if slipway.IsCode(err, slipway.NotFound) {
			return slipway.Errorf(slipway.NotFound, "%s", slipway.AsError(err).Message).WithHint("`slipway data add %s` makes a version of it", in.Dataset)
		}
		if err != nil {
			return err
		}
		pl.versions[in.Dataset] = v
	}
	window := in.Window
	if !pl.request.Window.IsZero() && pl.project.Data[in.Dataset].Time.Expression != "" {
		window = pl.request.Window
	}
	if window.IsZero() && in.Split == "" {
		pl.rows[in.Text] = Output{Digest: v.Tree, Tree: true}
		return nil
	}
	out, err := s.extract(ctx, pl.project, v, window, in.Split, say)
	if err != nil {
		return fmt.Errorf("read %s: %w", in.Text, err)
	}
	pl.rows[in.Text] = out
	return nil
}

// params is a step's parameters with those of the request over them.
func (pl *plan) params(st *project.Step) map[string]any {
	out := map[string]any{}
	maps.Copy(out, st.Params)
	maps.Copy(out, pl.request.Params[st.Name])
	return out
}

// inputs finds the content of every input; waits names a step whose output is
// not there yet.
func (pl *plan) inputs(st *project.Step, output func(step string) map[string]Output) (in map[string]slipway.Digest, waits string) {
	in = make(map[string]slipway.Digest, len(st.In))
	for _, i := range st.In {
		if i.Dataset != "" {
			in[i.Text] = pl.rows[i.Text].Digest
			continue
		}
		o, ok := output(i.Step)[i.Output]
		if !ok {
			return nil, i.Step
		}
		in[i.Text] = o.Digest
	}
	return in, ""
}

// decide settles, for every waiting task whose inputs are known, whether an
// earlier result stands. It goes through the whole graph in one snapshot of the
// database, since a reused result makes the next step's inputs known.
func (s *Service) decide(ctx context.Context, pl *plan, project string, tasks []*Task) error {
	by := make(map[string]*Task, len(tasks))
	for _, t := range tasks {
		by[t.Step] = t
	}
	output := func(step string) map[string]Output {
		if t := by[step]; t != nil && (t.State == Succeeded || t.State == Reused) {
			return t.Output
		}
		return nil
	}
	return s.priors(ctx, project, func(lookup func(string, slipway.Digest) (*priorTask, *priorTask, error)) error {
		for i, t := range tasks {
			if t.State != Waiting || t.Attempt > 0 || t.Why.Verdict == verdictRun {
				continue
			}
			in, waits := pl.inputs(pl.steps[i], output)
			if waits != "" {
				t.Why = Why{Verdict: verdictWait, Reason: "step " + waits + " runs first"}
				continue
			}
			t.Material = pl.material(pl.steps[i], in)
			t.Key = t.Material.Key()
			if pl.request.Force {
				t.Why = Why{Verdict: verdictRun, Reason: "it was forced"}
				continue
			}
			hit, last, err := lookup(t.Step, t.Key)
			if err != nil {
				return err
			}
			if hit != nil && s.kept(ctx, hit.Output) {
				t.State, t.Output, t.Run = Reused, hit.Output, hit.Tracked
				t.Why = Why{Verdict: verdictHit, Reason: "nothing that it depends on has changed", Run: hit.Run}
				continue
			}
			if hit != nil {
				last = hit
			}
			t.Why = explain(t.Material, last)
		}
		return nil
	})
}

// kept reports whether the content of a result is still there.
func (s *Service) kept(ctx context.Context, out map[string]Output) bool {
	for _, o := range out {
		has, err := s.o.Content.Has(ctx, o.Digest)
		if err != nil || !has[0] {
			return false
		}
	}
	return true
}

// newTasks is the tasks of a plan, before anything is decided.
func (pl *plan) newTasks() []Task {
	out := make([]Task, len(pl.steps))
	for i, st := range pl.steps {
		out[i] = Task{Step: st.Name, Needs: st.Needs(), State: Waiting}
	}
	return out
}

// maxText is the size of the largest file that is looked through for names of
// other files.
const maxText = 512 << 10

// textReader reads code, each file once.
func (s *Service) textReader(ctx context.Context) func(content.Entry) []byte {
	var mu sync.Mutex
	seen := map[slipway.Digest][]byte{}
	return func(e content.Entry) []byte {
		mu.Lock()
		defer mu.Unlock()
		if b, ok := seen[e.Digest]; ok {
			return b
		}
		var text []byte
		if e.Size <= maxText {
			if b, err := s.read(ctx, e.Digest); err == nil && !isBinary(b) {
				text = b
			}
		}
		seen[e.Digest] = text
		return text
	}
}

func isBinary(b []byte) bool {
	for _, c := range b[:min(len(b), 4096)] {
		if c == 0 {
			return true
		}
	}
	return false
}
