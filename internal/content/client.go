package content

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// Remote is the content store of a server, as a client sees it.
type Remote struct{ Client web.Client }

// Upload is a file to be sent, as it was when it was hashed.
type Upload struct {
	Path   string
	Digest slipway.Digest
	Size   int64
}

// uploadBytes and uploadFiles bound one request: what has arrived is durable,
// and is not sent again after an interruption.
const (
	uploadBytes = 256 << 20
	uploadFiles = 8192
)

// Missing returns those of ds that the server does not hold, each once.
func (r Remote) Missing(ctx context.Context, ds ...slipway.Digest) ([]slipway.Digest, error) {
	var out []slipway.Digest
	for len(ds) > 0 {
		n := min(len(ds), maxAsked)
		var in AskMissing
		in.Body.Digests = ds[:n]
		missing, err := OpMissing.Call(ctx, r.Client, in)
		if err != nil {
			return nil, err
		}
		out, ds = append(out, missing...), ds[n:]
	}
	return out, nil
}

// Put sends content under its digest.
func (r Remote) Put(ctx context.Context, d slipway.Digest, body io.Reader) error {
	resp, err := r.Client.Stream(ctx, http.MethodPut, "/api/v1/content/"+string(d), body)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// PutTree sends a tree's encoding and returns its digest.
func (r Remote) PutTree(ctx context.Context, t Tree) (slipway.Digest, error) {
	encoded := t.Encode()
	d := slipway.DigestOf(encoded)
	missing, err := r.Missing(ctx, d)
	if err != nil || len(missing) == 0 {
		return d, err
	}
	return d, r.Put(ctx, d, bytes.NewReader(encoded))
}

// Open reads content as it comes and checks it: the last read of bytes that are
// not the content's fails. It fails with NotFound.
func (r Remote) Open(ctx context.Context, d slipway.Digest) (io.ReadCloser, error) {
	resp, err := r.Client.Stream(ctx, http.MethodGet, "/api/v1/content/"+string(d), nil)
	if err != nil {
		return nil, err
	}
	return &checkedReader{body: resp.Body, want: d, sum: sha256.New()}, nil
}

// checkedReader hashes what passes through it.
type checkedReader struct {
	body io.ReadCloser
	want slipway.Digest
	sum  interface {
		io.Writer
		Sum([]byte) []byte
	}
}

func (c *checkedReader) Read(b []byte) (int, error) {
	n, err := c.body.Read(b)
	_, _ = c.sum.Write(b[:n]) // a hash takes everything
	if errors.Is(err, io.EOF) && slipway.Digest(hex.EncodeToString(c.sum.Sum(nil))) != c.want {
		return n, slipway.Errorf(slipway.Unavailable, "content %s did not arrive whole", c.want.Short())
	}
	return n, err
}

func (c *checkedReader) Close() error { return c.body.Close() }

// PutFiles sends files that the server lacks, many in one request, and calls
// sent with the bytes that went out since the last call. It fails with Conflict
// when a file has changed since it was hashed.
func (r Remote) PutFiles(ctx context.Context, files []Upload, sent func(bytes int64)) error {
	for len(files) > 0 {
		n, size := 0, int64(0)
		for n < len(files) && n < uploadFiles && (n == 0 || size+files[n].Size <= uploadBytes) {
			size += files[n].Size
			n++
		}
		if err := r.putSome(ctx, files[:n], sent); err != nil {
			return err
		}
		files = files[n:]
	}
	return nil
}

func (r Remote) putSome(ctx context.Context, files []Upload, sent func(int64)) error {
	body, feed := io.Pipe()
	fed := make(chan error, 1)
	go func() {
		err := writeUploads(feed, files, sent)
		fed <- err
		_ = feed.CloseWithError(err)
	}()
	resp, err := r.Client.Stream(ctx, http.MethodPost, "/api/v1/content", body)
	_ = body.CloseWithError(errStopped) // the server may have answered before it read everything
	var told *slipway.Error
	if own := <-fed; errors.As(own, &told) || err == nil && !errors.Is(own, errStopped) {
		resp, err = nil, errors.Join(own, closeReply(resp))
	}
	return errors.Join(err, closeReply(resp))
}

func closeReply(resp *http.Response) error {
	if resp == nil {
		return nil
	}
	return resp.Body.Close()
}

var errStopped = errors.New("the server has answered")

func writeUploads(w io.Writer, files []Upload, sent func(int64)) error {
	out := tar.NewWriter(w)
	for _, file := range files {
		if err := writeUpload(out, file, sent); err != nil {
			return err
		}
	}
	return out.Close()
}

func writeUpload(out *tar.Writer, file Upload, sent func(int64)) error {
	f, _, err := openRegular(file.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: string(file.Digest), Size: file.Size, Mode: 0o400}); err != nil {
		return err
	}
	n, err := io.Copy(counted{out, sent}, io.LimitReader(f, file.Size))
	if err != nil {
		return err
	}
	if n != file.Size {
		return slipway.Errorf(slipway.Conflict, "%s changed while it was read", file.Path).WithHint("run the command again")
	}
	return nil
}

// counted tells how many bytes were written.
type counted struct {
	w    io.Writer
	sent func(int64)
}

func (c counted) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	if c.sent != nil {
		c.sent(int64(n))
	}
	return n, err
}

// Fetch writes content to a file that appears whole or not at all, replacing
// what is there. The folder must exist.
func (r Remote) Fetch(ctx context.Context, d slipway.Digest, path string, exec bool) error {
	in, err := r.Open(ctx, d)
	if err != nil {
		return err
	}
	defer in.Close()
	mode := os.FileMode(0o644)
	if exec {
		mode = 0o755
	}
	temp := fmt.Sprintf("%s.slipway-%s", path, d[:12])
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return diskError("write "+path, err)
	}
	defer os.Remove(temp)
	_, err = io.Copy(f, in)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return diskError("write "+path, err)
	}
	return diskError("write "+path, os.Rename(temp, path))
}
