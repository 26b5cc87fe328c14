package mlflow

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/core/tracking"
)

// exportedFile is one artifact, and where it was written.
type exportedFile struct {
	owner, path string
	where       string // below the export's folder
	size        int64
	digest      slipway.Digest
}

// files writes the files of an owner where the URI says, below artifacts/. What
// the server does not keep itself stays where it is.
func (x *exporter) files(ctx context.Context, at tracking.Place, uri string) error {
	if x.o.NoFiles || uri == "" {
		return nil
	}
	root, ok := proxied(uri)
	if !ok {
		x.skip("files of %s: they are in %s, which this server does not keep", at.Owner, uri)
		return nil
	}
	found, err := x.from.Files(ctx, at, uri)
	if slipway.IsCode(err, slipway.NotFound) {
		x.skip("files of %s: %s", at.Owner, slipway.AsError(err).Message)
		return nil
	}
	if err != nil {
		return fmt.Errorf("files of %s: %w", at.Owner, err)
	}
	for _, f := range found {
		where := path.Join("artifacts", root, f.Path)
		if content.CheckPath(where) != nil {
			x.skip("%s of %s: no path on a disk", f.Path, at.Owner)
			continue
		}
		if err := x.copyFile(ctx, tracking.Place{Owner: at.Owner, Path: f.Path}, uri, where, f.Size); err != nil {
			return fmt.Errorf("%s of %s: %w", f.Path, at.Owner, err)
		}
	}
	return nil
}

// copyFile writes one file. Content that is written already is linked, so that a
// model which a run logged and the registry keeps takes its space once.
func (x *exporter) copyFile(ctx context.Context, at tracking.Place, uri, where string, size int64) error {
	body, err := x.from.Open(ctx, at, uri)
	if err != nil {
		return err
	}
	to := filepath.Join(x.part, filepath.FromSlash(where))
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return errors.Join(err, body.Close())
	}
	digest, n, err := writeFile(to, body)
	if err = errors.Join(err, body.Close()); err != nil {
		return err
	}
	if n != size {
		return slipway.Errorf(slipway.Unavailable, "it came with %d bytes of %d", n, size)
	}
	if err := x.link(digest, to, where); err != nil {
		return err
	}
	f := exportedFile{at.Owner, at.Path, where, n, digest}
	return x.write(func(s sink) error { return s.file(f) }, func(o *Exported) { o.Files, o.Bytes = o.Files+1, o.Bytes+n })
}

// writeFile writes a file to disk for good, and hashes it.
func writeFile(to string, body io.Reader) (slipway.Digest, int64, error) {
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return "", 0, err
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), body)
	if err == nil {
		err = f.Sync()
	}
	return slipway.Digest(hex.EncodeToString(h.Sum(nil))), n, errors.Join(err, f.Close())
}

// link replaces a file by a link to one of the same bytes. Where the disk has no
// links, it stays.
func (x *exporter) link(d slipway.Digest, to, where string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	first, ok := x.links[d]
	if !ok {
		x.links[d] = where
		return nil
	}
	spare := to + ".link"
	if err := os.Link(filepath.Join(x.part, filepath.FromSlash(first)), spare); err != nil {
		return nil
	}
	return os.Rename(spare, to)
}

// readme is what stands beside the data.
func readme(o Exported) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d experiments, %d runs, %d points, %d logged models, %d registered models with %d versions, %d files.\n\n",
		o.Experiments, o.Runs, o.Points, o.Models, o.Registered, o.Versions, o.Files)
	b.WriteString("Open it with MLflow 3, which brings the schema of the file up to its own:\n\n" +
		"  mlflow server --backend-store-uri sqlite:///mlflow.db --artifacts-destination artifacts\n\n" +
		"Read it into another Slipway:\n\n  slipway import mlflow sqlite:///mlflow.db --artifacts artifacts\n")
	return b.Bytes()
}
