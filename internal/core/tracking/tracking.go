// Package tracking keeps what runs did: experiments, runs, params, metrics with
// their whole history, tags, inputs and outputs, artifacts and logged models. A
// run of a pipeline and a run of a client's script are the same thing; the
// MLflow API and the native one are two faces of this one store.
//
// Metrics are stored for reading by curve and for finding runs by their latest
// value. A series is one metric of one run, and its row holds the latest point.
// Points that come one by one go to the tail; sixteen or more of a series in
// one batch go straight into a chunk of deltas. Tick merges tails and small
// chunks into large ones.
//
// The methods of Service that a request reaches check the principal in the
// context by themselves, because a path of the MLflow API names a run and not
// its project. Those in pipeline.go, for other capabilities of this process, do
// not.
package tracking

import (
	"context"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// Options is what a Service needs.
type Options struct {
	DB      database
	Content *content.Store
	Clock   func() time.Time // machine time; nil is time.Now

	Tables Tables // looks into artifacts that are tables; nil refuses to
	Quota  Quota  // what clients may use in a project

	Jobs *web.Jobs // runs imports; nil refuses them
	// Open finds what an import copies from. artifacts is a folder, or "".
	Open func(ctx context.Context, uri, artifacts string) (Source, error)
	// Registered copies the registered models of a source and counts them into
	// out; nil copies none.
	Registered func(ctx context.Context, project string, from Source, out *Imported) error
}

// Service keeps runs. It is safe for concurrent use.
type Service struct {
	o      Options
	cache  *runCache // nil where another process may write too
	series seriesCache
	used   usages
}

// New makes a Service.
func New(o Options) *Service {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	s := &Service{o: o}
	if o.DB != nil && !o.DB.Postgres() {
		s.cache = newRunCache()
	}
	return s
}

func (s *Service) now() time.Time { return s.o.Clock().UTC().Truncate(time.Microsecond) }

// DefaultProject is the project of experiments that name none.
const DefaultProject = "default"

// ProjectTag is the experiment tag that names its project.
const ProjectTag = "slipway.project"

// Pair is a param or a tag.
type Pair struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// valueOf finds a key among pairs.
func valueOf(pairs []Pair, key string) (string, bool) {
	for _, p := range pairs {
		if p.Key == key {
			return p.Value, true
		}
	}
	return "", false
}

// Stage says whether something was deleted. What is deleted stays, and can be
// restored, until it is collected.
type Stage string

// The stages.
const (
	Active  Stage = "active"
	Deleted Stage = "deleted"
)

// View says which stages a search looks at.
type View string

// The views; the empty one is ActiveOnly.
const (
	ActiveOnly  View = "active"
	DeletedOnly View = "deleted"
	All         View = "all"
)

// scope is the project that a reader is limited to, "" for every project. It
// fails with Unauthenticated or Denied when ctx may not even read there.
func scope(ctx context.Context, need slipway.Role) (string, error) {
	project := slipway.PrincipalOf(ctx).Project
	return project, slipway.Allow(ctx, need, project)
}

// ownProject is the project in which ctx makes things when nothing names one.
func ownProject(ctx context.Context) string {
	if p := slipway.PrincipalOf(ctx).Project; p != "" {
		return p
	}
	return DefaultProject
}
