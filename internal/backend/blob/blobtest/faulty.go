package blobtest

import (
	"context"
	"io"
	"iter"
	"sync"

	"github.com/slipway-ml/slipway/internal/backend/blob"
)

// Call is one call of a bucket, as a Faulty sees it.
type Call struct {
	Method string // "Put", "Create", "Get", "Head", "List" or "Delete"
	Key    string // or the prefix of List
}

// Faulty is a bucket that fails on demand, for tests of what stands on
// buckets.
type Faulty struct {
	blob.Bucket

	mu    sync.Mutex
	fault func(Call) Fault
	calls []Call
}

// Fault says how a call fails. The zero value lets it pass.
type Fault struct {
	// Err is what the call returns, or what the reader of Get and the listing
	// return in the middle.
	Err error
	// After lets Get give this many bytes, and List this many objects, before
	// Err; nothing else looks at it.
	After int64
	// Done lets Put, Create and Delete take effect although they return Err, as
	// happens when only the answer is lost.
	Done bool
}

var _ blob.Bucket = (*Faulty)(nil)

// NewFaulty wraps a bucket. Until Fail is called everything passes.
func NewFaulty(b blob.Bucket) *Faulty { return &Faulty{Bucket: b} }

// Fail asks decide about every call from now on; nil lets all pass.
func (f *Faulty) Fail(decide func(Call) Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = decide
}

// Calls returns the calls so far.
func (f *Faulty) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Call(nil), f.calls...)
}

func (f *Faulty) called(method, key string) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	call := Call{Method: method, Key: key}
	f.calls = append(f.calls, call)
	if f.fault == nil {
		return Fault{}
	}
	return f.fault(call)
}

// Put implements blob.Bucket.
func (f *Faulty) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	fault := f.called("Put", key)
	return fault.write(func() error { return f.Bucket.Put(ctx, key, r, size) })
}

// Create implements blob.Bucket.
func (f *Faulty) Create(ctx context.Context, key string, r io.Reader, size int64) error {
	fault := f.called("Create", key)
	return fault.write(func() error { return f.Bucket.Create(ctx, key, r, size) })
}

// Delete implements blob.Bucket.
func (f *Faulty) Delete(ctx context.Context, key string) error {
	fault := f.called("Delete", key)
	return fault.write(func() error { return f.Bucket.Delete(ctx, key) })
}

func (f Fault) write(do func() error) error {
	if f.Err == nil {
		return do()
	}
	if f.Done {
		if err := do(); err != nil {
			return err
		}
	}
	return f.Err
}

// Get implements blob.Bucket.
func (f *Faulty) Get(ctx context.Context, key string, offset, n int64) (io.ReadCloser, error) {
	fault := f.called("Get", key)
	if fault.Err != nil && fault.After == 0 {
		return nil, fault.Err
	}
	r, err := f.Bucket.Get(ctx, key, offset, n)
	if err != nil || fault.Err == nil {
		return r, err
	}
	return &breaking{ReadCloser: r, left: fault.After, err: fault.Err}, nil
}

// breaking is a reader whose connection breaks.
type breaking struct {
	io.ReadCloser
	left int64
	err  error
}

func (b *breaking) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, b.err
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// Head implements blob.Bucket.
func (f *Faulty) Head(ctx context.Context, key string) (blob.Info, error) {
	if fault := f.called("Head", key); fault.Err != nil {
		return blob.Info{}, fault.Err
	}
	return f.Bucket.Head(ctx, key)
}

// List implements blob.Bucket.
func (f *Faulty) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	fault := f.called("List", prefix)
	return func(yield func(blob.Info, error) bool) {
		left := fault.After
		for info, err := range f.Bucket.List(ctx, prefix) {
			if fault.Err != nil && left == 0 {
				break
			}
			left--
			if !yield(info, err) {
				return
			}
		}
		if fault.Err != nil {
			yield(blob.Info{}, fault.Err)
		}
	}
}
