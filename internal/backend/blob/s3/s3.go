// Package s3 is a bucket in S3 or in anything that speaks its protocol: MinIO,
// Ceph, Google Cloud Storage, versitygw and the like. Create needs a store that
// honours If-None-Match on PUT and on CompleteMultipartUpload, as AWS does
// since 2024.
package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/blob"
)

// Bucket is a bucket, or a part of one below a prefix.
type Bucket struct {
	core   minio.Core
	bucket string
	prefix string // empty, or ends with a slash
	part   int64  // larger objects are uploaded in parts of this many bytes
}

var _ blob.Bucket = (*Bucket)(nil)

// Open checks the configuration. It does not connect. It fails with Invalid.
func Open(c Config) (*Bucket, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	keys := credentials.NewStaticV4(c.AccessKey, c.SecretKey, c.SessionToken)
	if c.AccessKey == "" {
		keys = credentials.NewChainCredentials([]credentials.Provider{
			&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{},
		})
	}
	core, err := minio.NewCore(c.Endpoint, &minio.Options{Creds: keys, Secure: !c.NoTLS, Region: c.Region})
	if err != nil {
		return nil, slipway.Errorf(slipway.Invalid, "the S3 endpoint %q: %v", c.Endpoint, err)
	}
	b := &Bucket{core: *core, bucket: c.Bucket, part: partBytes}
	if c.Prefix != "" {
		b.prefix = strings.TrimSuffix(c.Prefix, "/") + "/"
	}
	return b, nil
}

// fail turns an answer of the store into an error for the user.
func (b *Bucket) fail(ctx context.Context, key string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("object %q: %w", key, ctx.Err())
	}
	var known *slipway.Error
	if errors.As(err, &known) {
		return err
	}
	answer := minio.ToErrorResponse(err)
	switch {
	case answer.Code == "NoSuchBucket":
		return slipway.Errorf(slipway.Unavailable, "there is no bucket %q", b.bucket).WithHint("create it, or correct its name")
	case answer.Code == "NoSuchKey", answer.StatusCode == http.StatusNotFound:
		return blob.NotFound(key)
	case answer.Code == "PreconditionFailed", answer.StatusCode == http.StatusPreconditionFailed:
		return blob.Exists(key)
	case answer.StatusCode == http.StatusForbidden:
		return slipway.Errorf(slipway.Unavailable, "the bucket %q refuses access: %s", b.bucket, answer.Message).
			WithHint("check the access key and what it may do")
	}
	return fmt.Errorf("%w: %w", slipway.Errorf(slipway.Unavailable, "object %q: the bucket %q cannot be used now", key, b.bucket), err)
}

// Put implements blob.Bucket.
func (b *Bucket) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	return b.write(ctx, key, r, size, false)
}

// Create implements blob.Bucket.
func (b *Bucket) Create(ctx context.Context, key string, r io.Reader, size int64) error {
	return b.write(ctx, key, r, size, true)
}

func (b *Bucket) write(ctx context.Context, key string, r io.Reader, size int64, create bool) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	body, source := rewindable(r, size), &watched{}
	if body == nil {
		source.r = blob.Exact(ctx, key, r, size)
		body = source
		if size == 0 { // nobody would read it
			if _, err := source.Read(make([]byte, 1)); err != io.EOF {
				return err
			}
		}
	}
	err := b.upload(ctx, b.prefix+key, body, size, create)
	if source.err != nil {
		return source.err // rather than what the transport makes of it
	}
	if err != nil {
		return b.fail(ctx, key, err)
	}
	return nil
}

// Get implements blob.Bucket.
func (b *Bucket) Get(ctx context.Context, key string, offset, n int64) (io.ReadCloser, error) {
	if err := blob.CheckGet(key, offset); err != nil {
		return nil, err
	}
	if n == 0 { // a range of nothing cannot be asked for
		_, err := b.Head(ctx, key)
		return http.NoBody, err
	}
	var o minio.GetObjectOptions
	var err error
	switch {
	case n > 0:
		err = o.SetRange(offset, offset+n-1)
	case offset > 0:
		err = o.SetRange(offset, 0)
	}
	if err != nil {
		return nil, slipway.Errorf(slipway.Invalid, "object %q: %v", key, err)
	}
	r, _, _, err := b.core.GetObject(ctx, b.bucket, b.prefix+key, o)
	if err != nil && minio.ToErrorResponse(err).StatusCode == http.StatusRequestedRangeNotSatisfiable {
		return http.NoBody, nil // the offset is at the end or behind it
	}
	if err != nil {
		return nil, b.fail(ctx, key, err)
	}
	return &download{ReadCloser: r, b: b, ctx: ctx, key: key}, nil
}

// download gives errors in the middle of an object their code.
type download struct {
	io.ReadCloser
	b   *Bucket
	ctx context.Context
	key string
}

func (d *download) Read(p []byte) (int, error) {
	n, err := d.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = d.b.fail(d.ctx, d.key, err)
	}
	return n, err
}

// Head implements blob.Bucket.
func (b *Bucket) Head(ctx context.Context, key string) (blob.Info, error) {
	if err := blob.CheckKey(key); err != nil {
		return blob.Info{}, err
	}
	info, err := b.core.StatObject(ctx, b.bucket, b.prefix+key, minio.StatObjectOptions{})
	if err != nil {
		return blob.Info{}, b.fail(ctx, key, err)
	}
	return blob.Info{Key: key, Size: info.Size, Modified: info.LastModified}, nil
}

// List implements blob.Bucket.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(blob.Info{}, err)
			return
		}
		inner, stop := context.WithCancel(ctx)
		defer stop()
		objects := b.core.Client.ListObjects(inner, b.bucket, minio.ListObjectsOptions{Prefix: b.prefix + prefix, Recursive: true})
		for o := range objects {
			if o.Err != nil {
				yield(blob.Info{}, b.fail(ctx, prefix, o.Err))
				return
			}
			if !yield(blob.Info{Key: strings.TrimPrefix(o.Key, b.prefix), Size: o.Size, Modified: o.LastModified}, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(blob.Info{}, err)
		}
	}
}

// Delete implements blob.Bucket.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	err := b.core.Client.RemoveObject(ctx, b.bucket, b.prefix+key, minio.RemoveObjectOptions{})
	if err = ignoreMissing(err); err != nil {
		return b.fail(ctx, key, err)
	}
	return nil
}

func ignoreMissing(err error) error {
	if err != nil && minio.ToErrorResponse(err).Code == "NoSuchKey" {
		return nil
	}
	return err
}
