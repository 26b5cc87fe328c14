package app

import (
	"context"
	"crypto/ed25519"
	"net/http"
	"os"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/compute/process"
	"github.com/slipway-ml/slipway/internal/backend/notify"
	"github.com/slipway-ml/slipway/internal/backend/notify/slack"
	"github.com/slipway-ml/slipway/internal/backend/notify/webhook"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/backend/predictor/trees"
	"github.com/slipway-ml/slipway/internal/compat/inference"
	"github.com/slipway-ml/slipway/internal/compat/mlflow"
	"github.com/slipway-ml/slipway/internal/config"
	"github.com/slipway-ml/slipway/internal/core/access"
	"github.com/slipway-ml/slipway/internal/core/audit"
	"github.com/slipway-ml/slipway/internal/core/dataset"
	"github.com/slipway-ml/slipway/internal/core/delivery"
	"github.com/slipway-ml/slipway/internal/core/gate"
	"github.com/slipway-ml/slipway/internal/core/monitor"
	"github.com/slipway-ml/slipway/internal/core/pipeline"
	"github.com/slipway-ml/slipway/internal/core/registry"
	"github.com/slipway-ml/slipway/internal/core/retrain"
	"github.com/slipway-ml/slipway/internal/core/serving"
	"github.com/slipway-ml/slipway/internal/core/tracking"
	"github.com/slipway-ml/slipway/internal/kit/query"
	"github.com/slipway-ml/slipway/internal/kit/web"
	sdk "github.com/slipway-ml/slipway/python"
)

// parts are the services of one workspace while they are being connected.
type parts struct {
	key      ed25519.PrivateKey
	query    *query.Engine
	loader   *registry.Files
	tokens   *access.Service
	data     *dataset.Service
	runs     *tracking.Service
	pipeline *pipeline.Service
	models   *registry.Service
	gate     *gate.Service
	delivery *delivery.Service
	serving  *serving.Service
	monitor  *monitor.Service
	retrain  *retrain.Service
	log      *audit.Service
}

// wire builds every capability and connects those that need one another. The
// order of the list is the order of their ticks.
func (s *server) wire(ctx context.Context) (err error) {
	p := &parts{query: query.New(query.Options{TempDir: s.workspace.path("tmp")})}
	s.closers = append(s.closers, func() error { p.query.Close(); return nil })
	if p.key, err = s.workspace.signingKey(); err != nil {
		return err
	}
	p.tokens = access.New(access.Options{DB: s.db})
	p.runs = tracking.New(tracking.Options{DB: s.db, Content: s.content, Tables: tables{p.query}, Jobs: s.jobs, Open: mlflow.OpenSource,
		Quota: tracking.Quota{File: s.config.Bytes(config.FileBytes), Bytes: s.config.Bytes(config.AllBytes), Runs: int64(s.config.Number(config.AllRuns))},
		Registered: func(ctx context.Context, project string, from tracking.Source, out *tracking.Imported) error {
			asker := slipway.PrincipalOf(ctx)
			asker.Project = project
			return mlflow.CopyRegistered(ctx, web.InProcess(s.api.Mux, asker), from, out)
		}})
	p.data = dataset.New(dataset.Options{DB: s.db, Content: s.content, Query: p.query, Jobs: s.jobs, Dir: s.workspace.path("data"),
		Roots: s.roots, Used: used(&p.log), Bucket: bucket, ContentDir: s.workspace.path("content"), Remote: s.config.Get(config.Remote)})
	if err = s.wirePipeline(p); err != nil {
		return err
	}
	s.wireModels(p)
	if err = s.wireServing(ctx, p); err != nil {
		return err
	}
	s.wireMonitor(p)
	p.retrain = retrain.New(retrain.Options{DB: s.db, Applied: p.pipeline, Runner: runner{p.pipeline}, Monitor: p.monitor, Jobs: s.jobs,
		Scorer: scorer{p.pipeline, s.content, p.loader, p.query}})
	p.log = audit.New(audit.Options{DB: s.db, Key: p.key, Predictions: predictions{p.monitor}})
	s.hasToken = p.tokens.Any
	s.door.Token = p.authenticate
	s.list(p)
	return nil
}

// list is what the house knows of its capabilities.
func (s *server) list(p *parts) {
	s.capabilities = []capability{
		{name: "clock", routes: s.loop.routes, verbs: []string{"dataset.versioned"}, handle: s.loop.observe},
		{name: "content", routes: s.content.Routes},
		{name: "dataset", roots: p.data.Roots, routes: p.data.Routes},
		{name: "tracking", roots: p.runs.Roots, routes: p.runs.Routes, tick: p.runs.Tick},
		{name: "mlflow", routes: mlflow.New(mlflow.Options{Tracking: p.runs, Registry: &mlflow.Registry{Models: p.models, Tracking: p.runs,
			Content: s.content, Deploy: declared{p.pipeline, p.delivery}}}).Routes},
		{name: "pipeline", roots: listed(p.pipeline.Roots), routes: p.pipeline.Routes, tick: p.pipeline.Tick, loop: p.pipeline.Loop},
		{name: "registry", roots: p.models.Roots, routes: p.models.Routes, verbs: registry.Verbs, handle: p.models.Handle, loop: p.models.Loop},
		{name: "gate", roots: p.gate.Roots, routes: p.gate.Routes, verbs: gate.Verbs, handle: p.gate.Handle},
		{name: "serving", routes: p.serving.Routes, tick: p.serving.Tick},
		{name: "monitor", roots: p.monitor.Roots, routes: p.monitor.Routes, verbs: monitor.Verbs, handle: p.monitor.Handle, tick: p.monitor.Tick, loop: p.monitor.Loop},
		{name: "delivery", routes: p.delivery.Routes, verbs: delivery.Verbs, handle: p.delivery.Handle, tick: p.delivery.Tick},
		{name: "retrain", routes: func(a *web.API) { p.retrain.Routes(a, s.loop.clockNow) }, verbs: retrain.Verbs, handle: p.retrain.Handle, tick: p.retrain.Tick},
		{name: "audit", routes: p.log.Routes, verbs: audit.Verbs, handle: p.log.Handle},
		{name: "access", routes: p.tokens.Routes},
	}
}

