package pipeline

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/slipway-ml/slipway"
)

// Loop drives runs until ctx ends: first those that an earlier process left,
// whose steps may run still, then those that are submitted. When it returns the
// steps go on by themselves until their leases expire.
func (s *Service) Loop(ctx context.Context) error {
	var err error
	s.begin.Do(func() { err = s.recover(ctx) })
	if err != nil {
		return err
	}
	<-ctx.Done()
	s.driving.Wait()
	return ctx.Err()
}

// recover takes up the runs that an earlier process left.
func (s *Service) recover(ctx context.Context) error {
	open, err := s.openRuns(ctx)
	s.mu.Lock()
	s.lifetime = ctx
	s.mu.Unlock()
	for _, r := range open {
		s.open(r)
	}
	close(s.started)
	return err
}

// open starts driving a run. Runs of one project take turns, in the order in
// which they were submitted; trials, whose results nobody builds upon, go beside
// them.
func (s *Service) open(r Run) *drive {
	d := &drive{s: s, run: r, wake: make(chan struct{}, 1), ready: make(chan struct{}), done: make(chan struct{}), launching: map[string]bool{}}
	for i := range r.Task {
		d.tasks = append(d.tasks, &d.run.Task[i])
	}
	d.cancelled = r.Error == cancelledText
	d.turn = make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs[r.ID] = d
	for _, t := range d.tasks {
		if t.State == Running {
			s.leases[t.tokenHash] = &taskSeat{drive: d, task: t, step: t.Step, attempt: t.Attempt}
		}
	}
	var before *drive
	if !r.Request.Quiet {
		before = s.last[r.Project]
		s.last[r.Project] = d
	}
	if before != nil {
		d.behind = before.run.ID
	} else {
		close(d.turn)
	}
	ctx := slipway.WithPrincipal(s.lifetime, slipway.Principal{Name: r.Actor, Role: slipway.Operator, Project: r.Project})
	s.driving.Go(func() {
		defer s.forget(d)
		if before != nil {
			select {
			case <-before.done:
			case <-ctx.Done():
				return
			}
			close(d.turn)
		}
		d.main(ctx)
	})
	return d
}

func (s *Service) forget(d *drive) {
	s.mu.Lock()
	delete(s.runs, d.run.ID)
	if s.last[d.run.Project] == d {
		delete(s.last, d.run.Project)
	}
	s.mu.Unlock()
	close(d.done)
}

// Submit asks for a run and returns its id. A run that does the same work and
// has not ended is joined rather than repeated. It fails as check does, and with
// Unavailable while the server ends.
func (s *Service) Submit(ctx context.Context, name string, r Request) (string, error) {
	d, err := s.submit(ctx, name, r)
	if err != nil {
		return "", err
	}
	return d.run.ID, nil
}

