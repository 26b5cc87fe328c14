package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
)

// materialise puts code and inputs into the working folder. Nothing else of the
// project is there: what was not declared cannot be read by mistake.
func (w *worker) materialise(ctx context.Context, dir string) error {
	for _, d := range []string{dir, filepath.Join(w.a.Scratch, "tmp")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
	}
	if err := w.place(ctx, dir, "", w.a.Code, true); err != nil {
		return err
	}
	for _, in := range w.a.Input {
		if err := w.place(ctx, dir, in.Path, in.Digest, in.Tree); err != nil {
			return fmt.Errorf("%s: %w", in.Path, err)
		}
	}
	for _, o := range w.a.Output {
		folder := filepath.Dir(o.Path)
		if strings.HasSuffix(o.Path, "/") {
			folder = o.Path
		}
		if err := os.MkdirAll(filepath.Join(dir, filepath.FromSlash(folder)), 0o700); err != nil {
			return slipway.Errorf(slipway.Invalid, "the folder of output %s cannot be made: a file is in its way", o.Path)
		}
	}
	return nil
}

func (w *worker) place(ctx context.Context, dir, at string, d slipway.Digest, isTree bool) error {
	if !isTree {
		return w.store.LinkIn(ctx, d, dir, at, content.ReadOnly)
	}
	tree, err := w.store.GetTree(ctx, d)
	if err != nil {
		return err
	}
	for _, e := range tree {
		mode := content.ReadOnly
		if e.Exec {
			mode = content.Executable | content.Writable
		}
		path := e.Path
		if at != "" && at != "." {
			path = at + "/" + e.Path
		}
		if err := w.store.LinkIn(ctx, e.Digest, dir, path, mode); err != nil {
			return err
		}
	}
	return nil
}

// collect stores the declared outputs. why names one that was not written.
func (w *worker) collect(ctx context.Context, dir string) (out map[string]Output, why string) {
	out = map[string]Output{}
	for _, o := range w.a.Output {
		path := filepath.Join(dir, filepath.FromSlash(strings.TrimSuffix(o.Path, "/")))
		info, err := os.Lstat(path)
		if err != nil {
			return nil, "it ended well but did not write " + o.Path
		}
		var got Output
		switch {
		case info.IsDir():
			got, err = w.collectFolder(ctx, path)
		case info.Mode().IsRegular() && !strings.HasSuffix(o.Path, "/"):
			got.Digest, got.Size, err = w.store.PutFile(ctx, path)
		default:
			return nil, "its output " + o.Path + " is neither a file nor a folder as declared"
		}
		if errors.Is(err, errEmpty) {
			return nil, "it ended well but wrote nothing to the folder " + o.Path
		}
		if err != nil {
			return nil, "its output " + o.Path + " cannot be kept: " + message(err)
		}
		got.Path = o.Path
		out[o.Name] = got
	}
	return out, ""
}

var errEmpty = errors.New("the folder is empty")

func (w *worker) collectFolder(ctx context.Context, dir string) (Output, error) {
	var entries []content.Entry
	err := filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, at)
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return slipway.Errorf(slipway.Invalid, "%s is not a regular file", rel)
		}
		digest, size, err := w.store.PutFile(ctx, at)
		entries = append(entries, content.Entry{Path: filepath.ToSlash(rel), Digest: digest, Size: size, Exec: info.Mode()&0o111 != 0})
		return err
	})
	if err == nil && len(entries) == 0 {
		err = errEmpty
	}
	if err != nil {
		return Output{}, err
	}
	tree, err := content.NewTree(entries)
	if err != nil {
		return Output{}, err
	}
	d, err := w.store.PutTree(ctx, tree)
	return Output{Digest: d, Size: tree.Size(), Tree: true}, err
}

// column is a time expression that is nothing but a column.
var column = lazily(`^[A-Za-z_]\w*$`)

