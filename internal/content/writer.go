package content

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/slipway-ml/slipway"
)

// packFile is what the writer needs of a file; tests put one in its place that
// fails.
type packFile interface {
	WriteAt(b []byte, offset int64) (int, error)
	Sync() error
	Truncate(size int64) error
	Close() error
}

// writer appends records to the one pack that this process owns. Ownership is
// a lock on the pack file, which the kernel gives back when the process dies.
type writer struct {
	s      *Store
	mu     sync.Mutex
	p      *pack
	f      packFile // its file, which holds the lock
	end    int64
	count  int
	broken bool // the end of the pack is not what was meant; nothing may follow
}

// position is a point in a pack up to which a caller wants durability.
type position struct {
	pack *pack
	end  int64
}

// put stores one record unless its content is there already. record has room
// for the header in front of the payload. The content is durable once the
// position is.
func (w *writer) put(ctx context.Context, record []byte, k kind, size int64, digest key) (position, error) {
	if loc, ok := w.s.lookup(digest); ok && loc.kind.recipe() == k.recipe() && !w.s.suspected(digest) && loc.pack.reuse(now()) {
		return position{loc.pack, loc.end()}, nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.p != nil { // another goroutine may have been faster
		w.s.mu.RLock()
		e, ok := w.p.tail[digest]
		w.s.mu.RUnlock()
		if ok && e.kind.recipe() == k.recipe() && !w.s.suspected(digest) {
			return position{w.p, e.end()}, nil
		}
	}
	return w.append(ctx, record, k, size, digest)
}

// append writes the record; w.mu is held.
func (w *writer) append(ctx context.Context, record []byte, k kind, size int64, digest key) (position, error) {
	if err := ctx.Err(); err != nil {
		return position{}, err
	}
	if w.p == nil {
		if err := w.open(ctx); err != nil {
			return position{}, diskError("store content", err)
		}
	}
	encodeRecordHeader(record, w.p.mark, k, size, digest)
	if _, err := w.f.WriteAt(record, w.end); err != nil {
		// What was written of the record must not stay: the next one goes there.
		if w.f.Truncate(w.end) != nil {
			w.broken = true
		}
		if w.broken {
			w.abandon()
		}
		return position{}, diskError("store content", err)
	}
	e := entry{digest: digest, kind: k, offset: w.end, length: uint32(len(record) - recordHeaderSize), size: size}
	w.end = e.end()
	w.count++
	w.s.mu.Lock()
	w.p.tail[digest] = e
	w.p.scanned = w.end
	w.s.mu.Unlock()
	w.p.own.Load().end.Store(w.end)
	w.s.trust(digest) // a new record goes before an older one that is damaged
	at := position{w.p, w.end}
	if w.end >= w.s.o.PackBytes || w.count >= maxPackRecords {
		w.roll()
	}
	return at, nil
}

func (w *writer) use(p *pack, f *os.File, end int64, count int) {
	w.p, w.f, w.end, w.count, w.broken = p, w.s.wrap(f), end, count, false
	own := &ownFile{f: w.f}
	own.end.Store(end)
	p.own.Store(own)
}

// roll finishes the current pack in the background; the next record starts
// another. At most two packs are being finished, then writers wait.
func (w *writer) roll() {
	p, f := w.p, w.f
	end := w.end
	w.forget()
	w.s.seals <- struct{}{}
	w.s.sealing.Go(func() {
		defer func() { <-w.s.seals }()
		// If this fails nothing is lost yet: whoever waits for the pack meets the
		// same error, and the index is made when the pack is next opened.
		_ = w.s.seal(p, f, end, true)
	})
}

func (w *writer) forget() {
	w.p, w.f, w.end, w.count = nil, nil, 0, 0
}

// abandon gives up a pack whose end cannot be trusted. Its whole records stay
// readable; the torn one is cut off by whoever adopts the pack.
func (w *writer) abandon() {
	p, f := w.p, w.f
	w.forget()
	p.own.Store(nil)
	f.Close()
}

// seal makes a pack durable and writes its index.
func (s *Store) seal(p *pack, f packFile, end int64, full bool) error {
	err := p.sync.wait(end, p.flush)
	p.own.Store(nil)
	defer f.Close() // and with it the lock
	if err != nil {
		return err
	}
	s.mu.RLock()
	entries := p.entries()
	s.mu.RUnlock()
	b := encodeIndex(entries, end, p.mark, full)
	if err := s.replaceFile(s.indexPath(p.id), b); err != nil {
		return err
	}
	idx, err := decodeIndex(b)
	if full {
		idx, err = openIndex(s.indexPath(p.id))
	}
	if err != nil {
		return err
	}
	return s.takeIndex(p, idx)
}

// finish seals the current pack as far as it goes and lets it go.
func (w *writer) finish() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.p == nil {
		return nil
	}
	p, f, end := w.p, w.f, w.end
	w.forget()
	return diskError("close the content store", w.s.seal(p, f, end, false))
}

// wait returns when everything at the positions is durable. It fails with
// Unavailable if the disk refuses; then the content counts as not stored.
func (w *writer) wait(at ...position) error {
	for _, a := range at {
		if err := a.pack.sync.wait(a.end, a.pack.flush); err != nil {
			w.lost(a.pack)
			return fmt.Errorf("%w: %w", slipway.Errorf(slipway.Unavailable, "store content: the disk did not confirm the write"), err)
		}
	}
	return nil
}

// lost forgets what an fsync that failed may have left anywhere: no later
// write may rely on it.
func (w *writer) lost(p *pack) {
	w.mu.Lock()
	if w.p == p {
		w.abandon()
	}
	w.mu.Unlock()
	p.sync.mu.Lock()
	done := p.sync.done
	p.sync.mu.Unlock()
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	for k, e := range p.tail {
		if e.end() > done {
			delete(p.tail, k)
		}
	}
}

// replaceFile writes a small file so that it is whole or absent.
func (s *Store) replaceFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Join(s.dir, "tmp"), "replace-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.Write(b); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
