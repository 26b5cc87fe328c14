package pipeline

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/compute"
	"github.com/slipway-ml/slipway/internal/project"
)

// taskSeat is one attempt of a task, whose holder is known by a token.
type taskSeat struct {
	drive   *drive
	task    *Task // under drive.mu
	step    string
	attempt int
	// settling is set while the end of the attempt is being written down; only
	// one end counts. Under drive.mu.
	settling bool
}

// maxLost is how often a step whose process went away is started again.
const maxLost = 3

// launch starts a new attempt of task i when its share of the machine is free.
func (d *drive) launch(ctx context.Context, i int) {
	s, st := d.s, d.plan.steps[i]
	cpu, memory := need(st)
	if err := s.machine.take(ctx, cpu, memory, s.o.CPU); err != nil {
		return
	}
	give := func() { s.machine.give(cpu, memory, s.o.CPU) }
	seat, token, err := d.claim(ctx, i)
	if err != nil || seat == nil {
		give()
		if err != nil && ctx.Err() == nil {
			slog.ErrorContext(ctx, "a step cannot be claimed", "run", d.run.ID, "step", st.Name, "error", err)
		}
		d.mu.Lock()
		delete(d.launching, st.Name)
		if err != nil {
			d.tasks[i].notBefore = s.now().Add(s.o.Retry)
		}
		d.mu.Unlock()
		d.call()
		return
	}
	h, err := d.start(ctx, seat, token)
	if err != nil {
		defer give()
		d.close(ctx, seat, completion{Exit: -1, Message: "it cannot start: " + message(err), lasting: slipway.IsCode(err, slipway.Invalid)})
		return
	}
	d.work.Go(func() {
		defer give()
		d.watchSeat(ctx, seat, h)
	})
}

// claim writes down that a new attempt begins. No seat means that the task
// need not run any more.
func (d *drive) claim(ctx context.Context, i int) (*taskSeat, string, error) {
	s := d.s
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	token := hex.EncodeToString(secret)
	d.mu.Lock()
	t := d.tasks[i]
	if d.cancelled || t.State != Waiting {
		d.mu.Unlock()
		return nil, "", nil
	}
	next, run, links := *t, d.run, d.stepLinks(i, nil)
	d.mu.Unlock()
	next.Attempt++
	next.State, next.Run, next.Started, next.Ended = Running, newID(), s.now(), time.Time{}
	next.Exit, next.Message, next.handle, next.finished = nil, "", "", false
	next.tokenHash, next.leaseUntil = tokenHash(token), s.now().Add(s.o.Lease)
	if err := s.trackStep(ctx, d.plan, run, i, next); err != nil {
		return nil, "", err
	}
	data := map[string]any{"kind": "step", "pipeline": d.run.ID, "step": next.Step, "attempt": next.Attempt}
	err := s.updateTask(ctx, d.run.ID, d.run.Project, was{Waiting, next.Attempt - 1}, next,
		event(d.run.Project, d.run.Actor, "run.started", next.Run, links, data))
	if err != nil {
		return nil, "", err
	}
	d.mu.Lock()
	*t = next
	delete(d.launching, t.Step)
	d.mu.Unlock()
	seat := &taskSeat{drive: d, task: t, step: next.Step, attempt: next.Attempt}
	s.mu.Lock()
	s.leases[next.tokenHash] = seat
	s.mu.Unlock()
	d.sayTask(next)
	return seat, token, nil
}

func tokenHash(token string) string { return string(slipway.DigestOf([]byte(token))) }

