package app

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWhatIsStoredIsKept: a capability whose code stores content tells garbage
// collection what it needs of it.
func TestWhatIsStoredIsKept(t *testing.T) {
	ws, err := makeWorkspace(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := ws.own(); err != nil {
		t.Fatal(err)
	}
	defer ws.disown()
	s, err := newServer(context.Background(), testConfig(t), ws, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	keeps := map[string]bool{}
	for _, c := range s.capabilities {
		keeps[c.name] = c.roots != nil
	}
	files, err := filepath.Glob("../core/*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	storing := 0
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "_test.go") || !strings.Contains(string(b), "Content.Put") && !strings.Contains(string(b), "Content.Batch") {
			continue
		}
		storing++
		if name := filepath.Base(filepath.Dir(file)); !keeps[name] {
			t.Errorf("%s stores content, and %s has no roots: gc would remove it", file, name)
		}
	}
	if storing < 10 {
		t.Errorf("only %d files store content: the test looks for the wrong words", storing)
	}
}
