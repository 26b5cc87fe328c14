package content

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
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
	loc, ok, build := s.far.find(k)
	s.mu.RUnlock()
	if build {
		s.mu.Lock()
		s.far.build(s.remote)
		s.mu.Unlock()
	}
	return loc, ok
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
	s.far.arrange(packs)
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
