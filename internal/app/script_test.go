package app

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"slipway": func() { Main() }})
}

// TestScripts runs the user stories in testdata: each a workspace of its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("SLIPWAY_WORKSPACE", filepath.Join(e.WorkDir, ".workspace"))
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("SLIPWAY_TEST_PYTHON", os.Getenv("SLIPWAY_TEST_PYTHON"))
			return nil
		},
	})
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
