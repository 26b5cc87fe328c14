package pipeline

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/compute"
	"github.com/slipway-ml/slipway/internal/backend/compute/fake"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

type stepFunc = func(ctx context.Context, a Assignment) (string, map[string]string)

// onFake opens a house whose steps are functions.
func onFake(t testing.TB, steps map[string]stepFunc) (*house, *fake.Runner) {
	d := dbtest.Open(t, filepath.Join(t.TempDir(), "test.db"), db.Options{Migrations: []db.Migration{Migration}})
	var h *house
	runner := stepper(&h, steps)
	h = newHouse(t, d, runner)
	return h, runner
}

// fails makes a step that fails n times.
func fails(n int) stepFunc {
	var mu sync.Mutex
	return func(context.Context, Assignment) (string, map[string]string) {
		mu.Lock()
		defer mu.Unlock()
		if n--; n >= 0 {
			return "it ended with status 1", nil
		}
		return "", nil
	}
}

func TestScheduling(t *testing.T) {
	for name, c := range map[string]struct {
		yaml   string
		steps  map[string]stepFunc
		states string
		tries  int // of step a
		err    slipway.Code
	}{
		"a diamond": {`
  a: {run: x, out: [a.txt]}
  b: {run: x, in: [a.txt], out: [b.txt]}
  c: {run: x, in: [a.txt], out: [c.txt]}
  d: {run: x, in: [b.txt, c.txt], out: [d.txt]}`, nil, "a:succeeded b:succeeded c:succeeded d:succeeded", 0, ""},
		"retries are enough":     {"\n  a: {run: x, out: [a.txt], retries: 2}", map[string]stepFunc{"a": fails(2)}, "a:succeeded", 2, ""},
		"retries are not enough": {"\n  a: {run: x, out: [a.txt], retries: 2}", map[string]stepFunc{"a": fails(3)}, "a:failed", 3, slipway.Failed},
		"what does not depend on a failure goes on": {`
  a: {run: x, out: [a.txt]}
  b: {run: x, in: [a.txt], out: [b.txt]}
  c: {run: x, out: [c.txt]}
  d: {run: x, in: [b.txt, c.txt], out: [d.txt]}`, map[string]stepFunc{"a": fails(1)}, "a:failed b:skipped c:succeeded d:skipped", 1, slipway.Failed},
		"a success must bring its outputs": {"\n  a: {run: x, out: [a.txt], retries: 0}",
			map[string]stepFunc{"a": func(context.Context, Assignment) (string, map[string]string) { return "", map[string]string{} }},
			"a:failed", 0, slipway.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := onFake(t, c.steps)
			h.write(map[string]string{"slipway.yaml": "project: demo\npipeline:" + c.yaml + "\n"})
			r, err := h.run(Request{})
			if c.err != "" && !slipway.IsCode(err, c.err) || c.err == "" && err != nil {
				t.Errorf("error %v, want %q", err, c.err)
			}
			if got := states(r); got != c.states {
				t.Errorf("states %s, want %s", got, c.states)
			}
			if got := r.task("a").Tries; got != c.tries {
				t.Errorf("%d failed tries, want %d", got, c.tries)
			}
		})
	}
}

// Steps share the machine: never more cores or memory than there are.
func TestResourcesAreShared(t *testing.T) {
	var mu sync.Mutex
	cpu, most := 0.0, 0.0
	together := make(chan struct{})
	var once sync.Once
	one := func(ctx context.Context, a Assignment) (string, map[string]string) {
		mu.Lock()
		cpu += 2
		most = max(most, cpu)
		if cpu == 4 {
			once.Do(func() { close(together) })
		}
		mu.Unlock()
		select { // two fit side by side; neither ends before both have begun
		case <-together:
		case <-ctx.Done():
		}
		mu.Lock()
		cpu -= 2
		mu.Unlock()
		return "", nil
	}
	steps := map[string]stepFunc{}
	yaml := "project: demo\npipeline:\n"
	for i := range 7 {
		steps[fmt.Sprintf("s%d", i)] = one
		yaml += fmt.Sprintf("  s%d: {run: x, out: [o%d.txt], resources: {cpu: 2}}\n", i, i)
	}
	h, _ := onFake(t, steps)
	h.write(map[string]string{"slipway.yaml": yaml})
	h.mustRun(Request{})
	if most != 4 {
		t.Errorf("%v cores were in use at once, want 4", most)
	}
}

