package web

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/slipway-ml/slipway"
)

// Job is a long operation: it is started, followed as one stream of events,
// and may be cancelled. What it changes is durable in its capability's own
// tables; the job itself is as long-lived as the process.
type Job struct {
	ID      string          `json:"id"`
	Kind    string          `json:"kind"` // noun.verb: "pipeline.run"
	Project string          `json:"project"`
	State   JobState        `json:"state"`
	Started time.Time       `json:"started"`
	Ended   *time.Time      `json:"ended,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *slipway.Error  `json:"error,omitempty"`
	Actor   string          `json:"actor"`
	cancel  func()          // ends fn's context
	log     *jobLog         // everything it said
}

// JobState says how far a job is.
type JobState string

// The states of a job.
const (
	JobRunning   JobState = "running"
	JobSucceeded JobState = "succeeded"
	JobFailed    JobState = "failed"
)

// Progress is one thing a job says while it runs.
type Progress struct {
	Topic   string          `json:"topic,omitempty"`   // what it is about: a step, a file
	Message string          `json:"message,omitempty"` // a line for people
	Stream  string          `json:"stream,omitempty"`  // "stdout" or "stderr" for output of a user's program
	Done    int64           `json:"done,omitempty"`
	Total   int64           `json:"total,omitempty"`
	Unit    string          `json:"unit,omitempty"` // "B", "row", "request", …
	State   string          `json:"state,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
	Job     *Job            `json:"job,omitempty"` // set on the last event only
}

// Jobs runs jobs in this process.
type Jobs struct {
	// Lifetime ends every job when it is done: the server's own context.
	Lifetime context.Context
	mu       sync.Mutex
	jobs     map[string]*Job
	order    []string
	running  sync.WaitGroup
}

// keepJobs is how many finished jobs are remembered.
const keepJobs = 200

// Start runs fn as a job that outlives the request that asked for it. The
// principal of ctx is who asked.
func (js *Jobs) Start(ctx context.Context, kind, project string, fn func(ctx context.Context, say func(Progress)) (any, error)) Job {
	p := slipway.PrincipalOf(ctx)
	run, cancel := context.WithCancel(slipway.WithPrincipal(js.Lifetime, p))
	id := make([]byte, 8)
	_, _ = rand.Read(id)
	j := &Job{ID: hex.EncodeToString(id), Kind: kind, Project: project, State: JobRunning,
		Started: time.Now().UTC(), Actor: p.Name, cancel: cancel, log: newJobLog()}
	js.mu.Lock()
	if js.jobs == nil {
		js.jobs = map[string]*Job{}
	}
	js.jobs[j.ID] = j
	js.order = append(js.order, j.ID)
	js.forget()
	first := *j
	js.mu.Unlock()
	js.running.Go(func() {
		defer cancel()
		result, err := protect(run, j.log.append, fn)
		js.finish(j, result, err)
	})
	return first
}

// protect turns a panic of fn into an error of its job.
func protect(ctx context.Context, say func(Progress), fn func(context.Context, func(Progress)) (any, error)) (out any, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("job panicked: %v\n%s", v, debug.Stack())
		}
	}()
	return fn(ctx, say)
}

func (js *Jobs) finish(j *Job, result any, err error) {
	now := time.Now().UTC()
	js.mu.Lock()
	j.Ended, j.State = &now, JobSucceeded
	if err != nil {
		j.State, j.Error = JobFailed, slipway.AsError(err)
		if j.Error.Code == slipway.Internal {
			slog.Error("job failed", "kind", j.Kind, "project", j.Project, "error", err)
		}
	}
	if result != nil {
		j.Result, _ = json.Marshal(result)
	}
	last := *j
	js.mu.Unlock()
	j.log.close(Progress{Job: &last})
}

// forget drops the oldest finished jobs. The caller holds mu.
func (js *Jobs) forget() {
	for i := 0; len(js.order) > keepJobs && i < len(js.order); {
		if id := js.order[i]; js.jobs[id].State != JobRunning {
			delete(js.jobs, id)
			js.order = slices.Delete(js.order, i, i+1)
			continue
		}
		i++
	}
}

