package process

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/compute"
	"github.com/slipway-ml/slipway/internal/backend/compute/computetest"
)

func shell(script string) compute.Spec {
	return compute.Spec{Name: "test", Args: []string{"sh", "-c", script}, Env: []string{"PATH=" + os.Getenv("PATH")}}
}

func TestContract(t *testing.T) {
	computetest.Run(t, func(t *testing.T) computetest.Variant {
		return computetest.Variant{Runner: Runner{},
			Exit: func(code int) compute.Spec { return shell("exit " + strconv.Itoa(code)) },
			Hang: func() compute.Spec { return shell("sleep 600 & wait") },
		}
	})
}

// A step may hide in groups of its own and ignore requests: killing it leaves
// nothing behind.
func TestKillTakesTheWholeSession(t *testing.T) {
	dir := t.TempDir()
	s := shell(`trap "" TERM; set -m; sleep 600 & echo $! > ready.part; mv ready.part ready; wait; sleep 600`)
	s.Dir = dir
	h, err := Runner{}.Start(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	grandchild := await(t, filepath.Join(dir, "ready"))
	if err := h.Kill(t.Context(), 20*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if _, err := birth(grandchild); err == nil {
		t.Errorf("process %d survived", grandchild)
	}
}

// When the leader was killed from outside, what it started is found and ended.
func TestAdoptEndsWhatALostLeaderLeft(t *testing.T) {
	dir := t.TempDir()
	s := shell(`set -m; sleep 600 & echo $! > ready.part; mv ready.part ready; wait`)
	s.Dir = dir
	h, err := Runner{}.Start(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	grandchild := await(t, filepath.Join(dir, "ready"))
	leader, _, _ := strings.Cut(h.ID(), "-")
	pid, _ := strconv.Atoi(leader)
	_ = syscall.Kill(pid, syscall.SIGKILL)
	if exit, err := h.Wait(t.Context()); err != nil || exit.Code != -1 {
		t.Fatalf("Wait = %+v, %v", exit, err)
	}
	if _, err := (Runner{}).Adopt(t.Context(), h.ID()); !slipway.IsCode(err, slipway.NotFound) {
		t.Fatalf("Adopt = %v, want not_found", err)
	}
	for i := 0; ; i++ {
		if _, err := birth(grandchild); err != nil {
			break
		}
		if i > 500 {
			t.Fatalf("process %d survived", grandchild)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestEnvironmentLogAndFolder(t *testing.T) {
	t.Setenv("SLIPWAY_TEST_HIDDEN", "secret")
	dir := t.TempDir()
	s := shell(`echo "$A-$SLIPWAY_TEST_HIDDEN"; pwd >&2`)
	s.Dir, s.Log = dir, filepath.Join(dir, "log")
	s.Env = append(s.Env, "A=1")
	h, err := Runner{}.Start(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Wait(context.Background()); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(s.Log)
	if got := string(b); !strings.HasPrefix(got, "1-\n") || !strings.HasSuffix(got, filepath.Base(dir)+"\n") {
		t.Errorf("log = %q", got)
	}
}

func TestStartRefuses(t *testing.T) {
	for name, s := range map[string]compute.Spec{
		"an unknown program": {Args: []string{"slipway-no-such-program"}},
		"an unknown folder":  {Args: []string{"sh"}, Dir: "/no/such/folder"},
	} {
		if _, err := (Runner{}).Start(t.Context(), s); !slipway.IsCode(err, slipway.Invalid) {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
}

// await reads the number in a file that a process writes.
func await(t *testing.T, path string) int {
	t.Helper()
	for range 2000 {
		if b, err := os.ReadFile(path); err == nil {
			pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("%s did not appear", path)
	return 0
}
