package app

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/config"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// session is one command line's way to a server: the one that SLIPWAY_SERVER
// names, else the owner of this machine's workspace, else this process, which
// then owns the workspace until the command ends.
type session struct {
	config *config.Config
	getenv func(string) string
	once   sync.Once
	client web.Client
	err    error
	own    *server
	socket *http.Server
	log    *logFile
	stay   io.Closer // this command is the guest of another process
	tell   func()    // says that other commands keep this one
}

// connect finds the server on first use.
func (s *session) connect(ctx context.Context) (web.Client, error) {
	s.once.Do(func() { s.client, s.err = s.find(ctx) })
	return s.client, s.err
}

func (s *session) find(ctx context.Context) (web.Client, error) {
	if err := s.config.Validate(); err != nil {
		return web.Client{}, err
	}
	if address := s.config.Get(config.Server); address != "" {
		return web.Dial(address, s.config.Get(config.Token)), nil
	}
	ws, err := makeWorkspace(s.config.Get(config.Workspace))
	if err != nil {
		return web.Client{}, err
	}
	owner, c, stay, err := ws.ownOrDial(ctx)
	if err != nil || !owner {
		s.stay = stay
		return c, err
	}
	// A server's complaints would stand in the middle of the command's output.
	if s.log, err = openLog(ws.path("log")); err != nil {
		ws.disown()
		return web.Client{}, err
	}
	// The command's context ends on Ctrl-C; what it started is then cancelled
	// job by job, while the server itself stays up to write that down.
	if s.own, err = newServer(context.WithoutCancel(ctx), s.config, ws, s.getenv); err != nil {
		ws.disown()
		return web.Client{}, err
	}
	if s.socket, err = s.own.listenSocket(); err != nil {
		return web.Client{}, errors.Join(err, s.close(ctx))
	}
	return web.InProcess(s.own.api.Mux, s.own.owner), nil
}

// close lets a workspace that this process owned go, after other commands that
// work through it have left and the events that all of them caused are handled.
// An interrupted command waits for neither: the next owner handles them.
func (s *session) close(ctx context.Context) error {
	if s.stay != nil {
		return s.stay.Close()
	}
	if s.own == nil {
		return nil
	}
	var errs []error
	if ctx.Err() == nil {
		if err := s.own.seeOut(ctx, s.tell); ctx.Err() == nil {
			errs = append(errs, err)
		}
	}
	s.own.guests.dismiss()
	if s.socket != nil {
		errs = append(errs, shutdown([]listening{s.socket}, s.own.unfinished))
	}
	errs = append(errs, s.own.close())
	s.own.workspace.disown()
	return errors.Join(append(errs, s.log.Close())...)
}

// explain adds to a defect where more is known of it.
func (s *session) explain(err error) error {
	e := slipway.AsError(err)
	if e.Code != slipway.Internal || e.Hint != "" {
		return err
	}
	where := "what the server printed"
	var ours *slipway.Error
	text := err.Error()
	switch {
	case !errors.As(err, &ours):
		return err // a defect of the command itself, whose text is all there is
	case s.log != nil:
		where = s.log.path
	}
	return slipway.Errorf(slipway.Internal, "%s", text).
		WithHint("this is a defect of slipway: %s says more; please report it with the command that led to it", where)
}

// listenSocket answers on the workspace's socket, which only its user can open.
func (s *server) listenSocket() (*http.Server, error) {
	path := s.workspace.socket()
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	door := &web.Door{Owner: s.owner}
	mux := http.NewServeMux()
	mux.Handle(guestPath, s.guests)
	mux.Handle("/", s.api.Mux)
	srv := &http.Server{Handler: door.Wrap(mux, true), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = srv.Serve(l) }()
	return srv, nil
}
