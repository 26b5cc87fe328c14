// Package serving answers requests with the models that a manifest names. It
// assigns callers to variants, cuts off a variant that fails, scores shadows
// beside the champion, and writes every prediction to a log before it is
// answered. It needs nothing but the manifest, the models' files and a folder:
// a gateway runs on while the control plane is away.
//
// Wire formats are not its business: package compat/inference reads the Open
// Inference Protocol and hands it columns.
package serving

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
)

// Loader opens models.
type Loader interface {
	// Load opens the model in a content.Tree; the caller closes it.
	Load(ctx context.Context, project string, model slipway.Digest, registered *slipway.Signature) (predictor.Model, error)
}

// Versions finds registered model versions that are not resident.
type Versions interface {
	// Version fails with NotFound. model is name@vN.
	Version(ctx context.Context, project, model string) (slipway.Digest, slipway.Signature, error)
}

// Logged finds predictions that left the log of this gateway.
type Logged interface {
	// Prediction is the input row of a logged prediction and the model version,
	// name@vN, that answered it. It fails with NotFound.
	Prediction(ctx context.Context, project, id string) (row *slipway.Frame, model string, err error)
}

// Durability says when a prediction counts as logged.
type Durability string

// The durabilities. Process survives the death of the process (the kernel has
// the bytes, and the disk within about 10 ms); Sync survives loss of power.
const (
	Process Durability = "process"
	Sync    Durability = "sync"
)

// Options is what a Service needs. Dir and Loader are required.
type Options struct {
	Dir         string // its own: the manifest, the trips, the log
	Loader      Loader
	Key         ed25519.PublicKey // that manifests are signed with; nil accepts unsigned ones
	Gateway     string            // its name in the log; default "local"
	Durability  Durability        // default Process
	SegmentSize int64             // bytes after which a segment of the log is sealed; default 64 MiB
	Versions    Versions          // may be nil: only resident models explain
	Background  Background        // may be nil: requests bring the rows that explanations are taken against
	Logged      Logged            // may be nil: only the gateway's own log is searched
	// Tripped is told, in a goroutine of its own, that a breaker cut a variant
	// off; again at the next start or manifest as long as the variant is named.
	Tripped func(context.Context, Trip)
}

// Trip is a breaker's decision about a variant. A champion is never cut off,
// since nobody could answer in its place.
type Trip struct {
	Project  string              `json:"project"`
	Endpoint string              `json:"endpoint"`
	Release  string              `json:"release"`
	Role     slipway.VariantRole `json:"role"`
	Model    string              `json:"model"`
	Reason   string              `json:"reason"`
	Time     time.Time           `json:"time"` // the machine's
}

// Service answers requests. It is safe for concurrent use.
type Service struct {
	o        Options
	table    atomic.Pointer[table]
	log      *log
	shadow   *shadows
	started  time.Time
	inflight atomic.Int64

	backgrounds backgrounds

	mu       sync.Mutex // one manifest at a time; guards what follows
	manifest slipway.Manifest
	loaded   map[string]*loaded
	record   map[string]*record // what a release did, by project, endpoint and release
	trips    map[string]Trip    // of releases that the manifest names
	parked   map[string]bool    // project/name of endpoints that were unloaded
	closed   bool
	telling  sync.WaitGroup
}

// New opens the log, seals what a killed predecessor left, and serves the
// manifest that it had. A model of that manifest which cannot be loaded leaves
// its endpoint not ready and is no error; a folder that cannot be used is.
func New(ctx context.Context, o Options) (*Service, error) {
	if o.Gateway == "" {
		o.Gateway = "local"
	}
	if o.Durability == "" {
		o.Durability = Process
	}
	if o.Durability != Process && o.Durability != Sync {
		return nil, slipway.Errorf(slipway.Invalid, "%q is not a durability", o.Durability).WithHint("write process or sync")
	}
	if o.SegmentSize <= 0 {
		o.SegmentSize = 64 << 20
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, slipway.Errorf(slipway.Unavailable, "the serving folder cannot be made: %v", err)
	}
	s := &Service{o: o, started: time.Now(), loaded: map[string]*loaded{}, record: map[string]*record{}, trips: map[string]Trip{}, parked: map[string]bool{}}
	var err error
	if s.log, err = openLog(filepath.Join(o.Dir, "log"), o.Gateway, o.Durability, o.SegmentSize); err != nil {
		return nil, err
	}
	s.shadow = newShadows(s)
	s.table.Store(newTable(nil))
	if err := s.restore(ctx); err != nil {
		return nil, s.abandon(err)
	}
	return s, nil
}

func (s *Service) abandon(err error) error {
	s.shadow.close()
	_ = s.log.close()
	return err
}

// Tick seals the log, so that the monitor sees every prediction up to now.
func (s *Service) Tick(ctx context.Context, _ time.Time) error { return s.Seal(ctx) }

// Seal waits for the shadows of the requests answered so far and makes the
// logged predictions readable as segments.
func (s *Service) Seal(ctx context.Context) error {
	if err := s.shadow.wait(ctx); err != nil {
		return err
	}
	return s.log.seal()
}

// Close answers nobody any more, seals the log and closes the models.
func (s *Service) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.shadow.close()
	s.retire(s.table.Swap(newTable(nil)))
	s.telling.Wait()
	return s.log.close()
}

// Manifest is the one that is served.
func (s *Service) Manifest() slipway.Manifest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.manifest
}

// tell reports a trip to whoever can act on it.
func (s *Service) tell(t Trip) {
	slog.Warn("a variant was cut off", "endpoint", t.Endpoint, "model", t.Model, "release", t.Release, "role", t.Role, "reason", t.Reason)
	if s.o.Tripped == nil {
		return
	}
	s.telling.Go(func() {
		s.o.Tripped(slipway.WithPrincipal(context.Background(), loader), t)
	})
}
