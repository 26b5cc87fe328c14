package content

import (
	"bytes"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/slipway-ml/slipway"
)

func roots(ds ...slipway.Digest) iter.Seq2[slipway.Digest, error] {
	return func(yield func(slipway.Digest, error) bool) {
		for _, d := range ds {
			if !yield(d, nil) {
				return
			}
		}
	}
}

// age makes everything in a store look old.
func age(t testing.TB, dir string) {
	t.Helper()
	old := time.Now().Add(-72 * time.Hour)
	for _, pattern := range []string{"packs/*.pack", "whole/*/*", "files/*/*"} {
		paths, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			modified := old
			if filepath.Ext(path) != ".pack" {
				modified = stat(t, path).ModTime()
			}
			if err := os.Chtimes(path, old, modified); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// full is a store with finished packs, of which a part is garbage.
type full struct {
	dir        string
	live, dead map[slipway.Digest][]byte
	roots      []slipway.Digest
}

func fill(t testing.TB) full {
	t.Helper()
	f := full{dir: t.TempDir(), live: map[slipway.Digest][]byte{}, dead: map[slipway.Digest][]byte{}}
	s, err := Open(f.dir, Options{PackBytes: 200_000})
	if err != nil {
		t.Fatal(err)
	}
	var entries []Entry
	for i := range 40 {
		b := noise(uint64(i), 20_000)
		switch i {
		case 10, 11:
			b = noise(uint64(i), 1<<20+50_000)
		case 20, 21:
			b = parquet(uint64(i), 1<<20+1)
		}
		d := put(t, s, b)
		switch {
		case i%2 == 1:
			f.dead[d] = b
		case i < 30: // reached through a tree
			f.live[d] = b
			entries = append(entries, Entry{Path: string(d), Digest: d, Size: int64(len(b))})
		default:
			f.live[d] = b
			f.roots = append(f.roots, d)
		}
	}
	tr := tree(t, entries...)
	d, err := s.PutTree(t.Context(), tr)
	if err != nil {
		t.Fatal(err)
	}
	f.live[d] = tr.Encode()
	f.roots = append(f.roots, d)
	put(t, s, noise(99, 250_000)) // so that the pack of the tree is finished
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	age(t, f.dir)
	return f
}

func TestGC(t *testing.T) {
	f := fill(t)
	s := openStore(t, f.dir, Options{PackBytes: 200_000})
	reader := openStore(t, f.dir, Options{})
	for d := range f.live { // has every pack open
		get(t, reader, d)
	}
	before := packBytes(t, f.dir)
	dry, err := s.GC(t.Context(), roots(f.roots...), GCOptions{DryRun: true})
	if err != nil || dry.Removed == 0 || packBytes(t, f.dir) != before {
		t.Fatalf("dry run: %+v, %v", dry, err)
	}
	report, err := s.GC(t.Context(), roots(f.roots...), GCOptions{})
	if err != nil || report.Removed != dry.Removed || report.Bytes != dry.Bytes || len(report.Missing) > 0 {
		t.Fatalf("%+v, %v; the dry run said %+v", report, err, dry)
	}
	if after := packBytes(t, f.dir); after > before*6/10 {
		t.Errorf("packs went from %d to %d", before, after)
	}
	for d, b := range f.live {
		for _, s := range []*Store{s, reader} {
			if !bytes.Equal(get(t, s, d), b) {
				t.Error("live content changed")
			}
		}
	}
	for d := range f.dead {
		if has, err := s.Has(t.Context(), d); err != nil || has[0] {
			t.Errorf("dead content is still there: %v", err)
		}
		if _, err := s.Open(t.Context(), d); !slipway.IsCode(err, slipway.NotFound) {
			t.Errorf("dead content: %v", err)
		}
	}
	if report, err := s.Verify(t.Context()); err != nil || len(report.Damage) > 0 {
		t.Errorf("Verify: %+v, %v", report, err)
	}
	again, err := s.GC(t.Context(), roots(f.roots...), GCOptions{})
	if err != nil || again.Packs != 0 {
		t.Errorf("a second collection: %+v, %v", again, err)
	}
}

func TestGCSparesTheYoung(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{PackBytes: 1000})
	if err != nil {
		t.Fatal(err)
	}
	young := []slipway.Digest{put(t, s, noise(1, 5000)), put(t, s, parquet(2, 2<<20))}
	s.Close()
	s = openStore(t, dir, Options{})
	for _, grace := range []time.Duration{0, time.Nanosecond, time.Hour} {
		if report, err := s.GC(t.Context(), roots(), GCOptions{Grace: grace}); err != nil || report.Removed > 0 {
			t.Errorf("%v: %+v, %v", grace, report, err)
		}
	}
	for _, d := range young {
		get(t, s, d)
	}
	report, err := s.GC(t.Context(), roots(), GCOptions{NoGrace: true})
	if err != nil || report.Removed < 2 {
		t.Errorf("%+v, %v", report, err)
	}
	if has, err := s.Has(t.Context(), young...); err != nil || slices.Contains(has, true) {
		t.Errorf("Has = %v, %v", has, err)
	}
}

// A root that cannot be listed must not cost content.
func TestGCStopsWhenRootsFail(t *testing.T) {
	f := fill(t)
	s := openStore(t, f.dir, Options{})
	lost := errors.New("the database went away")
	_, err := s.GC(t.Context(), func(yield func(slipway.Digest, error) bool) {
		_ = yield(f.roots[0], nil) && yield("", lost)
	}, GCOptions{NoGrace: true})
	if !errors.Is(err, lost) {
		t.Errorf("got %v", err)
	}
	for d := range f.live {
		get(t, s, d)
	}
}

func TestGCReportsWhatIsMissing(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{})
	absent := slipway.DigestOf([]byte("absent"))
	d, err := s.PutTree(t.Context(), tree(t, Entry{Path: "a", Digest: absent, Size: 6}))
	if err != nil {
		t.Fatal(err)
	}
	report, err := s.GC(t.Context(), roots(d), GCOptions{})
	if err != nil || !slices.Equal(report.Missing, []slipway.Digest{absent}) {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestOneCollectionAtATime(t *testing.T) {
	f := fill(t)
	s, other := openStore(t, f.dir, Options{}), openStore(t, f.dir, Options{})
	_, err := s.GC(t.Context(), func(yield func(slipway.Digest, error) bool) {
		if _, err := other.GC(t.Context(), roots(), GCOptions{}); !slipway.IsCode(err, slipway.Conflict) {
			t.Errorf("a second collection: %v", err)
		}
		yield("", errors.New("enough"))
	}, GCOptions{})
	if err == nil {
		t.Error("the error was swallowed")
	}
}

// Erasure wants one piece gone, though its pack is hardly worth a rewrite.
func TestThorough(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	keep, secret := put(t, s, noise(1, 900_000)), []byte("the name of a person")
	put(t, s, secret)
	if _, err := s.File(t.Context(), slipway.DigestOf(secret)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	age(t, dir)
	s = openStore(t, dir, Options{})
	if report, err := s.GC(t.Context(), roots(keep), GCOptions{}); err != nil || report.Kept != 1 {
		t.Errorf("%+v, %v", report, err)
	}
	if report, err := s.GC(t.Context(), roots(keep), GCOptions{Thorough: true}); err != nil || report.Removed != 1 {
		t.Errorf("%+v, %v", report, err)
	}
	get(t, s, keep)
	filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && bytes.Contains(readFile(t, path), secret) {
			t.Errorf("the secret is still in %s", path)
		}
		return nil
	})
}

// A collection was killed between renaming a pack and deleting it.
func TestDyingPack(t *testing.T) {
	f := fill(t)
	packs, _ := filepath.Glob(filepath.Join(f.dir, "packs", "*.pack"))
	for _, path := range packs {
		if err := os.Rename(path, dyingPath(path)); err != nil {
			t.Fatal(err)
		}
	}
	s := openStore(t, f.dir, Options{})
	for d, b := range f.live {
		if !bytes.Equal(get(t, s, d), b) {
			t.Error("content changed")
		}
	}
	if _, err := s.GC(t.Context(), roots(f.roots...), GCOptions{}); err != nil {
		t.Fatal(err)
	}
	for d := range f.live {
		get(t, s, d)
	}
}

// Writers put dead content again, and readers read, while it is collected over
// and over. Whatever a writer was told is stored, stays.
func TestGCBesideWriters(t *testing.T) {
	f := fill(t)
	collector := openStore(t, f.dir, Options{PackBytes: 200_000})
	var work sync.WaitGroup
	for range 2 {
		s := openStore(t, f.dir, Options{PackBytes: 200_000})
		work.Go(func() {
			for d, b := range f.dead {
				got, _, err := s.Put(t.Context(), bytes.NewReader(b))
				if err != nil || got != d {
					t.Error(err)
				}
			}
		})
		work.Go(func() {
			for d, b := range f.live {
				if got, err := readAll(s, d); err != nil || !bytes.Equal(got, b) {
					t.Errorf("live content: %v", err)
				}
			}
		})
	}
	for range 3 {
		if _, err := collector.GC(t.Context(), roots(f.roots...), GCOptions{}); err != nil {
			t.Error(err)
		}
	}
	work.Wait()
	if _, err := collector.GC(t.Context(), roots(f.roots...), GCOptions{}); err != nil {
		t.Error(err)
	}
	fresh := openStore(t, f.dir, Options{})
	for _, contents := range []map[slipway.Digest][]byte{f.live, f.dead} {
		for d, b := range contents {
			if got, err := readAll(fresh, d); err != nil || !bytes.Equal(got, b) {
				t.Errorf("%s: %v", d.Short(), err)
			}
		}
	}
}
