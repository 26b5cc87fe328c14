package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/slipway-ml/slipway"
)

// LockName is the file beside slipway.yaml that pins the versions which the
// code is meant for. It belongs into Git.
const LockName = "slipway.lock"

// Lock is the pinned versions by the datasets' names.
type Lock map[string]Pin

// Pin is one version: its number for people, its content for certainty.
type Pin struct {
	Version int            `json:"version" yaml:"version"`
	Tree    slipway.Digest `json:"tree" yaml:"tree"`
}

// ReadLock reads the lock in dir; none is an empty one. It fails with Invalid.
func ReadLock(dir string) (Lock, error) {
	path := filepath.Join(dir, LockName)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Lock{}, nil
	}
	if err != nil {
		return nil, slipway.Errorf(slipway.Invalid, "%v", err)
	}
	var file struct {
		Data Lock `yaml:"data"`
	}
	if err := yaml.Unmarshal(raw, &file); err != nil {
		return nil, slipway.Errorf(slipway.Invalid, "%s cannot be read: %s", path, strings.TrimSpace(yaml.FormatError(err, false, false))).
			WithHint("after a merge conflict keep the line that you want, or delete the file and run slipway data add")
	}
	for name, p := range file.Data {
		if _, err := slipway.ParseDigest(string(p.Tree)); err != nil || p.Version < 1 {
			return nil, slipway.Errorf(slipway.Invalid, "%s: data.%s needs a version and the digest of its tree", path, name)
		}
	}
	if file.Data == nil {
		file.Data = Lock{}
	}
	return file.Data, nil
}

// Set pins a version in the lock of dir. The file has one line a dataset in the
// order of their names, so that equal pins are equal bytes and changes of two
// branches merge; after a crash it is the old or the new.
func (l Lock) Set(dir, name string, p Pin) error {
	if l[name] == p {
		return nil
	}
	l[name] = p
	names := make([]string, 0, len(l))
	for n := range l {
		names = append(names, n)
	}
	slices.Sort(names)
	var b strings.Builder
	b.WriteString("# The versions of data that this code is meant for. Written by slipway; commit it.\ndata:\n")
	for _, n := range names {
		fmt.Fprintf(&b, "  %q: {version: %d, tree: %q}\n", n, l[n].Version, string(l[n].Tree))
	}
	return replace(filepath.Join(dir, LockName), []byte(b.String()))
}

// replace writes a file whole, or leaves the one that is there.
func replace(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return diskError(err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return diskError(err)
	}
	return nil
}

// repin moves a pin to the new name of its dataset.
func repin(dir, from, to string) error {
	lock, err := ReadLock(dir)
	pin, ok := lock[from]
	if err != nil || !ok {
		return err
	}
	delete(lock, from)
	return lock.Set(dir, to, pin)
}
