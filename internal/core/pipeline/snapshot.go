package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/project"
)

// Limits of a code snapshot: it is code, not data.
const (
	maxCodeFile  = 10 << 20  // bytes of one file
	maxCodeTotal = 200 << 20 // bytes of all
	maxCodeFiles = 20_000
)

// ignored are folders that hold no code of the project's own, for projects
// outside Git.
var ignored = []string{".git", ".hg", ".svn", ".venv", "venv", "env", ".env", "__pycache__", "node_modules", ".ipynb_checkpoints",
	".pytest_cache", ".mypy_cache", ".ruff_cache", ".tox", ".idea", ".vscode", "mlruns", ".tools", ".slipway"}

// Stat is what tells, without reading it, that a file is still the same.
type Stat struct {
	Size   int64          `json:"size"`
	Time   int64          `json:"time"` // of the last change, nanoseconds
	Inode  uint64         `json:"inode"`
	Digest slipway.Digest `json:"digest"`
}

func statOf(info fs.FileInfo) Stat {
	st := Stat{Size: info.Size(), Time: info.ModTime().UnixNano()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		st.Inode = sys.Ino
	}
	return st
}

func (s Stat) same(o Stat) bool { return s.Size == o.Size && s.Time == o.Time && s.Inode == o.Inode }

// TreeState is what a client remembers of a working tree between commands.
type TreeState struct {
	Code   map[string]Stat `json:"code"`   // digests of the files of the last snapshot
	Linked map[string]Stat `json:"linked"` // outputs that Slipway wrote there
}

// LoadTreeState reads what was remembered; a file that is missing or damaged
// only costs time.
func LoadTreeState(file string) *TreeState {
	t := &TreeState{}
	if b, err := os.ReadFile(file); err == nil {
		_ = json.Unmarshal(b, t)
	}
	if t.Code == nil {
		t.Code = map[string]Stat{}
	}
	if t.Linked == nil {
		t.Linked = map[string]Stat{}
	}
	return t
}

// Save writes the state for the next command.
func (t *TreeState) Save(file string) error {
	b, err := json.Marshal(t)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return replaceFile(file, b)
}

// Snapshot is the code of a working tree.
type Snapshot struct {
	Entry  []content.Entry
	Source Source
	File   map[slipway.Digest]string // where to read each piece of content
}

// TakeSnapshot lists and hashes the project's code: in Git, the files that it
// tracks or would track, without virtual environments; elsewhere, everything but
// what is known to be no code.
// Data and outputs of steps are never code. It fails with Invalid when there is
// too much.
func TakeSnapshot(ctx context.Context, p *project.Project, state *TreeState) (Snapshot, error) {
	out := Snapshot{File: map[slipway.Digest]string{}}
	names, inGit, err := listGit(ctx, p.Dir)
	if err != nil {
		return out, err
	}
	if !inGit {
		if names, err = listFolder(p.Dir); err != nil {
			return out, err
		}
	}
	skip := outsideCode(p)
	names = slices.DeleteFunc(names, skip)
	if len(names) > maxCodeFiles {
		return out, slipway.Errorf(slipway.Invalid, "%d files are too many for code", len(names)).
			WithHint("keep data out of the code: name it under data in slipway.yaml, or list it in .gitignore")
	}
	var total int64
	code := make(map[string]Stat, len(names))
	for _, name := range names {
		file := filepath.Join(p.Dir, filepath.FromSlash(name))
		info, err := os.Stat(file)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
			continue // removed but still tracked, a submodule, a dangling link
		}
		if err != nil {
			return out, err
		}
		if total += info.Size(); info.Size() > maxCodeFile || total > maxCodeTotal {
			return out, slipway.Errorf(slipway.Invalid, "%s makes the code too large (%d MB)", name, max(info.Size(), total)>>20).
				WithHint("data is declared under data in slipway.yaml; anything else that is not code belongs into .gitignore")
		}
		st := statOf(info)
		if known, ok := state.Code[name]; ok && known.same(st) {
			st.Digest = known.Digest
		} else {
			b, err := os.ReadFile(file)
			if err != nil {
				return out, slipway.Errorf(slipway.Invalid, "%s cannot be read: %v", name, errors.Unwrap(err))
			}
			st.Digest, st.Size = slipway.DigestOf(b), int64(len(b))
		}
		code[name] = st
		out.File[st.Digest] = file
		out.Entry = append(out.Entry, content.Entry{Path: name, Digest: st.Digest, Size: st.Size, Exec: info.Mode()&0o111 != 0})
	}
	state.Code = code
	if inGit {
		out.Source = gitSource(ctx, p.Dir)
	}
	return out, nil
}

