package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// watcher is told what happens in a run.
type watcher struct{ say func(web.Progress) }

// say tells every watcher.
func (d *drive) say(p web.Progress) {
	d.mu.Lock()
	watchers := slices.Clone(d.watchers)
	d.mu.Unlock()
	for _, w := range watchers {
		w.say(p)
	}
}

// taskNews is what a watcher learns of a task.
func taskNews(t Task) web.Progress {
	t.Material = nil // it is long, and `runs why` has it
	raw, _ := json.Marshal(t)
	text := t.Message
	if text == "" {
		text = t.Why.Reason
	}
	return web.Progress{Topic: t.Step, State: string(t.State), Message: text, Data: raw}
}

func (d *drive) sayTask(t Task) { d.say(taskNews(t)) }

// sayTaskLocked is sayTask for a caller that holds mu.
func (d *drive) sayTaskLocked(t Task) {
	for _, w := range d.watchers {
		w.say(taskNews(t))
	}
}

// Watch tells say what happens in a run until it ends, beginning with how it
// stands, and returns the run. When ctx ends first it returns ctx's error; the
// run goes on.
func (s *Service) Watch(ctx context.Context, project, id string, say func(web.Progress)) (Run, error) {
	s.mu.Lock()
	d := s.runs[id]
	s.mu.Unlock()
	if d == nil {
		return s.Run(ctx, project, id)
	}
	return s.watch(ctx, d, say)
}

// turnTime is how long a run may wait for its turn before it is told why.
const turnTime = 300 * time.Millisecond

func (s *Service) watch(ctx context.Context, d *drive, say func(web.Progress)) (Run, error) {
	project, id := d.run.Project, d.run.ID
	w := &watcher{say: say}
	d.mu.Lock()
	d.watchers = append(d.watchers, w)
	select {
	case <-d.ready:
		for _, t := range d.tasks {
			say(taskNews(*t))
		}
	default:
	}
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.watchers = slices.DeleteFunc(d.watchers, func(o *watcher) bool { return o == w })
	}()
	select { // nobody needs to hear of a turn that comes at once
	case <-d.turn:
	case <-d.done:
	case <-ctx.Done():
	case <-time.After(turnTime):
		say(web.Progress{Message: "waits for run " + short(d.behind) + " of this project; `slipway cancel " + short(d.behind) + "` ends it"})
	}
	select {
	case <-d.done:
	case <-ctx.Done():
		return Run{}, ctx.Err()
	}
	r, err := s.Run(ctx, project, id)
	if err == nil && !r.State.Done() {
		err = slipway.Errorf(slipway.Unavailable, "the server ended while the run went on").
			WithHint("its steps go on; the next server takes it up")
	}
	if err == nil && d.cause != nil && r.State == Failed {
		err = d.cause
	}
	return r, err
}

// Do submits a request and waits for its end. A run that ends badly comes back
// with its error: Failed when a step failed, Interrupted when it was cancelled.
// It is what retraining and backtests call.
func (s *Service) Do(ctx context.Context, project string, r Request, say func(web.Progress)) (Run, error) {
	if say == nil {
		say = func(web.Progress) {}
	}
	d, err := s.submit(ctx, project, r)
	if err != nil {
		return Run{}, err
	}
	run, err := s.watch(ctx, d, say)
	if err != nil {
		return run, err
	}
	return run, run.verdict()
}

// verdict is the error of a run that ended badly.
func (r Run) verdict() error {
	switch r.State {
	case Failed:
		for _, t := range r.Task {
			if t.State == Failed {
				return slipway.Errorf(slipway.Failed, "%s", r.Error).WithHint("`slipway logs %s %s` shows what it printed", r.ID[:8], t.Step)
			}
		}
		return slipway.Errorf(slipway.Failed, "%s", r.Error)
	case Cancelled:
		return slipway.Errorf(slipway.Interrupted, "the run was cancelled")
	}
	return nil
}

// DryRun says what a request would run, and why. Nothing is recorded but the
// windows that it had to cut out.
func (s *Service) DryRun(ctx context.Context, project string, r Request, say func(web.Progress)) (Run, error) {
	run := Run{Project: project, Revision: r.Revision, Request: r, Trigger: r.Trigger, Created: s.now(), State: Queued}
	pl, err := s.prepare(ctx, run, say)
	if err != nil {
		return run, err
	}
	run.Revision, run.Data, run.Environment, run.Task = pl.revision.Number, pl.versions, &pl.environment, pl.newTasks()
	tasks := make([]*Task, len(run.Task))
	for i := range run.Task {
		tasks[i] = &run.Task[i]
	}
	if err := s.decide(ctx, pl, project, tasks); err != nil {
		return run, err
	}
	run.Nothing = !slices.ContainsFunc(run.Task, func(t Task) bool { return t.State != Reused })
	return run, nil
}

// maxLines is how many lines of a step's output watchers are told; the rest is
// in its log.
const maxLines = 5000

// sayLines tells the lines of a fresh piece of a step's log. A line that a piece
// cuts is told when its end comes.
func (d *drive) sayLines(step string, piece []byte) {
	d.mu.Lock()
	if d.partial == nil {
		d.partial, d.lines = map[string][]byte{}, map[string]int{}
	}
	text := append(d.partial[step], piece...)
	end := bytes.LastIndexByte(text, '\n') + 1
	d.partial[step] = append([]byte(nil), text[end:]...)
	var lines []string
	for line := range bytes.Lines(text[:end]) {
		if d.lines[step]++; d.lines[step] > maxLines {
			break
		}
		lines = append(lines, strings.ToValidUTF8(strings.TrimRight(string(line), "\r\n"), "\uFFFD"))
		if d.lines[step] == maxLines {
			lines = append(lines, "… `slipway logs` has the rest")
		}
	}
	d.mu.Unlock()
	for _, line := range lines {
		d.say(web.Progress{Topic: step, Stream: "stdout", Message: line})
	}
}
