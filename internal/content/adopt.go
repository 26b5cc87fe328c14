package content

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

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
	s.here.arrange(s.order)
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
