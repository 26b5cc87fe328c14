package python

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

func TestFSHoldsTheSDK(t *testing.T) {
	if err := fstest.TestFS(FS, "slipway/__init__.py", "slipway/py.typed", "slipway/tracking.py"); err != nil {
		t.Fatal(err)
	}
	err := fs.WalkDir(FS, ".", func(name string, _ fs.DirEntry, err error) error {
		if strings.Contains(name, "__pycache__") || strings.HasSuffix(name, ".pyc") {
			t.Errorf("byte code is shown: %s", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestExtractRestoresAndLeavesAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sdk")
	if err := Extract(dir); err != nil {
		t.Fatal(err)
	}
	kept, broken := filepath.Join(dir, "slipway", "error.py"), filepath.Join(dir, "slipway", "data.py")
	before, err := os.Stat(kept)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(broken, []byte("half a fi"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Extract(dir); err != nil {
		t.Fatal(err)
	}
	want, _ := fs.ReadFile(FS, "slipway/data.py")
	if got, err := os.ReadFile(broken); err != nil || string(got) != string(want) {
		t.Errorf("a damaged file was not restored: %v", err)
	}
	after, err := os.Stat(kept)
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("an intact file was rewritten: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "slipway", ".slipway-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("temporary files stayed: %v %v", left, err)
	}
}

func TestExtractSaysWhereItFailed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	err := Extract(filepath.Join(file, "sdk"))
	if err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v", err)
	}
}
