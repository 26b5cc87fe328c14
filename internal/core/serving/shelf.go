package serving

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/content"
)

// Shelf is the models of a gateway: a folder for each content.Tree, which holds
// the encoded tree and the files. It opens them without a workspace.
type Shelf struct {
	Dir     string
	Loaders []predictor.Loader
	Python  predictor.Python // for models that need it
	// Fetch opens content by its digest; nil when there is nowhere to fetch
	// from, and only what is there can be opened.
	Fetch func(ctx context.Context, d slipway.Digest) (io.ReadCloser, error)
}

// The parts of a model's folder.
const (
	shelfTree  = "tree"
	shelfFiles = "files"
)

// Load opens a model, fetching it first where that is needed. It fails with
// NotFound when it is not there, with Internal when what came is not what its
// digest names, and as predictor.Open does.
func (s *Shelf) Load(ctx context.Context, _ string, model slipway.Digest, registered *slipway.Signature) (predictor.Model, error) {
	path, err := s.lay(ctx, model)
	if err != nil {
		return nil, err
	}
	return predictor.Open(ctx, predictor.Spec{Path: path, Signature: registered, Python: s.Python}, s.Loaders...)
}

// lay finds or fetches a model and gives the path of its only file, or of the
// folder when there are several.
func (s *Shelf) lay(ctx context.Context, model slipway.Digest) (string, error) {
	if _, err := slipway.ParseDigest(string(model)); err != nil {
		return "", err
	}
	dir := filepath.Join(s.Dir, string(model))
	raw, err := os.ReadFile(filepath.Join(dir, shelfTree))
	if errors.Is(err, os.ErrNotExist) {
		if raw, err = s.fill(ctx, model, dir); err != nil {
			return "", err
		}
	} else if err != nil {
		return "", slipway.Errorf(slipway.Unavailable, "the model cannot be read: %v", err)
	}
	if slipway.DigestOf(raw) != model {
		return "", slipway.Errorf(slipway.Internal, "the model in %s is not the one that its name says", dir)
	}
	tree, err := content.ParseTree(raw)
	if err != nil {
		return "", err
	}
	if len(tree) == 1 {
		return filepath.Join(dir, shelfFiles, filepath.FromSlash(tree[0].Path)), nil
	}
	return filepath.Join(dir, shelfFiles), nil
}

// fill fetches a model. Its folder appears whole or not at all.
func (s *Shelf) fill(ctx context.Context, model slipway.Digest, dir string) ([]byte, error) {
	if s.Fetch == nil {
		return nil, slipway.Errorf(slipway.NotFound, "the model %s is not in %s", model, s.Dir)
	}
	from, err := s.Fetch(ctx, model)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(from, 64<<20))
	if err = errors.Join(err, from.Close()); err != nil {
		return nil, slipway.Errorf(slipway.Unavailable, "the model cannot be fetched: %v", err)
	}
	if slipway.DigestOf(raw) != model {
		return nil, slipway.Errorf(slipway.Internal, "what came is not the model %s", model)
	}
	tree, err := content.ParseTree(raw)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return nil, slipway.Errorf(slipway.Unavailable, "the model cannot be kept: %v", err)
	}
	tmp, err := os.MkdirTemp(s.Dir, ".new-*")
	if err != nil {
		return nil, slipway.Errorf(slipway.Unavailable, "the model cannot be kept: %v", err)
	}
	defer os.RemoveAll(tmp)
	for _, e := range tree {
		if err := s.fetchFile(ctx, e, filepath.Join(tmp, shelfFiles, filepath.FromSlash(e.Path))); err != nil {
			return nil, err
		}
	}
	if err := writeDurably(filepath.Join(tmp, shelfTree), raw); err != nil {
		return nil, slipway.Errorf(slipway.Unavailable, "the model cannot be kept: %v", err)
	}
	if err := os.Rename(tmp, dir); err != nil {
		return nil, slipway.Errorf(slipway.Unavailable, "the model cannot be kept: %v", err)
	}
	return raw, syncFolder(s.Dir)
}

func (s *Shelf) fetchFile(ctx context.Context, e content.Entry, path string) error {
	from, err := s.Fetch(ctx, e.Digest)
	if err != nil {
		return fmt.Errorf("%s of the model: %w", e.Path, err)
	}
	defer from.Close()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return slipway.Errorf(slipway.Unavailable, "the model cannot be kept: %v", err)
	}
	mode := os.FileMode(0o444)
	if e.Exec {
		mode = 0o555
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return slipway.Errorf(slipway.Unavailable, "the model cannot be kept: %v", err)
	}
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, sum), io.LimitReader(from, e.Size+1))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return slipway.Errorf(slipway.Unavailable, "the model cannot be kept: %v", err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != string(e.Digest) {
		return slipway.Errorf(slipway.Internal, "what came for %s of the model is not %s", e.Path, e.Digest)
	}
	return nil
}

// keepOnly removes the models that none of the manifests names.
func (s *Shelf) keepOnly(manifests ...slipway.Manifest) error {
	named := map[string]bool{}
	for _, m := range manifests {
		for _, e := range m.Endpoint {
			for _, v := range e.Variant {
				named[string(v.Content)] = true
			}
		}
	}
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return nil // nothing is there yet
	}
	for _, e := range entries {
		if !named[e.Name()] {
			err = errors.Join(err, os.RemoveAll(filepath.Join(s.Dir, e.Name())))
		}
	}
	return err
}
