package content

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/slipway-ml/slipway"
)

// lookup finds content in the local packs as they are known now.
func (s *Store) lookup(k key) (place, bool) {
	s.mu.RLock()
	loc, ok, build := s.here.find(k)
	s.mu.RUnlock()
	if build {
		s.mu.Lock()
		s.here.build(s.order)
		s.mu.Unlock()
	}
	return loc, ok
}

// locate finds content in local packs, reading the directory again on a miss,
// then in the remote's. It fails with NotFound.
func (s *Store) locate(ctx context.Context, k key) (place, error) {
	if loc, ok := s.lookup(k); ok {
		return loc, nil
	}
	if loc, ok := s.knownRemote(k); ok {
		return loc, nil // reading the directory for each chunk of it would be slow
	}
	if err := s.refresh(ctx); err != nil {
		return place{}, err
	}
	if loc, ok := s.lookup(k); ok {
		return loc, nil
	}
	if loc, ok, err := s.lookupRemote(ctx, k); err != nil || ok {
		return loc, err
	}
	return place{}, notFound(k.digest())
}

// load reads the list of packs once.
func (s *Store) load(ctx context.Context) error {
	s.mu.RLock()
	loaded := s.loaded
	s.mu.RUnlock()
	if loaded {
		return nil
	}
	return s.refresh(ctx)
}

// refresh brings the view of the pack directory up to date: packs that came
// and went, and records that other processes appended.
func (s *Store) refresh(ctx context.Context) error {
	s.refreshing.Lock()
	defer s.refreshing.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	// A pack that this process makes after the directory was read is missing from
	// the names, but not gone.
	s.mu.RLock()
	known := slices.Clone(s.order)
	s.mu.RUnlock()
	names, err := os.ReadDir(filepath.Join(s.dir, "packs"))
	if err != nil {
		return diskError("list packs", err)
	}
	present := map[string]bool{}
	for _, name := range names {
		id, isPack := strings.CutSuffix(name.Name(), ".pack")
		if !isPack {
			id, isPack = strings.CutSuffix(name.Name(), ".dying")
		}
		if isPack {
			present[id] = true
		}
	}
	s.dropAbsent(known, present)
	s.loadSuspects()
	for id := range present {
		if err := s.refreshPack(id); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.loaded = true
	s.mu.Unlock()
	return nil
}

// dropAbsent forgets the packs among known that are gone.
func (s *Store) dropAbsent(known []*pack, present map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range known {
		if !present[p.id] && s.packs[p.id] == p {
			p.close()
			delete(s.packs, p.id)
		}
	}
	s.reorder()
}

// reorder rebuilds the search order; newer packs have greater ids. Store.mu
// must be held.
func (s *Store) reorder() {
	s.order = s.order[:0:0]
	for _, p := range s.packs {
		s.order = append(s.order, p)
	}
	slices.SortFunc(s.order, func(x, y *pack) int { return cmp.Compare(y.id, x.id) })
	s.here.arrange(s.order)
}

// refreshPack opens a pack that is new to this process and reads what was
// appended to one that is not full. s.refreshing is held.
func (s *Store) refreshPack(id string) error {
	s.mu.RLock()
	p := s.packs[id]
	done := p != nil && (p.sealed() || p.own.Load() != nil)
	s.mu.RUnlock()
	if done {
		return nil
	}
	fresh := p == nil
	if fresh {
		p = s.newPack(id)
		if err := s.useIndex(p); err != nil {
			return diskError("open an index", err)
		}
	}
	s.mu.RLock()
	sealed := p.sealed() // its writer in this process may seal it meanwhile
	s.mu.RUnlock()
	if !sealed {
		if err := s.scanTail(p); errors.Is(err, fs.ErrNotExist) || errors.Is(err, errDamaged) {
			return nil // collected meanwhile, or killed before its header was written
		} else if err != nil {
			return diskError("read a pack", err)
		}
	}
	if fresh {
		s.mu.Lock()
		s.packs[id] = p
		s.reorder()
		s.mu.Unlock()
	}
	return nil
}

// useIndex opens the index beside a pack. One that is missing, damaged, or
// speaks of more than the pack holds is passed over: the pack is scanned.
func (s *Store) useIndex(p *pack) error {
	idx, err := openIndex(s.indexPath(p.id))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errDamaged) {
		return nil
	}
	if err != nil {
		return err
	}
	info, err := os.Stat(p.path)
	if err != nil || info.Size() < idx.covered {
		idx.close()
		return ignoreNotExist(err)
	}
	p.idx, p.mark, p.scanned = idx, idx.mark, idx.covered
	p.sync.covers(idx.covered)
	return nil
}

func ignoreNotExist(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// scanTail reads the records behind what is known of p.
func (s *Store) scanTail(p *pack) error {
	f, err := p.reader()
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	s.mu.RLock()
	from := p.scanned
	s.mu.RUnlock()
	if from == 0 {
		header := make([]byte, packHeaderSize)
		if _, err := f.ReadAt(header, 0); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if p.mark, err = decodePackHeader(header); err != nil {
			return err
		}
		from = packHeaderSize
	}
	found, err := scanRecords(f, p.mark, from, info.Size())
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range found.entries {
		p.tail[e.digest] = e
	}
	p.scanned = found.end
	return nil
}

// record reads and checks the record at a place. When the pack has been
// rewritten meanwhile, the content is looked for anew.
func (s *Store) record(ctx context.Context, loc place) ([]byte, error) {
	for attempt := 0; ; attempt++ {
		record, err := loc.pack.readAt(ctx, loc.offset, recordHeaderSize+int64(loc.length))
		if err == nil {
			var payload []byte
			if payload, err = checkRecord(record, loc.pack.mark, loc.entry); err == nil {
				return payload, nil
			}
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if attempt == 3 || slipway.IsCode(err, slipway.Unavailable) {
			return nil, s.readError(loc, err)
		}
		next, again := s.elsewhere(ctx, loc, err)
		if again != nil {
			return nil, again
		}
		loc = next
	}
}

func (s *Store) readError(loc place, err error) error {
	if errors.Is(err, errDamaged) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		if loc.pack.bucket == nil {
			s.suspect(loc.digest)
		}
		return damaged(loc.digest.digest(), err)
	}
	return diskError(fmt.Sprintf("read content %s", loc.digest.digest().Short()), err)
}

// elsewhere finds the content of a place that could not be read: in its new
// pack if garbage collection moved it, in any other copy if it is damaged.
func (s *Store) elsewhere(ctx context.Context, loc place, cause error) (place, error) {
	if err := s.refresh(ctx); err != nil {
		return place{}, err
	}
	s.mu.RLock()
	for _, p := range s.order {
		if e, ok := p.find(loc.digest); ok && (p != loc.pack || !errors.Is(cause, errDamaged)) {
			s.mu.RUnlock()
			return place{e, p}, nil
		}
	}
	s.mu.RUnlock()
	if loc.pack.bucket == nil {
		if found, ok, err := s.lookupRemote(ctx, loc.digest); err == nil && ok {
			return found, nil
		}
	}
	if errors.Is(cause, fs.ErrNotExist) {
		return place{}, notFound(loc.digest.digest())
	}
	return place{}, s.readError(loc, cause)
}
