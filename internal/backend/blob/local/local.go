// Package local is a bucket in a directory: an object is a file, a key is its
// path. It suits one machine and tests; several processes may share it.
package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/blob"
)

// Bucket keeps each object in a file below its directory. Unlike in S3, a key
// cannot at once be an object and the folder of another ("a" and "a/b"): the
// second is refused with Invalid.
type Bucket struct {
	dir string // objects
	tmp string // files being written, on the same file system
}

var _ blob.Bucket = (*Bucket)(nil)

// Open makes the directory if needed and returns the bucket in it.
func Open(dir string) (*Bucket, error) {
	b := &Bucket{dir: filepath.Join(dir, "objects"), tmp: filepath.Join(dir, "tmp")}
	for _, d := range []string{b.dir, b.tmp} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fail("", err)
		}
	}
	return b, nil
}

// fail turns an error of the operating system into one for the user.
func fail(key string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return blob.NotFound(key)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return slipway.Errorf(slipway.Unavailable, "object %q: the disk is full", key).WithHint("free some space and try again")
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.ENAMETOOLONG):
		return slipway.Errorf(slipway.Invalid, "the key %q does not fit into a directory beside the other objects", key)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EIO), errors.Is(err, syscall.EROFS):
		return slipway.Errorf(slipway.Unavailable, "object %q: %v", key, err)
	}
	return fmt.Errorf("object %q: %w", key, err)
}

// Put implements blob.Bucket.
func (b *Bucket) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	return b.write(ctx, key, r, size, os.Rename)
}

// Create implements blob.Bucket: a hard link is refused if the name is taken,
// which a rename is not.
func (b *Bucket) Create(ctx context.Context, key string, r io.Reader, size int64) error {
	return b.write(ctx, key, r, size, func(from, to string) error {
		err := os.Link(from, to)
		if errors.Is(err, fs.ErrExist) {
			return blob.Exists(key)
		}
		return err
	})
}

func (b *Bucket) write(ctx context.Context, key string, r io.Reader, size int64, publish func(from, to string) error) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	f, err := os.CreateTemp(b.tmp, "put-*")
	if err != nil {
		return fail(key, err)
	}
	defer os.Remove(f.Name()) // after a rename there is nothing left to remove
	defer f.Close()
	if _, err := io.Copy(f, blob.Exact(ctx, key, r, size)); err != nil {
		return passOrFail(key, err)
	}
	if err := f.Sync(); err != nil {
		return fail(key, err)
	}
	to := filepath.Join(b.dir, filepath.FromSlash(key))
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return fail(key, err)
	}
	if err := publish(f.Name(), to); err != nil {
		return passOrFail(key, err)
	}
	return b.syncDirs(key)
}

// passOrFail leaves errors alone that already say what they mean.
func passOrFail(key string, err error) error {
	var known *slipway.Error
	if errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fail(key, err)
}

// syncDirs makes the name durable, and the names of new folders above it.
func (b *Bucket) syncDirs(key string) error {
	for dir := path.Dir(key); ; dir = path.Dir(dir) {
		d, err := os.Open(filepath.Join(b.dir, filepath.FromSlash(dir)))
		if err != nil {
			return fail(key, err)
		}
		err = d.Sync()
		d.Close()
		if err != nil {
			return fail(key, err)
		}
		if dir == "." {
			return nil
		}
	}
}

// Get implements blob.Bucket.
func (b *Bucket) Get(ctx context.Context, key string, offset, n int64) (io.ReadCloser, error) {
	if err := blob.CheckGet(key, offset); err != nil {
		return nil, err
	}
	if _, err := b.Head(ctx, key); err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(b.dir, filepath.FromSlash(key)))
	if err != nil {
		return nil, fail(key, err)
	}
	if n < 0 {
		n = 1<<63 - 1 - offset
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(f, offset, n), f}, nil
}

// Head implements blob.Bucket.
func (b *Bucket) Head(ctx context.Context, key string) (blob.Info, error) {
	if err := blob.CheckKey(key); err != nil {
		return blob.Info{}, err
	}
	if err := ctx.Err(); err != nil {
		return blob.Info{}, err
	}
	info, err := os.Lstat(filepath.Join(b.dir, filepath.FromSlash(key)))
	if errors.Is(err, syscall.ENOTDIR) || err == nil && !info.Mode().IsRegular() {
		return blob.Info{}, blob.NotFound(key)
	}
	if err != nil {
		return blob.Info{}, fail(key, err)
	}
	return blob.Info{Key: key, Size: info.Size(), Modified: info.ModTime()}, nil
}

// List implements blob.Bucket.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		folder, _ := path.Split(prefix)
		if folder != "" && blob.CheckKey(strings.TrimSuffix(folder, "/")) != nil {
			return // no key can begin like this
		}
		if err := b.walk(ctx, strings.TrimSuffix(folder, "/"), prefix, yield); err != nil && !errors.Is(err, errStopped) {
			yield(blob.Info{}, err)
		}
	}
}

var errStopped = errors.New("the caller stopped listing")

// walk yields the files below folder in the byte order of their keys. A
// directory listing sorts "a" before "a.b"; keys sort "a.b" before "a/c", so
// folders are compared with their slash.
func (b *Bucket) walk(ctx context.Context, folder, prefix string, yield func(blob.Info, error) bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := os.ReadDir(filepath.Join(b.dir, filepath.FromSlash(folder)))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	if err != nil {
		return fail(folder, err)
	}
	for _, entry := range sortAsKeys(entries) {
		key := path.Join(folder, entry.Name())
		if entry.IsDir() {
			below := key + "/"
			if !strings.HasPrefix(below, prefix) && !strings.HasPrefix(prefix, below) {
				continue
			}
			if err := b.walk(ctx, key, prefix, yield); err != nil {
				return err
			}
			continue
		}
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			return fail(key, err)
		}
		if !yield(blob.Info{Key: key, Size: info.Size(), Modified: info.ModTime()}, nil) {
			return errStopped
		}
	}
	return nil
}

// Delete implements blob.Bucket. Folders that become empty stay: removing
// them would race with a Put that has just made them.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	if _, err := b.Head(ctx, key); err != nil {
		if slipway.IsCode(err, slipway.NotFound) {
			return nil
		}
		return err
	}
	err := os.Remove(filepath.Join(b.dir, filepath.FromSlash(key)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fail(key, err)
	}
	return nil
}
