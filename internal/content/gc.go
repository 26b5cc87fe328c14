package content

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	"golang.org/x/sys/unix"
)

// GCOptions says what garbage collection may remove.
type GCOptions struct {
	// Grace spares what was written, or found by a writer, this long ago: it may
	// be about to be referenced. 0 means 24 hours, and less than ten minutes is
	// raised to that. NoGrace removes it at once.
	Grace time.Duration

	// NoGrace is for when nothing else uses the store.
	NoGrace bool

	// Thorough rewrites a pack for the sake of a single piece in it, as erasure
	// wants; otherwise a pack must be a fifth garbage.
	Thorough bool

	// DryRun only counts.
	DryRun bool
}

// minGrace leaves room for a writer that notes only once a minute that it
// relies on a pack.
const minGrace = 10 * time.Minute

// GCReport says what garbage collection found and freed.
type GCReport struct {
	Live    int              `json:"live"`              // pieces that are needed, chunks counted
	Missing []slipway.Digest `json:"missing,omitempty"` // referenced, but nowhere to be found
	Removed int              `json:"removed"`           // pieces
	Kept    int              `json:"kept"`              // pieces nobody needs that are too young, or not worth a rewrite
	Bytes   int64            `json:"bytes"`             // freed, or would be
	Packs   int              `json:"packs"`             // deleted or rewritten
}

// GC removes content that nothing needs. live yields the roots: every digest
// that the database refers to; what trees and recipes refer to is found. If
// live yields an error, nothing is removed. It may run beside writers and
// readers in any process; only one collection runs at a time, another fails
// with Conflict. The remote is not touched.
//
// A writer that relies on content in an old pack first sets the pack's time.
// The collector renames a pack before it looks at that time once more, so that
// either it sees the new time and puts the pack back, or the writer finds the
// name gone and writes the content again.
func (s *Store) GC(ctx context.Context, live iter.Seq2[slipway.Digest, error], o GCOptions) (GCReport, error) {
	var report GCReport
	lock, err := s.lockGC()
	if err != nil {
		return report, err
	}
	defer lock.Close()
	if err := s.restoreDying(); err != nil {
		return report, diskError("collect garbage", err)
	}
	if err := s.refresh(ctx); err != nil {
		return report, err
	}
	// Packs that appear after this moment are not looked at, so what live does
	// not know yet because it is being written is safe whatever the grace.
	s.mu.RLock()
	packs := append([]*pack(nil), s.order...)
	s.mu.RUnlock()
	w := walk{s: s, ctx: ctx, seen: map[key]struct{}{}}
	for d, err := range live {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return report, fmt.Errorf("find what is in use: %w", err)
		}
		missing, err := w.visit(d)
		if err != nil {
			return report, err
		}
		report.Missing = append(report.Missing, missing...)
	}
	report.Live = len(w.seen)
	c := collection{s: s, ctx: ctx, live: w.seen, o: o, report: &report, before: now().Add(-o.grace())}
	for _, p := range packs {
		if err := c.pack(p); err != nil {
			return report, diskError("collect garbage", err)
		}
	}
	for _, step := range []func() error{c.whole, c.cache, c.temporary} {
		if err := step(); err != nil {
			return report, diskError("collect garbage", err)
		}
	}
	return report, nil
}

func (o GCOptions) grace() time.Duration {
	switch {
	case o.NoGrace:
		return -time.Hour // also what a clock that is a little ahead has written
	case o.Grace == 0:
		return 24 * time.Hour
	}
	return max(o.Grace, minGrace)
}

func (s *Store) lockGC() (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(s.dir, "gc.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, diskError("collect garbage", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, slipway.Errorf(slipway.Conflict, "garbage collection is already running").WithHint("wait for it to end")
	}
	return f, nil
}

