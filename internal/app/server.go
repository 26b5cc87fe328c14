package app

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"os/user"
	"slices"
	"strings"
	"sync"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/compat/inference"
	"github.com/slipway-ml/slipway/internal/compat/mlflow"
	"github.com/slipway-ml/slipway/internal/config"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/core/serving"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/web"
	ui "github.com/slipway-ml/slipway/web"
)

// server is one running Slipway over one workspace: the database, the content,
// the capabilities, and the handler that serves them. `up` puts it behind
// listeners; a lone command talks to it in process.
type server struct {
	config       *config.Config
	workspace    *workspace
	owner        slipway.Principal
	db           *db.DB
	content      *content.Store
	jobs         *web.Jobs
	api          *web.API
	door         *web.Door
	inference    http.Handler // the endpoints, on an address of their own; nil when serving is absent
	endpoints    *serving.Service
	limit        *inference.Limiter
	watch        *inference.Watch
	stopGRPC     func(context.Context)               // nil while nobody listens
	grpcImplied  bool                                // nobody chose its address
	hasToken     func(context.Context) (bool, error) // whether anybody could come in from beyond this machine
	capabilities []capability
	dispatcher   *dispatcher
	loop         *loop
	guests       *guests
	closers      []func() error      // closed in reverse order of opening
	getenv       func(string) string // the environment that steps and secrets are taken from
	cancel       context.CancelFunc
	background   sync.WaitGroup
}

// newServer opens a workspace that this process owns. It starts reacting to
// events at once; ticks are up's.
func newServer(ctx context.Context, cfg *config.Config, ws *workspace, getenv func(string) string) (_ *server, err error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &server{config: cfg, workspace: ws, owner: ownerPrincipal(), getenv: getenv, cancel: cancel, guests: newGuests(),
		jobs: &web.Jobs{Lifetime: ctx}, api: web.NewAPI(version)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	dsn := cfg.Get(config.Database)
	if dsn == "" {
		dsn = ws.path("slipway.db")
	}
	if s.db, err = db.Open(ctx, dsn, db.Options{Migrations: migrations()}); err != nil {
		return nil, err
	}
	s.closers = append(s.closers, s.db.Close)
	if s.content, err = content.Open(ws.path("content"), content.Options{}); err != nil {
		return nil, err
	}
	s.closers = append(s.closers, s.content.Close)
	s.door = &web.Door{Owner: s.owner, Anyone: slipway.Principal{Name: "local", Role: slipway.Writer}, Host: hosts(cfg.Get(config.Host)),
		Refuse: mlflow.Refuse}
	s.hasToken = func(context.Context) (bool, error) { return false, nil }
	s.loop = &loop{jobs: s.jobs, replay: ws.replay(), file: ws.path(replayMark)}
	if err = s.loop.load(); err != nil {
		return nil, err
	}
	for _, dir := range []string{"tmp", "model", "data", "pipeline"} {
		if err = os.MkdirAll(ws.path(dir), 0o700); err != nil {
			return nil, err
		}
	}
	if err = s.wire(ctx); err != nil {
		return nil, err
	}
	s.assemble()
	if err = s.dispatcher.load(ctx); err != nil {
		return nil, err
	}
	s.start(ctx)
	return s, nil
}

// assemble puts routes on the mux and consumers and tickers in their lists.
func (s *server) assemble() {
	var consumers []consumer
	for _, c := range s.capabilities {
		if c.routes != nil {
			c.routes(s.api)
		}
		if c.handle != nil {
			consumers = append(consumers, consumer{c.name, c.verbs, c.handle})
		}
		if c.tick != nil {
			s.loop.tickers = append(s.loop.tickers, ticker{c.name, c.tick})
		}
	}
	s.dispatcher = newDispatcher(s.db, consumers)
	s.loop.dispatcher = s.dispatcher
	s.jobs.Routes(s.api)
	s.api.Handle("/api/", "", func(_ http.ResponseWriter, r *http.Request) error {
		return slipway.Errorf(slipway.NotFound, "there is nothing at %s %s", r.Method, r.URL.Path).WithHint("/api/v1/openapi.json lists the operations")
	})
	s.api.Mux.Handle("/", ui.Handler())
}

// start begins the background work of a server that may be short-lived.
func (s *server) start(ctx context.Context) {
	s.background.Go(func() { s.dispatcher.run(ctx) })
	for _, c := range s.capabilities {
		if c.loop != nil {
			s.background.Go(func() {
				_ = c.loop(slipway.WithPrincipal(ctx, slipway.Principal{Name: "slipway/" + c.name, Role: slipway.Operator}))
			})
		}
	}
}

// settle waits until everything that was caused here has been handled.
func (s *server) settle(ctx context.Context) error { return s.loop.settle(ctx) }

// close ends the background work and closes what was opened.
func (s *server) close() error {
	s.cancel()
	s.jobs.Wait()
	s.background.Wait()
	var errs []error
	for _, c := range slices.Backward(s.closers) {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}

// ownerPrincipal is the person at this machine.
func ownerPrincipal() slipway.Principal {
	name := "owner"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return slipway.Principal{Name: name, Role: slipway.Admin}
}

// hosts splits a list of names at its commas.
func hosts(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

// secret resolves $NAME at the moment of use; it is never stored.
func (s *server) secret(name string) (string, bool) {
	v := s.getenv(name)
	return v, v != ""
}

// requiredSecret is secret for those who cannot do without.
func (s *server) requiredSecret(name string) (string, error) {
	if v, ok := s.secret(name); ok {
		return v, nil
	}
	return "", slipway.Errorf(slipway.Invalid, "the secret $%s is not set", name).WithHint("set it in the environment of `slipway up`")
}

// report logs an error that nobody is there to be told of.
func (s *server) report(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil {
		slog.ErrorContext(ctx, what, "error", err)
	}
}
