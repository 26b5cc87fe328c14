package template

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-ml/slipway"
)

// maxCopy is the size up to which a data file is copied into the project; a
// larger one is linked where the file system can, and then is the same file.
const maxCopy = 100 << 20

// Source is a file of the user's that becomes a dataset.
type Source struct {
	From string // absolute
	Path string // inside the project, with slashes; "" when the file stands there already
}

// place says where a data file goes: it stays when a script run by hand finds
// it where it is, in the project's folder or in data/.
func place(dir, from, dataset string) (Source, string) {
	ending := dataEnding(from)
	for _, p := range []string{dataset + ending, "data/" + dataset + ending} {
		if filepath.Join(dir, filepath.FromSlash(p)) == from {
			return Source{From: from}, p
		}
	}
	p := "data/" + dataset + ending
	return Source{From: from, Path: p}, p
}

// dataEnding is the ending by which a file's format is known.
func dataEnding(path string) string {
	name := strings.ToLower(path)
	gz := ""
	if n, ok := strings.CutSuffix(name, ".gz"); ok {
		name, gz = n, ".gz"
	}
	for _, e := range []string{".parquet", ".jsonl", ".ndjson", ".json"} {
		if strings.HasSuffix(name, e) {
			return e + gz
		}
	}
	return ".csv" + gz
}

// Write writes files and data into a folder, which is made. Nothing is
// overwritten: it fails with Conflict, naming every file that is there already,
// before it writes anything. A file appears whole or not at all; slipway.yaml,
// the last in the list, says that all are there.
func Write(dir string, files []File, data []Source) error {
	var there []string
	for _, f := range files {
		there = append(there, existing(dir, f.Path)...)
	}
	for _, d := range data {
		if d.Path != "" {
			there = append(there, existing(dir, d.Path)...)
		}
	}
	if len(there) > 0 {
		return slipway.Errorf(slipway.Conflict, "%s: %s; nothing was written", are(len(there)), strings.Join(there, ", ")).
			WithHint("name an empty folder: slipway init DIR")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return unwritable(dir, err)
	}
	for _, d := range data {
		if d.Path == "" {
			continue
		}
		if err := bring(d.From, filepath.Join(dir, filepath.FromSlash(d.Path))); err != nil {
			return err
		}
	}
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f.Path))
		err := writeNew(path, func(w io.Writer) error {
			_, err := w.Write(f.Data)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func are(n int) string {
	if n == 1 {
		return "this file is there already"
	}
	return fmt.Sprintf("%d files are there already", n)
}

func existing(dir, path string) []string {
	if _, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(path))); err == nil {
		return []string{path}
	}
	return nil
}

func unwritable(path string, err error) error {
	if errors.Is(err, fs.ErrExist) {
		return slipway.Errorf(slipway.Conflict, "%s is there already", path)
	}
	return slipway.Errorf(slipway.Invalid, "%s cannot be written: %s", path, err)
}

// bring copies or links a data file.
func bring(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return fmt.Errorf("find %s: %w", from, err)
	}
	if info.Size() > maxCopy {
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return unwritable(to, err)
		}
		if os.Link(from, to) == nil {
			return nil
		}
	}
	source, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("read %s: %w", from, err)
	}
	defer source.Close()
	return writeNew(to, func(w io.Writer) error {
		_, err := io.Copy(w, source)
		return err
	})
}

// writeNew writes a file that is not there yet: under a temporary name first,
// then linked to its own, which fails where somebody was faster.
func writeNew(path string, fill func(io.Writer) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return unwritable(path, err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".slipway-*")
	if err != nil {
		return unwritable(path, err)
	}
	defer os.Remove(f.Name())
	err = fill(f)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return unwritable(path, err)
	}
	if err := os.Link(f.Name(), path); errors.Is(err, fs.ErrExist) {
		return unwritable(path, err)
	} else if err == nil {
		return nil
	}
	// A file system without links: the name was free a moment ago.
	if err := os.Rename(f.Name(), path); err != nil {
		return unwritable(path, err)
	}
	return nil
}
