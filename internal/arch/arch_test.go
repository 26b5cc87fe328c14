// Package arch keeps the architecture: its test reads every import and refuses
// an arrow that docs/architecture.md does not draw.
package arch

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/slipway-ml/slipway"

// arrows is the picture: a layer, and the layers that it may import. The empty
// layer is the root package, the vocabulary, which imports nothing of ours.
var arrows = map[string][]string{
	"":                  {},
	"internal/kit":      {""},
	"internal/backend":  {"", "internal/kit", "internal/tree", "internal/linear", "internal/onnx"},
	"internal/stat":     {""},
	"internal/tree":     {""},
	"internal/linear":   {""},
	"internal/onnx":     {"", "internal/tree", "internal/linear"},
	"internal/content":  {"", "internal/kit", "internal/backend"},
	"internal/project":  {""},
	"internal/cli":      {"", "internal/kit", "internal/project"},
	"internal/core":     {"", "internal/kit", "internal/backend", "internal/stat", "internal/tree", "internal/content", "internal/project", "internal/cli", "templates"},
	"internal/compat":   {"", "internal/kit", "internal/content", "internal/core"},
	"internal/config":   {"", "internal/kit"},
	"internal/app":      {"", "internal/kit", "internal/backend", "internal/stat", "internal/tree", "internal/content", "internal/project", "internal/cli", "internal/core", "internal/compat", "internal/config", "web", "python"},
	"internal/arch":     {},
	"web":               {},
	"python":            {},
	"templates":         {},
	"cmd/slipway":       {"internal/app"},
	"cmd/slipway-query": {"internal/kit"},
	"bench":             {"", "internal/kit", "internal/stat", "internal/tree", "internal/linear", "internal/onnx", "internal/content", "internal/app"},
}

// columns says which files of a capability may import which library: the file's
// name is its layer. The file named after the capability, which holds the
// Service and its Options, may name the database that it is given.
var columns = map[string]string{
	"github.com/spf13/cobra":      "cli",
	module + "/internal/cli":      "cli",
	module + "/internal/kit/term": "cli",
	module + "/internal/kit/db":   "sql",
}

// variants are imported by app alone, which chooses among them.
var variants = map[string]bool{
	module + "/internal/backend/blob/local": true, module + "/internal/backend/blob/s3": true, module + "/internal/backend/blob/mem": true,
	module + "/internal/backend/compute/process": true, module + "/internal/backend/compute/kubernetes": true, module + "/internal/backend/compute/fake": true,
	module + "/internal/backend/predictor/trees": true, module + "/internal/backend/predictor/python": true, module + "/internal/backend/predictor/onnx": true,
	module + "/internal/backend/notify/webhook": true, module + "/internal/backend/notify/slack": true, module + "/internal/backend/notify/log": true,
}

func TestArrows(t *testing.T) {
	eachImport(t, func(file, dir, imp string) {
		if layer(dir) == "internal/core" {
			named := columns[imp] == "sql" && filepath.Base(file) == capability(dir)+".go"
			if column, ok := columns[imp]; ok && !named && !strings.HasPrefix(filepath.Base(file), column) {
				t.Errorf("%s imports %s; in a capability only %s*.go may", file, imp, column)
			}
		}
		own, ok := strings.CutPrefix(imp, module)
		if !ok {
			return
		}
		own = strings.TrimPrefix(own, "/")
		if a, b := capability(dir), capability(own); a != "" && b != "" && a != b {
			t.Errorf("%s: capability %s imports capability %s; let app connect them", file, a, b)
		}
		if variants[imp] && layer(dir) != "internal/app" && !strings.HasPrefix(own, dir) {
			t.Errorf("%s imports the variant %s; only app chooses variants", file, own)
		}
		if layer(dir) != layer(own) && !slices.Contains(arrows[layer(dir)], layer(own)) {
			t.Errorf("%s: no arrow %q -> %q", file, layer(dir), layer(own))
		}
	})
}

// TestVocabularyStaysSmall keeps the root package under 1,000 lines: a noun
// moves there only when a second capability needs it.
func TestVocabularyStaysSmall(t *testing.T) {
	lines := 0
	files, err := filepath.Glob("../../*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !strings.HasSuffix(file, "_test.go") {
			lines += strings.Count(read(t, file), "\n")
		}
	}
	if lines >= 1000 {
		t.Errorf("the root package has %d lines; it must stay under 1,000", lines)
	}
}

// TestFilesStaySmall keeps a file readable in one sitting.
func TestFilesStaySmall(t *testing.T) {
	eachFile(t, func(file string) {
		if strings.HasSuffix(file, ".pb.go") {
			return // generated
		}
		if n := strings.Count(read(t, "../../"+file), "\n"); n > 400 {
			t.Errorf("%s has %d lines; over 400, something in it lives in the wrong room", file, n)
		}
	})
}

// TestWords keeps out the package names that say nothing.
func TestWords(t *testing.T) {
	eachFile(t, func(file string) {
		for _, word := range []string{"util", "utils", "common", "helper", "helpers", "manager", "misc"} {
			if filepath.Base(filepath.Dir(file)) == word || strings.TrimSuffix(filepath.Base(file), ".go") == word {
				t.Errorf("%s: %q says nothing about what is inside", file, word)
			}
		}
	})
}

func eachImport(t *testing.T, visit func(file, dir, imp string)) {
	t.Helper()
	eachFile(t, func(file string) {
		f, err := parser.ParseFile(token.NewFileSet(), "../../"+file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.ToSlash(filepath.Dir(file))
		if dir == "." {
			dir = ""
		}
		for _, spec := range f.Imports {
			visit(file, dir, strings.Trim(spec.Path.Value, `"`))
		}
	})
}

// eachFile visits every Go file of ours that is not a test.
func eachFile(t *testing.T, visit func(file string)) {
	t.Helper()
	err := fs.WalkDir(os.DirFS("../.."), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || len(d.Name()) > 1 && strings.HasPrefix(d.Name(), ".")) {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			visit(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// layer is the longest drawn prefix of a package's path.
func layer(pkg string) string {
	best := ""
	for l := range arrows {
		if l != "" && (pkg == l || strings.HasPrefix(pkg, l+"/")) && len(l) > len(best) {
			best = l
		}
	}
	return best
}

// capability is the name of the capability that a package belongs to.
func capability(pkg string) string {
	rest, ok := strings.CutPrefix(pkg, "internal/core/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}
