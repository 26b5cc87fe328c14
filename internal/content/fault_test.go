package content

import (
	"bytes"
	"errors"
	"os"
	"sync"
	"syscall"
	"testing"

	"github.com/slipway-ml/slipway"
)

// failing is a pack on a disk that fails.
type failing struct {
	packFile
	mu                  sync.Mutex
	room                int64 // bytes that may still be written
	syncErr, truncateNo error
}

func (f *failing) WriteAt(b []byte, at int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if int64(len(b)) > f.room {
		n, _ := f.packFile.WriteAt(b[:f.room], at)
		f.room = 0
		return n, &os.PathError{Op: "write", Path: "pack", Err: syscall.ENOSPC}
	}
	f.room -= int64(len(b))
	return f.packFile.WriteAt(b, at)
}

func (f *failing) Sync() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.syncErr != nil {
		return f.syncErr
	}
	return f.packFile.Sync()
}

func (f *failing) Truncate(n int64) error {
	if f.truncateNo != nil {
		return f.truncateNo
	}
	return f.packFile.Truncate(n)
}

func TestFullDisk(t *testing.T) {
	for _, truncateNo := range []error{nil, syscall.EIO} {
		dir := t.TempDir()
		s := openStore(t, dir, Options{})
		disk := &failing{room: 100_000, truncateNo: truncateNo}
		s.wrap = func(f *os.File) packFile { disk.packFile = f; return disk }
		first := put(t, s, noise(1, 90_000))
		for _, n := range []int{50_000, 3 << 20} {
			_, _, err := s.Put(t.Context(), bytes.NewReader(noise(2, n)))
			if !slipway.IsCode(err, slipway.Unavailable) || !errors.Is(err, syscall.ENOSPC) || slipway.AsError(err).Hint == "" {
				t.Errorf("a full disk: %v", err)
			}
			if has, _ := s.Has(t.Context(), slipway.DigestOf(noise(2, n))); has[0] {
				t.Error("what did not fit is there")
			}
		}
		disk.mu.Lock()
		disk.room = 1 << 30 // somebody made room
		disk.mu.Unlock()
		second := put(t, s, noise(2, 50_000))
		other := openStore(t, dir, Options{})
		for _, s := range []*Store{s, other} {
			get(t, s, first)
			get(t, s, second)
		}
		if report, err := other.Verify(t.Context()); err != nil || len(report.Damage) > 0 {
			t.Errorf("Verify: %+v, %v", report, err)
		}
	}
}

// When the disk does not confirm a write, the caller hears of it, and the same
// content put again is really written again.
func TestFailedSync(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{})
	disk := &failing{room: 1 << 30}
	s.wrap = func(f *os.File) packFile { disk.packFile = f; return disk }
	kept := put(t, s, noise(1, 1000))
	disk.mu.Lock()
	disk.syncErr = syscall.EIO
	disk.mu.Unlock()
	for _, n := range []int{1000, 2 << 20} {
		if _, _, err := s.Put(t.Context(), bytes.NewReader(noise(2, n))); !slipway.IsCode(err, slipway.Unavailable) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	s.wrap = func(f *os.File) packFile { return f }
	put(t, s, noise(3, 10)) // leaves the pack on the bad disk
	at, ok := s.lookup(key(mustKey(t, slipway.DigestOf(noise(2, 1000)))))
	if ok {
		t.Errorf("unconfirmed content counts as stored, at %d of %s", at.offset, at.pack.id)
	}
	again := put(t, s, noise(2, 1000))
	get(t, s, kept)
	get(t, s, again)
}