// wirePipeline starts steps as processes of this machine, with this binary.
func (s *server) wirePipeline(p *parts) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	p.pipeline = pipeline.New(pipeline.Options{DB: s.db, Content: s.content, ContentDir: s.workspace.path("content"),
		Dir: s.workspace.path("pipeline"), Query: p.query, Compute: process.Runner{}, Data: data{p.data}, Tracker: tracker{p.runs},
		Jobs: s.jobs, Judged: func(ctx context.Context, project, run string) (*pipeline.Judgement, error) {
			return s.judged(ctx, p, project, run)
		}, Step: []string{self, "step"}, Server: "unix:" + s.workspace.socket(), SDK: sdk.Extract,
		Python: s.config.Get(config.Python), Getenv: s.getenv, Secret: s.secret})
	return nil
}

// wireModels connects what happens between a run and a certificate.
func (s *server) wireModels(p *parts) {
	p.loader = &registry.Files{Content: s.content, Dir: s.workspace.path("model"),
		Safe: []predictor.Loader{trees.Loader{}}, Execute: []predictor.Loader{pythonLoader(s.config)}, Python: p.python}
	p.models = registry.New(registry.Options{DB: s.db, Content: s.content, Loader: p.loader, Rows: p.query, Applied: p.pipeline,
		Data: p.data, Artifacts: p.runs, InUse: champions{&p.delivery},
		Webhook: registry.WebhookOptions{Key: p.key.Seed(), Private: s.config.Get(config.Webhooks) == "any"}})
	p.gate = gate.New(gate.Options{DB: s.db, Content: s.content, Models: p.models, Champions: champions{&p.delivery}, Applied: p.pipeline,
		Loader: p.loader, Server: inference.Trial{Loader: p.loader}, Parquet: p.query, Key: p.key, Jobs: s.jobs, Now: s.loop.clockNow})
}

// wireServing connects what happens between a certificate and an answer.
func (s *server) wireServing(ctx context.Context, p *parts) (err error) {
	ctx = slipway.WithPrincipal(ctx, slipway.Principal{Name: "slipway/serving", Role: slipway.Operator})
	p.serving, err = serving.New(ctx, serving.Options{Dir: s.workspace.path("serving"), Loader: p.loader, Key: p.key.Public().(ed25519.PublicKey),
		Durability: serving.Durability(s.config.Get(config.Durable)), Versions: models{p.models}, Background: models{p.models}, Logged: logged{&p.monitor},
		Tripped: func(ctx context.Context, t serving.Trip) {
			ctx = slipway.WithPrincipal(ctx, slipway.Principal{Name: "slipway/breaker", Role: slipway.Operator})
			s.report(ctx, "a breaker's trip was not acted upon", p.delivery.Tripped(ctx, t.Project, t.Release, t.Reason))
		}})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, p.serving.Close)
	s.limit = limiter(s.config)
	var unwatch func(context.Context) error
	if s.watch, unwatch, err = newWatch(ctx, s.config, s.getenv); err != nil {
		return err
	}
	s.closers = append(s.closers, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), lullTime)
		defer cancel()
		return unwatch(ctx)
	})
	s.inference, s.endpoints = s.watch.Wrap(inference.Handler(p.serving, version, s.limit)), p.serving
	p.delivery = delivery.New(delivery.Options{DB: s.db, Key: p.key, Applied: p.pipeline, Models: models{p.models},
		Gate: certificates{p.gate}, Evidence: evidence{&p.monitor}, Serving: p.serving, Now: s.loop.clockNow})
	return nil
}

// wireMonitor connects what happens after an answer.
func (s *server) wireMonitor(p *parts) {
	p.monitor = monitor.New(monitor.Options{DB: s.db, Content: s.content, Query: p.query, Applied: p.pipeline, Log: predictionLog{p.serving},
		Reference: training{p.models, p.pipeline}, Models: openedModels{p.models, p.loader}, Jobs: s.jobs, Now: s.loop.clockNow,
		Secret: s.requiredSecret, Address: "http://" + s.config.Get(config.Listen),
		Notify: map[string]notify.Notifier{"webhook": webhook.New(nil), "slack": slack.New(nil)}})
}

// authenticate finds whom a token stands for: a kept one, or a step's lease.
func (p *parts) authenticate(r *http.Request, secret string) (slipway.Principal, error) {
	who, err := p.tokens.Authenticate(r.Context(), secret)
	if !slipway.IsCode(err, slipway.Unauthenticated) {
		return who, err
	}
	if lease, lerr := p.pipeline.LeasePrincipal(r.Context(), secret); lerr == nil {
		return lease, nil
	}
	return slipway.Principal{}, err
}

// python is how a project's models run that need Python: in the environment
// that its steps run in.
func (p *parts) python(ctx context.Context, project string) (predictor.Python, error) {
	env, err := p.pipeline.Interpreter(ctx, project)
	if slipway.IsCode(err, slipway.NotFound) {
		return predictor.Python{}, nil
	}
	return predictor.Python{Interpreter: []string{env.Python}}, err
}