// start starts the step's process.
func (d *drive) start(ctx context.Context, seat *taskSeat, token string) (compute.Handle, error) {
	s := d.s
	scratch, err := s.path("scratch", d.run.ID)
	if err != nil {
		return nil, err
	}
	log, err := s.path("log", d.run.ID)
	if err != nil {
		return nil, err
	}
	env := append(s.hostVariables(), "SLIPWAY_LEASE="+token, "SLIPWAY_SERVER="+s.o.Server)
	h, err := s.o.Compute.Start(ctx, compute.Spec{Name: seat.step, Args: s.o.Step, Env: env, Dir: scratch,
		Log: filepath.Join(log, seat.step+".process.log")})
	if err != nil {
		return nil, err
	}
	if err := s.setHandle(context.WithoutCancel(ctx), d.run.ID, seat.step, seat.attempt, h.ID()); err != nil {
		slog.WarnContext(ctx, "a step's process is not written down; its lease alone shows its end", "step", seat.step, "error", err)
	}
	return h, nil
}

// adopt finds the processes of the steps that an earlier server started.
func (d *drive) adopt(ctx context.Context) {
	s := d.s
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, t := range d.tasks {
		if t.State != Running {
			continue
		}
		s.mu.Lock()
		seat := s.leases[t.tokenHash]
		s.mu.Unlock()
		if seat == nil || seat.attempt != t.Attempt {
			continue // it completed since
		}
		cpu, memory := need(d.plan.steps[i])
		s.machine.force(cpu, memory, s.o.CPU)
		handle := t.handle
		d.work.Go(func() {
			defer s.machine.give(cpu, memory, s.o.CPU)
			var h compute.Handle
			if handle != "" {
				var err error
				if h, err = s.o.Compute.Adopt(ctx, handle); slipway.IsCode(err, slipway.NotFound) {
					d.lose(ctx, seat, "its process is gone")
					return
				}
			}
			d.watchSeat(ctx, seat, h)
		})
	}
}

// watchSeat returns when an attempt is over. h may be nil: then only the lease
// shows whether anybody works on it.
func (d *drive) watchSeat(ctx context.Context, seat *taskSeat, h compute.Handle) {
	ended := make(chan string, 1)
	if h != nil {
		waiting, stop := context.WithCancel(ctx)
		defer stop()
		go func() {
			if exit, err := h.Wait(waiting); err == nil {
				ended <- "its process ended without a word" + exitText(exit)
			}
		}()
	}
	check := time.NewTicker(max(d.s.o.Lease/8, 10*time.Millisecond))
	defer check.Stop()
	for {
		select {
		case why := <-ended:
			if open, _ := d.seatState(seat); open {
				_ = h.Kill(ctx, 0) // what it had started goes on without it
			}
			d.lose(ctx, seat, why)
			return
		case <-check.C:
			open, expired := d.seatState(seat)
			if open && !expired {
				continue
			}
			if h != nil && expired {
				_ = h.Kill(ctx, 0)
			}
			if !open && h != nil { // it has told its end and is about to exit
				if _, err := h.Wait(ctx); err != nil {
					return
				}
			}
			d.lose(ctx, seat, "it was not heard of for "+slipway.FormatDuration(d.s.o.Lease))
			return
		case <-ctx.Done():
			return
		}
	}
}

func exitText(e compute.Exit) string {
	if !e.Known || e.Code == 0 {
		return ""
	}
	return " (status " + strconv.Itoa(e.Code) + ")"
}

func (d *drive) seatState(seat *taskSeat) (open, expired bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	open = seat.task.State == Running && seat.task.Attempt == seat.attempt
	return open, open && d.s.now().After(seat.task.leaseUntil)
}

// lose ends an attempt that did not tell its own end.
func (d *drive) lose(ctx context.Context, seat *taskSeat, why string) {
	d.close(ctx, seat, completion{Exit: -1, Message: why, lost: true})
}

// close is end for who has nobody to tell of a failure: the lease expires, and
// the end is found again.
func (d *drive) close(ctx context.Context, seat *taskSeat, c completion) {
	if _, err := d.end(ctx, seat, c); err != nil && ctx.Err() == nil {
		slog.ErrorContext(ctx, "the end of a step is not recorded", "run", d.run.ID, "step", seat.step, "error", err)
	}
}

