package app

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

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
	owner, c, err := ws.ownOrDial(ctx)
	if err != nil || !owner {
		return c, err
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

// drainTime bounds how long an owner waits for other commands that found it.
const drainTime = 30 * time.Second

// close lets a workspace that this process owned go, after the events that the
// command caused are handled. An interrupted command does not wait for them:
// the next owner handles them.
func (s *session) close(ctx context.Context) error {
	if s.own == nil {
		return nil
	}
	var errs []error
	if ctx.Err() == nil {
		errs = append(errs, s.own.settle(ctx))
	}
	if s.socket != nil {
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		errs = append(errs, s.socket.Shutdown(drain))
	}
	errs = append(errs, s.own.close())
	s.own.workspace.disown()
	return errors.Join(errs...)
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
	srv := &http.Server{Handler: door.Wrap(s.api.Mux, true), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = srv.Serve(l) }()
	return srv, nil
}
