// Package project reads slipway.yaml, the one file in which a repository says
// what Slipway shall do with it: its data, pipeline, model, gates, deployment,
// monitoring and retraining. A file is parsed into the types of this package,
// checked as a whole, and every mistake is shown with its line, its column and
// what was probably meant. The comments on the fields are the reference: the
// JSON Schema and docs/reference/slipway-yaml.md are made from them.
package project

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/slipway-ml/slipway"
)

// FileName is the name under which a project's file is looked for.
const FileName = "slipway.yaml"

// Project is one slipway.yaml. Every section is optional; a section that is
// left out is nil or empty.
type Project struct {
	// Name of the project: letters, digits, - and _. Defaults to the name of the folder that holds the file.
	Name string `json:"project"`
	// Timezone in which times without a zone are read and windows and schedules are aligned, as an IANA name such as America/New_York. Defaults to UTC.
	Timezone string `json:"timezone"`
	// Data names the datasets that the pipeline reads.
	Data map[string]Dataset `json:"data,omitempty"`
	// Pipeline is the steps by name. A step runs after the steps whose outputs it reads; their order in the file does not matter.
	Pipeline Pipeline `json:"pipeline,omitempty"`
	// Environment is the Python environment in which steps run and Python models are served.
	Environment *Environment `json:"environment,omitempty"`
	// Model is the model that the pipeline makes.
	Model *Model `json:"model,omitempty"`
	// Gates decide whether a new version of the model is good enough to be released.
	Gates *Gates `json:"gates,omitempty"`
	// Deploy is the environments to which versions are released, such as staging and production, by name.
	Deploy Deploy `json:"deploy,omitempty"`
	// Monitor watches the model in production.
	Monitor *Monitor `json:"monitor,omitempty"`
	// Retrain says when and on which rows the pipeline runs again by itself.
	Retrain *Retrain `json:"retrain,omitempty"`

	Dir    string `json:"-"` // folder of the file, to which its paths are relative
	Path   string `json:"-"` // the file itself
	Source []byte `json:"-"` // its bytes, as read

	location *time.Location
	position map[string]Position
}

// Location is the project's time zone; UTC when the project was not parsed.
func (p *Project) Location() *time.Location {
	if p.location == nil {
		return time.UTC
	}
	return p.location
}

func (p *Project) setDefaults() { p.Timezone = "UTC" }

// Find walks up from a folder to the nearest slipway.yaml and returns its
// path. It fails with NotFound.
func Find(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", FileName, err)
	}
	for at := abs; ; at = filepath.Dir(at) {
		path := filepath.Join(at, FileName)
		info, err := os.Stat(path)
		if err == nil && info.Mode().IsRegular() {
			return path, nil
		}
		if at == filepath.Dir(at) {
			return "", slipway.Errorf(slipway.NotFound, "no %s in %s or above it", FileName, abs).
				WithHint("slipway init writes one")
		}
	}
}

// Load reads and checks a file. It fails with NotFound when there is none, and
// like Parse.
func Load(path string) (*Project, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", path, err)
	}
	info, err := os.Stat(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, slipway.Errorf(slipway.NotFound, "%s does not exist", path).WithHint("slipway init writes one")
	case err != nil:
		return nil, slipway.Errorf(slipway.Invalid, "%s cannot be read: %s", path, err)
	case !info.Mode().IsRegular():
		return nil, slipway.Errorf(slipway.Invalid, "%s is not a file", path)
	case info.Size() > maxBytes:
		return nil, tooLarge(path)
	}
	source, err := os.ReadFile(abs)
	if err != nil {
		return nil, slipway.Errorf(slipway.Invalid, "%s cannot be read: %s", path, err)
	}
	return Parse(abs, source)
}

func tooLarge(path string) error {
	return slipway.Errorf(slipway.Invalid, "%s is larger than 1 MB", path)
}

// Parse reads and checks the bytes of a file. The path is used in messages and
// gives the folder; the file itself is not opened. Mistakes come back as an
// *Error, which carries the code Invalid.
func Parse(path string, source []byte) (*Project, error) {
	if len(source) > maxBytes {
		return nil, tooLarge(path)
	}
	d := &decoder{file: path, lines: lines(source), anchor: map[string]ast.Node{}, position: map[string]Position{}, hidden: map[int]bool{}}
	if at, ok := notText(source); ok {
		d.faultAt(at, "", "save it as UTF-8", "the file is not text in UTF-8")
		return nil, d.failed()
	}
	p := &Project{Dir: filepath.Dir(path), Path: path, Source: source, position: d.position}
	p.setDefaults()
	if root := d.document(bytes.TrimPrefix(source, []byte("\ufeff"))); root != nil {
		d.structure("", root, reflect.ValueOf(p).Elem())
	}
	// A file whose parts cannot be read is not judged as a whole: what is
	// missing only because it was not understood would be told as a mistake.
	if err := d.failed(); err != nil {
		return nil, err
	}
	(&checker{decoder: d, project: p}).run()
	if err := d.failed(); err != nil {
		return nil, err
	}
	return p, nil
}

// defaultName makes a project's name of its folder's name.
func defaultName(dir string) string {
	abs, err := filepath.Abs(dir)
	if err != nil {
		abs = dir
	}
	keep := func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}
	name := strings.Trim(strings.Map(keep, filepath.Base(abs)), "-_")
	if name == "" {
		return "project"
	}
	return name[:min(len(name), 64)]
}
