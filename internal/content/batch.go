package content

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/slipway-ml/slipway"
)

// Batch stores many pieces of content and makes them durable together: one
// fsync a pack instead of one a piece. Nothing counts as stored before Commit
// has returned nil. Its methods may be called from several goroutines; a batch
// that is not committed needs no clean-up, what it wrote is garbage.
type Batch struct {
	s   *Store
	ctx context.Context

	mu      sync.Mutex
	at      []position
	recipes []chunked // written by Commit, when their chunks are durable
	folders map[string]struct{}
}

// Batch starts a batch. ctx ends all its work.
func (s *Store) Batch(ctx context.Context) *Batch {
	return &Batch{s: s, ctx: ctx, folders: map[string]struct{}{}}
}

// Put stores everything r gives; see Store.Put.
func (b *Batch) Put(r io.Reader) (slipway.Digest, int64, error) { return b.put(r, false) }

// PutStream stores everything r gives; see Store.PutStream.
func (b *Batch) PutStream(r io.Reader) (slipway.Digest, int64, error) { return b.put(r, true) }

// put stores everything r gives; as a stream, much of it is not cut.
func (b *Batch) put(r io.Reader, stream bool) (slipway.Digest, int64, error) {
	buf := records.Get().(*[]byte)
	defer records.Put(buf)
	r = withContext(b.ctx, r)
	n, err := readUpTo(r, (*buf)[recordHeaderSize:])
	if err != nil {
		return "", 0, err
	}
	if n <= wholeLimit {
		return b.putRecord((*buf)[:recordHeaderSize+n])
	}
	head := (*buf)[recordHeaderSize:][:n]
	if isParquet(head) {
		return b.putWhole(nil, io.MultiReader(bytes.NewReader(head), r))
	}
	if !stream {
		return b.putCut(io.MultiReader(bytes.NewReader(head), r))
	}
	more := make([]byte, streamLimit-n)
	m, err := readUpTo(r, more)
	if err != nil {
		return "", 0, err
	}
	all := io.MultiReader(bytes.NewReader(head), bytes.NewReader(more[:m]), r)
	if m < len(more) {
		return b.putCut(all)
	}
	return b.putWhole(nil, all)
}

// PutFile stores a file; see Store.PutFile.
func (b *Batch) PutFile(path string) (slipway.Digest, int64, error) {
	f, info, err := openRegular(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	if info.Size() <= wholeLimit {
		return b.Put(f) // which copes with a file that is growing
	}
	head := make([]byte, 4)
	if _, err := f.ReadAt(head, 0); err == nil && isParquet(head) {
		return b.putWhole(f, withContext(b.ctx, f))
	}
	return b.putCut(f)
}

// putRecord stores content of up to 1 MB; record has room for its header.
func (b *Batch) putRecord(record []byte) (slipway.Digest, int64, error) {
	if err := b.s.load(b.ctx); err != nil {
		return "", 0, err
	}
	payload := record[recordHeaderSize:]
	digest := key(sha256.Sum256(payload))
	at, err := b.s.writer.put(b.ctx, record, bytesKind(payload), int64(len(payload)), digest)
	if err != nil {
		return "", 0, err
	}
	b.mu.Lock()
	b.at = furthest(b.at, at)
	b.mu.Unlock()
	return digest.digest(), int64(len(payload)), nil
}

func (b *Batch) putCut(r io.Reader) (slipway.Digest, int64, error) {
	if err := b.s.load(b.ctx); err != nil {
		return "", 0, err
	}
	c, err := b.s.putChunks(b.ctx, r)
	if err != nil {
		return "", 0, err
	}
	if len(c.recipe) > maxPayload {
		return "", 0, slipway.Errorf(slipway.Invalid, "content of %d bytes is too large to store", c.size)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, at := range c.at {
		b.at = furthest(b.at, at)
	}
	b.recipes = append(b.recipes, c)
	return c.digest.digest(), c.size, nil
}

// Commit makes everything put so far durable. It fails with Unavailable; then
// nothing of the batch may be counted on, and it is to be put again.
func (b *Batch) Commit() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.ctx.Err(); err != nil {
		return err
	}
	if err := b.syncFolders(); err != nil {
		return diskError("store content", err)
	}
	// A recipe must not be durable before its chunks are: after a power failure
	// the content would seem to be there, and would never be stored again.
	if err := b.s.writer.wait(b.at...); err != nil {
		return err
	}
	b.at = nil
	for _, c := range b.recipes {
		at, err := b.s.writer.put(b.ctx, c.recipe, c.kind, c.size, c.digest)
		if err != nil {
			return err
		}
		b.at = furthest(b.at, at)
	}
	if err := b.s.writer.wait(b.at...); err != nil {
		return err
	}
	b.at, b.recipes = nil, nil
	return nil
}

// Stored is one file that PutFiles stored.
type Stored struct {
	Digest slipway.Digest
	Size   int64 // bytes
}

// PutFiles stores many files on all processors and calls done (unless nil,
// from one goroutine at a time) after each. The result has the order of paths.
// The first error ends it.
func (b *Batch) PutFiles(paths []string, done func(path string, f Stored)) ([]Stored, error) {
	out := make([]Stored, len(paths))
	var next atomic.Int64
	var work sync.WaitGroup
	var mu sync.Mutex
	var first error
	for range min(len(paths), 2*runtime.GOMAXPROCS(0)) {
		work.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(paths) {
					return
				}
				d, n, err := b.PutFile(paths[i])
				mu.Lock()
				if err != nil && first == nil {
					first = err
				}
				stop := first != nil
				if !stop {
					out[i] = Stored{Digest: d, Size: n}
					if done != nil {
						done(paths[i], out[i])
					}
				}
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	work.Wait()
	return out, first
}
