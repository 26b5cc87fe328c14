package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/compute"
	"github.com/slipway-ml/slipway/internal/backend/compute/fake"
	"github.com/slipway-ml/slipway/internal/backend/compute/process"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
	"github.com/slipway-ml/slipway/internal/kit/query"
	"github.com/slipway-ml/slipway/internal/kit/web"
	"github.com/slipway-ml/slipway/internal/project"
)

// The test binary plays the programs that the server starts: steps, the query
// worker, and a server that is killed.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv("SLIPWAY_LEASE") != "":
		if err := RunStep(context.Background(), os.Getenv("SLIPWAY_SERVER"), os.Getenv("SLIPWAY_LEASE"), os.Getenv); err != nil {
			fmt.Fprintln(os.Stderr, "step:", err)
			os.Exit(1)
		}
		os.Exit(0)
	case len(os.Args) > 1 && os.Args[1] == "query-worker":
		os.Exit(query.Serve(os.Stdin, os.Stdout, os.Stderr))
	case os.Getenv("SLIPWAY_TEST_SERVER") != "":
		runKilledServer(os.Getenv("SLIPWAY_TEST_SERVER"))
	}
	os.Exit(m.Run())
}

// house is a server with a project.
type house struct {
	t       testing.TB
	s       *Service
	dir     string // of the workspace
	code    string // of the project
	data    *fakeData
	track   *fakeTracker
	stop    context.CancelFunc
	stopped chan struct{}
	client  web.Client
}

var owner = slipway.Principal{Name: "ada", Role: slipway.Admin}

func ownerContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(slipway.WithPrincipal(t.Context(), owner), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// newHouse starts a server whose steps are real processes unless runner is
// given.
func newHouse(t testing.TB, d *db.DB, runner compute.Runner) *house {
	h := &house{t: t, dir: shortDir(t), code: t.TempDir(), data: &fakeData{versions: map[string][]DatasetVersion{}}, track: &fakeTracker{runs: map[string]*tracked{}}}
	h.open(d, runner)
	t.Cleanup(h.close)
	return h
}

// shortDir is a temporary folder whose path leaves room for a socket's name.
func shortDir(t testing.TB) string {
	dir, err := os.MkdirTemp("", "sw")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (h *house) open(d *db.DB, runner compute.Runner) {
	t := h.t
	t.Helper()
	store, err := content.Open(filepath.Join(h.dir, "content"), content.Options{})
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if runner == nil {
		runner = process.Runner{}
	}
	life, stop := context.WithCancel(context.Background())
	jobs := &web.Jobs{Lifetime: life}
	engine := query.New(query.Options{Command: []string{exe, "query-worker"}})
	h.s = New(Options{DB: d, Content: store, ContentDir: filepath.Join(h.dir, "content"), Dir: filepath.Join(h.dir, "pipeline"), Query: engine,
		Compute: runner, Data: h.data, Tracker: h.track, Jobs: jobs, Step: []string{exe}, Server: "unix:" + filepath.Join(h.dir, "s"),
		Getenv: testenv, Secret: func(name string) (string, bool) { return "s3cret", name == "KNOWN" },
		Lease: 3 * time.Second, Grace: 200 * time.Millisecond, Retry: 10 * time.Millisecond, CPU: 4})
	api := web.NewAPI("test")
	h.s.Routes(api)
	jobs.Routes(api)
	_ = os.Remove(filepath.Join(h.dir, "s"))
	l, err := net.Listen("unix", filepath.Join(h.dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: (&web.Door{Owner: owner}).Wrap(api.Mux, true), ReadHeaderTimeout: time.Second}
	go func() { _ = srv.Serve(l) }()
	h.client = web.InProcess(api.Mux, owner)
	h.stopped = make(chan struct{})
	go func() {
		defer close(h.stopped)
		_ = h.s.Loop(life)
	}()
	h.stop = func() {
		_ = srv.Close()
		stop()
		<-h.stopped
		jobs.Wait()
		engine.Close()
		_ = store.Close()
	}
}

func (h *house) close() {
	if h.stop != nil {
		h.stop()
		h.stop = nil
	}
}

func testenv(name string) string {
	if name == "PATH" || name == "HOME" {
		return os.Getenv(name)
	}
	return ""
}

// write puts files into the project's folder; "" removes one.
func (h *house) write(files map[string]string) {
	h.t.Helper()
	for name, text := range files {
		file := filepath.Join(h.code, name)
		if text == "" {
			_ = os.Remove(file)
			continue
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			h.t.Fatal(err)
		}
	}
}

// apply puts the folder in force.
func (h *house) apply() Applied {
	h.t.Helper()
	ctx := ownerContext(h.t)
	p, err := project.Load(filepath.Join(h.code, project.FileName))
	if err != nil {
		h.t.Fatal(err)
	}
	snap, err := TakeSnapshot(ctx, p, LoadTreeState(""))
	if err != nil {
		h.t.Fatal(err)
	}
	for _, file := range snap.File {
		if _, _, err := h.s.o.Content.PutFile(ctx, file); err != nil {
			h.t.Fatal(err)
		}
	}
	a, err := h.s.Apply(ctx, p.Name, string(p.Source), snap.Entry, snap.Source)
	if err != nil {
		h.t.Fatal(err)
	}
	return a
}

// run applies and runs.
func (h *house) run(r Request) (Run, error) {
	h.t.Helper()
	h.apply()
	p, _ := project.Load(filepath.Join(h.code, project.FileName))
	return h.s.Do(ownerContext(h.t), p.Name, r, nil)
}

func (h *house) mustRun(r Request) Run {
	h.t.Helper()
	run, err := h.run(r)
	if err != nil {
		h.t.Fatalf("run: %v\n%s", err, dump(run))
	}
	return run
}

func dump(v any) string {
	b, _ := json.MarshalIndent(v, "", " ")
	return string(b)
}

// states are a run's steps and how each ended.
func states(r Run) string {
	parts := make([]string, len(r.Task))
	for i, t := range r.Task {
		parts[i] = t.Step + ":" + string(t.State)
	}
	return strings.Join(parts, " ")
}

// read is the text of an output.
func (h *house) read(r Run, step, output string) string {
	h.t.Helper()
	o := r.task(step).Output[output]
	b, err := h.s.read(h.t.Context(), o.Digest)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(b)
}

// dataset makes a version of a dataset from files.
func (h *house) dataset(name string, files map[string]string) {
	h.t.Helper()
	var entries []content.Entry
	for _, path := range slices.Sorted(maps.Keys(files)) {
		d, n, err := h.s.o.Content.Put(h.t.Context(), strings.NewReader(files[path]))
		if err != nil {
			h.t.Fatal(err)
		}
		entries = append(entries, content.Entry{Path: path, Digest: d, Size: n})
	}
	tree, err := content.NewTree(entries)
	if err != nil {
		h.t.Fatal(err)
	}
	d, err := h.s.o.Content.PutTree(h.t.Context(), tree)
	if err != nil {
		h.t.Fatal(err)
	}
	h.data.add(DatasetVersion{Name: name, Tree: d})
}

type fakeData struct {
	mu       sync.Mutex
	versions map[string][]DatasetVersion
}

func (f *fakeData) add(v DatasetVersion) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v.Version = len(f.versions[v.Name]) + 1
	f.versions[v.Name] = append(f.versions[v.Name], v)
}

func (f *fakeData) Resolve(_ context.Context, _, name string, n int) (DatasetVersion, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.versions[name]
	if n == 0 {
		n = len(all)
	}
	if n == 0 || n > len(all) {
		return DatasetVersion{}, slipway.Errorf(slipway.NotFound, "dataset %s has no version %d", name, n)
	}
	return all[n-1], nil
}

type tracked struct {
	TrackedRun
	Status string
}

type fakeTracker struct {
	mu   sync.Mutex
	runs map[string]*tracked
}

func (f *fakeTracker) Start(_ context.Context, r TrackedRun) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.runs[r.ID] == nil {
		f.runs[r.ID] = &tracked{TrackedRun: r, Status: "RUNNING"}
	}
	return nil
}

func (f *fakeTracker) Finish(_ context.Context, _, id, status string, _ time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.runs[id] == nil {
		return slipway.Errorf(slipway.NotFound, "no run %s", id)
	}
	f.runs[id].Status = status
	return nil
}

func (f *fakeTracker) Metrics(_ context.Context, _, _ string) (map[string]float64, error) {
	return map[string]float64{"auc": 0.7}, nil
}

func (f *fakeTracker) get(id string) tracked {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.runs[id] == nil {
		return tracked{}
	}
	return *f.runs[id]
}

// onSQLite opens a house on SQLite with real processes.
func onSQLite(t testing.TB) *house {
	d := dbtest.Open(t, filepath.Join(t.TempDir(), "test.db"), db.Options{Migrations: []db.Migration{Migration}})
	return newHouse(t, d, nil)
}

// stepper is a fake machine whose steps are functions by the step's name. A
// missing function writes every output with the step's name and key params.
func stepper(h **house, steps map[string]func(ctx context.Context, a Assignment) (string, map[string]string)) *fake.Runner {
	return &fake.Runner{Run: func(ctx context.Context, s compute.Spec) int {
		var token string
		for _, e := range s.Env {
			if v, ok := strings.CutPrefix(e, "SLIPWAY_LEASE="); ok {
				token = v
			}
		}
		svc := (*h).s
		a, err := svc.assign(context.Background(), token)
		if err != nil {
			return 1
		}
		fail, text := "", map[string]string{}
		for _, o := range a.Output {
			text[o.Name] = a.Step + dump(a.Params)
		}
		if fn := steps[a.Step]; fn != nil {
			var given map[string]string
			if fail, given = fn(ctx, a); given != nil {
				text = given
			}
		}
		if ctx.Err() != nil {
			return -1
		}
		svc = (*h).s // another server may have taken over
		c := completion{Message: fail, Output: map[string]Output{}}
		for name, v := range text {
			d, n, _ := svc.o.Content.Put(context.Background(), strings.NewReader(v))
			c.Output[name] = Output{Path: name, Digest: d, Size: n}
		}
		if err := svc.complete(context.Background(), token, c); err != nil {
			return 1
		}
		return 0
	}}
}
