// Package python carries the Python SDK inside the binary, so that every step
// finds `import slipway` on its PYTHONPATH without installing anything.
package python

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

//go:embed all:src/slipway
var files embed.FS

// FS is the source tree of the SDK: its root holds the folder slipway. Byte code
// that a test run left behind is embedded but not shown.
var FS fs.FS = sourceFS{}

// sourceFS is the embedded tree below src without __pycache__.
type sourceFS struct{}

func (sourceFS) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) || hidden(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return files.Open(path.Join("src", name))
}

// ReadDir lists a folder without the hidden ones.
func (sourceFS) ReadDir(name string) ([]fs.DirEntry, error) {
	if !fs.ValidPath(name) || hidden(name) {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
	}
	entries, err := files.ReadDir(path.Join("src", name))
	shown := entries[:0:0]
	for _, e := range entries {
		if !hidden(e.Name()) {
			shown = append(shown, e)
		}
	}
	return shown, err
}

func hidden(name string) bool {
	return strings.HasSuffix(name, ".pyc") || strings.Contains("/"+name+"/", "/__pycache__/")
}

// Extract writes the SDK to dir, which is then ready for PYTHONPATH. Files that
// are there already with the same content stay untouched; a changed one is
// replaced by rename, so a step that starts meanwhile never reads half a file.
func Extract(dir string) error {
	err := fs.WalkDir(FS, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(dir, filepath.FromSlash(name))
		if entry.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		want, err := fs.ReadFile(FS, name)
		if err != nil {
			return err
		}
		have, err := os.ReadFile(target)
		if err == nil && string(have) == string(want) {
			return nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return replace(target, want)
	})
	if err != nil {
		return fmt.Errorf("write the Python SDK to %s: %w", dir, err)
	}
	return nil
}

// replace writes a file beside target, makes it durable and renames it.
func replace(target string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(target), ".slipway-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails, as it should, once the rename is done
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), target)
}