// A process that ends without a word is started again; one that keeps dying
// fails its step.
func TestLostProcesses(t *testing.T) {
	for name, c := range map[string]struct {
		deaths int
		want   string
	}{
		"dies twice": {2, "a:succeeded"},
		"keeps on":   {100, "a:failed"},
	} {
		t.Run(name, func(t *testing.T) {
			h, runner := onFake(t, nil)
			inner, n := runner.Run, 0
			runner.Run = func(ctx context.Context, s compute.Spec) int {
				if n++; n <= c.deaths {
					return 137
				}
				return inner(ctx, s)
			}
			h.write(map[string]string{"slipway.yaml": "project: demo\npipeline:\n  a: {run: x, out: [a.txt]}\n"})
			r, _ := h.run(Request{})
			if got := states(r); got != c.want {
				t.Errorf("states %s, want %s", got, c.want)
			}
			if c.deaths == 2 && (r.task("a").Lost != 2 || r.task("a").Tries != 0 || r.task("a").Attempt != 3) {
				t.Errorf("a lost process is no failed try: %s", dump(r.task("a")))
			}
		})
	}
}

// A step that is not heard of any more loses its lease, and what it says later
// does not count.
func TestStaleAttemptIsFenced(t *testing.T) {
	h, runner := onFake(t, nil)
	h.s.o.Lease = 150 * time.Millisecond
	inner, first := runner.Run, make(chan string, 1)
	runner.Run = func(ctx context.Context, s compute.Spec) int {
		select {
		case first <- lease(s):
			<-ctx.Done()
			return -1
		default:
			return inner(ctx, s)
		}
	}
	h.write(map[string]string{"slipway.yaml": "project: demo\npipeline:\n  a: {run: x, out: [a.txt]}\n"})
	r := h.mustRun(Request{})
	if a := r.task("a"); a.Attempt != 2 || a.Lost != 1 {
		t.Errorf("the second attempt made it: %s", dump(a))
	}
	stale := <-first
	if err := h.s.complete(t.Context(), stale, completion{Message: "late"}); !slipway.IsCode(err, slipway.Denied) {
		t.Errorf("a late completion = %v, want denied", err)
	}
	if err := h.s.heartbeat(t.Context(), stale); !slipway.IsCode(err, slipway.Denied) {
		t.Errorf("a late heartbeat = %v, want denied", err)
	}
	if _, err := h.s.LeasePrincipal(t.Context(), stale); !slipway.IsCode(err, slipway.Unauthenticated) {
		t.Errorf("a stale token = %v, want unauthenticated", err)
	}
}

func lease(s compute.Spec) string {
	for _, e := range s.Env {
		if v, ok := strings.CutPrefix(e, "SLIPWAY_LEASE="); ok {
			return v
		}
	}
	return ""
}

// Cancelling ends what runs, starts nothing more, and is written down. A token
// is good for one project while its step runs.
func TestCancel(t *testing.T) {
	began := make(chan string, 1)
	h, runner := onFake(t, map[string]stepFunc{"a": func(ctx context.Context, a Assignment) (string, map[string]string) {
		began <- a.Pipeline
		<-ctx.Done()
		return "", nil
	}})
	h.write(map[string]string{"slipway.yaml": "project: demo\npipeline:\n  a: {run: x, out: [a.txt]}\n  b: {run: x, in: [a.txt], out: [b.txt]}\n"})
	h.apply()
	job, err := OpRun.Call(ownerContext(t), h.client, startIn{Project: "demo"})
	if err != nil {
		t.Fatal(err)
	}
	id := <-began
	p, err := h.s.LeasePrincipal(t.Context(), lease(runner.Started()[0]))
	if err != nil || p.Role != slipway.Writer || p.Project != "demo" {
		t.Errorf("the step is %+v, %v", p, err)
	}
	ctx, cancel := context.WithCancel(ownerContext(t))
	seen := make(chan struct{})
	go func() { <-seen; cancel() }()
	var once sync.Once
	_, err = web.Follow(ctx, h.client, job.ID, func(web.Progress) { once.Do(func() { close(seen) }) })
	if !slipway.IsCode(err, slipway.Interrupted) {
		t.Errorf("Follow = %v, want interrupted", err)
	}
	r, err := OpCancelRun.Call(ownerContext(t), h.client, runIn{Project: "demo", Run: id[:10]})
	if err != nil || r.State != Cancelled || states(r) != "a:cancelled b:cancelled" {
		t.Errorf("cancelled: %v\n%s", err, dump(r))
	}
	if s := h.track.get(r.task("a").Run).Status; s != "KILLED" {
		t.Errorf("tracked as %s", s)
	}
}

