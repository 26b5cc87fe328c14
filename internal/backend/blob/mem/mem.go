// Package mem is a bucket in memory, for tests and for throw-away work.
package mem

import (
	"bytes"
	"context"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slipway-ml/slipway/internal/backend/blob"
)

// Bucket keeps its objects in memory. The zero value is not ready; use New.
type Bucket struct {
	mu      sync.RWMutex
	objects map[string]object
}

type object struct {
	data     []byte // never modified once stored
	modified time.Time
}

var _ blob.Bucket = (*Bucket)(nil)

// New returns an empty bucket.
func New() *Bucket { return &Bucket{objects: map[string]object{}} }

// Put implements blob.Bucket.
func (b *Bucket) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	return b.write(ctx, key, r, size, true)
}

// Create implements blob.Bucket.
func (b *Bucket) Create(ctx context.Context, key string, r io.Reader, size int64) error {
	return b.write(ctx, key, r, size, false)
}

func (b *Bucket) write(ctx context.Context, key string, r io.Reader, size int64, replace bool) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	data, err := io.ReadAll(blob.Exact(ctx, key, r, size))
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, taken := b.objects[key]; taken && !replace {
		return blob.Exists(key)
	}
	b.objects[key] = object{data: data, modified: time.Now()}
	return nil
}

// Get implements blob.Bucket.
func (b *Bucket) Get(ctx context.Context, key string, offset, n int64) (io.ReadCloser, error) {
	if err := blob.CheckGet(key, offset); err != nil {
		return nil, err
	}
	o, err := b.find(ctx, key)
	if err != nil {
		return nil, err
	}
	data := o.data[min(offset, int64(len(o.data))):]
	if n >= 0 {
		data = data[:min(n, int64(len(data)))]
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

// Head implements blob.Bucket.
func (b *Bucket) Head(ctx context.Context, key string) (blob.Info, error) {
	if err := blob.CheckKey(key); err != nil {
		return blob.Info{}, err
	}
	o, err := b.find(ctx, key)
	if err != nil {
		return blob.Info{}, err
	}
	return blob.Info{Key: key, Size: int64(len(o.data)), Modified: o.modified}, nil
}

func (b *Bucket) find(ctx context.Context, key string) (object, error) {
	if err := ctx.Err(); err != nil {
		return object{}, err
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	o, ok := b.objects[key]
	if !ok {
		return object{}, blob.NotFound(key)
	}
	return o, nil
}

// List implements blob.Bucket.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		b.mu.RLock()
		var infos []blob.Info
		for key, o := range b.objects {
			if strings.HasPrefix(key, prefix) {
				infos = append(infos, blob.Info{Key: key, Size: int64(len(o.data)), Modified: o.modified})
			}
		}
		b.mu.RUnlock()
		slices.SortFunc(infos, func(x, y blob.Info) int { return strings.Compare(x.Key, y.Key) })
		for _, info := range infos {
			if err := ctx.Err(); err != nil {
				yield(blob.Info{}, err)
				return
			}
			if !yield(info, nil) {
				return
			}
		}
	}
}

// Delete implements blob.Bucket.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.objects, key)
	return nil
}
