package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// Environment is the Python that steps run with.
type Environment struct {
	Lock   slipway.Digest `json:"lock"`             // content: interpreter and exact packages, one a line; "" without any Python
	Python string         `json:"python,omitempty"` // the interpreter's path on this machine
	Bin    string         `json:"bin,omitempty"`    // folder that goes first on PATH
	Made   bool           `json:"made,omitempty"`   // Slipway made it from requirements; else it is the machine's own
	SDK    string         `json:"sdk,omitempty"`    // folder of the Python SDK on this machine, where it was asked for
}

// Ref is the environment in lineage; ok is false without any Python.
func (e Environment) Ref() (r slipway.Ref, ok bool) {
	return slipway.NewRef(slipway.KindEnvironment, string(e.Lock)), e.Lock != ""
}

// environmentMark is the file in a finished environment that describes it.
const environmentMark = "slipway.json"

// Interpreter is the Python of a project as it is in force, made if need be:
// Python models are served with what they were trained with. It fails with
// Failed when packages cannot be installed.
func (s *Service) Interpreter(ctx context.Context, name string) (Environment, error) {
	return s.interpreterOf(ctx, name, func(web.Progress) {})
}

func (s *Service) interpreterOf(ctx context.Context, name string, say func(web.Progress)) (Environment, error) {
	p, rev, err := s.Revision(ctx, name, 0)
	if err != nil {
		return Environment{}, err
	}
	pl := &plan{project: p, revision: rev}
	if pl.tree, err = s.o.Content.GetTree(ctx, rev.Code); err != nil {
		return Environment{}, err
	}
	return s.environment(ctx, pl, say)
}

// sdk writes the Python SDK where programs find it, and returns the folder; ""
// without one.
func (s *Service) sdk() (string, error) {
	if s.o.SDK == nil {
		return "", nil
	}
	dir, err := s.path("sdk")
	if err != nil {
		return "", err
	}
	return dir, s.o.SDK(dir)
}

// environment finds or makes the Python that a plan's steps run with.
func (s *Service) environment(ctx context.Context, pl *plan, say func(web.Progress)) (Environment, error) {
	s.environments.Lock()
	defer s.environments.Unlock()
	want := pl.project.Environment
	if want == nil {
		return s.hostEnvironment(ctx, s.o.Python)
	}
	base, version, err := s.interpreter(ctx, want.Python)
	if err != nil {
		return Environment{}, err
	}
	if want.Requirements == "" {
		return s.hostEnvironment(ctx, base)
	}
	if base, err = s.underlying(ctx, base); err != nil {
		return Environment{}, err
	}
	files, err := s.requirements(ctx, pl, want.Requirements)
	if err != nil {
		return Environment{}, err
	}
	raw, err := json.Marshal([]any{version, base, files})
	if err != nil {
		return Environment{}, err
	}
	dir, err := s.path("environment")
	if err != nil {
		return Environment{}, err
	}
	dir = filepath.Join(dir, slipway.DigestOf(raw).Short())
	var e Environment
	if b, err := os.ReadFile(filepath.Join(dir, environmentMark)); err == nil && json.Unmarshal(b, &e) == nil && e.Lock != "" {
		if has, err := s.o.Content.Has(ctx, e.Lock); err == nil && has[0] {
			return e, nil
		}
	}
	// A folder without its mark is what an interrupted installation left.
	if err := os.RemoveAll(dir); err != nil {
		return Environment{}, err
	}
	m := maker{s: s, dir: dir, base: base, say: say}
	return m.make(ctx, version, want.Requirements, files)
}

// requirements reads a requirements file and those that it includes, by path.
func (s *Service) requirements(ctx context.Context, pl *plan, first string) (map[string]string, error) {
	out := map[string]string{}
	queue := []string{path.Clean(first)}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		if _, ok := out[at]; ok {
			continue
		}
		e, ok := pl.tree.Find(at)
		if !ok {
			return nil, slipway.Errorf(slipway.NotFound, "the requirements file %s is not part of the project's code", at).
				WithHint("it may be missing, or ignored by .gitignore")
		}
		b, err := s.read(ctx, e.Digest)
		if err != nil {
			return nil, err
		}
		out[at] = string(b)
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(strings.NewReplacer("=", " ", "-r", "-r ", "-c", "-c ").Replace(line))
			if len(f) >= 2 && (f[0] == "-r" || f[0] == "-c" || strings.HasPrefix(f[0], "--requirement") || strings.HasPrefix(f[0], "--constraint")) {
				words := strings.FieldsFunc(strings.TrimSpace(line), func(r rune) bool { return r == ' ' || r == '=' || r == '\t' })
				name := strings.TrimPrefix(strings.TrimPrefix(words[len(words)-1], "-r"), "-c")
				queue = append(queue, path.Join(path.Dir(at), name))
			}
		}
	}
	return out, nil
}

