package template

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/query"
	"github.com/slipway-ml/slipway/internal/kit/term"
	"github.com/slipway-ml/slipway/internal/project"
	"github.com/slipway-ml/slipway/internal/tree"
)

var update = flag.Bool("update", false, "rewrite golden files and the plans of the templates")

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "query-worker" {
		os.Exit(query.Serve(os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// session is a command line in a folder of its own.
type session struct {
	t        *testing.T
	dir      string
	terminal bool
	input    string
}

func begin(t *testing.T) *session { return &session{t: t, dir: t.TempDir()} }

// run executes `slipway init args…` and returns what it printed.
func (s *session) run(args ...string) (string, error) {
	s.t.Helper()
	needQuery(s.t)
	var out bytes.Buffer
	e := &cli.Env{
		IO:     &term.IO{In: strings.NewReader(s.input), Out: &out, Err: &out, TTY: s.terminal},
		Getenv: func(string) string { return "" }, Dir: s.dir,
	}
	root := &cobra.Command{Use: "slipway", SilenceErrors: true, SilenceUsage: true}
	root.PersistentFlags().BoolVar(&e.IO.JSON, "json", false, "")
	root.AddCommand(Commands(e)...)
	root.SetArgs(append([]string{"init"}, args...))
	root.SetOut(io.Discard)
	root.SetErr(io.Discard)
	err := root.ExecuteContext(context.Background())
	return out.String(), err
}

func (s *session) must(args ...string) string {
	s.t.Helper()
	out, err := s.run(args...)
	if err != nil {
		s.t.Fatalf("init %v: %v\n%s", args, err, out)
	}
	return out
}

// file writes a data file.
func (s *session) file(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// plan reads what `init --json` says.
func (s *session) plan(args ...string) *Plan {
	s.t.Helper()
	var r Report
	if err := json.Unmarshal([]byte(s.must(append(args, "--json")...)), &r); err != nil {
		s.t.Fatal(err)
	}
	return r.Plan
}

// needQuery skips a test of a binary that has no DuckDB.
func needQuery(t *testing.T) {
	t.Helper()
	engine := query.New(query.Options{})
	defer engine.Close()
	if _, err := engine.Run(context.Background(), query.Request{SQL: "SELECT 1"}); err != nil {
		t.Skipf("no query engine: %v", err)
	}
}

// loads checks that the project's slipway.yaml is understood.
func loads(t *testing.T, dir string) *project.Project {
	t.Helper()
	p, err := project.Load(filepath.Join(dir, project.FileName))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// python runs the scripts of a project by hand and returns metrics.json. It
// skips the test when SLIPWAY_TEST_PYTHON names no interpreter.
func python(t *testing.T, dir string, scripts ...string) map[string]float64 {
	t.Helper()
	interpreter := os.Getenv("SLIPWAY_TEST_PYTHON")
	if interpreter == "" {
		t.Skip("SLIPWAY_TEST_PYTHON is not set; `make test-deps` installs what it needs")
	}
	sdk, err := filepath.Abs("../../../python/src")
	if err != nil {
		t.Fatal(err)
	}
	for _, script := range append([]string{"prepare.py", "train.py", "evaluate.py"}, scripts...) {
		cmd := exec.Command(interpreter, "-W", "error::FutureWarning", script)
		cmd.Dir = dir
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "PYTHONPATH=" + sdk, "PYTHONDONTWRITEBYTECODE=1"}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", script, err, out)
		}
		t.Logf("%s\n%s", script, out)
	}
	served(t, dir)
	b, err := os.ReadFile(filepath.Join(dir, "metrics.json"))
	if err != nil {
		t.Fatal(err)
	}
	var metrics map[string]float64
	if err := json.Unmarshal(b, &metrics); err != nil {
		t.Fatal(err)
	}
	return metrics
}

// golden compares a text with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// maskDir takes the name of the test's folder out of an output.
func maskDir(out, dir string) string { return strings.ReplaceAll(out, dir, "DIR") }

// served checks that the server reads the model, and that the rows of the gate
// have every column that the model takes.
func served(t *testing.T, dir string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "model.txt"))
	if err != nil {
		t.Fatal(err)
	}
	model, err := tree.Load(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	engine := query.New(query.Options{})
	defer engine.Close()
	schema, _, err := engine.Describe(context.Background(), query.Table{Name: "t", Files: []string{filepath.Join(dir, "test.parquet")}})
	if err != nil {
		t.Fatal(err)
	}
	target := loads(t, dir).Model.Target
	for _, feature := range append(slices.Clone(model.Features), target) {
		if schema.Index(feature) < 0 {
			t.Errorf("the model or its gate wants %q, and test.parquet has %v", feature, schema.Names())
		}
	}
	times := 0
	for _, c := range schema {
		if c.Type == slipway.Time || c.Type == slipway.Date {
			times++
		}
	}
	if times > 1 {
		t.Errorf("nobody can tell which of %d times in test.parquet is the event time", times)
	}
}
