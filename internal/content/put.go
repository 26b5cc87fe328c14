package content

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/slipway-ml/slipway"
	"golang.org/x/sys/unix"
)

// Put stores everything r gives and returns its digest and length in bytes.
// When it returns, the content is durable; callers at the same time share one
// fsync. It fails with Unavailable when the disk is full, and with the error of
// r; then nothing is stored under the digest.
func (s *Store) Put(ctx context.Context, r io.Reader) (slipway.Digest, int64, error) {
	b := s.Batch(ctx)
	d, n, err := b.Put(r)
	if err != nil {
		return "", 0, err
	}
	return d, n, b.Commit()
}

// streamLimit is from how many bytes on PutStream keeps content whole.
const streamLimit = 8 << 20

// PutStream is Put for what will be read as it came, from its beginning to its
// end: 8 MB and more are kept as one file. They are hashed once on the way in
// and not on the way out, at the price of sharing nothing with content that is
// only alike.
func (s *Store) PutStream(ctx context.Context, r io.Reader) (slipway.Digest, int64, error) {
	b := s.Batch(ctx)
	d, n, err := b.PutStream(r)
	if err != nil {
		return "", 0, err
	}
	return d, n, b.Commit()
}

// PutFile stores a file, as Put does. It reads the file once and does not hold
// it in memory. It fails with NotFound, and with Invalid if path is not a
// regular file.
func (s *Store) PutFile(ctx context.Context, path string) (slipway.Digest, int64, error) {
	b := s.Batch(ctx)
	d, n, err := b.PutFile(path)
	if err != nil {
		return "", 0, err
	}
	return d, n, b.Commit()
}

// PutExpect stores the bytes of r if their digest is want. Other bytes fail
// with Invalid and leave nothing behind.
func (s *Store) PutExpect(ctx context.Context, want slipway.Digest, r io.Reader) error {
	k, err := parseKey(want)
	if err != nil {
		return err
	}
	if err := s.load(ctx); err != nil {
		return err
	}
	buf := records.Get().(*[]byte)
	defer records.Put(buf)
	n, err := readUpTo(r, (*buf)[recordHeaderSize:])
	if err != nil {
		return err
	}
	head := (*buf)[recordHeaderSize:][:n]
	if n <= wholeLimit {
		if key(sha256.Sum256(head)) != k {
			return unexpected(want)
		}
		at, err := s.writer.put(ctx, (*buf)[:recordHeaderSize+n], bytesKind(head), int64(n), k)
		if err != nil {
			return err
		}
		return s.writer.wait(at)
	}
	// Chunks would be in packs before the digest is known, so the bytes wait in
	// a file of their own.
	f, err := os.CreateTemp(filepath.Join(s.dir, "tmp"), "expect-*")
	if err != nil {
		return diskError("store content", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	sum := sha256.New()
	src := withContext(ctx, io.MultiReader(bytes.NewReader(head), r))
	if _, err := io.Copy(io.MultiWriter(f, sum), src); err != nil {
		return diskError("store content", err)
	}
	if key(sum.Sum(nil)) != k {
		return unexpected(want)
	}
	_, _, err = s.PutFile(ctx, f.Name())
	return err
}

func unexpected(want slipway.Digest) error {
	return slipway.Errorf(slipway.Invalid, "the bytes are not those of content %s", want)
}

// readUpTo fills b from r and returns how much it got; the end of r is no
// error.
func readUpTo(r io.Reader, b []byte) (int, error) {
	n, err := io.ReadFull(r, b)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return n, err
}

// bytesKind is the kind of content that becomes one record.
func bytesKind(b []byte) kind {
	if isTree(b) {
		return kindBytes | kindTree
	}
	return kindBytes
}

func isTree(b []byte) bool { return bytes.HasPrefix(b, []byte(treeHeader)) }

// isParquet says whether content that begins like b is a Parquet file, whose
// format puts these four bytes first and last.
func isParquet(b []byte) bool { return bytes.HasPrefix(b, []byte("PAR1")) }

// openRegular opens a file to be stored.
func openRegular(path string) (*os.File, os.FileInfo, error) {
	// Without O_NONBLOCK, opening a pipe would wait for its writer.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	var info os.FileInfo
	if err == nil {
		if info, err = f.Stat(); err == nil && !info.Mode().IsRegular() {
			err = slipway.Errorf(slipway.Invalid, "%s is not a regular file", path)
		}
		if err != nil {
			f.Close()
		}
	}
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, nil, slipway.Errorf(slipway.NotFound, "there is no file %s", path)
	case errors.Is(err, os.ErrPermission):
		return nil, nil, slipway.Errorf(slipway.Invalid, "the file %s may not be read", path)
	case err != nil:
		return nil, nil, diskError("read "+path, err)
	}
	return f, info, nil
}

// withContext makes reading stop when ctx ends.
func withContext(ctx context.Context, r io.Reader) io.Reader {
	return readerFunc(func(b []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(b)
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }
