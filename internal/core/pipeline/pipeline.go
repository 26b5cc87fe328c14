// Package pipeline runs a project's steps: commands that read inputs and write
// outputs. It records what was applied (the file and the code), decides by
// content which steps must run again and says why, makes their Python
// environment, runs each in a process that survives this one, and records what
// came out.
//
// A step's result is reused when nothing that it depends on has changed: the
// content of its inputs, its parameters, its command, the project's own code
// that the command reaches, and the locked environment. See key.go.
package pipeline

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/compute"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/query"
	"github.com/slipway-ml/slipway/internal/kit/web"
	"github.com/slipway-ml/slipway/internal/project"
)

// Data finds dataset versions.
type Data interface {
	// Resolve finds version n of a dataset; 0 is the newest. It fails with
	// NotFound.
	Resolve(ctx context.Context, project, name string, n int) (DatasetVersion, error)
}

// DatasetVersion is the rows that a step reads.
type DatasetVersion struct {
	Name    string         `json:"name"`
	Version int            `json:"version"`
	Tree    slipway.Digest `json:"tree"`
	// Format, CSV and Schema say how the files are read; zero values are found
	// out from the files.
	Format query.Format   `json:"format,omitempty"`
	CSV    query.CSV      `json:"csv,omitzero"`
	Schema slipway.Schema `json:"schema,omitempty"`
}

// Ref is the version's name in lineage.
func (v DatasetVersion) Ref() slipway.Ref {
	return slipway.VersionRef(slipway.KindDataset, v.Name, v.Version)
}

// TrackedRun is a run as tracking shows it. The pipeline chooses the id, so that
// after a crash the same run is started again and not a second one.
type TrackedRun struct {
	ID         string // 32 hexadecimal characters
	Project    string
	Experiment string
	Name       string
	Parent     string // id of the run of the pipeline; "" for that run itself
	Tags       map[string]string
	Params     map[string]string
	Start      time.Time
}

// Tracker records runs beside those of clients.
type Tracker interface {
	// Start records a run that began; a run that exists already stays as it is.
	Start(ctx context.Context, r TrackedRun) error
	// Finish records its end: FINISHED, FAILED or KILLED. Repeating it is no error.
	Finish(ctx context.Context, project, id, status string, end time.Time) error
	// Metrics is the last value of every metric of a run.
	Metrics(ctx context.Context, project, id string) (map[string]float64, error)
}

// Options is what a Service is made of.
type Options struct {
	DB      database
	Content *content.Store
	// ContentDir is where Content is, for steps on this machine: they read and
	// write it themselves. Without it they use the server.
	ContentDir string
	Dir        string // scratch folders, logs and environments; private to the workspace
	Query      *query.Engine
	Compute    compute.Runner
	Data       Data
	Tracker    Tracker
	Jobs       *web.Jobs
	// Judged waits until the model that a run made, if any, has been judged. It
	// is asked by those who wait for the run; nil does without.
	Judged func(ctx context.Context, project, run string) (*Judgement, error)
	// Step starts a step's process: a program and its first arguments, such as
	// /usr/bin/slipway step. The rest travels in its environment.
	Step []string
	// Server is where steps find this server: http://host:port, or unix:PATH.
	Server string
	SDK    func(dir string) error           // writes the Python SDK to dir; nil does without
	Python string                           // interpreter that environments are made with; "" is python3
	Getenv func(string) string              // for PATH, HOME and the like; nil hands nothing on
	Secret func(name string) (string, bool) // resolves $NAME at the moment of use; nil knows none
	Clock  func() time.Time                 // machine time; nil is time.Now
	Lease  time.Duration                    // how long a step goes on without a server; 0 is a minute
	Grace  time.Duration                    // between asking a step to end and making it; 0 is 10 s
	Retry  time.Duration                    // pause before a failed step is tried again, doubled each time; 0 is a second
	CPU    float64                          // cores to give out; 0 is this machine's
	Memory int64                            // bytes to give out; 0 is this machine's
}

// Service runs pipelines. It is safe for concurrent use.
type Service struct {
	o       Options
	machine machine

	begin      sync.Once
	started    chan struct{}   // closed when Loop has found the runs of earlier processes
	lifetime   context.Context // Loop's; set before started is closed
	driving    sync.WaitGroup
	submitting sync.Mutex // held from looking for the same work until the run is recorded

	mu     sync.Mutex
	runs   map[string]*drive    // the runs that go on here, by id
	last   map[string]*drive    // the newest of them, by project
	leases map[string]*taskSeat // by the digest of the token
	parsed map[string]*project.Project

	environments sync.Mutex // held while one is made
	logs         logBook
}

// New makes a Service. It does nothing until Loop runs.
func New(o Options) *Service {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Getenv == nil {
		o.Getenv = func(string) string { return "" }
	}
	if o.Secret == nil {
		o.Secret = func(string) (string, bool) { return "", false }
	}
	if o.Python == "" {
		o.Python = "python3"
	}
	if o.Lease == 0 {
		o.Lease = time.Minute
	}
	if o.Grace == 0 {
		o.Grace = 10 * time.Second
	}
	if o.Retry == 0 {
		o.Retry = time.Second
	}
	if o.CPU == 0 {
		o.CPU = float64(runtime.NumCPU())
	}
	if o.Memory == 0 {
		o.Memory = machineMemory()
	}
	s := &Service{o: o, runs: map[string]*drive{}, last: map[string]*drive{}, leases: map[string]*taskSeat{},
		parsed: map[string]*project.Project{}, started: make(chan struct{})}
	s.machine = machine{cpu: o.CPU, memory: o.Memory, freed: make(chan struct{})}
	s.logs = logBook{dir: filepath.Join(o.Dir, "log"), grew: make(chan struct{})}
	return s
}

func (s *Service) now() time.Time { return s.o.Clock().UTC().Truncate(time.Microsecond) }

// path is a folder of the service's own, made when it is not there.
func (s *Service) path(parts ...string) (string, error) {
	dir := filepath.Join(append([]string{s.o.Dir}, parts...)...)
	return dir, os.MkdirAll(dir, 0o700)
}

// newID is 32 random hexadecimal characters.
func newID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}