// maker installs one environment.
type maker struct {
	s    *Service
	dir  string
	base string
	say  func(web.Progress)
}

func (m *maker) make(ctx context.Context, version, first string, files map[string]string) (Environment, error) {
	src, err := os.MkdirTemp(filepath.Dir(m.dir), "requirements-")
	if err != nil {
		return Environment{}, err
	}
	defer os.RemoveAll(src)
	for name, text := range files {
		file := filepath.Join(src, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			return Environment{}, err
		}
	}
	python := filepath.Join(m.dir, "bin", "python")
	m.say(web.Progress{Topic: "environment", State: "environment", Message: "making a Python " + version + " environment"})
	uv, uvErr := exec.LookPath("uv")
	file := filepath.Join(src, filepath.FromSlash(first))
	steps := [][]string{
		{m.base, "-m", "venv", m.dir},
		{python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off", "-r", file},
	}
	freeze := []string{python, "-m", "pip", "--disable-pip-version-check", "freeze", "--all"}
	if uvErr == nil {
		steps = [][]string{
			{uv, "venv", "--seed", "--python", m.base, m.dir},
			{uv, "pip", "install", "--python", python, "-r", file},
		}
		freeze = []string{uv, "pip", "freeze", "--python", python}
	}
	for _, args := range steps {
		if err := m.run(ctx, args); err != nil {
			return Environment{}, errors.Join(err, os.RemoveAll(m.dir))
		}
	}
	locked, err := m.s.output(ctx, freeze)
	if err != nil {
		return Environment{}, err
	}
	e := Environment{Python: python, Bin: filepath.Dir(python), Made: true}
	if e.Lock, _, err = m.s.o.Content.Put(ctx, strings.NewReader("# Python "+version+"\n"+locked)); err != nil {
		return Environment{}, err
	}
	b, err := json.Marshal(e)
	if err != nil {
		return Environment{}, err
	}
	return e, replaceFile(filepath.Join(m.dir, environmentMark), b)
}

// run executes a command of the installation, tells its lines, and fails with
// Failed and its last words.
func (m *maker) run(ctx context.Context, args []string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = m.s.hostVariables()
	tail := &lineTail{see: func(line string) {
		m.say(web.Progress{Topic: "environment", State: "environment", Stream: "stdout", Message: line})
	}}
	cmd.Stdout, cmd.Stderr = tail, tail
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return slipway.Errorf(slipway.Failed, "the Python environment cannot be made: %s", tail.text()).
		WithHint("`%s` failed; correct the requirements and run again", strings.Join(args[:min(4, len(args))], " "))
}

// output is what a program prints.
func (s *Service) output(ctx context.Context, args []string) (string, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = s.hostVariables()
	var errs bytes.Buffer
	cmd.Stderr = &errs
	b, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	return string(b), nil
}

// inherited are the variables of the server's environment that steps and
// installations see.
var inherited = []string{"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
	"CUDA_VISIBLE_DEVICES", "CUDA_HOME", "OMP_NUM_THREADS", "XDG_CACHE_HOME", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
	"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CACHE_DIR", "PIP_CONFIG_FILE", "UV_INDEX_URL", "UV_CACHE_DIR"}

func (s *Service) hostVariables() []string {
	var out []string
	for _, name := range inherited {
		if v := s.o.Getenv(name); v != "" {
			out = append(out, name+"="+v)
		}
	}
	return out
}

// lineTail passes lines on and remembers the last ones.
type lineTail struct {
	see   func(string)
	part  []byte
	lines []string
}

const tailLines = 12

func (t *lineTail) Write(b []byte) (int, error) {
	t.part = append(t.part, b...)
	for {
		i := bytes.IndexByte(t.part, '\n')
		if i < 0 {
			return len(b), nil
		}
		line := strings.TrimRight(string(t.part[:i]), "\r")
		t.part = t.part[i+1:]
		if t.lines = append(t.lines, line); len(t.lines) > tailLines {
			t.lines = t.lines[1:]
		}
		t.see(line)
	}
}

func (t *lineTail) text() string {
	return strings.TrimSpace(strings.Join(append(t.lines, string(t.part)), "\n"))
}
