package registry

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"net/http"
	"path"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// maxFiles bounds the files of an uploaded model.
const maxFiles = 10_000

// upload registers the files in a tar stream as a version of a model.
func (s *Service) upload(w http.ResponseWriter, r *http.Request) error {
	v := slipway.ModelVersion{Project: r.PathValue("project"), Name: r.PathValue("model")}
	if err := checkName(v.Name); err != nil {
		return err
	}
	var err error
	if v.Content, err = s.unpack(r.Context(), r.Body); err != nil {
		return err
	}
	if v, err = s.Register(r.Context(), v, nil); err != nil {
		return err
	}
	return web.WriteJSON(w, v)
}

// unpack stores the regular files of a tar stream as a content.Tree.
func (s *Service) unpack(ctx context.Context, body io.Reader) (slipway.Digest, error) {
	batch := s.o.Content.Batch(ctx)
	files := tar.NewReader(body)
	var entries []content.Entry
	for {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		switch {
		case err != nil:
			return "", slipway.Errorf(slipway.Invalid, "the upload is not a whole tar stream: %v", err)
		case h.Typeflag == tar.TypeDir:
			continue
		case h.Typeflag != tar.TypeReg:
			return "", slipway.Errorf(slipway.Invalid, "%q is no regular file", h.Name)
		case len(entries) == maxFiles:
			return "", slipway.Errorf(slipway.Invalid, "a model may have %d files", maxFiles)
		}
		name := path.Clean(h.Name)
		if err := content.CheckPath(name); err != nil {
			return "", err
		}
		digest, size, err := batch.Put(files)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return "", slipway.Errorf(slipway.Invalid, "the upload broke off in %q", h.Name)
		}
		if err != nil {
			return "", err
		}
		entries = append(entries, content.Entry{Path: name, Digest: digest, Size: size, Exec: h.Mode&0o100 != 0})
	}
	if len(entries) == 0 {
		return "", slipway.Errorf(slipway.Invalid, "the upload holds no file")
	}
	tree, err := content.NewTree(entries)
	if err != nil {
		return "", err
	}
	if err := batch.Commit(); err != nil {
		return "", err
	}
	return s.o.Content.PutTree(ctx, tree)
}

func base(p string) string { return path.Base(path.Clean(p)) }
