// Package delivery puts model versions into environments and takes them out
// again: releases, rollouts through shadow and canary, rollback as one atomic
// swap, and the signed manifest that tells gateways what to serve.
package delivery

import (
	"context"
	"crypto/ed25519"
	"sync"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/project"
	"github.com/slipway-ml/slipway/internal/stat"
)

// Options is what a Service needs. The interfaces are what delivery asks of
// other capabilities; app connects them.
type Options struct {
	DB       *db.DB
	Key      ed25519.PrivateKey // signs manifests
	Applied  Applied
	Models   Models
	Gate     Gate
	Evidence Evidence
	Serving  Serving
	Now      func() time.Time // event time: holds and horizons follow it
}

// Applied knows the project as it is in force.
type Applied interface {
	// Project fails with NotFound when the project was never applied.
	Project(ctx context.Context, name string) (*project.Project, error)
}

// Models knows registered versions.
type Models interface {
	// Model fails with NotFound when there is no such version.
	Model(ctx context.Context, project, name string, version int) (Model, error)
}

// Model is what a gateway needs of a model version.
type Model struct {
	Content   slipway.Digest // content.Tree of its files
	Signature slipway.Signature
	Range     []slipway.Range
}

// Gate knows certificates.
type Gate interface {
	// Certificate finds the newest one of a version. It fails with NotFound.
	Certificate(ctx context.Context, project, model string) (Certificate, error)
	// Reproduce loads the version and replays the golden rows of its
	// certificate. It fails with Refused when an output differs.
	Reproduce(ctx context.Context, project, model string, certificate slipway.Digest) error
}

// Certificate is a gate's word about a version.
type Certificate struct {
	Digest  slipway.Digest `json:"digest"`
	Verdict string         `json:"verdict"` // pass, refuse, undecided, ungated
	Waived  string         `json:"waived"`  // who waived the gates; "" when nobody did
}

// Passed reports whether the version may go beyond staging.
func (c Certificate) Passed() bool { return c.Verdict == "pass" || c.Waived != "" }

// Evidence knows how the variants of an endpoint did.
type Evidence interface {
	// Compare tells how a challenger or shadow did beside the champion since an
	// event time, by complete blocks, oldest first. Losses are paired: both
	// versions scored the same rows, whose labels are mature.
	Compare(ctx context.Context, project, endpoint, champion, challenger string, since time.Time) (Comparison, error)
}

// Comparison is the evidence of a rollout stage.
type Comparison struct {
	Loss     []Loss      `json:"loss"`     // blocks with mature labels
	Failure  []stat.Arms `json:"failure"`  // failed requests by block: challenger against champion
	Requests int64       `json:"requests"` // that the challenger answered
	Failed   int64       `json:"failed"`   // of them
	P99      float64     `json:"p99_ms"`   // of the challenger, in milliseconds
}

// Loss is the mean loss (log-loss, or squared error) of one block's rows.
type Loss struct {
	Start                time.Time `json:"start"`
	Rows                 int64     `json:"rows"`
	Champion, Challenger float64
}

// Serving takes manifests.
type Serving interface {
	// Publish makes the manifest the one that is served, and returns when it is.
	Publish(ctx context.Context, m slipway.Manifest) error
}

// Service keeps environments.
type Service struct {
	o  Options
	mu sync.Mutex // one change of releases at a time; the database is the truth
}

// New makes a Service.
func New(o Options) *Service { return &Service{o: o} }

// State is where a release stands.
type State string

// The states of a release.
const (
	Created    State = "created"     // recorded, its golden rows not yet replayed
	Shadowing  State = "shadow"      // scores every request beside the champion
	Canary     State = "canary"      // answers a share of the callers
	Active     State = "active"      // the champion
	Retired    State = "retired"     // was the champion until another became it
	Refused    State = "refused"     // did not reproduce its golden rows, or had no certificate
	RolledBack State = "rolled_back" // taken out: by the breaker, the evidence, or a person
	Kept       State = "kept_out"    // the evidence decided nothing, and the declaration says keep the champion
)

// Release is a model version in an environment.
type Release struct {
	ID          string         `json:"id"`
	Project     string         `json:"project"`
	Environment string         `json:"environment"`
	Endpoint    string         `json:"endpoint"`
	Model       string         `json:"model"` // name@vN
	Certificate slipway.Digest `json:"certificate,omitempty"`
	State       State          `json:"state"`
	Weight      int            `json:"weight"`             // percent of callers while canary
	Stage       int            `json:"stage"`              // index into the rollout's stages
	Begun       time.Time      `json:"begun"`              // event time at which the rollout began
	Since       time.Time      `json:"since"`              // event time of the present state and stage
	From        time.Time      `json:"from,omitzero"`      // event time at which it became the champion
	Until       time.Time      `json:"until,omitzero"`     // event time at which it ceased to be
	Created     time.Time      `json:"created"`            // machine time
	Actor       string         `json:"actor"`              // who asked for it
	Reason      string         `json:"reason,omitempty"`   // why it is in this state
	Evidence    *Decision      `json:"evidence,omitempty"` // of the last decision
}

func (r Release) ref() slipway.Ref { return slipway.NewRef(slipway.KindRelease, r.ID) }

func (r Release) modelRef() slipway.Ref { return slipway.NewRef(slipway.KindModel, r.Model) }

// inRollout reports whether the release is on its way to becoming the champion.
func (r Release) inRollout() bool { return r.State == Shadowing || r.State == Canary }

// EndpointName is the name under which an environment of a model answers: the
// model's own in production, model-environment elsewhere.
func EndpointName(model, environment string) string {
	if environment == Production {
		return model
	}
	return model + "-" + environment
}

// The environments that have a meaning of their own.
const (
	Staging    = "staging"
	Production = "production"
)