// environment is what the command sees, documented in docs/reference/steps.md.
func (w *worker) environment(dir, proxy string) []string {
	inputs := map[string]any{}
	for _, in := range w.a.Input {
		entry := map[string]any{"path": filepath.Join(dir, filepath.FromSlash(in.Path)), "timezone": w.a.Timezone}
		if in.Version > 0 {
			entry["version"] = in.Version
		}
		if column().MatchString(in.Time) {
			entry["time"] = in.Time
		}
		if !in.Rows.IsZero() { // these rows alone are in the file
			entry["rows"] = boundsOf(in.Rows)
		}
		if in.Tree {
			entry["files"] = listBelow(filepath.Join(dir, filepath.FromSlash(in.Path)))
		}
		for _, name := range in.Name {
			inputs[name] = entry
		}
	}
	path := append(append([]string{}, w.a.Path...), w.getenv("PATH"))
	out := []string{"PATH=" + strings.Join(path, string(os.PathListSeparator)), "TMPDIR=" + filepath.Join(w.a.Scratch, "tmp")}
	for _, name := range inherited {
		if v := w.getenv(name); v != "" && name != "PATH" && name != "TMPDIR" {
			out = append(out, name+"="+v)
		}
	}
	text := func(v any) string { b, _ := json.Marshal(v); return string(b) }
	set := map[string]string{
		"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": w.a.SDK,
		"SLIPWAY_SERVER": proxy, "SLIPWAY_TOKEN": w.token, "SLIPWAY_PROJECT": w.a.Project, "SLIPWAY_RUN_ID": w.a.Run,
		"SLIPWAY_PIPELINE_RUN": w.a.Pipeline, "SLIPWAY_STEP": w.a.Step, "SLIPWAY_PARAMS": text(w.a.Params), "SLIPWAY_INPUTS": text(inputs),
		"MLFLOW_TRACKING_URI": proxy, "MLFLOW_RUN_ID": w.a.Run, "MLFLOW_TRACKING_TOKEN": w.token, "MLFLOW_EXPERIMENT_NAME": w.a.Project,
	}
	if !w.a.Window.IsZero() {
		set["SLIPWAY_WINDOW"] = text(boundsOf(w.a.Window))
	}
	for name, v := range w.a.Env {
		set[name] = v
	}
	for name, v := range set {
		if v != "" {
			out = append(out, name+"="+v)
		}
	}
	return out
}

// boundsOf writes a window as the SDK reads it: null for an open bound.
func boundsOf(w slipway.Window) map[string]any {
	bound := func(t time.Time) any {
		if t.IsZero() {
			return nil
		}
		return t.UTC().Format(time.RFC3339Nano)
	}
	return map[string]any{"from": bound(w.From), "to": bound(w.To)}
}

func listBelow(dir string) []string {
	var out []string
	_ = filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if rel, err := filepath.Rel(dir, at); err == nil {
				out = append(out, filepath.ToSlash(rel))
			}
		}
		return nil
	})
	return out
}

// lookPath finds a program as the command's own environment would.
func lookPath(program, dir string, env []string) (string, error) {
	if strings.Contains(program, "/") {
		if !filepath.IsAbs(program) {
			program = filepath.Join(dir, program)
		}
		return exec.LookPath(program)
	}
	for _, e := range env {
		list, ok := strings.CutPrefix(e, "PATH=")
		if !ok {
			continue
		}
		for _, folder := range filepath.SplitList(list) {
			if !filepath.IsAbs(folder) {
				folder = filepath.Join(dir, folder)
			}
			if found, err := exec.LookPath(filepath.Join(folder, program)); err == nil {
				return found, nil
			}
		}
	}
	return "", exec.ErrNotFound
}

// ship sends the log to the server while it grows. The returned function sends
// the rest and stops.
func (w *worker) ship(ctx context.Context) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		var at int64
		for last := false; ; {
			n, err := w.shipPiece(ctx, at)
			more := err == nil && n > at
			if err == nil {
				at = n
			}
			switch {
			case more:
				continue
			case last || ctx.Err() != nil:
				return
			}
			select {
			case <-done:
				last = true
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() { close(done); <-ended }
}

// shipPiece sends what the log holds from at on and returns how much the server
// has then.
func (w *worker) shipPiece(ctx context.Context, at int64) (int64, error) {
	f, err := os.Open(w.log)
	if errors.Is(err, fs.ErrNotExist) {
		return at, nil
	}
	if err != nil {
		return at, err
	}
	defer f.Close()
	piece, err := io.ReadAll(io.NewSectionReader(f, at, maxPiece))
	if err != nil || len(piece) == 0 {
		return at, err
	}
	return w.sendLog(ctx, at, piece)
}
