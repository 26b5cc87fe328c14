package pipeline

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/project"
)

// index makes a snapshot of files.
func index(t testing.TB, files map[string]string) *snapshotIndex {
	var entries []content.Entry
	for path, text := range files {
		entries = append(entries, content.Entry{Path: path, Digest: slipway.DigestOf([]byte(path + text)), Size: int64(len(text))})
	}
	tree, err := content.NewTree(entries)
	if err != nil {
		t.Fatal(err)
	}
	return newSnapshotIndex(tree, func(e content.Entry) []byte { return []byte(files[e.Path]) })
}

func TestClosure(t *testing.T) {
	files := map[string]string{
		"slipway.yaml":            "project: x\n",
		"README.md":               "see train.py\n",
		"train.py":                "import os, features as f\nfrom pkg import model\nopen('settings.json')\n",
		"features.py":             "from pkg.sub import (\n    deep,\n    other,\n)\n",
		"pkg/__init__.py":         "from .model import Model\n",
		"pkg/model.py":            "from ..outside import x\nfrom . import shared\n",
		"pkg/shared.py":           "",
		"pkg/sub/__init__.py":     "",
		"pkg/sub/deep.py":         "importlib.import_module('late')\n",
		"pkg/unused.py":           "",
		"late.py":                 "",
		"unused.py":               "",
		"settings.json":           `{"more": "conf/a.txt"}`,
		"conf/a.txt":              "",
		"conf/b.txt":              "",
		"src/lib/__init__.py":     "",
		"src/lib/tool.py":         "",
		"steps/prepare.py":        "import beside\nfrom lib import tool\nGLOB = 'sql/*'\n",
		"steps/beside.py":         "",
		"sql/one.sql":             "select 1",
		"run.sh":                  "cd steps && python prepare.py\n",
		"job/__init__.py":         "",
		"job/__main__.py":         "import late\n",
		"Makefile":                "all:\n\tpython train.py\n",
		"notebook/semicolons.py":  "x = 1; import late\n",
		"notebook/continued.py":   "import \\\n    late\n",
		"notebook/indented.py":    "def f():\n    import late\n",
		"notebook/not_imports.py": "# import unused\nimportant = 1\n",
	}
	all := func(names ...string) []string { slices.Sort(names); return names }
	training := []string{"train.py", "features.py", "pkg/__init__.py", "pkg/model.py", "pkg/shared.py", "pkg/sub/__init__.py", "pkg/sub/deep.py", "late.py", "settings.json", "conf/a.txt"}
	for name, c := range map[string]struct {
		cmd  project.Command
		want []string
	}{
		"a script and what it imports": {project.Command{Shell: "python train.py --fast"}, all(training...)},
		"a list of arguments":          {project.Command{Args: []string{"python3", "train.py"}}, all(training...)},
		"a script in a folder":         {project.Command{Shell: "python steps/prepare.py"}, all("steps/prepare.py", "steps/beside.py", "src/lib/__init__.py", "src/lib/tool.py", "sql/one.sql")},
		"through a shell script":       {project.Command{Shell: "sh run.sh"}, all("run.sh", "steps/prepare.py", "steps/beside.py", "src/lib/__init__.py", "src/lib/tool.py", "sql/one.sql")},
		"after cd":                     {project.Command{Shell: "cd steps && python beside.py"}, all("steps/beside.py", "steps/prepare.py", "src/lib/__init__.py", "src/lib/tool.py", "sql/one.sql")},
		"a module":                     {project.Command{Shell: "python -m job"}, all("job/__init__.py", "job/__main__.py", "late.py")},
		"a file as an argument":        {project.Command{Shell: "cat conf/b.txt"}, all("conf/b.txt")},
		"after a semicolon":            {project.Command{Shell: "python notebook/semicolons.py"}, all("notebook/semicolons.py", "late.py")},
		"over two lines":               {project.Command{Shell: "python notebook/continued.py"}, all("notebook/continued.py", "late.py")},
		"inside a function":            {project.Command{Shell: "python notebook/indented.py"}, all("notebook/indented.py", "late.py")},
		"no import":                    {project.Command{Shell: "python notebook/not_imports.py"}, all("notebook/not_imports.py")},
		"nothing by name":              {project.Command{Shell: "make"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			reached, whole := index(t, files).Reached(c.cmd)
			var got []string
			for _, e := range reached {
				got = append(got, e.Path)
			}
			if diff := cmp.Diff(c.want, got); diff != "" || whole != (c.want == nil) {
				t.Errorf("whole snapshot: %v\n%s", whole, diff)
			}
		})
	}
}

// Any code is read without a panic, and what is reached is in the snapshot.
func FuzzClosure(f *testing.F) {
	f.Add("import a\nfrom .. import b\nfrom . import (c, d)\n", "python x/y.py")
	f.Add("from ....", "python -m ...")
	f.Fuzz(func(t *testing.T, code, cmd string) {
		index(t, map[string]string{"x/y.py": code, "a.py": "", "x/c.py": "import a"}).Reached(project.Command{Shell: cmd})
	})
}

// Keys are equal exactly when every part is.
func TestKeyIsTheMaterial(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.MapOf(rapid.SampledFrom([]string{"a", "b", "param c", "code d"}), rapid.SampledFrom([]string{"", "1", "2"}))
		a, b := Material(parts.Draw(t, "a")), Material(parts.Draw(t, "b"))
		if same := cmp.Equal(a, b); same != (a.Key() == b.Key()) {
			t.Fatalf("%v and %v: equal %v", a, b, same)
		}
		last := &priorTask{Material: b}
		if why := explain(a, last); a.Key() != b.Key() && why.Reason == "" {
			t.Fatal("a miss is explained")
		}
	})
}