// outsideCode says which paths are data or outputs, and slipway.lock, which
// names data versions and changes with them.
func outsideCode(p *project.Project) func(string) bool {
	exact, below := map[string]bool{"slipway.lock": true}, []string{}
	var globs []string
	add := func(at string) {
		at = path.Clean(filepath.ToSlash(at))
		if strings.ContainsAny(at, "*?[") {
			globs = append(globs, at)
			return
		}
		exact[at] = true
		below = append(below, at+"/")
	}
	for _, d := range p.Data {
		add(d.Path)
	}
	for _, st := range p.Pipeline {
		for _, o := range st.Out {
			add(o.Path)
		}
	}
	return func(name string) bool {
		if exact[name] || content.CheckPath(name) != nil {
			return true
		}
		for _, b := range below {
			if strings.HasPrefix(name, b) {
				return true
			}
		}
		return slices.ContainsFunc(globs, func(g string) bool { ok, _ := path.Match(g, name); return ok })
	}
}

// listGit asks Git for the files of a folder; false when it is in no work tree.
func listGit(ctx context.Context, dir string) ([]string, bool, error) {
	out, err := git(ctx, dir, "ls-files", "-co", "--exclude-standard", "-z")
	if err != nil {
		if ctx.Err() != nil {
			return nil, false, ctx.Err()
		}
		return nil, false, nil // no Git, or not in one: the folder itself is listed
	}
	names := strings.FieldsFunc(string(out), func(r rune) bool { return r == 0 })
	slices.Sort(names)
	return outsideEnvironments(slices.Compact(names)), true, nil
}

// outsideEnvironments takes away what stands in a virtual environment or is
// compiled: a project whose .gitignore does not name them yet is no project of
// thousands of files.
func outsideEnvironments(names []string) []string {
	environment := map[string]bool{}
	for _, name := range names {
		if path.Base(name) == "pyvenv.cfg" {
			environment[path.Dir(name)] = true
		}
	}
	return slices.DeleteFunc(names, func(name string) bool {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if environment[dir] || path.Base(dir) == "__pycache__" {
				return true
			}
		}
		return false
	})
}

func gitSource(ctx context.Context, dir string) Source {
	var src Source
	out, err := git(ctx, dir, "status", "--porcelain=v2", "--branch", "-z", "--untracked-files=normal", "--", ".")
	if err != nil {
		return src
	}
	for line := range strings.SplitSeq(string(out), "\x00") {
		switch {
		case strings.HasPrefix(line, "# branch.oid "):
			if oid := strings.TrimPrefix(line, "# branch.oid "); oid != "(initial)" {
				src.Commit = oid
			}
		case strings.HasPrefix(line, "# branch.head "):
			src.Branch = strings.TrimPrefix(line, "# branch.head ")
		case line != "" && !strings.HasPrefix(line, "# "):
			src.Dirty = true
		}
	}
	return src
}

func git(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir, "--no-optional-locks"}, args...)...)
	return cmd.Output()
}

// listFolder lists the files of a folder that is in no Git work tree.
func listFolder(dir string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && at != dir {
			return nil // it went while the folder was read
		}
		if err != nil {
			return err
		}
		if d.IsDir() {
			if at != dir && (slices.Contains(ignored, d.Name()) || foreign(at)) {
				return fs.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(dir, at)
		if err == nil && !strings.HasSuffix(rel, ".pyc") {
			out = append(out, filepath.ToSlash(rel))
		}
		if len(out) > 10*maxCodeFiles {
			return slipway.Errorf(slipway.Invalid, "%s holds too many files to be a project", dir)
		}
		return err
	})
	return out, err
}

// foreign reports whether a folder is a Python environment or a workspace of
// Slipway, whatever its name.
func foreign(dir string) bool {
	for _, mark := range []string{"pyvenv.cfg", "owner.lock"} {
		if _, err := os.Stat(filepath.Join(dir, mark)); err == nil {
			return true
		}
	}
	return false
}

// replaceFile writes a file whole: after a crash it is the old or the new.
func replaceFile(file string, b []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(b)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), file)
}
