// Package blob is named bytes in a bucket: the one place where content leaves
// the local disk. Its variants are folders (local, mem, s3), and package
// blobtest holds the contract that every one of them passes.
//
// The model is the common part of S3, GCS and a directory: objects are
// replaced whole, appear at once or not at all, and are named by keys with
// slashes. The one primitive for coordination is Create, a write that only
// succeeds if nobody was first (If-None-Match: * in RFC 9110).
package blob

import (
	"context"
	"io"
	"iter"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/slipway-ml/slipway"
)

// Info describes one object.
type Info struct {
	Key      string
	Size     int64 // bytes
	Modified time.Time
}

// Bucket holds objects. It is safe for concurrent use, also by several
// processes. An object that was put is visible to every later call (strong
// read-after-write, as S3 gives since 2020).
//
// Every method returns Invalid for a key that CheckKey refuses, and
// Unavailable when the store behind it is full, busy or away. When ctx ends,
// ctx.Err() is in the chain of the error.
type Bucket interface {
	// Put writes exactly size bytes of r under key, replacing what was there.
	// When it returns nil the object is durable; when it returns an error the
	// object is unchanged. It fails with Invalid if r holds fewer or more than
	// size bytes.
	Put(ctx context.Context, key string, r io.Reader, size int64) error

	// Create is Put for a key that must not exist. It fails with Conflict if it
	// does; of several concurrent calls exactly one succeeds.
	Create(ctx context.Context, key string, r io.Reader, size int64) error

	// Get reads n bytes from offset, or everything from offset if n is
	// negative. A range that reaches past the end is cut there; an offset at or
	// past the end reads nothing. It fails with NotFound, and with Invalid for a
	// negative offset. The caller closes the reader.
	Get(ctx context.Context, key string, offset, n int64) (io.ReadCloser, error)

	// Head describes the object, or fails with NotFound.
	Head(ctx context.Context, key string) (Info, error)

	// List yields the objects whose keys begin with prefix, in ascending byte
	// order of the keys. An error is yielded once, as the last element. Objects
	// written or deleted meanwhile may or may not be seen.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]

	// Delete removes the object. Deleting what does not exist is no error.
	Delete(ctx context.Context, key string) error
}

// maxKey is the length S3 allows, in bytes.
const maxKey = 1024

// CheckKey accepts keys that every variant can hold: up to 1,024 bytes of
// UTF-8 in segments parted by single slashes, no segment being empty, "." or
// "..", and no control characters. It fails with Invalid.
func CheckKey(key string) error {
	if key == "" || len(key) > maxKey || !utf8.ValidString(key) {
		return slipway.Errorf(slipway.Invalid, "%.80q is not an object key", key)
	}
	for _, c := range key {
		if c < 0x20 || c == 0x7f || c == '\\' {
			return slipway.Errorf(slipway.Invalid, "the object key %.80q has a control character or a backslash", key)
		}
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return slipway.Errorf(slipway.Invalid, "the object key %.80q has an empty or dotted segment", key)
		}
	}
	return nil
}

// CheckGet validates the arguments of Get.
func CheckGet(key string, offset int64) error {
	if offset < 0 {
		return slipway.Errorf(slipway.Invalid, "object %q: the offset %d is negative", key, offset)
	}
	return CheckKey(key)
}

// NotFound is the error for a key that holds nothing.
func NotFound(key string) error {
	return slipway.Errorf(slipway.NotFound, "there is no object %q", key)
}

// Exists is the error of Create for a key that is taken.
func Exists(key string) error {
	return slipway.Errorf(slipway.Conflict, "the object %q exists already", key)
}

// Exact reads from r and fails with Invalid unless r ends after exactly size
// bytes. Variants wrap the reader of Put and Create in it: it hands out the
// last bytes only when it has seen that nothing follows.
func Exact(ctx context.Context, key string, r io.Reader, size int64) io.Reader {
	return &exact{ctx: ctx, key: key, r: r, left: size, size: size}
}

type exact struct {
	ctx        context.Context
	key        string
	r          io.Reader
	left, size int64
	checked    bool
}

func (e *exact) Read(p []byte) (int, error) {
	if err := e.ctx.Err(); err != nil {
		return 0, err
	}
	if e.left == 0 {
		if err := e.checkEnd(); err != nil {
			return 0, err
		}
		return 0, io.EOF
	}
	if int64(len(p)) > e.left {
		p = p[:e.left]
	}
	n, err := e.r.Read(p)
	e.left -= int64(n)
	switch {
	case e.left == 0 && n > 0:
		// The writer must not see all bytes of a longer stream as a success.
		if err != nil && err != io.EOF {
			return 0, err
		}
		if err == nil {
			if err := e.checkEnd(); err != nil {
				return 0, err
			}
		}
		e.checked = true
		return n, nil
	case err == io.EOF:
		return n, slipway.Errorf(slipway.Invalid, "object %q: the data ended after %d of %d bytes", e.key, e.size-e.left, e.size)
	}
	return n, err
}

func (e *exact) checkEnd() error {
	if e.checked {
		return nil
	}
	var one [1]byte
	for range 100 {
		n, err := e.r.Read(one[:])
		if n > 0 {
			return slipway.Errorf(slipway.Invalid, "object %q: the data is longer than %d bytes", e.key, e.size)
		}
		if err == io.EOF {
			e.checked = true
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}
