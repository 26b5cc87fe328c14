// Package monitor watches models in production. It takes the sealed segments of
// the prediction log, keeps every row in Parquet partitions by endpoint and
// day, counts every feature in the bins of its model's training rows, joins
// labels that arrive later, and decides by blocks of time whether features
// drifted, a feed stands still, or quality is low. What it decides it tells:
// as events, as alarms with a beginning and an end, and to whom the project
// says.
//
// Everything is ingested exactly once: a segment's number is written in the
// transaction that adds its rows, counts and index. Rows of the present day
// lie in the database as small Parquet batches; once a day is over, they become
// one Parquet file in the content store, and the batches go in the transaction
// that names the file. A crash leaves at most content that nothing refers to,
// which garbage collection removes.
//
// A block is a day in the project's time zone. A window is monitor.window,
// rounded up to whole days, and slides by a day.
package monitor

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/notify"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/clock"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/query"
	"github.com/slipway-ml/slipway/internal/kit/web"
	"github.com/slipway-ml/slipway/internal/project"
)

// Options is what a Service needs. The interfaces are what monitor asks of
// other capabilities; app connects them.
type Options struct {
	DB        *db.DB
	Content   *content.Store
	Query     *query.Engine // reads imported files; nil refuses imports
	Applied   Applied
	Log       Log
	Reference Reference
	Models    Models                       // to compare with
	Jobs      *web.Jobs                    // runs comparisons
	Now       func() time.Time             // event time
	Clock     clock.Clock                  // machine time: of retries; nil is the computer's
	Notify    map[string]notify.Notifier   // by the kind of target: "webhook", "slack"
	Secret    func(string) (string, error) // value of a secret by its name, at the moment of use
	Address   string                       // of the interface, for links in alerts; may be empty
}

// Applied knows the project as it is in force.
type Applied interface {
	// Project fails with NotFound when the project was never applied.
	Project(ctx context.Context, name string) (*project.Project, error)
}

// Log is the prediction log, as gateways wrote it.
type Log interface {
	// Sealed yields the sealed segments that are not ingested yet, of each
	// gateway in the order of their numbers: those above ingested[gateway],
	// which is 0 for a gateway that is unknown.
	Sealed(ctx context.Context, ingested map[string]int64) iter.Seq2[Segment, error]
	// Forget tells that a gateway's segments up to number are ingested for good
	// and may be deleted.
	Forget(ctx context.Context, gateway string, number int64) error
}

// Segment is one sealed piece of the prediction log, named by gateway and number.
type Segment struct {
	Gateway string
	Number  int64 // from 1, in order of time
	Batches []slipway.PredictionBatch
}

// Reference knows what a model version was trained on.
type Reference interface {
	// Training returns the rows that a version learned from and was judged by.
	// It fails with NotFound when the version is unknown.
	Training(ctx context.Context, project, model string) (Training, error)
}

// Training is the past that drift is measured against.
type Training struct {
	Signature slipway.Signature
	// Rows holds the input columns and the time column, one row a training or
	// gate row, in any order; nil when nobody knows them, as for a model that a
	// client registered without data.
	Rows *slipway.Frame
	// Time is the name of the time column in Rows; "" when there is none: then
	// nobody can know how much days differ, and drift stays undecided.
	Time string
}

// Service watches.
type Service struct {
	o Options

	turn  sync.Mutex // one tick or import at a time
	mu    sync.Mutex // guards the caches below; the database is the truth
	known map[place]int64
	// references are immutable once they are made, so they are kept. A nil one
	// stands for a model without reference, until an event says otherwise.
	references map[modelKey]*reference
	scored     *scoredCache
	imports    map[place]ImportPlan // nil until they are read
	wake       chan struct{}        // an alert waits to be sent
}

type place struct{ project, endpoint string }

type modelKey struct{ project, model string }

// New makes a Service.
func New(o Options) *Service {
	if o.Clock == nil {
		o.Clock = clock.Wall{}
	}
	if o.Now == nil {
		o.Now = o.Clock.Now
	}
	return &Service{o: o, known: map[place]int64{}, references: map[modelKey]*reference{}, scored: newScoredCache(), wake: make(chan struct{}, 1)}
}

// Verdict is what was decided of one feature, metric or feed.
type Verdict string

// The verdicts.
const (
	OK                    Verdict = "ok"
	Drifted               Verdict = "drifted"
	Stuck                 Verdict = "stuck"
	Low                   Verdict = "low"                    // the whole interval is beyond the limit
	InsufficientReference Verdict = "insufficient reference" // too few windows to know what is usual
	NotEnoughData         Verdict = "not enough data"
)

// rules is what slipway.yaml says of monitoring, with the defaults of a project
// that says nothing.
type rules struct {
	zone      *time.Location
	blocks    int // days of a window
	drift     *project.Drift
	quality   *project.Quality
	freshness map[string]project.Duration
	alerts    []project.Alert
	imported  bool
}

const day = 24 * time.Hour

// rules reads the project in force. A project that was never applied, or that
// has no monitor section, is counted and not judged. An imported log brings its
// own rules.
func (s *Service) rules(ctx context.Context, at place) (rules, error) {
	if plan, ok, err := s.importPlan(ctx, at); err != nil || ok {
		return plan.rules(), err
	}
	r := rules{zone: time.UTC, blocks: 7}
	p, err := s.o.Applied.Project(ctx, at.project)
	if slipway.IsCode(err, slipway.NotFound) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	r.zone = p.Location()
	if m := p.Monitor; m != nil {
		r.blocks = max(1, int((time.Duration(m.Window)+day-1)/day))
		r.drift, r.quality, r.freshness, r.alerts = m.Drift, m.Quality, m.Freshness, m.Alerts
	}
	return r, nil
}

// watches reports whether drift of a feature is decided.
func (r *rules) watches(feature string) bool {
	if r.drift == nil {
		return false
	}
	for _, name := range r.drift.Exclude {
		if name == feature {
			return false
		}
	}
	if r.drift.Features.All {
		return true
	}
	for _, name := range r.drift.Features.Names {
		if name == feature {
			return true
		}
	}
	return false
}

// maturity is how long after the end of a day its labels may still come.
func (r *rules) maturity() time.Duration {
	if r.quality == nil || r.quality.Labels == nil {
		return day
	}
	return time.Duration(r.quality.Labels.MaxAge)
}

// dayOf is the start of the day of t in a time zone.
func dayOf(t time.Time, zone *time.Location) time.Time {
	y, m, d := t.In(zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, zone).UTC()
}

// addDays moves from the start of one day to that of another, n days later.
func addDays(start time.Time, n int, zone *time.Location) time.Time {
	y, m, d := start.In(zone).Date()
	return time.Date(y, m, d+n, 0, 0, 0, 0, zone).UTC()
}
