package local_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/blob"
	"github.com/slipway-ml/slipway/internal/backend/blob/blobtest"
	"github.com/slipway-ml/slipway/internal/backend/blob/local"
)

func open(t *testing.T) blob.Bucket {
	b, err := local.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBucket(t *testing.T) { blobtest.Run(t, open) }

func TestTwoOpenTheSameDirectory(t *testing.T) {
	dir := t.TempDir()
	one, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	two, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := one.Create(t.Context(), "k", strings.NewReader("v"), 1); err != nil {
		t.Fatal(err)
	}
	if err := two.Create(t.Context(), "k", strings.NewReader("w"), 1); !slipway.IsCode(err, slipway.Conflict) {
		t.Errorf("the second creator got %v", err)
	}
}

func TestObjectAndFolderOfOneName(t *testing.T) {
	b := open(t)
	if err := b.Put(t.Context(), "a", strings.NewReader("v"), 1); err != nil {
		t.Fatal(err)
	}
	if err := b.Put(t.Context(), "a/b", strings.NewReader("v"), 1); !slipway.IsCode(err, slipway.Invalid) {
		t.Errorf("got %v", err)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	dir := t.TempDir()
	b, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	b.Put(t.Context(), "k", strings.NewReader("short"), 50)
	b.Put(t.Context(), "k", strings.NewReader("value"), 5)
	b.Create(t.Context(), "k", strings.NewReader("value"), 5)
	names, err := os.ReadDir(filepath.Join(dir, "tmp"))
	if err != nil || len(names) != 0 {
		t.Errorf("tmp holds %v, %v", names, err)
	}
}

func TestNoDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := local.Open(file); err == nil {
		t.Error("a file was opened as a bucket")
	}
}
