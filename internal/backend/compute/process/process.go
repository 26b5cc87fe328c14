// Package process runs steps as processes of this machine. Each leads a session
// of its own: it survives its server, and is killed together with everything
// that it started, whatever process groups that formed.
package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/compute"
)

// Runner starts processes on this machine.
type Runner struct{}

var _ compute.Runner = Runner{}

// poll is how often an adopted process, which is nobody's child, is looked at.
const poll = 50 * time.Millisecond

// Start implements compute.Runner.
func (Runner) Start(_ context.Context, s compute.Spec) (compute.Handle, error) {
	if len(s.Args) == 0 {
		return nil, slipway.Errorf(slipway.Invalid, "no program is named for %s", s.Name)
	}
	program, err := exec.LookPath(s.Args[0])
	if err != nil {
		return nil, slipway.Errorf(slipway.Invalid, "the program %s cannot be found", s.Args[0])
	}
	// exec.Command rather than CommandContext: the process outlives the server.
	cmd := exec.Command(program, s.Args[1:]...)
	cmd.Dir, cmd.Env = s.Dir, s.Env
	if cmd.Env == nil {
		cmd.Env = []string{}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if s.Log != "" {
		f, err := os.OpenFile(s.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open the log of %s: %w", s.Name, err)
		}
		defer f.Close()
		cmd.Stdout, cmd.Stderr = f, f
	}
	if err := cmd.Start(); err != nil {
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.ENOTDIR) {
			return nil, slipway.Errorf(slipway.Invalid, "%s cannot start: %v", s.Name, err)
		}
		return nil, slipway.Errorf(slipway.Unavailable, "%s cannot start: %v", s.Name, err)
	}
	h := &child{process: process{pid: cmd.Process.Pid}, done: make(chan struct{})}
	h.birth, _ = birth(h.pid)
	go func() {
		_ = cmd.Wait()
		h.exit = compute.Exit{Code: cmd.ProcessState.ExitCode(), Known: true}
		close(h.done)
	}()
	return h, nil
}

// Adopt implements compute.Runner.
func (Runner) Adopt(_ context.Context, id string) (compute.Handle, error) {
	number, born, ok := strings.Cut(id, "-")
	pid, err := strconv.Atoi(number)
	if !ok || err != nil || pid <= 1 {
		return nil, slipway.Errorf(slipway.NotFound, "%q names no process", id)
	}
	p := &process{pid: pid, birth: born}
	if !p.alive() {
		// Its session keeps its number for as long as a member lives, so these
		// are what it started and nobody else's.
		if _, err := birth(pid); errors.Is(err, os.ErrNotExist) {
			signalSession(pid, syscall.SIGKILL)
		}
		return nil, slipway.Errorf(slipway.NotFound, "process %d is gone", pid)
	}
	return p, nil
}

// process is one that somebody else started.
type process struct {
	pid   int
	birth string // when it began, which tells it from a later one of its number
}

func (p *process) ID() string { return strconv.Itoa(p.pid) + "-" + p.birth }

func (p *process) alive() bool {
	b, err := birth(p.pid)
	return err == nil && b == p.birth
}

// Wait implements compute.Handle.
func (p *process) Wait(ctx context.Context) (compute.Exit, error) {
	t := time.NewTicker(poll)
	defer t.Stop()
	for p.alive() {
		select {
		case <-t.C:
		case <-ctx.Done():
			return compute.Exit{}, ctx.Err()
		}
	}
	return compute.Exit{Code: -1}, nil
}

// Kill implements compute.Handle. Only the leader is asked: it passes the
// request on and writes down how its child ended.
func (p *process) Kill(ctx context.Context, grace time.Duration) error {
	return p.kill(ctx, grace, p.alive)
}

func (p *process) kill(ctx context.Context, grace time.Duration, alive func() bool) error {
	if alive() {
		_ = syscall.Kill(p.pid, syscall.SIGTERM)
	}
	deadline := time.Now().Add(grace)
	for alive() && time.Now().Before(deadline) && ctx.Err() == nil {
		time.Sleep(poll / 5)
	}
	for signalSession(p.pid, syscall.SIGKILL) > 0 {
		time.Sleep(poll / 5)
	}
	return nil
}

// child is a process that this server started.
type child struct {
	process
	done chan struct{}
	exit compute.Exit // set when done is closed
}

// Wait implements compute.Handle.
func (c *child) Wait(ctx context.Context) (compute.Exit, error) {
	select {
	case <-c.done:
		return c.exit, nil
	case <-ctx.Done():
		return compute.Exit{}, ctx.Err()
	}
}

// Kill implements compute.Handle.
func (c *child) Kill(ctx context.Context, grace time.Duration) error {
	return c.kill(ctx, grace, func() bool {
		select {
		case <-c.done:
			return false
		default:
			return true
		}
	})
}
