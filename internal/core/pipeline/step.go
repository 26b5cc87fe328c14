package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// RunStep is the life of a step's process: it asks the server what to do, puts
// code and inputs into a scratch folder, runs the command there, and tells how
// it ended. When the server goes away it carries on and looks for it until its
// lease expires; then, and when the server says that the lease is over, it ends
// the command. server is http://host:port or unix:PATH; getenv is the process's.
func RunStep(ctx context.Context, server, token string, getenv func(string) string) error {
	if token == "" || server == "" {
		return slipway.Errorf(slipway.Invalid, "a step is started by a server, which names itself and a lease").WithHint("use `slipway run`")
	}
	// A request to end is passed on to the command, which may take its time.
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(asked)
	w := &worker{client: dialServer(server, token), token: token, server: server, getenv: getenv, asked: asked}
	ctx, w.drop = context.WithCancelCause(context.WithoutCancel(ctx))
	defer w.drop(nil)
	if err := w.begin(ctx); err != nil {
		return err
	}
	if c, ok := w.store.(io.Closer); ok {
		defer c.Close()
	}
	beating := make(chan struct{})
	go func() { defer close(beating); w.beat(ctx) }()
	c := w.work(ctx)
	if err := w.tell(ctx, c); err != nil {
		return err
	}
	w.drop(nil)
	<-beating
	return nil
}

func dialServer(server, token string) web.Client {
	if path, ok := strings.CutPrefix(server, "unix:"); ok {
		c := web.DialSocket(path)
		c.Token = token
		return c
	}
	return web.Dial(server, token)
}

// worker is a step's process.
type worker struct {
	client        web.Client
	token, server string
	getenv        func(string) string
	asked         <-chan os.Signal
	drop          context.CancelCauseFunc // ends everything: the lease is over
	a             Assignment
	store         contentStore
	log           string // file that the command prints to
}

// begin gets the assignment, waiting for a server that is not up yet.
func (w *worker) begin(ctx context.Context) error {
	deadline := time.Now().Add(time.Minute)
	for {
		var err error
		w.a, err = OpLeaseBegin.Call(ctx, w.client, leaseIn{w.token})
		if err == nil {
			break
		}
		if !transient(err) || time.Now().After(deadline) {
			return err
		}
		pause(ctx, 100*time.Millisecond)
	}
	w.log = filepath.Join(w.a.Scratch, "log")
	store, err := openStore(w.a.Content, w.client, w.token)
	w.store = store
	return err
}

// transient reports whether asking again may help.
func transient(err error) bool {
	code := slipway.AsError(err).Code
	return code == slipway.Unavailable || code == slipway.Internal
}

// errLease is why everything ends when the lease does.
var errLease = errors.New("the lease is over")

// beat renews the lease until ctx ends.
func (w *worker) beat(ctx context.Context) {
	renewed := time.Now()
	for {
		pause(ctx, w.a.Lease/5)
		if ctx.Err() != nil {
			return
		}
		call, cancel := context.WithTimeout(ctx, w.a.Lease/2)
		at := time.Now()
		_, err := OpLeaseRenew.Call(call, w.client, leaseIn{w.token})
		cancel()
		switch {
		case err == nil:
			renewed = at
		case ctx.Err() != nil:
			return
		case !transient(err), time.Since(renewed) > w.a.Lease:
			w.drop(errLease)
			return
		}
	}
}

// work does everything between the assignment and the completion.
func (w *worker) work(ctx context.Context) Completion {
	dir := filepath.Join(w.a.Scratch, "work")
	if err := w.materialise(ctx, dir); err != nil {
		return Completion{Exit: -1, Message: "its inputs cannot be put in place: " + message(err)}
	}
	p, err := startProxy(w)
	if err != nil {
		return Completion{Exit: -1, Message: message(err)}
	}
	defer p.close()
	ship := w.ship(ctx)
	exit, why := w.command(ctx, dir, p.url)
	ship()
	c := Completion{Exit: exit, Message: why}
	if ctx.Err() != nil {
		return c
	}
	if why == "" {
		if c.Output, c.Message = w.collect(ctx, dir); c.Message != "" {
			c.Output = nil
		}
	}
	if info, err := os.Stat(w.log); err == nil && info.Size() > 0 {
		if digest, _, err := w.store.PutFile(ctx, w.log); err == nil {
			c.Log = digest
		}
	}
	return c
}

// command runs the step's command to its end. why says why it counts as failed.
func (w *worker) command(ctx context.Context, dir, proxy string) (exit int, why string) {
	out, err := os.OpenFile(w.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return -1, message(err)
	}
	defer out.Close()
	env := w.environment(dir, proxy)
	cmd := exec.Command(w.a.Argv[0], w.a.Argv[1:]...)
	if cmd.Path, err = lookPath(w.a.Argv[0], dir, env); err != nil {
		return -1, fmt.Sprintf("the program %s is not found", w.a.Argv[0])
	}
	cmd.Err = nil
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, out, out
	// A group of its own: the command ends with all that it started, while this
	// process stays to tell how.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return -1, fmt.Sprintf("the command cannot start: %v", err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	var timeout <-chan time.Time
	if w.a.Timeout > 0 {
		timer := time.NewTimer(w.a.Timeout)
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-ended:
	case <-timeout:
		why = "it took longer than " + slipway.FormatDuration(w.a.Timeout)
	case <-w.asked:
		why = "it was asked to end"
	case <-ctx.Done():
		why = errLease.Error()
	}
	w.endGroup(cmd.Process.Pid, ended)
	exit = cmd.ProcessState.ExitCode()
	if why == "" {
		why = failure(cmd.ProcessState)
	}
	return exit, why
}

// endGroup asks what is left of a command to end, and then makes it.
func (w *worker) endGroup(group int, ended <-chan struct{}) {
	select {
	case <-ended:
	default:
		_ = syscall.Kill(-group, syscall.SIGTERM)
		timer := time.NewTimer(w.a.Grace)
		defer timer.Stop()
		select {
		case <-ended:
		case <-timer.C:
		}
	}
	_ = syscall.Kill(-group, syscall.SIGKILL)
	<-ended
}

// failure says how a process failed; "" when it did not.
func failure(state *os.ProcessState) string {
	if state.Success() {
		return ""
	}
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		text := "it was ended by " + ws.Signal().String()
		if ws.Signal() == syscall.SIGKILL {
			text += "; the machine may have run out of memory"
		}
		return text
	}
	return fmt.Sprintf("it ended with status %d", state.ExitCode())
}

// tell completes the attempt, for as long as the lease lives.
func (w *worker) tell(ctx context.Context, c Completion) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		_, err := OpLeaseComplete.Call(ctx, w.client, completeIn{w.token, c})
		switch {
		case err == nil:
			return nil
		case transient(err):
			pause(ctx, 200*time.Millisecond)
		case slipway.IsCode(err, slipway.Invalid) && c.Message == "":
			c.Output, c.Message = nil, "the server refuses its outputs: "+message(err)
		default:
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
