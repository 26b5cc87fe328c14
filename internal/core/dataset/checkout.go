package dataset

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
)

// laying is what a checkout is going to do in a folder.
type laying struct {
	write  []content.Entry // files to be written
	remove []string        // paths of files that the version before had and this one has not
	kept   int             // files that are as they should be
}

// layout compares the files below root with a tree. A file in the way whose
// content the server does not hold is nobody's but the user's, and nothing
// happens while there is one: it fails with Conflict and lists them. Files that
// neither tree knows are left alone.
func layout(ctx context.Context, remote content.Remote, scan Scanner, root string, want, before content.Tree) (laying, error) {
	var l laying
	found, err := present(ctx, scan, root, want, before)
	if err != nil {
		return l, err
	}
	var foreign []Scanned
	for _, e := range want {
		f, there := found[e.Path]
		switch {
		case !there:
			l.write = append(l.write, e)
		case f.Digest == e.Digest:
			l.kept++
		default:
			l.write = append(l.write, e)
			foreign = append(foreign, f)
		}
	}
	for _, e := range before {
		if f, there := found[e.Path]; there {
			if _, wanted := want.Find(e.Path); !wanted && f.Digest == e.Digest {
				l.remove = append(l.remove, e.Path)
			}
		}
	}
	return l, safe(ctx, remote, foreign)
}

// present scans those files below root that a tree has a path for.
func present(ctx context.Context, scan Scanner, root string, trees ...content.Tree) (map[string]Scanned, error) {
	var paths []string
	for _, t := range trees {
		for _, e := range t {
			file := filepath.Join(root, filepath.FromSlash(e.Path))
			info, err := os.Lstat(file)
			switch {
			case errors.Is(err, fs.ErrNotExist):
			case err != nil:
				return nil, slipway.Errorf(slipway.Conflict, "%v", err)
			case info.IsDir():
				return nil, slipway.Errorf(slipway.Conflict, "%s is a folder where the version has a file", file)
			case info.Mode().IsRegular() && info.Mode().Perm() == content.Unfinished && info.Size() <= e.Size:
				if err := os.Remove(file); err != nil { // a checkout that was killed was writing it
					return nil, slipway.Errorf(slipway.Conflict, "%v", err)
				}
			default:
				paths = append(paths, file)
			}
		}
	}
	out := map[string]Scanned{}
	if len(paths) == 0 {
		return out, nil
	}
	quiet := func(int64) {}
	files, err := scan.Scan(ctx, root, paths, quiet, quiet)
	for _, f := range files {
		out[f.Path] = f
	}
	return out, err
}

// safe fails with Conflict when some files hold what the server does not.
func safe(ctx context.Context, remote content.Remote, files []Scanned) error {
	digests := make([]slipway.Digest, len(files))
	for i, f := range files {
		digests[i] = f.Digest
	}
	missing, err := remote.Missing(ctx, digests...)
	if err != nil || len(missing) == 0 {
		return err
	}
	var names []string
	lost := map[slipway.Digest]bool{}
	for _, d := range missing {
		lost[d] = true
	}
	for _, f := range files {
		if lost[f.Digest] {
			names = append(names, f.Path)
		}
	}
	return slipway.Errorf(slipway.Conflict, "these files hold what no version has: %s", some(names, 10)).
		WithHint("keep them with slipway data add, or move them away")
}

// apply writes and removes files. Each appears whole or not at all; a repeated
// checkout goes on where an interrupted one stopped. Nothing outside root is
// touched, whatever links stand in it.
func (l laying) apply(ctx context.Context, remote content.Remote, root string, mode content.Mode, wrote func(int64)) error {
	if err := remote.Place(ctx, root, l.write, mode, wrote); err != nil {
		return err
	}
	if len(l.remove) == 0 {
		return nil
	}
	folder, err := os.OpenRoot(root)
	if err != nil {
		return slipway.Errorf(slipway.Unavailable, "%v", err)
	}
	defer folder.Close()
	for _, p := range l.remove {
		if err := folder.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return slipway.Errorf(slipway.Unavailable, "%v", err)
		}
		for at := path.Dir(p); at != "." && folder.Remove(at) == nil; at = path.Dir(at) { // folders that are empty now
		}
	}
	return nil
}
