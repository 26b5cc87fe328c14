package registry

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/content"
)

// Files opens model versions: it lays a version's files out in a folder of its
// own, once, and has a predictor read them.
type Files struct {
	Content *content.Store
	Dir     string             // private to the workspace; a folder a version
	Safe    []predictor.Loader // read a file and execute nothing of it
	Execute []predictor.Loader // execute what they read: for operators only
	// Python is how a project's models run that need Python; nil is the
	// loaders' own way.
	Python func(ctx context.Context, project string) (predictor.Python, error)
}

var _ Loader = (*Files)(nil)

// Load opens the model whose files are a content.Tree. It fails with NotFound
// when the content is not there, Invalid when no loader knows it, and Denied
// when opening it would execute code and the caller is no operator.
func (f *Files) Load(ctx context.Context, project string, model slipway.Digest, registered *slipway.Signature) (predictor.Model, error) {
	path, err := f.lay(ctx, model)
	if err != nil {
		return nil, err
	}
	spec := predictor.Spec{Path: path, Signature: registered}
	if m, err := f.read(ctx, spec); m != nil || err != nil {
		return m, err
	}
	for _, l := range f.Execute {
		if !l.Detect(path) {
			continue
		}
		if slipway.Allow(ctx, slipway.Operator, project) != nil {
			return nil, slipway.Errorf(slipway.Denied, "opening this model executes its code, which needs the role operator")
		}
		if f.Python != nil {
			if spec.Python, err = f.Python(ctx, project); err != nil {
				return nil, err
			}
		}
		return l.Load(ctx, spec)
	}
	return nil, slipway.Errorf(slipway.Invalid, "%s is no model that can be opened", filepath.Base(path)).
		WithHint("a LightGBM text file, an XGBoost JSON file, a pickle, or an MLflow folder can")
}

// Read opens the model if that executes nothing of it, whoever asks; it is nil
// without an error where only the model's own code could open it.
func (f *Files) Read(ctx context.Context, model slipway.Digest, registered *slipway.Signature) (predictor.Model, error) {
	path, err := f.lay(ctx, model)
	if err != nil {
		return nil, err
	}
	return f.read(ctx, predictor.Spec{Path: path, Signature: registered})
}

func (f *Files) read(ctx context.Context, spec predictor.Spec) (predictor.Model, error) {
	for _, l := range f.Safe {
		if l.Detect(spec.Path) {
			return l.Load(ctx, spec)
		}
	}
	return nil, nil
}

// lay puts a tree's files into a folder and returns the path of the only file,
// or of the folder when there are several. The folder appears whole or not at
// all.
func (f *Files) lay(ctx context.Context, model slipway.Digest) (string, error) {
	tree, err := f.Content.GetTree(ctx, model)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(f.Dir, string(model))
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := f.fill(ctx, tree, dir); err != nil {
			return "", err
		}
	}
	if len(tree) == 1 {
		return filepath.Join(dir, filepath.FromSlash(tree[0].Path)), nil
	}
	return dir, nil
}

func (f *Files) fill(ctx context.Context, tree content.Tree, dir string) error {
	if err := os.MkdirAll(f.Dir, 0o700); err != nil {
		return slipway.Errorf(slipway.Unavailable, "%v", err)
	}
	tmp, err := os.MkdirTemp(f.Dir, ".new-*")
	if err != nil {
		return slipway.Errorf(slipway.Unavailable, "%v", err)
	}
	defer os.RemoveAll(tmp)
	for _, e := range tree {
		if err := f.Content.LinkIn(ctx, e.Digest, tmp, e.Path, content.ReadOnly); err != nil {
			return err
		}
	}
	err = os.Rename(tmp, dir)
	if _, there := os.Stat(dir); err != nil && there != nil {
		return slipway.Errorf(slipway.Unavailable, "%v", err)
	}
	return nil // this process or another one put it there
}