// completion is how an attempt ended.
type completion struct {
	Exit    int
	Message string // why it failed; "" when it succeeded
	Output  map[string]Output
	Log     slipway.Digest
	lost    bool // the process or its machine went away
	lasting bool // another attempt would end the same
}

// end writes down how an attempt ended, once, and says whether it was this call
// that did.
func (d *drive) end(ctx context.Context, seat *taskSeat, c completion) (bool, error) {
	s := d.s
	d.mu.Lock()
	t := seat.task
	if t.State != Running || t.Attempt != seat.attempt || seat.settling {
		d.mu.Unlock()
		return false, nil
	}
	seat.settling = true
	i := d.position(seat.step)
	next := *t
	d.outcome(&next, c, d.plan.steps[i].Retries)
	links := d.stepLinks(i, next.Output)
	d.mu.Unlock()

	data := map[string]any{"kind": "step", "pipeline": d.run.ID, "step": next.Step, "attempt": next.Attempt, "status": string(next.State), "outputs": next.Output}
	done := event(d.run.Project, d.run.Actor, "run.finished", next.Run, links, data)
	status := trackedStatus(next.State)
	if next.State == Waiting {
		status = "FAILED"
	}
	// Tracking first: if the machine stops in between, the step is completed
	// again and tracking is told the same again.
	if err := s.o.Tracker.Finish(ctx, d.run.Project, next.Run, status, s.now()); err != nil && ctx.Err() == nil {
		slog.WarnContext(ctx, "the end of a step is not tracked", "run", next.Run, "error", err)
	}
	err := s.updateTask(ctx, d.run.ID, d.run.Project, was{Running, seat.attempt}, next, done)
	d.mu.Lock()
	seat.settling = false
	if err == nil {
		*t = next
	}
	d.mu.Unlock()
	if err != nil {
		return false, err
	}
	s.mu.Lock()
	for hash, one := range s.leases {
		if one == seat {
			delete(s.leases, hash)
		}
	}
	s.mu.Unlock()
	s.logs.end(d.run.ID, seat.step, seat.attempt, next.Log != "")
	_ = os.RemoveAll(filepath.Join(s.o.Dir, "scratch", d.run.ID, scratchName(seat.step, seat.attempt)))
	d.sayTask(next)
	d.call()
	return true, nil
}

// outcome turns the end of an attempt into the state of its task. The caller
// holds mu.
func (d *drive) outcome(t *Task, c completion, retries int) {
	now := d.s.now()
	t.Ended, t.Message, t.Log, t.handle, t.leaseUntil = now, c.Message, c.Log, "", time.Time{}
	if !c.lost {
		t.Exit = &c.Exit
	}
	switch {
	case c.Message == "":
		t.State, t.Output = Succeeded, c.Output
	case d.cancelled:
		t.State, t.Message = Cancelled, cancelledText
	case c.lost && t.Lost < maxLost:
		t.Lost++
		t.State, t.notBefore = Waiting, now.Add(backoff(t.Lost-1, 100*time.Millisecond))
	case c.lost:
		t.State, t.Message = Failed, fmt.Sprintf("%s, %d times", c.Message, t.Lost+1)
	case t.Tries < retries && !c.lasting:
		t.Tries++
		t.State, t.notBefore = Waiting, now.Add(backoff(t.Tries-1, d.s.o.Retry))
	default:
		t.Tries++
		t.State = Failed
	}
}

// backoff doubles a pause with every failure, up to five minutes.
func backoff(n int, first time.Duration) time.Duration {
	return min(first<<min(n, 16), 5*time.Minute)
}

// position is the place of a step in the plan, and of its task.
func (d *drive) position(step string) int {
	return slices.IndexFunc(d.plan.steps, func(st *project.Step) bool { return st.Name == step })
}

func scratchName(step string, attempt int) string { return step + "-" + strconv.Itoa(attempt) }
