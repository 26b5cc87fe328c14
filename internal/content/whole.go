package content

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/slipway-ml/slipway"
)

// Whole files are read by other programs, which could also write to them: a
// hard link in somebody's folder is the same file. They are read-only, and
// their modification time is computed from digest and size, so that a write
// (or a file cut short by a power failure) shows at the price of a stat. The
// access time says when a file was last handed out; nothing else sets it on
// purpose.

// stamp is the modification time of the whole file of d: a second between
// 2001 and 2009, which every file system can store.
func stamp(d slipway.Digest, size int64) time.Time {
	sum := sha256.Sum256(binary.LittleEndian.AppendUint64([]byte(d), uint64(size)))
	const year2001 = 978307200
	return time.Unix(year2001+int64(binary.LittleEndian.Uint32(sum[:])>>4), 0)
}

// Stamped says whether info, from a stat of a file that Link made, shows the
// file as Link left it. It needs no reading, which is what a scan of a large
// folder wants.
func Stamped(d slipway.Digest, info fs.FileInfo) bool {
	return info.Mode().IsRegular() && info.ModTime().Equal(stamp(d, info.Size()))
}

func (s *Store) inWhole(d slipway.Digest) string { return shard(filepath.Join(s.dir, "whole"), d) }
func (s *Store) inCache(d slipway.Digest) string { return shard(filepath.Join(s.dir, "files"), d) }

func shard(dir string, d slipway.Digest) string {
	return filepath.Join(dir, string(d[:2]), string(d))
}

// wholeSize returns the size of content kept whole.
func (s *Store) wholeSize(d slipway.Digest) (int64, bool) {
	info, err := os.Lstat(s.inWhole(d))
	if err != nil || !info.Mode().IsRegular() {
		return 0, false
	}
	return info.Size(), true
}

// File returns the path of a read-only file that holds the content, for
// programs that want one. The file is made from packs, or fetched from the
// remote, if it is not there. It must not be changed, and stays for at least
// ten minutes; who needs it longer opens it, links it, or asks again. It fails
// with NotFound, with Unavailable if the disk is full, and with Internal if the
// content is damaged.
func (s *Store) File(ctx context.Context, d slipway.Digest) (string, error) {
	k, err := parseKey(d)
	if err != nil {
		return "", err
	}
	if path, err := s.wholePath(ctx, d); path != "" || err != nil {
		return path, err
	}
	// Several callers that want the same file wait for one of them to make it.
	making := s.making[k[0]]
	select {
	case making <- struct{}{}:
		defer func() { <-making }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if path, err := s.wholePath(ctx, d); path != "" || err != nil {
		return path, err
	}
	loc, err := s.locate(ctx, k)
	if slipway.IsCode(err, slipway.NotFound) && s.o.Remote != nil {
		return s.fetchWhole(ctx, d, s.inCache(d))
	}
	if err != nil {
		return "", err
	}
	path, err := s.materialise(d, s.inCache(d), func(f *os.File) error { return s.copyTo(ctx, loc, f) })
	if err != nil {
		return "", err
	}
	s.cached(loc.size)
	return path, nil
}

// wholePath returns the path of a whole file that is there and as it was made,
// "" if there is none.
func (s *Store) wholePath(ctx context.Context, d slipway.Digest) (string, error) {
	for _, path := range []string{s.inWhole(d), s.inCache(d)} {
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", diskError("find content", err)
		}
		if k, _ := parseKey(d); !Stamped(d, info) || s.suspected(k) {
			ok, err := s.mend(ctx, d, path)
			if err != nil {
				return "", err
			}
			if ok {
				return path, nil
			}
			continue
		}
		if !used(path, info, now()) {
			continue // deleted a moment ago
		}
		return path, nil
	}
	return "", nil
}

// mend deals with a whole file whose time is not as it should be. It says
// false if the file was changed and removed, so that it is made again.
func (s *Store) mend(ctx context.Context, d slipway.Digest, path string) (bool, error) {
	ok, err := s.restamp(ctx, d, path)
	if ok || err != nil {
		return ok, err
	}
	if path == s.inCache(d) {
		return false, ignoreNotExist(os.Remove(path))
	}
	if s.o.Remote != nil {
		if _, err := s.fetchWhole(ctx, d, path); !slipway.IsCode(err, slipway.NotFound) {
			return err == nil, err
		}
	}
	s.Suspect(d)
	return false, damaged(d, fmt.Errorf("%s has been changed: %w", path, errDamaged))
}

