package content

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/slipway-ml/slipway"
	"golang.org/x/sys/unix"
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
	if loc, ok := w.s.lookup(digest); ok && loc.kind.recipe() == k.recipe() && loc.pack.reuse(now()) {
		return position{loc.pack, loc.end()}, nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.p != nil { // another goroutine may have been faster
		w.s.mu.RLock()
		e, ok := w.p.tail[digest]
		w.s.mu.RUnlock()
		if ok && e.kind.recipe() == k.recipe() {
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
	at := position{w.p, w.end}
	if w.end >= w.s.o.PackBytes || w.count >= maxPackRecords {
		w.roll()
	}
	return at, nil
}

// open takes over a pack that nobody is writing, or starts one.
func (w *writer) open(ctx context.Context) error {
	if err := w.s.refresh(ctx); err != nil {
		return err
	}
	w.s.mu.RLock()
	var free, full []*pack
	for _, p := range w.s.order {
		switch {
		case p.sealed() || p.own.Load() != nil || p.sync.failed() != nil:
		case p.scanned < w.s.o.PackBytes:
			free = append(free, p)
		default:
			full = append(full, p)
		}
	}
	w.s.mu.RUnlock()
	for _, p := range full {
		if err := w.s.reindex(p); err != nil {
			return err
		}
	}
	for _, p := range free {
		if ok, err := w.adopt(p); ok || err != nil {
			return err
		}
	}
	return w.create()
}

// adopt continues an unfinished pack if no other process holds it.
func (w *writer) adopt(p *pack) (bool, error) {
	f, err := lockPack(p.path)
	if f == nil {
		return false, err
	}
	w.s.refreshing.Lock() // nobody else may scan the pack while it becomes ours
	defer w.s.refreshing.Unlock()
	end, count, err := w.s.growable(p)
	if err == nil && end > 0 {
		err = cutTail(f, end)
	}
	if err != nil || end == 0 {
		f.Close()
		return false, err
	}
	w.use(p, f, end, count)
	return true, nil
}

// growable returns where the next record of a pack goes and how many it holds,
// or 0 if the pack is full. The pack is locked, s.refreshing held.
func (s *Store) growable(p *pack) (end int64, count int, err error) {
	// The writer that has just let go of the pack may have sealed it since this
	// process looked, and nobody reads behind the end of a sealed pack.
	if idx, err := openIndex(s.indexPath(p.id)); err == nil {
		sealed := idx.sealed
		idx.close()
		if sealed {
			return 0, 0, nil
		}
	}
	if err := s.scanTail(p); err != nil {
		return 0, 0, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	count = len(p.tail)
	if p.idx != nil {
		count += p.idx.count
	}
	if p.scanned >= s.o.PackBytes || count >= maxPackRecords {
		return 0, 0, nil
	}
	return p.scanned, count, nil
}

// reindex writes the index of a full pack whose writer was killed before it
// did.
func (s *Store) reindex(p *pack) error {
	f, err := lockPack(p.path)
	if f == nil {
		return err
	}
	s.refreshing.Lock()
	defer s.refreshing.Unlock()
	if idx, err := openIndex(s.indexPath(p.id)); err == nil && idx.sealed {
		f.Close() // its writer did after all
		return s.takeIndex(p, idx)
	}
	if err := s.scanTail(p); err != nil {
		f.Close()
		return err
	}
	return s.seal(p, f, p.scanned, true)
}

// takeIndex lets idx speak for the whole pack.
func (s *Store) takeIndex(p *pack, idx *index) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.packs[p.id] != p {
		idx.close()
		return nil
	}
	p.idx.close()
	p.idx, p.tail, p.scanned = idx, map[key]entry{}, idx.covered
	return nil
}

// cutTail removes a torn record that a killed writer left.
func cutTail(f *os.File, end int64) error {
	info, err := f.Stat()
	if err != nil || info.Size() <= end {
		return err
	}
	return f.Truncate(end)
}

// lockPack opens a pack and takes its lock. It returns nil if another process
// has it, or if the pack is gone.
func lockPack(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR) {
			return nil, nil
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	// Between opening and locking the file may have been deleted.
	mine, err := f.Stat()
	if err == nil {
		var named fs.FileInfo
		if named, err = os.Stat(path); err == nil && os.SameFile(mine, named) {
			return f, nil
		}
	}
	f.Close()
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return nil, err
}

// create starts a pack under a name that sorts after older ones.
func (w *writer) create() error {
	id := fmt.Sprintf("%016x-%s", now().UnixMicro(), rand.Text()[:8])
	path := w.s.packPath(id)
	temp := filepath.Join(w.s.dir, "tmp", id+".pack")
	f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	p := w.s.newPack(id)
	p.mark, p.scanned = newMark(), packHeaderSize
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) // before anybody can see it
	if err == nil {
		_, err = w.s.wrap(f).WriteAt(encodePackHeader(p.mark), 0)
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		f.Close()
		os.Remove(temp)
		os.Remove(path)
		return err
	}
	w.use(p, f, packHeaderSize, 0)
	w.s.mu.Lock()
	w.s.packs[id] = p
	w.s.reorder()
	w.s.mu.Unlock()
	return nil
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