// Wait returns when no job runs.
func (js *Jobs) Wait() { js.running.Wait() }

// Busy reports whether a job runs.
func (js *Jobs) Busy() bool {
	js.mu.Lock()
	defer js.mu.Unlock()
	for _, j := range js.jobs {
		if j.State == JobRunning {
			return true
		}
	}
	return false
}

// List returns the jobs, newest first.
func (js *Jobs) List() []Job {
	js.mu.Lock()
	defer js.mu.Unlock()
	out := make([]Job, 0, len(js.order))
	for _, id := range slices.Backward(js.order) {
		out = append(out, *js.jobs[id])
	}
	return out
}

func (js *Jobs) find(id string) (*Job, error) {
	js.mu.Lock()
	defer js.mu.Unlock()
	j, ok := js.jobs[id]
	if !ok {
		return nil, slipway.Errorf(slipway.NotFound, "no job %s", id)
	}
	return j, nil
}

type (
	listJobs struct{}
	jobID    struct {
		ID string `path:"id"`
	}
)

// Operations on jobs.
var (
	OpJobs      = Op[listJobs, []Job]{Method: "GET", Path: "/api/v1/jobs", Needs: slipway.Reader, Tag: "job", Summary: "Jobs of this process, newest first"}
	OpCancelJob = Op[jobID, Job]{Method: "POST", Path: "/api/v1/jobs/{id}/cancel", Needs: slipway.Operator, Tag: "job", Summary: "Cancel a job"}
)

// Routes adds the operations on jobs.
func (js *Jobs) Routes(a *API) {
	OpJobs.Serve(a, func(context.Context, listJobs) ([]Job, error) { return js.List(), nil })
	OpCancelJob.Serve(a, func(_ context.Context, in jobID) (Job, error) {
		j, err := js.find(in.ID)
		if err != nil {
			return Job{}, err
		}
		j.cancel()
		js.mu.Lock()
		defer js.mu.Unlock()
		return *j, nil
	})
	a.Handle("GET /api/v1/jobs/{id}/events", slipway.Reader, js.serveEvents)
}

// serveEvents streams a job's events from the first one, as server-sent events.
func (js *Jobs) serveEvents(w http.ResponseWriter, r *http.Request) error {
	j, err := js.find(r.PathValue("id"))
	if err != nil {
		return err
	}
	send := EventStream(w)
	for i := 0; ; i++ {
		p, ok := j.log.wait(r.Context(), i)
		if !ok {
			return nil
		}
		if send(p) != nil {
			return nil
		}
	}
}

// EventStream starts a reply of server-sent events and returns what sends one.
func EventStream(w http.ResponseWriter) func(v any) error {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	flusher := http.NewResponseController(w)
	_ = flusher.Flush()
	return func(v any) error {
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "data: %s\n\n", b); err != nil {
			return err
		}
		return flusher.Flush()
	}
}

// Follow reads a job's events until it ends and returns the job as it ended.
// When ctx is cancelled the job is cancelled too.
func Follow(ctx context.Context, c Client, id string, see func(Progress)) (Job, error) {
	resp, err := c.Stream(ctx, http.MethodGet, "/api/v1/jobs/"+id+"/events", nil)
	if err != nil {
		return Job{}, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, MaxBody)
	for lines.Scan() {
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !ok {
			continue
		}
		var p Progress
		if err := json.Unmarshal(data, &p); err != nil {
			return Job{}, err
		}
		if p.Job != nil {
			if p.Job.Error != nil {
				return *p.Job, p.Job.Error
			}
			return *p.Job, nil
		}
		see(p)
	}
	if ctx.Err() != nil {
		_, _ = OpCancelJob.Call(context.WithoutCancel(ctx), c, jobID{ID: id})
		return Job{}, ctx.Err()
	}
	return Job{}, slipway.Errorf(slipway.Unavailable, "the server went away while job %s ran", id).
		WithHint("what it finished is kept; start the server and run the command again")
}