// Two requests for the same work are one run; another one waits for its turn.
func TestRunsOfAProjectTakeTurns(t *testing.T) {
	gate, began := make(chan struct{}), make(chan string, 4)
	h, _ := onFake(t, map[string]stepFunc{"a": func(_ context.Context, a Assignment) (string, map[string]string) {
		began <- a.Pipeline
		<-gate
		return "", nil
	}})
	h.write(map[string]string{"slipway.yaml": "project: demo\npipeline:\n  a: {run: x, out: [a.txt], params: {n: 1}}\n"})
	h.apply()
	ctx := ownerContext(t)
	first, err := h.s.Submit(ctx, "demo", Request{})
	if err != nil {
		t.Fatal(err)
	}
	<-began
	again, err := h.s.Submit(ctx, "demo", Request{Trigger: "schedule"})
	if err != nil || again != first {
		t.Errorf("the same work is joined: %s, %s, %v", first, again, err)
	}
	other, err := h.s.Submit(ctx, "demo", Request{Params: map[string]map[string]any{"a": {"n": 2}}})
	if err != nil || other == first {
		t.Fatalf("other work is another run: %s, %v", other, err)
	}
	if r, err := h.s.Run(ctx, "demo", other); err != nil || r.State != Queued {
		t.Errorf("it waits: %s, %v", r.State, err)
	}
	close(gate)
	for _, id := range []string{first, other} {
		if r, err := h.s.Watch(ctx, "demo", id, func(web.Progress) {}); err != nil || r.State != Succeeded {
			t.Errorf("run %s: %s, %v", id, r.State, err)
		}
	}
}

// A server that ends leaves its steps running; the next one takes them up.
func TestNextServerAdopts(t *testing.T) {
	dbtest.EachDSN(t, func(t *testing.T, dsn string) {
		d := dbtest.Open(t, dsn, db.Options{Migrations: []db.Migration{Migration}})
		var h *house
		gate, began := make(chan struct{}), make(chan string, 4)
		runner := stepper(&h, map[string]stepFunc{"a": func(_ context.Context, a Assignment) (string, map[string]string) {
			began <- a.Pipeline
			<-gate
			return "", nil
		}})
		h = newHouse(t, d, runner)
		h.write(map[string]string{"slipway.yaml": "project: demo\npipeline:\n  a: {run: x, out: [a.txt]}\n  b: {run: x, in: [a.txt], out: [b.txt]}\n"})
		h.apply()
		id, err := h.s.Submit(ownerContext(t), "demo", Request{})
		if err != nil {
			t.Fatal(err)
		}
		<-began
		h.close()
		if r, err := h.s.Run(ownerContext(t), "demo", id); err != nil || states(r) != "a:running b:waiting" {
			t.Fatalf("the run goes on: %s, %v", states(r), err)
		}
		h.open(d, runner)
		close(gate)
		<-h.s.started
		r, err := h.s.Watch(ownerContext(t), "demo", id, func(web.Progress) {})
		if err != nil || states(r) != "a:succeeded b:succeeded" || r.State != Succeeded {
			t.Fatalf("%v\n%s", err, dump(r))
		}
		if a := r.task("a"); a.Attempt != 1 || a.Lost != 0 {
			t.Errorf("the step was adopted, not started again: %s", dump(a))
		}
		if n := len(runner.Started()); n != 2 {
			t.Errorf("%d processes were started, want 2", n)
		}
	})
}
