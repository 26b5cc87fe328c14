package s3

import (
	"context"
	"io"

	"github.com/minio/minio-go/v7"
)

// partBytes lets a pack of 64 MB go up in one request.
const partBytes = 128 << 20

// maxParts is how many parts S3 allows.
const maxParts = 10_000

func (b *Bucket) upload(ctx context.Context, name string, body io.Reader, size int64, create bool) error {
	o := minio.PutObjectOptions{}
	if create {
		o.SetMatchETagExcept("*")
	}
	if size > b.part {
		return b.uploadParts(ctx, name, body, size, o)
	}
	o.DisableMultipart = true
	_, err := b.core.Client.PutObject(ctx, b.bucket, name, body, size, o)
	return err
}

// uploadParts uploads a large object. The client's own function for it drops
// the condition from the request that makes the parts an object.
func (b *Bucket) uploadParts(ctx context.Context, name string, body io.Reader, size int64, o minio.PutObjectOptions) error {
	id, err := b.core.NewMultipartUpload(ctx, b.bucket, name, minio.PutObjectOptions{})
	if err != nil {
		return err
	}
	parts, err := b.sendParts(ctx, name, id, body, size)
	if err == nil {
		_, err = b.core.CompleteMultipartUpload(ctx, b.bucket, name, id, parts, o)
	}
	if err != nil {
		// Parts cost money until they are removed, also when ctx has ended. If this
		// fails too, the bucket's lifecycle rule for unfinished uploads remains.
		_ = b.core.AbortMultipartUpload(context.WithoutCancel(ctx), b.bucket, name, id)
	}
	return err
}

func (b *Bucket) sendParts(ctx context.Context, name, id string, body io.Reader, size int64) ([]minio.CompletePart, error) {
	length := max(b.part, (size+maxParts-1)/maxParts)
	at, rewinds := body.(io.ReaderAt)
	var parts []minio.CompletePart
	for offset := int64(0); offset < size; offset += length {
		n := min(length, size-offset)
		var section io.Reader = io.LimitReader(body, n)
		if rewinds {
			section = io.NewSectionReader(at, offset, n)
		}
		part, err := b.core.PutObjectPart(ctx, b.bucket, name, id, len(parts)+1, section, n, minio.PutObjectPartOptions{})
		if err != nil {
			return nil, err
		}
		parts = append(parts, minio.CompletePart{PartNumber: part.PartNumber, ETag: part.ETag})
	}
	return parts, nil
}

// rewindable returns a view of r that an upload may read again after a failed
// attempt, or nil if r is not that or not of this size.
func rewindable(r io.Reader, size int64) io.Reader {
	at, ok := r.(interface {
		io.ReaderAt
		io.Seeker
	})
	if !ok {
		return nil
	}
	from, err := at.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil
	}
	end, err := at.Seek(0, io.SeekEnd)
	if err != nil || end-from != size {
		at.Seek(from, io.SeekStart)
		return nil
	}
	return io.NewSectionReader(at, from, size)
}

// watched remembers the error of a reader.
type watched struct {
	r   io.Reader
	err error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}
