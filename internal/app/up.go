package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/compat/inference"
	"github.com/slipway-ml/slipway/internal/config"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// upCommand is `slipway up`: the server of this machine, in the foreground.
func upCommand(env *cli.Env, cfg *config.Config, s *session) *cobra.Command {
	var listen, inference, grpc string
	var replay bool
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Serve the interface, the API and the endpoints on this machine",
		Long: `Serve the interface, the API and the MLflow API on one address and the
inference endpoints on another, and run the loops: schedules, rollouts,
monitoring, retraining. Ctrl-C ends it and leaves everything whole.`,
		Example: `  slipway up
  slipway up --listen 127.0.0.1:8080
  SLIPWAY_WORKSPACE=/tmp/try slipway up --replay     follow the time of the data`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for name, value := range map[string]string{config.Listen: listen, config.Inference: inference, config.GRPC: grpc} {
				if value != "" {
					cfg.Set(name, value)
				}
			}
			return up(cmd.Context(), env, cfg, replay)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "", "address of the interface and the API (default 127.0.0.1:7070)")
	cmd.Flags().StringVar(&inference, "inference", "", "address of the inference endpoints (default 127.0.0.1:7071)")
	cmd.Flags().StringVar(&grpc, "grpc", "", "address of the endpoints over gRPC, or off (default: the port after --inference)")
	cmd.Flags().BoolVar(&replay, "replay", false, "follow event time: the clock moves when slipway replay moves it")
	return cmd
}

// up owns the workspace, listens, and serves until ctx ends.
func up(ctx context.Context, env *cli.Env, cfg *config.Config, replay bool) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	ws, err := makeWorkspace(cfg.Get(config.Workspace))
	if err != nil {
		return err
	}
	if err := ws.own(); err != nil {
		return err
	}
	defer ws.disown()
	if err := ws.markReplay(replay); err != nil {
		return err
	}
	s, err := newServer(context.WithoutCancel(ctx), cfg, ws, env.Getenv)
	if err != nil {
		return err
	}
	servers, err := s.listen()
	if err != nil {
		return errors.Join(err, s.close())
	}
	ticking, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.background.Go(func() { _ = s.loop.run(ticking) })
	s.announce(env)
	<-ctx.Done()
	stop()
	if !env.IO.Quiet {
		fmt.Fprintln(env.IO.Err, "finishing requests and steps; once more Ctrl-C ends at once")
	}
	s.guests.dismiss()
	var rpc sync.WaitGroup
	rpc.Go(s.endGRPC)
	err = shutdown(servers, s.unfinished)
	rpc.Wait()
	return errors.Join(err, s.close())
}

// unfinished reports whether work goes on that would be lost. A run of a
// pipeline is not: its steps go on, and the next server takes it up.
func (s *server) unfinished() bool {
	return slices.ContainsFunc(s.jobs.List(), func(j web.Job) bool { return j.State == web.JobRunning && j.Kind != "pipeline.run" })
}

// markReplay makes a new workspace follow event time. A workspace that already
// lives by the wall clock cannot change its mind: its windows would jump.
func (w *workspace) markReplay(want bool) error {
	if !want || w.replay() {
		return nil
	}
	if _, err := os.Stat(w.path("slipway.db")); err == nil {
		return slipway.Errorf(slipway.Conflict, "the workspace %s follows the wall clock already", w.dir).
			WithHint("set SLIPWAY_WORKSPACE to a new folder for a replay")
	}
	return writeDurably(w.path(replayMark), nil)
}

// listen opens every address, or none.
func (s *server) listen() (open []listening, err error) {
	defer func() {
		if err != nil {
			s.endGRPC()
			err = errors.Join(err, shutdown(open, s.unfinished))
		}
	}()
	secret := make([]byte, 16)
	if _, err := rand.Read(secret); err != nil {
		return nil, err
	}
	s.door.Session = hex.EncodeToString(secret)
	s.chooseGRPC()
	for _, l := range []struct {
		setting string
		handler http.Handler
	}{{config.Listen, s.api.Mux}, {config.Inference, s.inference}} {
		srv, err := s.serveTCP(l.setting, l.handler)
		if err != nil {
			return open, err
		}
		open = append(open, srv)
	}
	if err := s.listenGRPC(); err != nil {
		return open, err
	}
	socket, err := s.listenSocket()
	if err != nil {
		return open, err
	}
	return append(open, socket), nil
}

