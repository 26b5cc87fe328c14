package python_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/backend/predictor/python"
)

func TestWhatGoesWrongInAModelStaysThere(t *testing.T) {
	m := plain(t, "Moody", predictor.Python{Timeout: 2 * time.Second, Memory: 2 << 30})
	for _, c := range []struct {
		mood string
		code slipway.Code
		says string
	}{
		{"raise", slipway.Internal, "KeyError: 'no such mood'"},
		{"value", slipway.Invalid, "ValueError: mood out of range"},
		{"sysexit", slipway.Internal, "SystemExit: enough"},
		{"short", slipway.Internal, "0 rows for 1"},
		{"memory", slipway.Unavailable, "out of memory"},
		{"crash", slipway.Unavailable, "segmentation fault"},
		{"exit", slipway.Unavailable, "exit status 7"},
		{"hang", slipway.Unavailable, "did not answer within 2s"},
	} {
		t.Run(c.mood, func(t *testing.T) {
			_, err := m.Predict(t.Context(), frame(text("mood", c.mood)))
			if !slipway.IsCode(err, c.code) || !strings.Contains(err.Error(), c.says) || !errors.Is(err, predictor.ErrModel) {
				t.Errorf("got %v, want the model's %s: %s", err, c.code, c.says)
			}
			if c.mood == "crash" && !strings.Contains(slipway.AsError(err).Hint, "about to crash") {
				t.Errorf("the hint does not show what the model printed: %q", slipway.AsError(err).Hint)
			}
			if _, err := m.Predict(t.Context(), frame(text("mood", "good"))); err != nil {
				t.Errorf("the next request: %v", err)
			}
		})
	}
}

// held is a model whose calls a test lets pass one by one.
type held struct {
	predictor.Model
	calls   *bufio.Reader
	release func()
}

func hold(t *testing.T, limits predictor.Python) held {
	t.Helper()
	in, out := filepath.Join(t.TempDir(), "in"), filepath.Join(t.TempDir(), "out")
	for _, name := range []string{in, out} {
		if err := syscall.Mkfifo(name, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	limits.Env = []string{"GATE_IN=" + in, "GATE_OUT=" + out}
	m := plain(t, "Gate", limits)
	pipe, err := os.OpenFile(in, os.O_RDWR, 0) // both ends, so that it never says end of file
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pipe.Close() })
	return held{m, bufio.NewReader(pipe), func() {
		f, err := os.OpenFile(out, os.O_WRONLY, 0)
		if err != nil {
			t.Error(err)
			return
		}
		f.Close()
	}}
}

