package content

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/slipway-ml/slipway"
)

// suspects remembers the digests of what was found damaged, by a reader or by
// Verify. Content among them does not count as stored: it is asked for again,
// written again when it is put, and fetched again by Pull. They stand in a file
// of the store, so that the process that repairs need not be the one that found
// the damage. Nearly always there are none, which costs an atomic load.
type suspects struct {
	some  atomic.Bool
	mu    sync.Mutex
	known map[key]struct{}
	seen  fs.FileInfo // the file as it was when it was last read
}

func (s *Store) suspectFile() string { return filepath.Join(s.dir, "suspect") }

// suspected says whether something of k is known to be damaged.
func (s *Store) suspected(k key) bool {
	if !s.suspects.some.Load() {
		return false
	}
	s.suspects.mu.Lock()
	defer s.suspects.mu.Unlock()
	_, ok := s.suspects.known[k]
	return ok
}

// Damaged lists the content, and chunks of content, that was found damaged and
// not been repaired since.
func (s *Store) Damaged(ctx context.Context) ([]slipway.Digest, error) {
	if err := s.load(ctx); err != nil {
		return nil, err
	}
	s.loadSuspects()
	s.suspects.mu.Lock()
	defer s.suspects.mu.Unlock()
	out := make([]slipway.Digest, 0, len(s.suspects.known))
	for k := range s.suspects.known {
		out = append(out, k.digest())
	}
	return out, nil
}

// Suspect notes content that somebody found to be damaged, or missing although
// it is referred to, so that it can be repaired. Malformed digests are passed over.
func (s *Store) Suspect(ds ...slipway.Digest) {
	for _, d := range ds {
		if k, err := parseKey(d); err == nil {
			s.suspect(k)
		}
	}
}

func (s *Store) suspect(k key) {
	c := &s.suspects
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.known[k]; ok {
		return
	}
	if c.known == nil {
		c.known = map[key]struct{}{}
	}
	c.known[k] = struct{}{}
	c.some.Store(true)
	// A note that cannot be written is made again by the next reader.
	if f, err := os.OpenFile(s.suspectFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err == nil {
		_, _ = f.WriteString(string(k.digest()) + "\n")
		_ = f.Close()
	}
}

// trust forgets a suspicion, because the content has been written anew or was
// read and found whole.
func (s *Store) trust(k key) {
	if !s.suspected(k) {
		return
	}
	c := &s.suspects
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.known, k)
	c.some.Store(len(c.known) > 0)
	if len(c.known) == 0 {
		_ = os.Remove(s.suspectFile())
		return
	}
	var b []byte
	for k := range c.known {
		b = append(append(b, k.digest()...), '\n')
	}
	_ = s.replaceFile(s.suspectFile(), b)
}

// loadSuspects reads what other processes have noted. A file that is not there
// suspects nothing.
func (s *Store) loadSuspects() {
	c := &s.suspects
	info, err := os.Stat(s.suspectFile())
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) && c.seen != nil {
			c.known, c.seen = nil, nil
			c.some.Store(false)
		}
		return
	}
	if c.seen != nil && os.SameFile(c.seen, info) && c.seen.Size() == info.Size() && c.seen.ModTime().Equal(info.ModTime()) {
		return
	}
	f, err := os.Open(s.suspectFile())
	if err != nil {
		return
	}
	defer f.Close()
	known := map[key]struct{}{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if k, err := parseKey(slipway.Digest(lines.Text())); err == nil { // a torn line is no digest
			known[k] = struct{}{}
		}
	}
	c.known, c.seen = known, info
	c.some.Store(len(known) > 0)
}

// sound reads suspected content as a whole. If it is as it was written, because
// it has been repaired or has another copy, it is trusted again. A store with a
// remote says no: it would read the remote's copy.
func (s *Store) sound(ctx context.Context, d slipway.Digest, k key) bool {
	if s.o.Remote != nil || s.refresh(ctx) != nil {
		return false
	}
	r, err := s.Open(ctx, d)
	if err != nil {
		return false
	}
	defer r.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, withContext(ctx, r)); err != nil || key(sum.Sum(nil)) != k {
		return false
	}
	s.trust(k)
	return true
}

// blame suspects content whose bytes cannot be read although it is there.
func (s *Store) blame(k key, err error) error {
	if errors.Is(err, errDamaged) {
		s.suspect(k)
	}
	return err
}

// elsewhereIfSuspected prefers the remote's copy of a record that is suspected.
func (s *Store) elsewhereIfSuspected(ctx context.Context, loc place) place {
	if !s.suspected(loc.digest) || s.o.Remote == nil {
		return loc
	}
	if far, ok, err := s.lookupRemote(ctx, loc.digest); err == nil && ok {
		return far
	}
	return loc
}
