package content

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"sync"

	"github.com/slipway-ml/slipway"
)

// Reader reads one piece of content. ReadAt may be called from several
// goroutines at once.
type Reader interface {
	io.ReadSeekCloser
	io.ReaderAt
	Size() int64 // bytes
}

// Open reads content. What comes from packs is checked as it is read: a
// damaged place fails with Internal rather than giving other bytes. It fails
// with NotFound. The reader holds for as long as it is open, whatever garbage
// collection does to a whole file; cut content must stay referenced meanwhile.
func (s *Store) Open(ctx context.Context, d slipway.Digest) (Reader, error) {
	k, err := parseKey(d)
	if err != nil {
		return nil, err
	}
	loc, ok := s.lookup(k)
	if !ok {
		if path, err := s.wholePath(ctx, d); err != nil {
			return nil, err
		} else if path != "" {
			return openWhole(path, d)
		}
		if loc, err = s.locate(ctx, k); err != nil {
			return s.openRemoteWhole(ctx, d, err)
		}
	}
	if loc.kind.recipe() && loc.pack.bucket != nil {
		// Chunk by chunk would cost a request each.
		path, err := s.File(ctx, d)
		if err != nil {
			return nil, err
		}
		return openWhole(path, d)
	}
	payload, err := s.record(ctx, loc)
	if err != nil {
		return nil, err
	}
	if !loc.kind.recipe() {
		return memoryReader{bytes.NewReader(payload)}, nil
	}
	parts, err := decodeRecipe(payload, loc.size)
	if err != nil {
		return nil, damaged(d, err)
	}
	c := &chunkReader{s: s, ctx: ctx, of: k, parts: parts, size: loc.size}
	c.SectionReader = io.NewSectionReader(readerAtFunc(c.readAt), 0, loc.size)
	return c, nil
}

func (s *Store) openRemoteWhole(ctx context.Context, d slipway.Digest, cause error) (Reader, error) {
	if !slipway.IsCode(cause, slipway.NotFound) || s.o.Remote == nil {
		return nil, cause
	}
	path, err := s.File(ctx, d)
	if err != nil {
		return nil, err
	}
	return openWhole(path, d)
}

func openWhole(path string, d slipway.Digest) (Reader, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, notFound(d)
	}
	if err != nil {
		return nil, diskError("open content", err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, diskError("open content", err)
	}
	return File{f, info.Size()}, nil
}

// File is the Reader of content that is kept as one file.
type File struct {
	*os.File
	size int64
}

// Size is the file's size when it was opened, in bytes.
func (r File) Size() int64 { return r.size }

type memoryReader struct{ *bytes.Reader }

func (memoryReader) Close() error { return nil }

type readerAtFunc func([]byte, int64) (int, error)

func (f readerAtFunc) ReadAt(b []byte, at int64) (int, error) { return f(b, at) }

// chunkReader reads cut content, keeping the chunk it read last.
type chunkReader struct {
	*io.SectionReader
	s     *Store
	ctx   context.Context
	of    key
	parts []part
	size  int64

	mu      sync.Mutex
	last    int // index of the part that chunk holds
	chunk   []byte
	dropped bool
}

func (r *chunkReader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.chunk, r.dropped = nil, true
	return nil
}

