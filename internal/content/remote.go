package content

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/slipway-ml/slipway"
)

// A remote holds packs/<id>.pack with packs/<id>.idx, and whole/<aa>/<digest>.
// Packs there are never changed. A pack counts from the moment its index is
// there, which is written after it.

func remotePack(id string) string  { return "packs/" + id + ".pack" }
func remoteIndex(id string) string { return "packs/" + id + ".idx" }
func remoteWhole(d slipway.Digest) string {
	return "whole/" + string(d[:2]) + "/" + string(d)
}

// lookupRemote finds content in the packs of the remote, reading their list
// again on a miss.
func (s *Store) lookupRemote(ctx context.Context, k key) (place, bool, error) {
	if s.o.Remote == nil {
		return place{}, false, nil
	}
	if loc, ok := s.knownRemote(k); ok {
		return loc, true, nil
	}
	if err := s.refreshRemote(ctx); err != nil {
		return place{}, false, err
	}
	loc, ok := s.knownRemote(k)
	return loc, ok, nil
}

func (s *Store) knownRemote(k key) (place, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, p := range s.remote {
		if e, ok := p.find(k); ok {
			return place{e, p}, true
		}
	}
	return place{}, false
}

// refreshRemote fetches the indexes of packs that are new to this machine.
func (s *Store) refreshRemote(ctx context.Context) error {
	s.listing.Lock()
	defer s.listing.Unlock()
	s.mu.RLock()
	known := map[string]*pack{}
	for _, p := range s.remote {
		known[p.id] = p
	}
	s.mu.RUnlock()
	var packs []*pack
	for info, err := range s.o.Remote.List(ctx, "packs/") {
		if err != nil {
			return fmt.Errorf("list the remote: %w", err)
		}
		id, ok := strings.CutSuffix(strings.TrimPrefix(info.Key, "packs/"), ".idx")
		if !ok || strings.Contains(id, "/") {
			continue
		}
		p := known[id]
		if p == nil {
			idx, err := s.remoteIndex(ctx, id, info.Size)
			if errors.Is(err, errDamaged) {
				continue // as good as not there; Push will send its content again
			}
			if err != nil {
				return err
			}
			p = &pack{id: id, bucket: s.o.Remote, mark: idx.mark, idx: idx, scanned: idx.covered}
		}
		packs = append(packs, p)
		delete(known, id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, gone := range known {
		gone.close()
		os.Remove(filepath.Join(s.dir, "remote", gone.id+".idx"))
	}
	s.remote = packs
	return nil
}

// remoteIndex opens the index of a remote pack, from this machine if it was
// fetched before.
func (s *Store) remoteIndex(ctx context.Context, id string, size int64) (*index, error) {
	path := filepath.Join(s.dir, "remote", id+".idx")
	idx, err := openIndex(path)
	if err == nil && int64(len(idx.data)) == size {
		return idx, nil
	}
	idx.close()
	b, err := s.fetchAll(ctx, remoteIndex(id))
	if err != nil {
		return nil, err
	}
	if idx, err = decodeIndex(b); err == nil {
		err = idx.checkBody()
	}
	if err != nil {
		return nil, err
	}
	if err := s.replaceFile(path, b); err != nil {
		return nil, diskError("keep an index of the remote", err)
	}
	return openIndex(path)
}

func (s *Store) fetchAll(ctx context.Context, name string) ([]byte, error) {
	r, err := s.o.Remote.Get(ctx, name, 0, -1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read %s from the remote: %w", name, err)
	}
	return b, nil
}

// remoteSizes fills in the sizes (-1 so far) of content that the remote has.
func (s *Store) remoteSizes(ctx context.Context, ds []slipway.Digest, sizes []int64) error {
	if s.o.Remote == nil {
		return nil
	}
	var unknown []int
	fresh := false
	for i, d := range ds {
		if sizes[i] >= 0 {
			continue
		}
		k, err := parseKey(d)
		if err != nil {
			return err
		}
		loc, ok := s.knownRemote(k)
		if !ok && !fresh {
			if err := s.refreshRemote(ctx); err != nil {
				return err
			}
			fresh = true
			loc, ok = s.knownRemote(k)
		}
		if ok {
			sizes[i] = loc.size
		} else {
			unknown = append(unknown, i)
		}
	}
	return s.remoteWholeSizes(ctx, ds, sizes, unknown)
}

// remoteWholeSizes asks for each digest whether it is kept whole, sixteen at a
// time.
func (s *Store) remoteWholeSizes(ctx context.Context, ds []slipway.Digest, sizes []int64, unknown []int) error {
	return inParallel(16, unknown, func(i int) error {
		info, err := s.o.Remote.Head(ctx, remoteWhole(ds[i]))
		if slipway.IsCode(err, slipway.NotFound) {
			return nil
		}
		if err == nil {
			sizes[i] = info.Size
		}
		return err
	})
}

// inParallel runs do for each item in n goroutines and returns the first error.
func inParallel[T any](n int, items []T, do func(T) error) error {
	var work sync.WaitGroup
	var mu sync.Mutex
	var first error
	next := 0
	for range min(n, len(items)) {
		work.Go(func() {
			for {
				mu.Lock()
				if first != nil || next == len(items) {
					mu.Unlock()
					return
				}
				item := items[next]
				next++
				mu.Unlock()
				if err := do(item); err != nil {
					mu.Lock()
					if first == nil {
						first = err
					}
					mu.Unlock()
				}
			}
		})
	}
	work.Wait()
	return first
}

// fetchWhole copies content that the remote keeps whole to path, which is in
// whole/ or files/.
func (s *Store) fetchWhole(ctx context.Context, d slipway.Digest, path string) (string, error) {
	r, err := s.o.Remote.Get(ctx, remoteWhole(d), 0, -1)
	if slipway.IsCode(err, slipway.NotFound) {
		return "", notFound(d)
	}
	if err != nil {
		return "", err
	}
	defer r.Close()
	var size int64
	made, err := s.materialise(d, path, func(f *os.File) error {
		sum := sha256.New()
		n, err := io.Copy(io.MultiWriter(f, sum), withContext(ctx, r))
		if err == nil && key(sum.Sum(nil)).digest() != d {
			err = damaged(d, fmt.Errorf("in the remote: %w", errDamaged))
		}
		if err == nil && path == s.inWhole(d) {
			err = f.Sync()
		}
		size = n
		return err
	})
	if err != nil {
		return "", err
	}
	if path == s.inCache(d) {
		s.cached(size)
	}
	return made, nil
}

// Transfer says what Push or Pull moved. What was there already is not counted.
type Transfer struct {
	Objects int   `json:"objects"` // chunks and uncut content
	Packs   int   `json:"packs"`
	Whole   int   `json:"whole"` // files kept whole
	Bytes   int64 `json:"bytes"`
}

// Push sends the content of roots, and of the trees among them, to the remote,
// in new packs of what the remote lacks. When it is interrupted, the packs that
// arrived are not sent again. It fails with NotFound if some of the content is
// not here, with Unavailable if the remote is.
func (s *Store) Push(ctx context.Context, roots ...slipway.Digest) (Transfer, error) {
	var t Transfer
	if s.o.Remote == nil {
		return t, slipway.Errorf(slipway.Invalid, "the content store has no remote")
	}
	r, err := s.reach(ctx, roots)
	if err != nil {
		return t, err
	}
	if err := s.refreshRemote(ctx); err != nil {
		return t, err
	}
	if err := s.pushWhole(ctx, r.whole, &t); err != nil {
		return t, err
	}
	// A recipe must not arrive before its chunks.
	for _, recipes := range []bool{false, true} {
		var places []place
		for _, loc := range r.places {
			if _, there := s.knownRemote(loc.digest); !there && loc.kind.recipe() == recipes && loc.pack.bucket == nil {
				places = append(places, loc)
			}
		}
		if err := s.pushPlaces(ctx, inPackOrder(places), &t); err != nil {
			return t, err
		}
	}
	return t, nil
}

func (s *Store) pushWhole(ctx context.Context, whole []slipway.Digest, t *Transfer) error {
	var mu sync.Mutex
	return inParallel(4, whole, func(d slipway.Digest) error {
		if _, err := s.o.Remote.Head(ctx, remoteWhole(d)); !slipway.IsCode(err, slipway.NotFound) {
			return err
		}
		path, err := s.wholePath(ctx, d)
		if err != nil {
			return err
		}
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return notFound(d)
		}
		if err != nil {
			return diskError("push content", err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return diskError("push content", err)
		}
		err = s.o.Remote.Create(ctx, remoteWhole(d), f, info.Size())
		if slipway.IsCode(err, slipway.Conflict) {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		t.Whole++
		t.Bytes += info.Size()
		return err
	})
}

// pushPlaces sends records in packs. What a pack holds follows from the list
// alone, and its id from what it holds, so that repeating a push that was cut
// off names the same packs.
func (s *Store) pushPlaces(ctx context.Context, places []place, t *Transfer) error {
	for len(places) > 0 {
		size, n := int64(packHeaderSize), 0
		for n < len(places) && n < maxPackRecords && (n == 0 || size+places[n].end()-places[n].offset <= s.o.PackBytes) {
			size += places[n].end() - places[n].offset
			n++
		}
		if err := s.pushPack(ctx, places[:n], size); err != nil {
			return err
		}
		t.Packs++
		t.Objects += n
		t.Bytes += size
		places = places[n:]
	}
	return nil
}

func (s *Store) pushPack(ctx context.Context, places []place, size int64) error {
	names := sha256.New()
	for _, loc := range places {
		names.Write(loc.digest[:])
	}
	sum := key(names.Sum(nil))
	id, mark := string(sum.digest()[:32]), packMark(sum[16:24])
	temp, err := os.CreateTemp(filepath.Join(s.dir, "tmp"), "push-*")
	if err != nil {
		return diskError("push content", err)
	}
	defer os.Remove(temp.Name())
	defer temp.Close()
	if _, err := temp.Write(encodePackHeader(mark)); err != nil {
		return diskError("push content", err)
	}
	at := int64(packHeaderSize)
	entries := make([]entry, 0, len(places))
	err = s.eachRun(ctx, runs(places), func(loc place, payload []byte) error {
		record := append(make([]byte, recordHeaderSize, recordHeaderSize+len(payload)), payload...)
		encodeRecordHeader(record, mark, loc.kind, loc.size, loc.digest)
		e := loc.entry
		e.offset = at
		entries = append(entries, e)
		at = e.end()
		_, err := temp.Write(record)
		return err
	})
	if err != nil {
		return diskError("push content", err)
	}
	if _, err := temp.Seek(0, io.SeekStart); err != nil {
		return diskError("push content", err)
	}
	if err := s.o.Remote.Create(ctx, remotePack(id), temp, at); err != nil && !slipway.IsCode(err, slipway.Conflict) {
		return err
	}
	b := encodeIndex(entries, at, mark, true)
	return s.o.Remote.Put(ctx, remoteIndex(id), bytes.NewReader(b), int64(len(b)))
}

// Pull fetches the content of roots, and of the trees among them, into the
// packs of this machine. What has arrived is not fetched again when Pull is
// repeated. It fails with NotFound if neither side has some of the content.
func (s *Store) Pull(ctx context.Context, roots ...slipway.Digest) (Transfer, error) {
	var t Transfer
	if s.o.Remote == nil {
		return t, slipway.Errorf(slipway.Invalid, "the content store has no remote")
	}
	r, err := s.reach(ctx, roots)
	if err != nil {
		return t, err
	}
	b := s.Batch(ctx)
	for _, d := range r.whole {
		if _, here := s.wholeSize(d); here {
			continue
		}
		path, err := s.fetchWhole(ctx, d, s.inWhole(d))
		if err != nil {
			return t, err
		}
		b.folders[filepath.Dir(path)] = struct{}{}
		size, _ := s.wholeSize(d)
		t.Whole++
		t.Bytes += size
	}
	for _, recipes := range []bool{false, true} {
		var places []place
		for _, loc := range r.places {
			if loc.pack.bucket != nil && loc.kind.recipe() == recipes {
				places = append(places, loc)
			}
		}
		if err := s.pullPlaces(ctx, b, inPackOrder(places), &t); err != nil {
			return t, err
		}
		if err := b.Commit(); err != nil {
			return t, err
		}
	}
	return t, nil
}

func (s *Store) pullPlaces(ctx context.Context, b *Batch, places []place, t *Transfer) error {
	return s.eachRun(ctx, runs(places), func(loc place, payload []byte) error {
		record := append(make([]byte, recordHeaderSize, recordHeaderSize+len(payload)), payload...)
		at, err := s.writer.put(ctx, record, loc.kind, loc.size, loc.digest)
		if err != nil {
			return err
		}
		b.at = furthest(b.at, at)
		t.Objects++
		t.Bytes += int64(len(record))
		return nil
	})
}
