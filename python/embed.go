// Package python carries the Python SDK inside the binary, so that every step
// finds `import slipway` on its PYTHONPATH without installing anything.
package python

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Files are named by kind, so that byte code which a test run left behind stays
// out of the binary.
//
//go:embed src/slipway/*.py src/slipway/py.typed
var files embed.FS

// FS is the source tree of the SDK: its root holds the folder slipway.
var FS fs.FS = source()

func source() fs.FS {
	sub, err := fs.Sub(files, "src")
	if err != nil {
		panic(err) // the name above is a constant
	}
	return sub
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