// submit is Submit for who wants to see the run's end, however soon it comes.
func (s *Service) submit(ctx context.Context, name string, r Request) (*drive, error) {
	p, rev, err := s.Revision(ctx, name, r.Revision)
	if err != nil {
		return nil, err
	}
	if err := s.check(p, r); err != nil {
		return nil, err
	}
	select {
	case <-s.started:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s.lifetime.Err() != nil {
		return nil, slipway.Errorf(slipway.Unavailable, "the server is ending")
	}
	s.submitting.Lock()
	defer s.submitting.Unlock()
	if r.Revision = rev.Number; r.Trigger == "" {
		r.Trigger = "by hand"
	}
	if d := s.joins(name, r); d != nil {
		return d, nil
	}
	run := Run{ID: newID(), Project: name, Revision: rev.Number, State: Queued, Trigger: r.Trigger, Reason: r.Reason,
		Actor: slipway.PrincipalOf(ctx).Name, Request: r, Created: s.now()}
	if err := s.insertRun(ctx, run); err != nil {
		return nil, err
	}
	return s.open(run), nil
}

// joins finds a run under way that does the same work, or nil.
func (s *Service) joins(project string, r Request) *drive {
	s.mu.Lock()
	runs := slices.Collect(maps.Values(s.runs))
	s.mu.Unlock()
	for _, d := range runs {
		d.mu.Lock()
		same := d.run.Project == project && !d.run.State.Done() && !d.cancelled && sameWork(d.run.Request, r)
		d.mu.Unlock()
		if same {
			return d
		}
	}
	return nil
}

// drive brings one run to its end.
type drive struct {
	s     *Service
	plan  *plan         // set when ready is closed
	ready chan struct{} // closed when the plan is there, or cannot be
	done  chan struct{} // closed when nobody drives the run any more
	turn  chan struct{} // closed when the run before it in the project has ended
	wake  chan struct{}
	work  sync.WaitGroup

	behind string // the run before it, if there was one

	mu        sync.Mutex
	run       Run
	tasks     []*Task // of run, in the order of the plan's steps
	launching map[string]bool
	cancelled bool
	cause     error // what kept the run from running its steps
	watchers  []*watcher
	partial   map[string][]byte // the unfinished last line of each step's output
	lines     map[string]int    // how many were told
}

// main drives until the run or the server ends.
func (d *drive) main(ctx context.Context) {
	defer d.work.Wait()
	err := d.begin(ctx)
	if err == nil && d.run.State == Running {
		err = d.steps(ctx)
	}
	select {
	case <-d.ready:
	default:
		close(d.ready)
	}
	if ctx.Err() != nil || err == nil && d.run.State.Done() {
		return
	}
	if ferr := d.finish(ctx, err); ferr != nil && ctx.Err() == nil {
		slog.ErrorContext(ctx, "the end of a run is not recorded", "run", d.run.ID, "error", ferr)
	}
}

// begin makes the plan, and records it when something has to run.
func (d *drive) begin(ctx context.Context) error {
	s := d.s
	if d.isCancelled() {
		return nil
	}
	plan, err := s.prepare(ctx, d.run, d.say)
	if err != nil {
		return err
	}
	fresh := d.run.State == Queued
	d.mu.Lock()
	d.plan = plan
	d.run.Data, d.run.Environment = plan.versions, &plan.environment
	if fresh {
		d.run.Task = plan.newTasks()
		d.tasks = nil
		for i := range d.run.Task {
			d.tasks = append(d.tasks, &d.run.Task[i])
		}
		if err := s.decide(ctx, plan, d.run.Project, d.tasks); err != nil {
			d.mu.Unlock()
			return err
		}
		d.run.Started = s.now()
		if d.run.Nothing = d.count(Reused) == len(d.tasks); d.run.Nothing {
			d.run.State, d.run.Ended = Succeeded, d.run.Started
		} else {
			d.run.State = Running
		}
	}
	run := d.run
	d.mu.Unlock()
	close(d.ready)
	if fresh {
		if err := d.record(ctx, run); err != nil {
			return err
		}
	}
	for _, t := range run.Task {
		d.sayTask(t)
	}
	return nil
}

// record writes down what was planned.
func (d *drive) record(ctx context.Context, run Run) error {
	if run.Nothing {
		return d.s.recordNothing(ctx, run)
	}
	if err := d.s.trackRun(ctx, d.plan, run); err != nil {
		return err
	}
	data := map[string]any{"kind": runKind(run), "trigger": run.Trigger, "reason": run.Reason, "revision": run.Revision}
	return d.s.updateRun(ctx, run, true, event(run.Project, run.Actor, "run.started", run.ID, d.plan.links(), data))
}

// count says how many tasks are in a state. The caller holds mu.
func (d *drive) count(state State) (n int) {
	for _, t := range d.tasks {
		if t.State == state {
			n++
		}
	}
	return n
}

// steps runs what must run until every task is done.
func (d *drive) steps(ctx context.Context) error {
	d.adopt(ctx)
	for {
		wait, err := d.advance(ctx)
		if err != nil {
			return err
		}
		if wait < 0 {
			return nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-d.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// idle is how long a drive sleeps when nothing calls it.
const idle = time.Hour

// advance settles what can be settled and starts what can start. It returns how
// long to wait for the next attempt, or a negative time when all is done.
func (d *drive) advance(ctx context.Context) (time.Duration, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.states()
	if !d.cancelled {
		if err := d.s.decide(ctx, d.plan, d.run.Project, d.tasks); err != nil {
			return 0, err
		}
	}
	d.settle()
	for i, t := range d.tasks {
		if before[i] == t.State {
			continue
		}
		if err := d.s.updateTask(ctx, d.run.ID, d.run.Project, was{before[i], t.Attempt}, *t); err != nil {
			return 0, err
		}
		d.sayTaskLocked(*t)
	}
	wait, open := idle, false
	for i, t := range d.tasks {
		open = open || !t.State.Done()
		if t.State != Waiting || d.launching[t.Step] || !d.inputsThere(t) {
			continue
		}
		if pause := t.notBefore.Sub(d.s.now()); pause > 0 {
			wait = min(wait, pause)
			continue
		}
		d.launching[t.Step] = true
		d.work.Go(func() { d.launch(ctx, i) })
	}
	if !open {
		return -1, nil
	}
	return wait, nil
}

func (d *drive) states() []State {
	out := make([]State, len(d.tasks))
	for i, t := range d.tasks {
		out[i] = t.State
	}
	return out
}

// settle skips the tasks whose input failed, and all that wait when the run was
// cancelled. The caller holds mu.
func (d *drive) settle() {
	lost := map[string]bool{}
	for _, t := range d.tasks {
		if t.State == Waiting && d.cancelled && !d.launching[t.Step] {
			t.State, t.Ended = Cancelled, d.s.now()
		}
		for _, n := range t.Needs {
			if t.State == Waiting && lost[n] {
				t.State, t.Ended, t.Message = Skipped, d.s.now(), "step "+n+" did not succeed"
			}
		}
		lost[t.Step] = t.State == Failed || t.State == Skipped || t.State == Cancelled
	}
}

// inputsThere reports whether every step that t reads from has its outputs. The
// caller holds mu.
func (d *drive) inputsThere(t *Task) bool {
	for _, n := range t.Needs {
		for _, o := range d.tasks {
			if o.Step == n && o.State != Succeeded && o.State != Reused {
				return false
			}
		}
	}
	return true
}

func (d *drive) isCancelled() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cancelled
}

// call wakes the drive.
func (d *drive) call() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}
