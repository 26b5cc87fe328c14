package serving

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
)

// LocalProject is the project of models that are served from files.
const LocalProject = "local"

// pathLoader opens one path, whatever the manifest calls it.
type pathLoader struct {
	path    string
	loaders []predictor.Loader
}

func (l pathLoader) Load(ctx context.Context, _ string, _ slipway.Digest, registered *slipway.Signature) (predictor.Model, error) {
	return predictor.Open(ctx, predictor.Spec{Path: l.path, Signature: registered}, l.loaders...)
}

// OpenPath serves the model in a file or folder as an endpoint called name, ""
// for one that the path gives, with its log in dir. It fails as predictor.Open
// does.
func OpenPath(ctx context.Context, path, name, dir string, loaders ...predictor.Loader) (*Service, string, error) {
	if name == "" {
		name = endpointName(path)
	}
	file, _ := predictor.SplitClass(path)
	if _, err := os.Stat(file); err != nil {
		return nil, name, slipway.Errorf(slipway.NotFound, "there is no model at %s", file)
	}
	s, err := New(ctx, Options{Dir: dir, Loader: pathLoader{path, loaders}})
	if err != nil {
		return nil, name, err
	}
	m := slipway.Manifest{Number: s.Manifest().Number + 1, Endpoint: []slipway.Endpoint{{Project: LocalProject, Name: name,
		Variant: []slipway.Variant{{Role: slipway.Champion, Model: name, Content: slipway.DigestOf([]byte(path))}}}}}
	if err := s.Publish(ctx, m); err != nil {
		_ = s.Close()
		return nil, name, err
	}
	return s, name, nil
}

var notName = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

// endpointName makes a name of a path: its last element without the ending, or
// the class of a Python file.
func endpointName(path string) string {
	file, class := predictor.SplitClass(path)
	base := filepath.Base(file)
	if class != "" {
		base = class
	} else if ext := filepath.Ext(base); ext != base {
		base = strings.TrimSuffix(base, ext)
	}
	base = strings.Trim(notName.ReplaceAllString(base, "-"), "-")
	if base == "" {
		return "model"
	}
	return base
}
