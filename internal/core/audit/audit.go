// Package audit reads the one record of what happened: it shows and verifies
// the log, and turns the links of its events into lineage, which `trace` walks
// from a prediction back to the rows, and forward again.
package audit

import (
	"context"
	"crypto/ed25519"
	"fmt"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// Predictions finds logged predictions: they are far too many to be events, so
// lineage asks for them when a trace reaches them.
type Predictions interface {
	// Prediction finds one by id. It fails with NotFound.
	Prediction(ctx context.Context, project, id string) (Prediction, error)
	// Served counts the predictions of a release, and its last ones by id.
	Served(ctx context.Context, project, release string, limit int) (count int64, ids []string, err error)
}

// Prediction is what lineage needs of a logged prediction.
type Prediction struct {
	ID       string         `json:"id"`
	Endpoint string         `json:"endpoint"`
	Release  string         `json:"release"`
	Model    string         `json:"model"` // name@vN
	Data     map[string]any `json:"data"`  // what a person wants to see of it: time, key, inputs, output, label
}

// Options is what a Service needs.
type Options struct {
	DB          *db.DB
	Key         ed25519.PrivateKey // signs checkpoints
	Predictions Predictions        // nil when nothing is served here
}

// Service shows the log and its lineage.
type Service struct{ o Options }

// New makes a Service.
func New(o Options) *Service { return &Service{o} }

// Verbs are the events that Handle wants: all that draw links.
var Verbs = []string{
	"revision.applied", "dataset.versioned", "dataset.refused", "run.started", "run.finished", "model.registered", "gate.decided",
	"release.created", "release.activated", "release.refused", "release.rolled_back", "release.retired",
	"rollout.stage", "drift.detected", "quality.low", "feed.stuck", "retrain.triggered",
}

// Handle draws an event's links into the lineage graph.
func (s *Service) Handle(ctx context.Context, e slipway.Event) error { return s.draw(ctx, e) }

// Filter chooses events of the log; empty fields choose all.
type Filter struct {
	Project, Actor, Verb, Subject string // Verb may list several by comma; one that ends in a dot is all that begin so
	After                         int64  // only numbers above it
	Limit                         int
	Newest                        bool // newest first
}

// Checkpoint says that the log up to Number hashes to Hash: who keeps one can
// tell later that nothing before it was changed or cut off.
type Checkpoint struct {
	Number    int64  `json:"number"`
	Hash      string `json:"hash"`
	Signature []byte `json:"signature"` // Ed25519 over "slipway audit checkpoint\n<number>\n<hash>\n"
	Key       []byte `json:"key"`       // the public key
}

// Verify recomputes the whole log's hash chain and signs its end. It fails
// with Refused, naming the first event that is missing or was changed.
func (s *Service) Verify(ctx context.Context) (Checkpoint, error) {
	head, err := s.o.DB.VerifyEvents(ctx)
	if err != nil {
		return Checkpoint{}, err
	}
	c := Checkpoint{Number: head.Number, Hash: head.Hash, Key: s.o.Key.Public().(ed25519.PublicKey)}
	c.Signature = ed25519.Sign(s.o.Key, c.message())
	return c, nil
}

// message is the text that a checkpoint signs.
func (c Checkpoint) message() []byte {
	return fmt.Appendf(nil, "slipway audit checkpoint\n%d\n%s\n", c.Number, c.Hash)
}