func TestVersionsOfPython(t *testing.T) {
	for _, c := range []struct {
		specifier, version string
		want               bool
	}{
		{"", "3.11.7", true}, {">=3.10", "3.9.18", false}, {">=3.10", "3.11.7", true}, {">=3.10, <3.14", "3.14.0", false},
		{"3.11", "3.11.7", true}, {"3.11", "3.12.0", false}, {"==3.11.*", "3.11.7", true}, {"==3.11", "3.11.0", true}, {"==3.11", "3.11.7", false},
		{"~=3.10", "3.14.1", true}, {"~=3.10.2", "3.11.0", false}, {"!=3.12.*", "3.12.4", false}, {"!=3.12", "3.12.4", true}, {">3.11", "3.11.0", false}, {"<=3.12", "3.12.0", true},
		{">=3.10", "3.13.0rc1", true},
	} {
		if got := allows(c.specifier, c.version); got != c.want {
			t.Errorf("%q allows %s: %v, want %v", c.specifier, c.version, got, c.want)
		}
	}
}

// A snapshot in Git is what Git would track; data, outputs and large files are
// not code.
func TestSnapshot(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("slipway.yaml", "project: demo\ndata: {rows: {path: 'raw/*.csv'}, more: {path: more/}}\npipeline: {a: {run: x, out: [out/, m.txt]}}\n")
	for _, name := range []string{"a.py", "raw/x.csv", "raw/x.py", "more/y.csv", "out/z", "m.txt", "junk.log", ".venv/lib.py", "__pycache__/a.pyc", "slipway.lock"} {
		write(name, name)
	}
	take := func() (Snapshot, error) {
		t.Helper()
		p, err := project.Load(filepath.Join(dir, "slipway.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		return TakeSnapshot(context.Background(), p, LoadTreeState(""))
	}
	paths := func(s Snapshot) (out []string) {
		for _, e := range s.Entry {
			out = append(out, e.Path)
		}
		return out
	}
	s, err := take()
	if diff := cmp.Diff([]string{"a.py", "junk.log", "raw/x.py", "slipway.yaml"}, paths(s)); diff != "" || err != nil || s.Source != (Source{}) {
		t.Errorf("outside Git: %v, %+v\n%s", err, s.Source, diff)
	}
	if _, err := exec.LookPath("git"); err == nil {
		write(".gitignore", "*.log\n.venv/\n__pycache__/\n")
		for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "."}, {"-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"}} {
			if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
				t.Fatal(string(out))
			}
		}
		s, err = take()
		if diff := cmp.Diff([]string{".gitignore", "a.py", "raw/x.py", "slipway.yaml"}, paths(s)); diff != "" || err != nil {
			t.Errorf("in Git: %v\n%s", err, diff)
		}
		if len(s.Source.Commit) != 40 || s.Source.Dirty || s.Source.Branch != "main" {
			t.Errorf("source = %+v", s.Source)
		}
		write("new.py", "1")
		if s, _ = take(); !s.Source.Dirty || len(s.Entry) != 5 {
			t.Errorf("a new file makes it dirty: %+v", s.Source)
		}
	}
	write("big.py", strings.Repeat("x", maxCodeFile+1))
	if _, err := take(); !slipway.IsCode(err, slipway.Invalid) || !strings.Contains(err.Error(), "big.py") {
		t.Errorf("a large file is refused: %v", err)
	}
}

// An environment is made once, locked, and told about when pip fails.
func TestEnvironment(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil || testing.Short() {
		t.Skip("makes a real environment, with python3")
	}
	h := onSQLite(t)
	h.write(map[string]string{
		"slipway.yaml":     "project: demo\nenvironment: {python: \">=3.8\", requirements: requirements.txt}\npipeline:\n  a: {run: python a.py, out: [a.txt]}\n",
		"requirements.txt": "-r more.txt\n", "more.txt": "# nothing yet\n",
		"a.py": "import sys\nopen('a.txt', 'w').write(sys.prefix)\n",
	})
	r := h.mustRun(Request{})
	if got := h.read(r, "a", "a.txt"); !strings.HasPrefix(got, filepath.Join(h.dir, "pipeline", "environment")) {
		t.Errorf("the step ran in %s", got)
	}
	if lock, err := h.s.read(t.Context(), r.Environment.Lock); err != nil || !strings.HasPrefix(string(lock), "# Python 3.") {
		t.Errorf("lock = %q, %v", lock, err)
	}
	if r := h.mustRun(Request{}); !r.Nothing {
		t.Errorf("the environment is the same: %s", dump(r.Task))
	}
	h.write(map[string]string{"more.txt": "./no-such-package\n"})
	_, err := h.run(Request{})
	if !slipway.IsCode(err, slipway.Failed) || !strings.Contains(err.Error(), "no-such-package") {
		t.Errorf("pip's words are passed on: %v", err)
	}
}

// An active virtual environment is not another Python: what was made without it
// is found with it.
func TestUnderlying(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("needs python3")
	}
	dir := t.TempDir()
	if out, err := exec.Command(python, "-m", "venv", "--without-pip", dir).CombinedOutput(); err != nil {
		t.Fatal(string(out))
	}
	s := &Service{o: Options{Getenv: os.Getenv}}
	want, err := s.underlying(t.Context(), python)
	if err != nil || !filepath.IsAbs(want) {
		t.Fatalf("%q, %v", want, err)
	}
	if got, err := s.underlying(t.Context(), filepath.Join(dir, "bin", "python")); got != want || err != nil {
		t.Errorf("%q stands for %q, want %q; %v", dir, got, want, err)
	}
}
