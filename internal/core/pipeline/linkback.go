package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// Returned says what became of a run's outputs in the working tree.
type Returned struct {
	Written []string `json:"written,omitempty"`
	// Kept are files that somebody edited since Slipway wrote them, or that
	// Slipway never wrote: they stay as they are.
	Kept []string `json:"kept,omitempty"`
}

// Return writes the outputs of a run into the working tree. A file is replaced
// only when it is still what Slipway wrote there.
func Return(ctx context.Context, c web.Client, dir string, r Run, state *TreeState) (Returned, error) {
	var out Returned
	for _, t := range r.Task {
		if t.State != Succeeded && t.State != Reused {
			continue
		}
		for name, o := range t.Output {
			from := c.URL + "/api/v1/projects/" + url.PathEscape(r.Project) + "/pipeline/runs/" + r.ID + "/outputs/" + url.PathEscape(t.Step) + "/" + url.PathEscape(name)
			b := returner{client: c, dir: dir, state: state, out: &out}
			var err error
			if o.Tree {
				err = b.folder(ctx, from, o)
			} else {
				err = b.file(ctx, from, content.Entry{Path: o.Path, Digest: o.Digest, Size: o.Size})
			}
			if err != nil {
				return out, err
			}
		}
	}
	return out, nil
}

type returner struct {
	client web.Client
	dir    string
	state  *TreeState
	out    *Returned
}

// folder returns the files of a folder. When all of them are as Slipway left
// them, the list is not even asked for.
func (b returner) folder(ctx context.Context, from string, o Output) error {
	at := strings.TrimSuffix(o.Path, "/")
	if b.state.Linked[at+"/"].Digest == o.Digest && b.untouched(at+"/") {
		return nil
	}
	resp, err := b.client.Stream(ctx, "GET", strings.TrimPrefix(from, b.client.URL), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var tree content.Tree
	if err := json.NewDecoder(resp.Body).Decode(&tree); err != nil {
		return slipway.Errorf(slipway.Unavailable, "the list of %s broke off", o.Path)
	}
	for _, e := range tree {
		if err := content.CheckPath(e.Path); err != nil {
			return err
		}
		full := e
		full.Path = at + "/" + e.Path
		if err := b.file(ctx, from+"?path="+url.QueryEscape(e.Path), full); err != nil {
			return err
		}
	}
	b.state.Linked[at+"/"] = Stat{Digest: o.Digest}
	return nil
}

// untouched reports whether every file below a folder is still as it was written.
func (b returner) untouched(folder string) bool {
	n := 0
	for path, known := range b.state.Linked {
		if !strings.HasPrefix(path, folder) || path == folder {
			continue
		}
		info, err := os.Lstat(filepath.Join(b.dir, filepath.FromSlash(path)))
		if err != nil || !known.same(statOf(info)) {
			return false
		}
		n++
	}
	return n > 0
}

func (b returner) file(ctx context.Context, from string, e content.Entry) error {
	target := filepath.Join(b.dir, filepath.FromSlash(e.Path))
	known := b.state.Linked[e.Path]
	info, err := os.Lstat(target)
	if err == nil {
		if known.same(statOf(info)) && known.Digest == e.Digest {
			return nil
		}
		if !known.same(statOf(info)) {
			same, err := hasDigest(target, info, e)
			if err != nil {
				return err
			}
			if !same {
				b.out.Kept = append(b.out.Kept, e.Path)
				return nil
			}
			return b.remember(target, e)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := b.fetch(ctx, from, target, e); err != nil {
		return err
	}
	b.out.Written = append(b.out.Written, e.Path)
	return b.remember(target, e)
}

func (b returner) remember(target string, e content.Entry) error {
	info, err := os.Lstat(target)
	if err != nil {
		return err
	}
	st := statOf(info)
	st.Digest = e.Digest
	b.state.Linked[e.Path] = st
	return nil
}

// fetch writes a file whole or not at all.
func (b returner) fetch(ctx context.Context, from, target string, e content.Entry) error {
	resp, err := b.client.Stream(ctx, "GET", strings.TrimPrefix(from, b.client.URL), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return slipway.Errorf(slipway.Conflict, "the output %s cannot be written: %v", e.Path, errors.Unwrap(err))
	}
	tmp, err := os.CreateTemp(filepath.Dir(target), ".slipway-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	sum := newHash()
	_, err = io.Copy(io.MultiWriter(tmp, sum), resp.Body)
	perm := os.FileMode(0o644)
	if e.Exec {
		perm = 0o755
	}
	if err := errors.Join(err, tmp.Chmod(perm), tmp.Close()); err != nil {
		return err
	}
	if sum.digest() != e.Digest {
		return slipway.Errorf(slipway.Unavailable, "the output %s arrived damaged", e.Path)
	}
	return os.Rename(tmp.Name(), target)
}

func hasDigest(path string, info fs.FileInfo, e content.Entry) (bool, error) {
	if !info.Mode().IsRegular() || info.Size() != e.Size {
		return false, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	sum := newHash()
	_, err = io.Copy(sum, f)
	return sum.digest() == e.Digest, err
}