// restoreDying gives back their names to packs and files that a killed
// collection had renamed.
func (s *Store) restoreDying() error {
	for _, pattern := range []string{"packs/*.dying", "whole/*/*.dying"} {
		names, err := filepath.Glob(filepath.Join(s.dir, filepath.FromSlash(pattern)))
		if err != nil {
			return err
		}
		for _, dying := range names {
			name := strings.TrimSuffix(dying, ".dying")
			if filepath.Base(filepath.Dir(dying)) == "packs" {
				name += ".pack"
			}
			if err := os.Rename(dying, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// collection is one run of garbage collection.
type collection struct {
	s      *Store
	ctx    context.Context
	live   map[key]struct{}
	o      GCOptions
	report *GCReport
	before time.Time // what is younger stays
}

// pack collects one pack: it is left alone, deleted, or what lives in it is
// copied to the current pack and then it is deleted.
func (c *collection) pack(p *pack) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	lock, err := lockPack(p.path)
	if lock == nil {
		return err // another process, or this one, is writing it
	}
	defer lock.Close()
	c.s.mu.RLock()
	entries := p.entries()
	c.s.mu.RUnlock()
	var keep []place
	var dead int
	var deadBytes, liveBytes int64
	for _, e := range entries {
		if _, ok := c.live[e.digest]; ok {
			keep = append(keep, place{e, p})
			liveBytes += e.end() - e.offset
		} else {
			dead++
			deadBytes += e.end() - e.offset
		}
	}
	if dead == 0 {
		return nil
	}
	info, err := lock.Stat()
	if err != nil {
		return err
	}
	if info.ModTime().After(c.before) || deadBytes < liveBytes/4 && !c.o.Thorough {
		c.report.Kept += dead
		return nil
	}
	if !c.o.DryRun {
		if gone, err := c.remove(p, keep); err != nil || !gone {
			c.report.Kept += dead
			return err
		}
	}
	c.report.Removed += dead
	c.report.Bytes += deadBytes
	c.report.Packs++
	return nil
}

// remove copies what lives, then deletes the pack, unless a writer has relied
// on it meanwhile.
func (c *collection) remove(p *pack, keep []place) (bool, error) {
	b := c.s.Batch(c.ctx)
	err := c.s.eachRun(c.ctx, runs(inPackOrder(keep)), func(loc place, payload []byte) error {
		at, err := c.s.writer.move(c.ctx, loc, payload)
		b.at = furthest(b.at, at)
		return err
	})
	if err == nil {
		err = b.Commit()
	}
	if err != nil {
		return false, err
	}
	dying := dyingPath(p.path)
	if err := os.Rename(p.path, dying); err != nil {
		return false, err
	}
	info, err := os.Stat(dying)
	if err == nil && info.ModTime().After(c.before) {
		return false, os.Rename(dying, p.path)
	}
	if err == nil {
		err = os.Remove(dying)
	}
	if err != nil {
		return false, err
	}
	if err := os.Remove(c.s.indexPath(p.id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	c.s.forgetPack(p)
	return true, nil
}

func (s *Store) forgetPack(p *pack) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.packs[p.id] == p {
		delete(s.packs, p.id)
		s.reorder()
		p.close()
	}
}

// move appends a copy of a record that stands in another pack, unless a third
// pack has it.
func (w *writer) move(ctx context.Context, from place, payload []byte) (position, error) {
	var others []place
	w.s.mu.RLock()
	for _, p := range w.s.order {
		if e, ok := p.find(from.digest); ok && p != from.pack && e.kind == from.kind {
			others = append(others, place{e, p})
		}
	}
	w.s.mu.RUnlock()
	for _, other := range others {
		// It may be the damaged copy that this one has replaced.
		b, err := other.pack.readAt(ctx, other.offset, other.end()-other.offset)
		if err == nil {
			_, err = checkRecord(b, other.pack.mark, other.entry)
		}
		if err == nil && other.pack.reuse(now()) {
			return position{other.pack, other.end()}, nil
		}
	}
	record := append(make([]byte, recordHeaderSize, recordHeaderSize+len(payload)), payload...)
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.append(ctx, record, from.kind, from.size, from.digest)
}

// whole collects the files that are kept whole.
func (c *collection) whole() error {
	return eachWhole(filepath.Join(c.s.dir, "whole"), func(d slipway.Digest, path string, info fs.FileInfo) error {
		k, err := parseKey(d)
		if err != nil {
			return err
		}
		if _, ok := c.live[k]; ok {
			return nil
		}
		if accessed(info).After(c.before) {
			c.report.Kept++
			return nil
		}
		if !c.o.DryRun {
			if gone, err := c.removeWhole(path); err != nil || !gone {
				c.report.Kept++
				return err
			}
		}
		c.report.Removed++
		c.report.Bytes += info.Size()
		return nil
	})
}

func (c *collection) removeWhole(path string) (bool, error) {
	dying := path + ".dying"
	if err := os.Rename(path, dying); err != nil {
		return false, err
	}
	info, err := os.Lstat(dying)
	if err == nil && accessed(info).After(c.before) {
		return false, os.Rename(dying, path)
	}
	if err == nil {
		err = os.Remove(dying)
	}
	return err == nil, err
}

// cache removes cached files of content that nothing needs. They are not
// counted: the space was bounded anyway.
func (c *collection) cache() error {
	before := now().Add(-cacheGrace)
	if c.o.NoGrace {
		before = c.before
	}
	return eachWhole(filepath.Join(c.s.dir, "files"), func(d slipway.Digest, path string, info fs.FileInfo) error {
		k, err := parseKey(d)
		if _, ok := c.live[k]; ok || err != nil || c.o.DryRun || accessed(info).After(before) {
			return err
		}
		return ignoreNotExist(os.Remove(path))
	})
}

// temporary removes what killed processes left in tmp/.
func (c *collection) temporary() error {
	dir := filepath.Join(c.s.dir, "tmp")
	names, err := os.ReadDir(dir)
	if err != nil || c.o.DryRun {
		return err
	}
	for _, name := range names {
		info, err := name.Info()
		if err != nil || info.ModTime().After(now().Add(-24*time.Hour)) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, name.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
