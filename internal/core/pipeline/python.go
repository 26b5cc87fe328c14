package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/slipway-ml/slipway"
)

// describePython prints what an environment is: version, platform, packages,
// and the files and folders whose times betray a change.
const describePython = `import importlib.metadata as m, json, os, platform, sys
packages = sorted({f"{d.metadata['Name']}=={d.version}" for d in m.distributions() if d.metadata['Name']}, key=str.lower)
paths = [p for p in sys.path if p and os.path.isdir(p)]
print(json.dumps({"version": platform.python_version(), "platform": platform.platform(), "packages": packages, "paths": [sys.executable, *paths]}))
`

// hostLock is what is remembered of an interpreter between runs, since asking
// it takes longer than a run that has nothing to do.
type hostLock struct {
	Environment Environment      `json:"environment"`
	Time        map[string]int64 `json:"time"` // of the files that betray a change, nanoseconds
}

// hostEnvironment describes an interpreter of this machine. Without any Python
// there is no lock, and steps do without.
func (s *Service) hostEnvironment(ctx context.Context, python string) (Environment, error) {
	program, err := exec.LookPath(python)
	if err != nil {
		if filepath.IsAbs(python) {
			return Environment{}, slipway.Errorf(slipway.NotFound, "the interpreter %s does not exist", python).WithHint("SLIPWAY_PYTHON names it")
		}
		return Environment{}, nil
	}
	dir, err := s.path("environment")
	if err != nil {
		return Environment{}, err
	}
	file := filepath.Join(dir, "host-"+slipway.DigestOf([]byte(program)).Short()+".json")
	var known hostLock
	if b, err := os.ReadFile(file); err == nil && json.Unmarshal(b, &known) == nil && known.current() {
		if has, err := s.o.Content.Has(ctx, known.Environment.Lock); err == nil && has[0] {
			return known.Environment, nil
		}
	}
	text, err := s.output(ctx, []string{program, "-c", describePython})
	if err != nil {
		return Environment{}, slipway.Errorf(slipway.Failed, "the interpreter %s does not work: %v", program, err)
	}
	var about struct {
		Version, Platform string
		Packages, Paths   []string
	}
	if err := json.Unmarshal([]byte(text), &about); err != nil {
		return Environment{}, fmt.Errorf("read what %s says about itself: %w", program, err)
	}
	lock := fmt.Sprintf("# Python %s on %s\n%s\n", about.Version, about.Platform, strings.Join(about.Packages, "\n"))
	known = hostLock{Environment: Environment{Python: program}, Time: map[string]int64{}}
	if known.Environment.Lock, _, err = s.o.Content.Put(ctx, strings.NewReader(lock)); err != nil {
		return Environment{}, err
	}
	if known.Environment.Bin, err = s.pythonNames(program); err != nil {
		return Environment{}, err
	}
	for _, p := range about.Paths {
		if info, err := os.Stat(p); err == nil {
			known.Time[p] = info.ModTime().UnixNano()
		}
	}
	b, err := json.Marshal(known)
	if err != nil {
		return Environment{}, err
	}
	return known.Environment, replaceFile(file, b)
}

func (h hostLock) current() bool {
	for p, t := range h.Time {
		if info, err := os.Stat(p); err != nil || info.ModTime().UnixNano() != t {
			return false
		}
	}
	return h.Environment.Lock != ""
}

// pythonNames is a folder in which python and python3 are that interpreter,
// whatever the machine calls it.
func (s *Service) pythonNames(program string) (string, error) {
	dir, err := s.path("environment", "host-"+slipway.DigestOf([]byte(program)).Short())
	if err != nil {
		return "", err
	}
	script := "#!/bin/sh\nexec '" + strings.ReplaceAll(program, "'", `'\''`) + "' \"$@\"\n"
	for _, name := range []string{"python", "python3"} {
		file := filepath.Join(dir, name)
		if err := replaceFile(file, []byte(script)); err != nil {
			return "", err
		}
		if err := os.Chmod(file, 0o700); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// interpreter finds a Python that a PEP 440 specifier allows, trying the
// configured one first. It fails with NotFound.
func (s *Service) interpreter(ctx context.Context, specifier string) (program, version string, err error) {
	var seen []string
	for _, name := range []string{s.o.Python, "python3", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10"} {
		program, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		out, err := s.output(ctx, []string{program, "-c", "import platform; print(platform.python_version())"})
		if err != nil {
			continue
		}
		version := strings.TrimSpace(out)
		if allows(specifier, version) {
			return program, version, nil
		}
		seen = append(seen, version)
	}
	found := "there is none"
	if len(seen) > 0 {
		found = "found " + strings.Join(seen, ", ")
	}
	return "", "", slipway.Errorf(slipway.NotFound, "no Python %s on this machine: %s", specifier, found).
		WithHint("install one, or name one with SLIPWAY_PYTHON")
}

// underlying is the interpreter that a virtual environment or a launcher stands
// for, so that whoever runs with one active finds the environment that was made
// without it.
func (s *Service) underlying(ctx context.Context, program string) (string, error) {
	out, err := s.output(ctx, []string{program, "-c", `import os, sys; print(os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable))`})
	if err != nil {
		return "", err
	}
	if at := strings.TrimSpace(out); at != "" {
		return at, nil
	}
	return program, nil
}

// allows reports whether a version meets every clause of a PEP 440 specifier;
// "" allows all, and a version alone means that version.
func allows(specifier, version string) bool {
	have := release(version)
	for clause := range strings.SplitSeq(specifier, ",") {
		clause = strings.TrimSpace(clause)
		if clause == "" {
			continue
		}
		number := strings.TrimLeft(clause, "~=!<> ")
		op := strings.TrimSpace(clause[:len(clause)-len(number)])
		prefix := strings.HasSuffix(number, ".*")
		want := release(strings.TrimSuffix(number, ".*"))
		c := compare(have, want)
		begins := compare(have[:min(len(have), len(want))], want) == 0
		ok := false
		switch op {
		case ">=":
			ok = c >= 0
		case ">":
			ok = c > 0
		case "<=":
			ok = c <= 0
		case "<":
			ok = c < 0
		case "!=":
			ok = c != 0 && !(prefix && begins)
		case "~=": // compatible: at least this, and the same up to its last number
			up := want[:max(1, len(want)-1)]
			ok = c >= 0 && compare(have[:min(len(have), len(up))], up) == 0
		case "==":
			ok = c == 0 || prefix && begins
		default:
			ok = begins
		}
		if !ok {
			return false
		}
	}
	return true
}

func release(version string) []int {
	var out []int
	for part := range strings.SplitSeq(version, ".") {
		digits := part[:len(part)-len(strings.TrimLeft(part, "0123456789"))]
		n, err := strconv.Atoi(digits)
		if err != nil {
			break
		}
		out = append(out, n)
	}
	return out
}

func compare(a, b []int) int {
	for i := range max(len(a), len(b)) {
		x, y := 0, 0
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			return x - y
		}
	}
	return 0
}
