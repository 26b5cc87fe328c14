package project

import (
	"os"
	"path/filepath"
	"testing"
)

// good is the files of testdata that Parse must accept.
func good(t testing.TB) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(paths) < 3 {
		t.Fatal(paths, err)
	}
	out := map[string]string{}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(path)] = string(b)
	}
	return out
}