// entered waits for the model's next call and gives the rows that it got.
func (h held) entered(t *testing.T) (rows int) {
	t.Helper()
	line, err := h.calls.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(line, &rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestRequestsThatWaitAreJoined(t *testing.T) {
	h := hold(t, predictor.Python{MaxBatch: 5, MaxQueue: 7})
	var calls sync.WaitGroup
	ask := func() {
		calls.Go(func() {
			if out, err := h.Predict(t.Context(), frame(number("a", 1))); err != nil || out.Rows != 1 {
				t.Errorf("got %+v, %v", out, err)
			}
		})
	}
	ask()
	if n := h.entered(t); n != 1 {
		t.Fatalf("the first call had %d rows: it waited for company", n)
	}
	for range 7 {
		ask()
	}
	for python.Waiting(h.Model) < 7 {
		runtime.Gosched()
	}
	if _, err := h.Predict(t.Context(), frame(number("a", 1))); !slipway.IsCode(err, slipway.Unavailable) || errors.Is(err, predictor.ErrModel) {
		t.Errorf("got %v, want a full queue", err)
	}
	h.release()
	for _, want := range []int{5, 2} {
		if n := h.entered(t); n != want {
			t.Errorf("a call had %d rows, want %d", n, want)
		}
		h.release()
	}
	calls.Wait()
}

func TestACallerThatGoesIsNotWaitedFor(t *testing.T) {
	h := hold(t, predictor.Python{})
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	in := frame(number("a", 1))
	go func() {
		_, err := h.Predict(ctx, in)
		gone <- err
	}()
	h.entered(t)
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	in.Series[0].Float[0] = 2 // the frame is the caller's again; -race watches
	h.release()
}

func TestCloseDoesNotWaitForWhatNobodyWaitsFor(t *testing.T) {
	h := hold(t, predictor.Python{Timeout: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := h.Predict(ctx, frame(number("a", 1)))
		gone <- err
	}()
	h.entered(t)
	cancel()
	<-gone
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}

func TestOneBadRequestDoesNotSpoilItsBatch(t *testing.T) {
	for _, mood := range []string{"raise", "crash", "hang"} {
		t.Run(mood, func(t *testing.T) {
			m := plain(t, "Moody", predictor.Python{Timeout: 2 * time.Second})
			var calls sync.WaitGroup
			for k := range 12 {
				calls.Go(func() {
					row := "good"
					if k == 5 {
						row = mood
					}
					_, err := m.Predict(t.Context(), frame(text("mood", row)))
					if (err != nil) != (row != "good") {
						t.Errorf("%s: %v", row, err)
					}
				})
			}
			calls.Wait()
		})
	}
}

func TestAWorkerIsReplacedAfterItsTime(t *testing.T) {
	m := plain(t, "Moody", predictor.Python{Recycle: 3})
	seen := map[float64]bool{}
	for i := 0; len(seen) < 3; i++ {
		out, err := m.Predict(t.Context(), frame(text("mood", "good")))
		if err != nil {
			t.Fatal(err)
		}
		seen[out.Series[0].Float[0]] = true
	}
}

func TestCloseEndsWhatTheModelStarted(t *testing.T) {
	m := plain(t, "Child", predictor.Python{})
	out, err := m.Predict(t.Context(), frame(number("a", 1)))
	if err != nil {
		t.Fatal(err)
	}
	pid := int(out.Series[0].Float[0])
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatalf("the child never ran: %v", err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	gone(t, pid)
}

// gone waits until a process is dead; one that init has not reaped yet is.
func gone(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
			return
		}
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && strings.Contains(string(b), ") Z ") {
			return
		}
		<-time.After(5 * time.Millisecond)
	}
	t.Errorf("process %d lives", pid)
}

// beServer is the half of TestWorkersDieWithTheServer that is killed.
func beServer(t *testing.T) {
	m := plain(t, "Moody", predictor.Python{})
	out, err := m.Predict(t.Context(), frame(text("mood", "good")))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("worker %d\n", int(out.Series[0].Float[0]))
	_, _ = m.Predict(t.Context(), frame(text("mood", "hang")))
}

func TestWorkersDieWithTheServer(t *testing.T) {
	if os.Getenv("PREDICTOR_TEST_SERVER") != "" {
		beServer(t)
		return
	}
	server := exec.Command(os.Args[0], "-test.run=^TestWorkersDieWithTheServer$")
	server.Env = append(os.Environ(), "PREDICTOR_TEST_SERVER=1")
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	lines := bufio.NewScanner(out)
	for pid == 0 && lines.Scan() {
		_, _ = fmt.Sscanf(lines.Text(), "worker %d", &pid)
	}
	if pid == 0 {
		t.Fatal("the server said no worker")
	}
	_ = server.Process.Kill()
	_ = server.Wait()
	gone(t, pid)
}

func TestAModelThatCannotBeLoadedSaysWhy(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		path   string
		limits predictor.Python
		code   slipway.Code
		says   string
		hint   string
	}{
		{path: "testdata/nothing.pkl", code: slipway.NotFound, says: "no model"},
		{path: "testdata/nothing.py:Class", code: slipway.NotFound, says: "no model"},
		{path: write("notes.txt", "not a tree"), code: slipway.Invalid, says: "no Python model", hint: "MLflow"},
		{path: write("bad.pkl", "garbage"), code: slipway.Invalid, says: "bad.pkl could not be loaded"},
		{path: write("need.py", "import no_such_module\n") + ":X", code: slipway.Invalid, says: "no_such_module", hint: "pip install no_such_module"},
		{path: write("syntax.py", "def\n") + ":X", code: slipway.Invalid, says: "SyntaxError", hint: "syntax.py"},
		{path: write("dies.py", "import os\nprint('last words')\nimport sys; sys.stdout.flush(); os._exit(3)\n") + ":X", code: slipway.Invalid, says: "exit status 3", hint: "last words"},
		{path: "testdata/plain.py:Nobody", code: slipway.Invalid, says: "no class Nobody"},
		{path: "testdata/plain.py:NoPredict", code: slipway.Invalid, says: "no method predict"},
		{path: "testdata/plain.py:Broken", code: slipway.Invalid, says: "RuntimeError: cannot be made"},
		{path: "testdata/plain.py:Hangs", limits: predictor.Python{StartTimeout: 300 * time.Millisecond}, code: slipway.Unavailable, says: "not loaded within 300ms"},
		{path: "testdata/plain.py:Sum", limits: predictor.Python{Interpreter: []string{"no-such-python"}}, code: slipway.Invalid, says: "no-such-python"},
		{path: "testdata/plain.py:Sum", limits: predictor.Python{Interpreter: []string{"false"}}, code: slipway.Invalid, says: "exit status 1"},
	} {
		m, err := python.Loader{}.Load(t.Context(), predictor.Spec{Path: c.path, Python: c.limits})
		if err == nil {
			_ = m.Close()
		}
		if !slipway.IsCode(err, c.code) || !strings.Contains(err.Error(), c.says) || !strings.Contains(slipway.AsError(err).Hint, c.hint) {
			t.Errorf("%s: got %v (%s), want %s: %s", c.path, err, slipway.AsError(err).Hint, c.code, c.says)
		}
	}
}

func TestLoadingHeedsItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := python.Loader{}.Load(ctx, predictor.Spec{Path: "testdata/plain.py:Hangs"})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline", err)
	}
}