// used notes that a file is being handed out. It says false if it is gone.
func used(path string, info fs.FileInfo, at time.Time) bool {
	if at.Sub(accessed(info)) < touchSeconds*time.Second {
		return true
	}
	return os.Chtimes(path, at, info.ModTime()) == nil
}

// restamp reads a whole file whose time is not the one it should have. If the
// bytes are right, only the time is put right.
func (s *Store) restamp(ctx context.Context, d slipway.Digest, path string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, diskError("check content", err)
	}
	defer f.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, withContext(ctx, f))
	if err != nil {
		return false, diskError("check content", err)
	}
	k := key(sum.Sum(nil))
	if k.digest() != d {
		return false, nil
	}
	s.trust(k)
	return true, diskError("check content", finishWhole(f, path, d, n))
}

// finishWhole makes a file what a whole file should be.
func finishWhole(f *os.File, path string, d slipway.Digest, size int64) error {
	if err := f.Chmod(0o444); err != nil {
		return err
	}
	return os.Chtimes(path, now(), stamp(d, size))
}

// materialise makes a whole file of the cache. It is not synced: it can be
// made again, and one that a power failure cuts short has the wrong stamp.
func (s *Store) materialise(d slipway.Digest, path string, write func(*os.File) error) (string, error) {
	f, err := os.CreateTemp(filepath.Join(s.dir, "tmp"), "file-*")
	if err != nil {
		return "", diskError("make a file of content", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := write(f); err != nil {
		return "", diskError("make a file of content", err)
	}
	if err := s.publishWhole(f, d, path); err != nil {
		return "", diskError("make a file of content", err)
	}
	return path, nil
}

// publishWhole gives a finished temporary file its name.
func (s *Store) publishWhole(f *os.File, d slipway.Digest, path string) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := finishWhole(f, f.Name(), d, info.Size()); err != nil {
		return err
	}
	err = os.Rename(f.Name(), path)
	if errors.Is(err, fs.ErrNotExist) { // the first file of its folder
		if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
			err = os.Rename(f.Name(), path)
		}
	}
	return err
}

// putWhole keeps content as one durable file. src may be nil; if it is the
// file behind r and the file system can, it is cloned instead of copied.
func (b *Batch) putWhole(src *os.File, r io.Reader) (slipway.Digest, int64, error) {
	f, err := os.CreateTemp(filepath.Join(b.s.dir, "tmp"), "whole-*")
	if err != nil {
		return "", 0, diskError("store content", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	sum := sha256.New()
	var n int64
	if src != nil && cloneFile(f, src) == nil {
		n, err = io.Copy(sum, withContext(b.ctx, f)) // a clone cannot change while it is hashed
	} else {
		n, err = copyHashed(f, sum, r)
	}
	if err != nil {
		return "", 0, diskError("store content", err)
	}
	k := key(sum.Sum(nil))
	d := k.digest()
	path := b.s.inWhole(d)
	if info, err := os.Lstat(path); err == nil && Stamped(d, info) && !b.s.suspected(k) && used(path, info, now()) {
		return d, n, nil
	}
	if err := f.Sync(); err != nil {
		return "", 0, diskError("store content", err)
	}
	if err := b.s.publishWhole(f, d, path); err != nil {
		return "", 0, diskError("store content", err)
	}
	b.mu.Lock()
	b.folders[filepath.Dir(path)] = struct{}{}
	b.mu.Unlock()
	b.s.trust(k)
	return d, n, nil
}

// syncFolders makes the names of whole files durable.
func (b *Batch) syncFolders() error {
	if len(b.folders) == 0 {
		return nil
	}
	for folder := range b.folders {
		if err := syncDir(folder); err != nil {
			return err
		}
	}
	clear(b.folders)
	return syncDir(filepath.Join(b.s.dir, "whole"))
}
