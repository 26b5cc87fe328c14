package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// shortWorkspace is a workspace whose path leaves room for a socket's name.
func shortWorkspace(t *testing.T) *workspace {
	t.Helper()
	dir, err := os.MkdirTemp("", "slipway")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	ws, err := makeWorkspace(dir)
	if err != nil {
		t.Fatal(err)
	}
	return ws
}

// The first command owns the workspace and does not leave while the second one
// is at work; who comes when it has left becomes the next owner.
func TestOwnerWaitsForItsGuest(t *testing.T) {
	ws := shortWorkspace(t)
	owner, guest := command(t, ws.dir), command(t, ws.dir)
	if _, err := owner.connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := guest.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if owner.own == nil || guest.own != nil {
		t.Fatal("the first command owns, the second is its guest")
	}
	told := make(chan struct{})
	owner.tell = func() { close(told) }
	left := make(chan error)
	go func() { left <- owner.close(t.Context()) }()
	select {
	case <-told:
	case err := <-left:
		t.Fatalf("the owner left its guest behind: %v", err)
	}
	if _, err := OpClock.Call(t.Context(), c, web.None{}); err != nil {
		t.Errorf("the guest still works: %v", err)
	}
	if err := guest.close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-left; err != nil {
		t.Error(err)
	}
	if _, err := enter(t.Context(), web.DialSocket(ws.socket())); !slipway.IsCode(err, slipway.Unavailable) {
		t.Errorf("nobody is there: %v", err)
	}
	next := command(t, ws.dir)
	if _, err := next.connect(t.Context()); err != nil || next.own == nil {
		t.Errorf("the next command owns the workspace: %v", err)
	}
	if err := next.close(t.Context()); err != nil {
		t.Error(err)
	}
}

// An owner that is interrupted leaves at once, and its guest is told.
func TestInterruptedOwnerLeaves(t *testing.T) {
	ws := shortWorkspace(t)
	owner, guest := command(t, ws.dir), command(t, ws.dir)
	if _, err := owner.connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := guest.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	owner.tell = cancel // Ctrl-C as soon as it says why it waits
	if err := owner.close(ctx); err != nil {
		t.Error(err)
	}
	if _, err := OpClock.Call(t.Context(), c, web.None{}); !slipway.IsCode(err, slipway.Unavailable) {
		t.Errorf("the owner is gone: %v", err)
	}
	_ = guest.close(t.Context())
}

// command is a command line's way to the workspace in dir.
func command(t *testing.T, dir string) *session {
	cfg := testConfig(t)
	cfg.Set("workspace", dir)
	return &session{config: cfg, getenv: func(string) string { return "" }, tell: func() {}}
}

// A handler or a tick that panics fails; it does not take the server with it.
func TestProtect(t *testing.T) {
	want := errors.New("as before")
	if err := protect(func() error { return want }); !errors.Is(err, want) {
		t.Error(err)
	}
	err := protect(func() error {
		var none map[string]int
		none["x"]++
		return nil
	})
	if err == nil || slipway.AsError(err).Code != slipway.Internal {
		t.Errorf("a panic is an internal error: %v", err)
	}
}

// What nobody watches goes to a file that does not grow for ever.
func TestLogFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	for range 2 {
		l, err := openLog(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(l.path, logBytes+1); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"slipway.log", "slipway.log.1"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	s := &session{log: &logFile{path: "/x/slipway.log"}}
	if e := slipway.AsError(s.explain(slipway.Errorf(slipway.Internal, "internal error"))); !strings.Contains(e.Hint, "/x/slipway.log") {
		t.Errorf("the hint names the log: %q", e.Hint)
	}
}
