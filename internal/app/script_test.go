package app

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"slipway": func() { Main() }})
}

// TestScripts runs the user stories in testdata: each a workspace of its own,
// beside a folder p for a project with real rows and a real model.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("SLIPWAY_WORKSPACE", filepath.Join(e.WorkDir, ".workspace"))
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("SLIPWAY_TEST_PYTHON", os.Getenv("SLIPWAY_TEST_PYTHON"))
			return giveFlights(filepath.Join(e.WorkDir, "p"))
		},
		Condition: func(name string) (bool, error) {
			return name == "tmpfs" && canMount(t), nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"fails":      fails,
			"await":      await,
			"await-file": awaitFile,
			"await-up":   awaitUp,
			"request":    request,
			"terminate":  terminate,
			"tmpfs":      tmpfs,
			"dead":       dead,
		},
	})
}

// giveFlights puts rows, a holdout and LightGBM models of the gate's story into
// dir: golden.txt and short.txt are good, other.txt takes other
// columns.
func giveFlights(dir string) error {
	for from, to := range map[string]string{
		"../core/gate/testdata/train.csv":    "data/flights/train.csv",
		"../core/gate/testdata/test.csv":     "holdout.csv",
		"../core/gate/testdata/champion.txt": "golden.txt",
		"../core/gate/testdata/short.txt":    "short.txt",
		"../tree/testdata/lgb-wide.txt":      "other.txt",
	} {
		b, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		to = filepath.Join(dir, to)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// canMount reports whether a small disk can be made, which needs root.
func canMount(t *testing.T) bool {
	if os.Getuid() != 0 {
		return false
	}
	dir := t.TempDir()
	if mountTmpfs(dir, "64k") != nil {
		return false
	}
	return syscall.Unmount(dir, 0) == nil
}

// TestStart keeps the house from growing slow: it only shows that a server
// opens, answers and closes; figures are bench's.
func TestStart(t *testing.T) {
	ws, err := makeWorkspace(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := ws.own(); err != nil {
		t.Fatal(err)
	}
	s, err := newServer(context.Background(), testConfig(t), ws, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	if err := s.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	ws.disown()
}