// serveTCP answers on the address of a setting.
func (s *server) serveTCP(setting string, h http.Handler) (listening, error) {
	l, door, err := s.listenTCP(setting)
	if err != nil {
		return nil, err
	}
	srv := &http.Server{Handler: door.Wrap(h, false), ReadHeaderTimeout: 10 * time.Second}
	if setting == config.Inference {
		srv.MaxHeaderBytes, srv.ReadTimeout, srv.IdleTimeout = 64<<10, 5*time.Minute, 5*time.Minute
		quick := &web.Server{HTTP: srv, Quick: inference.Quick}
		go func() { _ = quick.Serve(l) }()
		return quick, nil
	}
	go func() { _ = srv.Serve(l) }()
	return srv, nil
}

// listenTCP listens on the address of a setting. An unknown caller on a loopback
// address may log and predict; beyond loopback everything needs a token, and
// without any token made nobody listens there.
func (s *server) listenTCP(setting string) (net.Listener, *web.Door, error) {
	address, door := s.config.Get(setting), *s.door
	if _, _, err := net.SplitHostPort(address); err != nil {
		return nil, nil, slipway.Errorf(slipway.Invalid, "%q is no address to listen on", address).WithHint("write --%s 127.0.0.1:8080", setting)
	}
	if !web.Loopback(address) {
		door.Anyone = slipway.Principal{}
		if ok, err := s.hasToken(context.Background()); err != nil || !ok {
			return nil, nil, errors.Join(err, slipway.Errorf(slipway.Invalid, "%s is beyond this machine, and no token has been made", address).
				WithHint("make one with `slipway token create NAME`, or listen on 127.0.0.1"))
		}
	}
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, nil, slipway.Errorf(slipway.Conflict, "something else listens on %s already", address).
			WithHint("choose another address with --%s HOST:PORT", setting)
	}
	if err != nil {
		return nil, nil, slipway.Errorf(slipway.Invalid, "cannot listen on %s: %v", address, err)
	}
	s.config.Set(setting, l.Addr().String()) // port 0 has become a real one
	return l, &door, nil
}

// announce says where everything is.
func (s *server) announce(env *cli.Env) {
	address := "http://" + s.config.Get(config.Listen)
	info := struct {
		URL       string `json:"url"`
		Session   string `json:"session"`
		Inference string `json:"inference"`
		GRPC      string `json:"grpc"`
		Workspace string `json:"workspace"`
	}{address, address + "/?session=" + s.door.Session, "http://" + s.config.Get(config.Inference), s.config.Get(config.GRPC), s.workspace.dir}
	if env.IO.JSON {
		_ = env.IO.PrintJSON(info)
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "interface   %s\n", info.Session)
	fmt.Fprintf(&b, "MLflow      mlflow.set_tracking_uri(%q)\n", info.URL)
	fmt.Fprintf(&b, "inference   %s/v2\n", info.Inference)
	switch {
	case info.GRPC != "off":
		fmt.Fprintf(&b, "gRPC        %s\n", info.GRPC)
	case s.grpcImplied:
		fmt.Fprintf(&b, "gRPC        off: something else has the port after that of inference (--grpc HOST:PORT)\n")
	}
	fmt.Fprintf(&b, "workspace   %s\n", info.Workspace)
	fmt.Fprint(env.IO.Out, b.String())
}

// shutdownTime is how long requests under way may take to end; lullTime is how
// long when all that is left follows work that goes on without the server.
const (
	shutdownTime = 10 * time.Second
	lullTime     = time.Second
)

// shutdown ends servers: at once for new requests, and as soon as they are
// answered for those under way. unfinished says whether work goes on that is
// worth more than lullTime.
func shutdown(servers []listening, unfinished func() bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	short, end := context.WithCancel(ctx)
	defer end()
	lull := time.AfterFunc(lullTime, func() {
		if !unfinished() {
			end()
		}
	})
	defer lull.Stop()
	var all sync.WaitGroup
	errs := make([]error, len(servers))
	for i, srv := range servers {
		all.Go(func() {
			patience := short
			if _, predicts := srv.(*web.Server); predicts {
				patience = ctx // each prediction is worth waiting for
			}
			if err := srv.Shutdown(patience); err != nil {
				errs[i] = srv.Close() // streams do not end by themselves
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// listening is a server on an address.
type listening interface {
	Shutdown(ctx context.Context) error
	Close() error
}
