// Package content is the content-addressed store: bytes go in, their SHA-256
// names them, and the same bytes are kept once. Datasets, artifacts, models and
// code snapshots are kept here; databases hold digests only.
//
// Content has one identity and two forms:
//
//   - Packs are the durable form: files of about 64 MB to which records are
//     appended, with an index beside each. Content up to 1 MB is one record.
//     Larger content is cut where its bytes say so (FastCDC, 64 KB on average),
//     so that versions that differ little share most chunks.
//   - Whole files are what other programs can read: read-only, with a fixed time
//     that betrays a change. Those under files/ are a bounded cache made from
//     packs. Parquet above 1 MB is never cut (its pages are compressed, so cuts
//     would share little); it is kept once, under whole/, and is durable there.
//
// A directory may be open in several processes. Each appends to a pack of its
// own, and finds those of others when it misses something. After kill -9 at any
// moment a torn record at the end of a pack is ignored and nothing that was
// acknowledged is lost; the same holds for power failures, because Put and
// Batch.Commit return after fsync.
//
// Content that is read from packs is checked against its digest each time.
// Whole files are checked by size and time, and in full by Verify.
package content

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/blob"
)

// Options sets up a Store. The zero value is a store on disk alone.
type Options struct {
	// Remote holds content that is not on this disk, and receives what Push
	// sends. It may be nil.
	Remote blob.Bucket

	// CacheBytes bounds files/; 0 means 20 GB. What was handed out in the last
	// ten minutes stays even above the bound.
	CacheBytes int64

	// PackBytes is the size at which a pack is finished; 0 means 64 MB.
	PackBytes int64
}

const (
	defaultCacheBytes = 20 << 30
	defaultPackBytes  = 64 << 20
	maxPackRecords    = 1 << 16
	wholeLimit        = 1 << 20 // larger content is cut, or kept whole if it is Parquet
)

// Store is an open content store. It is safe for concurrent use.
type Store struct {
	dir  string
	o    Options
	wrap func(*os.File) packFile // replaced in tests that make the disk fail

	refreshing sync.Mutex   // held while the pack directory is read
	listing    sync.Mutex   // held while the remote is listed
	mu         sync.RWMutex // guards what follows, and the tails of packs
	loaded     bool
	packs      map[string]*pack
	order      []*pack // newest first
	remote     []*pack // nil until asked for
	here, far  finder  // over order and over remote

	writer  writer
	sealing sync.WaitGroup
	seals   chan struct{} // bounds the packs being sealed

	files     openFiles
	making    [256]chan struct{} // one whole file a first byte is made at a time
	cacheUsed atomic.Int64       // bytes in files/, or unknownUsage
	evicting  sync.Mutex
	noClone   sync.Map // devices that cannot clone files
	suspects  suspects
}

const unknownUsage = -1

// Open opens the store in dir, making it if needed. It reads no content. It
// fails with Unavailable if the directory cannot be made, with Invalid for a
// bad option.
func Open(dir string, o Options) (*Store, error) {
	if o.CacheBytes < 0 || o.PackBytes < 0 || o.PackBytes > 1<<31 {
		return nil, slipway.Errorf(slipway.Invalid, "content store: the sizes of cache and packs must not be negative, packs at most 2 GiB")
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = defaultCacheBytes
	}
	if o.PackBytes == 0 {
		o.PackBytes = defaultPackBytes
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("content store: %w", err)
	}
	s := &Store{dir: dir, o: o, packs: map[string]*pack{}, seals: make(chan struct{}, 2)}
	s.wrap = func(f *os.File) packFile { return f }
	s.writer.s = s
	s.cacheUsed.Store(unknownUsage)
	for i := range s.making {
		s.making[i] = make(chan struct{}, 1)
	}
	for _, sub := range []string{"packs", "whole", "files", "remote", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, diskError("open the content store", err)
		}
	}
	s.loadSuspects()
	return s, nil
}

// Close makes everything written durable, writes the index of the current pack
// and lets another process continue it. The store must not be used after.
func (s *Store) Close() error {
	err := s.writer.finish()
	s.sealing.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range append(s.order, s.remote...) {
		p.close()
	}
	s.packs, s.order, s.remote = map[string]*pack{}, nil, nil
	s.here.arrange(nil)
	s.far.arrange(nil)
	s.loaded = false
	return err
}

// Has says for each digest whether the store, or its remote, holds it. A
// malformed digest fails with Invalid.
func (s *Store) Has(ctx context.Context, ds ...slipway.Digest) ([]bool, error) {
	found := make([]bool, len(ds))
	sizes, err := s.sizes(ctx, ds)
	for i, n := range sizes {
		found[i] = n >= 0
	}
	return found, err
}

// Missing returns those of ds that neither the store nor its remote holds.
func (s *Store) Missing(ctx context.Context, ds ...slipway.Digest) ([]slipway.Digest, error) {
	found, err := s.Has(ctx, ds...)
	var missing []slipway.Digest
	for i, d := range ds {
		if !found[i] {
			missing = append(missing, d)
		}
	}
	return missing, err
}

// Size returns the length of the content in bytes. It fails with NotFound.
func (s *Store) Size(ctx context.Context, d slipway.Digest) (int64, error) {
	sizes, err := s.sizes(ctx, []slipway.Digest{d})
	if err != nil {
		return 0, err
	}
	if sizes[0] < 0 {
		return 0, notFound(d)
	}
	return sizes[0], nil
}

func (s *Store) sizes(ctx context.Context, ds []slipway.Digest) ([]int64, error) {
	sizes := make([]int64, len(ds))
	fresh := false
	for i, d := range ds {
		sizes[i] = -1
		k, err := parseKey(d)
		if err != nil {
			return sizes, err
		}
		if s.suspected(k) && !s.sound(ctx, d, k) {
			continue // as if it were not there: who has it may send it again
		}
		if loc, ok := s.lookup(k); ok {
			sizes[i] = loc.size
			continue
		}
		if n, ok := s.wholeSize(d); ok {
			sizes[i] = n
			continue
		}
		if !fresh { // another process may have written it
			if err := s.refresh(ctx); err != nil {
				return sizes, err
			}
			fresh = true
			if loc, ok := s.lookup(k); ok {
				sizes[i] = loc.size
			}
		}
	}
	return sizes, s.remoteSizes(ctx, ds, sizes)
}

func notFound(d slipway.Digest) error {
	return slipway.Errorf(slipway.NotFound, "there is no content %s", d)
}

func damaged(d slipway.Digest, err error) error {
	return fmt.Errorf("%w: %w", slipway.Errorf(slipway.Internal, "the content %s is damaged on disk", d).
		WithHint("`slipway data pull` restores it from a remote, `slipway data add` from the file; `slipway data fsck` says which versions need it"), err)
}

// diskError gives an error of the operating system the code it deserves.
func diskError(doing string, err error) error {
	var known *slipway.Error
	switch {
	case err == nil || errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: %w", slipway.Errorf(slipway.Unavailable, "%s: the disk is full", doing).
			WithHint("free some space, or run garbage collection, and try again"), err)
	case errors.Is(err, syscall.EIO), errors.Is(err, syscall.EROFS), errors.Is(err, os.ErrPermission), errors.Is(err, syscall.EMFILE):
		return fmt.Errorf("%w: %w", slipway.Errorf(slipway.Unavailable, "%s: %v", doing, err), err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// now is the machine's clock: ages of files on disk have no event time.
func now() time.Time { return time.Now() }