func (r *chunkReader) readAt(b []byte, at int64) (n int, err error) {
	for n < len(b) && at < r.size {
		i := sort.Search(len(r.parts), func(i int) bool { return r.parts[i].start > at }) - 1
		chunk, err := r.part(i)
		if err != nil {
			return n, err
		}
		got := copy(b[n:], chunk[at-r.parts[i].start:])
		n, at = n+got, at+int64(got)
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (r *chunkReader) part(i int) ([]byte, error) {
	r.mu.Lock()
	chunk, last, dropped := r.chunk, r.last, r.dropped
	r.mu.Unlock()
	if dropped {
		return nil, os.ErrClosed
	}
	if chunk != nil && last == i {
		return chunk, nil
	}
	chunk, err := r.s.chunk(r.ctx, r.parts[i])
	if err != nil {
		return nil, r.s.blame(r.of, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.dropped {
		r.chunk, r.last = chunk, i
	}
	return chunk, nil
}

// chunk reads one part of cut content.
func (s *Store) chunk(ctx context.Context, p part) ([]byte, error) {
	loc, err := s.locate(ctx, p.digest)
	if err != nil {
		return nil, missingChunk(p, err)
	}
	b, err := s.record(ctx, loc)
	if err != nil {
		return nil, missingChunk(p, err)
	}
	if len(b) != int(p.length) {
		return nil, damaged(p.digest.digest(), errDamaged)
	}
	return b, nil
}

// missingChunk: the content was found, so a chunk that is not is damage.
func missingChunk(p part, err error) error {
	if slipway.IsCode(err, slipway.NotFound) {
		return damaged(p.digest.digest(), fmt.Errorf("a chunk is missing: %w", errDamaged))
	}
	return err
}

// parts returns the recipe of cut content.
func (s *Store) parts(ctx context.Context, loc place) ([]part, error) {
	payload, err := s.record(ctx, loc)
	if err != nil {
		return nil, err
	}
	parts, err := decodeRecipe(payload, loc.size)
	if err != nil {
		return nil, damaged(loc.digest.digest(), err)
	}
	return parts, nil
}

// copyTo writes the content at a place to w, checked.
func (s *Store) copyTo(ctx context.Context, loc place, w io.Writer) error {
	if !loc.kind.recipe() {
		payload, err := s.record(ctx, loc)
		if err == nil {
			_, err = w.Write(payload)
		}
		return err
	}
	parts, err := s.parts(ctx, loc)
	if err != nil {
		return err
	}
	return s.blame(loc.digest, s.eachPart(ctx, parts, func(b []byte) error {
		_, err := w.Write(b)
		return err
	}))
}

// run is a stretch of a pack that holds consecutive parts, read at once.
type run struct {
	places []place
}

// maxRun bounds a run, maxRunsAhead how many are read before they are needed.
const (
	maxRun       = 4 << 20
	maxRunsAhead = 4
)

// runs joins places that lie one behind the other in one pack.
func runs(places []place) []run {
	var out []run
	for _, loc := range places {
		if n := len(out); n > 0 {
			r := &out[n-1]
			first, last := r.places[0], r.places[len(r.places)-1]
			if last.pack == loc.pack && last.end() == loc.offset && loc.end()-first.offset <= maxRun {
				r.places = append(r.places, loc)
				continue
			}
		}
		out = append(out, run{places: []place{loc}})
	}
	return out
}

// fetch reads a run and returns the payload of each of its records.
func (s *Store) fetch(ctx context.Context, r run) ([][]byte, error) {
	first, last := r.places[0], r.places[len(r.places)-1]
	b, readErr := first.pack.readAt(ctx, first.offset, last.end()-first.offset)
	payloads := make([][]byte, len(r.places))
	for i, loc := range r.places {
		err := readErr
		if err == nil {
			payloads[i], err = checkRecord(b[loc.offset-first.offset:loc.end()-first.offset], loc.pack.mark, loc.entry)
		}
		if err != nil { // the pack was rewritten, or is damaged here: look for another copy
			if payloads[i], err = s.record(ctx, loc); err != nil {
				return nil, err
			}
		}
	}
	return payloads, nil
}

// eachRun fetches runs, some ahead, and hands their payloads out in order.
func (s *Store) eachRun(ctx context.Context, all []run, visit func(place, []byte) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		payloads [][]byte
		err      error
	}
	ahead := make(chan chan result, maxRunsAhead)
	go func() {
		defer close(ahead)
		for _, r := range all {
			out := make(chan result, 1)
			select {
			case ahead <- out:
			case <-ctx.Done():
				return
			}
			go func() {
				payloads, err := s.fetch(ctx, r)
				out <- result{payloads, err}
			}()
		}
	}()
	for _, r := range all {
		out, ok := <-ahead
		if !ok {
			return ctx.Err()
		}
		got := <-out
		if got.err != nil {
			return got.err
		}
		for i, loc := range r.places {
			if err := visit(loc, got.payloads[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// eachPart calls visit with the bytes of each part in turn.
func (s *Store) eachPart(ctx context.Context, parts []part, visit func([]byte) error) error {
	places := make([]place, len(parts))
	for i, p := range parts {
		loc, err := s.locate(ctx, p.digest)
		if err != nil {
			return missingChunk(p, err)
		}
		if loc.size != int64(p.length) || loc.kind.recipe() {
			return damaged(p.digest.digest(), errDamaged)
		}
		places[i] = loc
	}
	return s.eachRun(ctx, runs(places), func(_ place, b []byte) error { return visit(b) })
}