func TestAModelThatNoLongerStartsSaysSo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "once")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m := plain(t, "Once", predictor.Python{Env: []string{"ONCE=" + file}})
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	_, err := m.Predict(t.Context(), frame(number("a", 1)))
	if !slipway.IsCode(err, slipway.Unavailable) {
		t.Errorf("the call that killed it: %v", err)
	}
	_, err = m.Predict(t.Context(), frame(number("a", 1)))
	if !slipway.IsCode(err, slipway.Unavailable) || !strings.Contains(err.Error(), "the file is gone") {
		t.Errorf("got %v, want why no worker starts", err)
	}
}

// TestWorkersRestAndComeBack has the last worker end when nobody asks, and
// answers every request all the same, also those that come while it ends.
func TestWorkersRestAndComeBack(t *testing.T) {
	m := plain(t, "Moody", predictor.Python{Workers: 2, Idle: 30 * time.Millisecond})
	crew := m.(predictor.Crew)
	for round := range 4 {
		until := time.Now().Add(20 * time.Second)
		for round < 2 && crew.Workers().Alive > 0 {
			if time.Now().After(until) {
				t.Fatalf("round %d: %+v", round, crew.Workers())
			}
			runtime.Gosched()
		}
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				for range 5 {
					if _, err := m.Predict(t.Context(), frame(text("mood", "good"))); err != nil {
						t.Error(err)
					}
				}
			})
		}
		callers.Wait()
	}
	if w := crew.Workers(); w.Starts < 2 || w.Start <= 0 || w.Most != 2 {
		t.Errorf("%+v", w)
	}
}
