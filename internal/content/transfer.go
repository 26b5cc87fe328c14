package content

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/slipway-ml/slipway"
)

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

// pushPlaces sends records in packs, four at a time. What a pack holds follows from the list
// alone, and its id from what it holds, so that repeating a push that was cut
// off names the same packs.
func (s *Store) pushPlaces(ctx context.Context, places []place, t *Transfer) error {
	type load struct {
		places []place
		size   int64
	}
	var loads []load
	for len(places) > 0 {
		size, n := int64(packHeaderSize), 0
		for n < len(places) && n < maxPackRecords && (n == 0 || size+places[n].end()-places[n].offset <= s.o.PackBytes) {
			size += places[n].end() - places[n].offset
			n++
		}
		loads, places = append(loads, load{places[:n], size}), places[n:]
	}
	var mu sync.Mutex
	return inParallel(4, loads, func(l load) error {
		if err := s.pushPack(ctx, l.places, l.size); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		t.Packs++
		t.Objects += len(l.places)
		t.Bytes += l.size
		return nil
	})
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
		k, err := parseKey(d)
		if err != nil {
			return t, err
		}
		if _, here := s.wholeSize(d); here && !s.suspected(k) {
			continue
		}
		path, err := s.fetchWhole(ctx, d, s.inWhole(d))
		if err != nil {
			return t, err
		}
		b.folders[filepath.Dir(path)] = struct{}{}
		s.trust(k)
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
