package mlflow

import (
	"context"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/tracking"
)

// OpenSource opens what an import copies from: http:// or https:// and a running
// server, or sqlite:/// and the file of one. artifacts is the folder to which a
// server that keeps artifacts itself writes them; only a file needs it. It
// fails with Invalid for any other URI and Unavailable when nobody answers.
func OpenSource(ctx context.Context, uri, artifacts string) (tracking.Source, error) {
	if file, ok := strings.CutPrefix(uri, "sqlite:///"); ok {
		return openFile(ctx, file, artifacts)
	}
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, slipway.Errorf(slipway.Invalid, "%q is neither a server nor a SQLite file", uri).
			WithHint("such as http://mlflow:5000 or sqlite:///mlflow.db")
	}
	return openServer(ctx, u)
}

// disk reads artifacts from disk.
type disk struct {
	base      string // what a relative path starts from
	artifacts string // what mlflow-artifacts:/ stands for, or ""
}

// find is the folder that an artifact URI means. It fails with Invalid for one
// that is no folder of this machine.
func (f disk) find(uri string) (string, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return "", slipway.Errorf(slipway.Invalid, "%q is no artifact location", uri)
	}
	switch {
	case u.Scheme == "mlflow-artifacts" && f.artifacts == "":
		return "", slipway.Errorf(slipway.Invalid, "%s is a folder of the server's own; name it with --artifacts", uri)
	case u.Scheme == "mlflow-artifacts":
		return filepath.Join(f.artifacts, filepath.FromSlash(path.Clean("/"+u.Path))), nil
	case u.Scheme == "file":
		return filepath.FromSlash(u.Path), nil
	case u.Scheme == "" && filepath.IsAbs(uri):
		return filepath.Clean(uri), nil
	case u.Scheme == "":
		return filepath.Join(f.base, filepath.FromSlash(uri)), nil
	}
	return "", slipway.Errorf(slipway.Invalid, "%s is in a store that an import does not read; import from the running server instead", uri)
}

func (f disk) files(uri string) (out []tracking.Artifact, err error) {
	root, err := f.find(uri)
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			out = append(out, tracking.Artifact{Path: filepath.ToSlash(rel), Size: info.Size()})
		}
		return err
	})
	if os.IsNotExist(err) {
		return nil, nil // a run that logged no file has no folder
	}
	return out, err
}

func (f disk) open(uri, file string) (io.ReadCloser, error) {
	root, err := f.find(uri)
	if err != nil {
		return nil, err
	}
	return os.Open(filepath.Join(root, filepath.FromSlash(path.Clean("/"+file))))
}
