package gate_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/backend/predictor/trees"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/core/gate"
	"github.com/slipway-ml/slipway/internal/core/registry"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
	"github.com/slipway-ml/slipway/internal/kit/query"
	"github.com/slipway-ml/slipway/internal/kit/web"
	"github.com/slipway-ml/slipway/internal/project"
)

// TestMain lets the test binary be its own query worker.
func TestMain(m *testing.M) {
	if os.Getenv("SLIPWAY_TEST_WORKER") != "" {
		os.Exit(query.Serve(os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

const yaml = `
project: flights
timezone: America/New_York
data:
  flights: {path: data/flights/, time: departed_at, key: flight_id}
pipeline:
  prepare: {run: python prepare.py, in: [flights], out: {features: features.csv, test: test.csv}}
  train: {run: python train.py, in: [prepare.features], out: {model: model.txt}}
model: {name: delay, from: train.model, task: binary, target: delayed}
gates:
  data: prepare.test
  block: 1d
  min_rows: 500
  metrics:
    - {metric: roc_auc, min: 0.65, ci: 0.95}
    - {metric: log_loss, vs: champion, noninferior: 0.01, ci: 0.90}
    - {metric: ece, max: 0.25, bins: 10}
  slices:
    - {by: [carrier], metric: roc_auc, min: 0.55, min_rows: 60}
`

// world is the registry and the gate of one workspace, with what the other
// capabilities would tell them.
type world struct {
	t         *testing.T
	db        *db.DB
	content   *content.Store
	registry  *registry.Service
	gate      *gate.Service
	files     *registry.Files
	yaml      string
	champion  string // name@vN in production
	server    gate.Server
	query     *query.Engine
	jobs      *web.Jobs
	at        int64 // events before it are handled
	api       *web.API
	principal slipway.Principal
}

var migrations = []db.Migration{registry.Migration, gate.Migration}

var key = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

func newWorld(t *testing.T, d *db.DB) *world {
	t.Helper()
	w := &world{t: t, db: d, yaml: yaml, api: web.NewAPI("test"), principal: slipway.Principal{Name: "ana", Role: slipway.Operator}}
	store, err := content.Open(t.TempDir(), content.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	engine := query.New(query.Options{Command: []string{os.Args[0]}, Env: []string{"SLIPWAY_TEST_WORKER=1"}, TempDir: t.TempDir()})
	t.Cleanup(engine.Close)
	w.content, w.query = store, engine
	w.files = &registry.Files{Content: store, Dir: filepath.Join(t.TempDir(), "model"), Safe: []predictor.Loader{trees.Loader{}}}
	w.registry = registry.New(registry.Options{DB: d, Content: store, Loader: w.files, Rows: engine, Applied: w})
	w.jobs = &web.Jobs{Lifetime: context.Background()}
	w.gate = gate.New(w.options(w))
	w.registry.Routes(w.api)
	w.gate.Routes(w.api)
	w.jobs.Routes(w.api)
	return w
}

// options is what a gate of this world needs.
func (w *world) options(server gate.Server) gate.Options {
	return gate.Options{DB: w.db, Content: w.content, Models: w.registry, Champions: w, Applied: w, Loader: w.files, Server: server,
		Parquet: w.query, Key: key, Jobs: w.jobs}
}

// each runs fn in a fresh world on every database.
func each(t *testing.T, fn func(t *testing.T, w *world)) {
	t.Helper()
	dbtest.Each(t, migrations, func(t *testing.T, d *db.DB) { fn(t, newWorld(t, d)) })
}

// one runs fn on SQLite alone, where the database is not what is tested.
func one(t *testing.T) *world {
	t.Helper()
	return newWorld(t, dbtest.Open(t, filepath.Join(t.TempDir(), "test.db"), db.Options{Migrations: migrations}))
}

func (w *world) ctx() context.Context {
	return slipway.WithPrincipal(w.t.Context(), w.principal)
}

func (w *world) Project(context.Context, string) (*project.Project, error) {
	return project.Parse("slipway.yaml", []byte(w.yaml))
}

func (w *world) Champion(context.Context, string, string, string) (slipway.Ref, bool, error) {
	return slipway.NewRef(slipway.KindModel, w.champion), w.champion != "", nil
}

func (w *world) Serve(ctx context.Context, v slipway.ModelVersion) (http.Handler, string, func() error, error) {
	if w.server == nil {
		return nil, "", nil, slipway.Errorf(slipway.Invalid, "this test serves nothing")
	}
	return w.server.Serve(ctx, v)
}

func (w *world) put(name string) slipway.Artifact {
	w.t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		w.t.Fatal(err)
	}
	return w.putBytes(name, raw)
}

func (w *world) putBytes(name string, raw []byte) slipway.Artifact {
	w.t.Helper()
	d, n, err := w.content.Put(w.t.Context(), bytes.NewReader(raw))
	if err != nil {
		w.t.Fatal(err)
	}
	return slipway.Artifact{Path: name, Digest: d, Size: n}
}

// run tells that the pipeline made a model, and lets everybody react.
func (w *world) run(id string, model, features, test slipway.Artifact) {
	w.t.Helper()
	model.Path = "model.txt"
	data, err := json.Marshal(map[string]any{"status": "succeeded", "kind": "pipeline", "model": "train.model",
		"outputs": map[string]slipway.Artifact{"prepare.features": features, "prepare.test": test, "train.model": model}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.record(slipway.Event{Project: "flights", Verb: "run.finished", Subject: slipway.NewRef(slipway.KindRun, id), Data: data,
		Link: []slipway.Link{{Relation: slipway.From, Ref: slipway.VersionRef(slipway.KindDataset, "flights", 1)},
			{Relation: slipway.From, Ref: slipway.NewRef(slipway.KindCommit, "c0ffee")}}})
	w.settle()
}

func (w *world) record(e slipway.Event) {
	w.t.Helper()
	if err := w.db.Write(w.ctx(), func(tx *db.Tx) error { return tx.Record(e) }); err != nil {
		w.t.Fatal(err)
	}
}

// settle hands every new event to both capabilities, twice: they are idempotent.
func (w *world) settle() {
	w.t.Helper()
	for {
		if _, err := w.db.LastEvent(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		events, err := w.db.Events(w.t.Context(), w.at, 100)
		if err != nil {
			w.t.Fatal(err)
		}
		if len(events) == 0 {
			return
		}
		for _, e := range events {
			for range 2 {
				if err := w.registry.Handle(w.ctx(), e); err != nil {
					w.t.Fatalf("%s: %v", e.Verb, err)
				}
				if err := w.gate.Handle(w.ctx(), e); err != nil {
					w.t.Fatalf("%s: %v", e.Verb, err)
				}
			}
			w.at = e.Number
		}
	}
}

func (w *world) certificate(version string) gate.Signed {
	w.t.Helper()
	c, err := w.gate.Certificate(w.ctx(), "flights", version)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) load(version string) predictor.Model {
	w.t.Helper()
	v, err := w.registry.Find(w.ctx(), "flights", version)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.loadFile(v.Content, &v.Signature)
}

func (w *world) loadFile(tree slipway.Digest, signature *slipway.Signature) predictor.Model {
	w.t.Helper()
	m, err := w.files.Load(w.ctx(), "flights", tree, signature)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = m.Close() })
	return m
}

// check finds a check of a certificate by its name.
func check(t *testing.T, c gate.Signed, name string) gate.Check {
	t.Helper()
	for _, k := range c.Certificate.Check {
		if k.Name == name {
			return k
		}
	}
	t.Fatalf("no check %q in %+v", name, c.Certificate.Check)
	return gate.Check{}
}
