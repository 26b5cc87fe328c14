package content

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/slipway-ml/slipway"
)

// cacheGrace is how long a file of the cache outlives the moment it was handed
// out, whatever the bound.
const cacheGrace = 10 * time.Minute

// blockSize is what a small file takes on disk, about.
const blockSize = 4 << 10

// cached counts a file that was made, and evicts when the cache is too large.
// Errors do not concern the caller, who has the file.
func (s *Store) cached(size int64) {
	if s.cacheUsed.Load() == unknownUsage {
		if !s.countsNow(size) {
			return
		}
	} else if s.cacheUsed.Add(size) <= s.o.CacheBytes {
		return
	}
	if !s.evicting.TryLock() {
		return
	}
	defer s.evicting.Unlock()
	_ = s.evict(s.o.CacheBytes, now().Add(-cacheGrace))
}

// countsNow decides whether a process that has not looked through the cache does
// so for a file of size bytes. Looking costs a system call for every file that
// is there, too much for each step's short process. So it is left to chance, by
// size: whatever the number of processes, somebody looks about every hundredth
// of the bound.
func (s *Store) countsNow(size int64) bool {
	return rand.Int64N(max(1, s.o.CacheBytes/100)) < max(size, blockSize)
}

// cachedFile is one file of the cache.
type cachedFile struct {
	path string
	size int64
	used time.Time
}

// evict removes the files that were not handed out for longest, none after
// `before`, until the cache is a tenth below the bound.
func (s *Store) evict(bound int64, before time.Time) error {
	var files []cachedFile
	var total int64
	err := eachWhole(filepath.Join(s.dir, "files"), func(_ slipway.Digest, path string, info fs.FileInfo) error {
		files = append(files, cachedFile{path, info.Size(), accessed(info)})
		total += info.Size()
		return nil
	})
	if err != nil {
		return err
	}
	if total > bound {
		slices.SortFunc(files, func(x, y cachedFile) int { return x.used.Compare(y.used) })
		for _, f := range files {
			if total <= bound/10*9 || !f.used.Before(before) {
				break
			}
			if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			total -= f.size
		}
	}
	s.cacheUsed.Store(total)
	return nil
}

// eachWhole visits the whole files below dir, which is whole/ or files/.
// Deletion meanwhile is no error; other names are passed over.
func eachWhole(dir string, visit func(d slipway.Digest, path string, info fs.FileInfo) error) error {
	shards, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, folder := range shards {
		names, err := os.ReadDir(filepath.Join(dir, folder.Name()))
		if err != nil {
			return err
		}
		for _, name := range names {
			d, err := slipway.ParseDigest(name.Name())
			if err != nil {
				continue
			}
			info, err := name.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			if err := visit(d, filepath.Join(dir, folder.Name(), name.Name()), info); err != nil {
				return err
			}
		}
	}
	return nil
}
