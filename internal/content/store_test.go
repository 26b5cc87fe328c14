package content

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/slipway-ml/slipway"
	"pgregory.net/rapid"
)

func packBytes(t testing.TB, dir string) (total int64) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "packs", "*.pack"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	return total
}

func writeFile(t testing.TB, path string, b []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// parquet gives n bytes that begin and end like a Parquet file.
func parquet(seed uint64, n int) []byte {
	b := noise(seed, n)
	copy(b, "PAR1")
	copy(b[n-4:], "PAR1")
	return b
}

// Whatever is put, in whatever order, with the store closed and opened in
// between and packs finished often, can be read whole and in parts.
func TestEverythingComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "content")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		o := Options{PackBytes: int64(rapid.SampledFrom([]int{300_000, 64 << 20}).Draw(t, "pack"))}
		s, err := Open(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { s.Close() }()
		known := map[slipway.Digest][]byte{}
		size := rapid.OneOf(rapid.IntRange(0, 300), rapid.IntRange(0, 300), rapid.IntRange(0, 100_000), rapid.IntRange(wholeLimit-2, wholeLimit+300_000))
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			b := noise(uint64(rapid.IntRange(0, 5).Draw(t, "seed")), size.Draw(t, "size"))
			d, _, err := s.Put(context.Background(), bytes.NewReader(b))
			if err != nil || d != slipway.DigestOf(b) {
				t.Fatalf("Put: %s, %v", d, err)
			}
			known[d] = b
			if rapid.Bool().Draw(t, "reopen") {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if s, err = Open(dir, o); err != nil {
					t.Fatal(err)
				}
			}
		}
		for d, want := range known {
			r, err := s.Open(context.Background(), d)
			if err != nil {
				t.Fatal(err)
			}
			if len(want) < 1000 { // it reads byte by byte
				if err := iotest.TestReader(r, want); err != nil {
					t.Fatal(err)
				}
			}
			at := rapid.IntRange(0, len(want)).Draw(t, "at")
			got := make([]byte, rapid.IntRange(0, len(want)-at).Draw(t, "n"))
			if _, err := r.ReadAt(got, int64(at)); err != nil && !(err == io.EOF && at+len(got) == len(want)) {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want[at:at+len(got)]) {
				t.Fatalf("%d bytes at %d of %d differ", len(got), at, len(want))
			}
			r.Close()
		}
		if report, err := s.Verify(context.Background()); err != nil || len(report.Damage) > 0 {
			t.Fatalf("Verify: %+v, %v", report, err)
		}
	})
}

func TestSameBytesAreKeptOnce(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Options{PackBytes: 1 << 20})
	small, large := noise(1, 5000), noise(2, 4<<20)
	put(t, s, small)
	put(t, s, large)
	before := packBytes(t, dir)
	for range 3 {
		put(t, s, small)
		put(t, s, large)
	}
	if after := packBytes(t, dir); after != before {
		t.Errorf("putting the same again grew the packs from %d to %d", before, after)
	}
	edited := slices.Concat(large[:2<<20], []byte("a line in the middle"), large[2<<20:])
	put(t, s, edited)
	if grown := packBytes(t, dir) - before; grown > 1<<20 {
		t.Errorf("a line in the middle of 4 MB stored %d bytes", grown)
	}
	other := openStore(t, dir, Options{}) // another process knows what is there
	put(t, other, small)
	if got := packBytes(t, dir); got > before+1<<20 {
		t.Errorf("another process stored the same content again: %d", got)
	}
}

func TestHasAndSize(t *testing.T) {
	ctx := t.Context()
	s := openStore(t, t.TempDir(), Options{})
	small, large, whole := put(t, s, noise(1, 10)), put(t, s, noise(2, 2<<20)), put(t, s, parquet(3, 2<<20))
	absent := slipway.DigestOf([]byte("absent"))
	has, err := s.Has(ctx, small, absent, large, whole)
	if err != nil || !slices.Equal(has, []bool{true, false, true, true}) {
		t.Errorf("Has = %v, %v", has, err)
	}
	missing, err := s.Missing(ctx, small, absent, large, whole)
	if err != nil || !slices.Equal(missing, []slipway.Digest{absent}) {
		t.Errorf("Missing = %v, %v", missing, err)
	}
	for d, want := range map[slipway.Digest]int64{small: 10, large: 2 << 20, whole: 2 << 20} {
		if n, err := s.Size(ctx, d); n != want || err != nil {
			t.Errorf("Size = %d, %v, want %d", n, err, want)
		}
	}
	if _, err := s.Size(ctx, absent); !slipway.IsCode(err, slipway.NotFound) {
		t.Errorf("Size: %v", err)
	}
	if _, err := s.Open(ctx, absent); !slipway.IsCode(err, slipway.NotFound) {
		t.Errorf("Open: %v", err)
	}
	if _, err := s.File(ctx, absent); !slipway.IsCode(err, slipway.NotFound) {
		t.Errorf("File: %v", err)
	}
	for _, d := range []slipway.Digest{"", "../../etc/passwd", slipway.Digest(bytes.Repeat([]byte("A"), 64))} {
		_, openErr := s.Open(ctx, d)
		_, fileErr := s.File(ctx, d)
		_, hasErr := s.Has(ctx, d)
		for _, err := range []error{openErr, fileErr, hasErr, s.PutExpect(ctx, d, bytes.NewReader(nil))} {
			if !slipway.IsCode(err, slipway.Invalid) {
				t.Errorf("%q: %v", d, err)
			}
		}
	}
}

func TestPutExpect(t *testing.T) {
	ctx := t.Context()
	for _, b := range [][]byte{noise(1, 100), noise(2, 3<<20), parquet(3, 3<<20), nil} {
		dir := t.TempDir()
		s := openStore(t, dir, Options{})
		other := slices.Concat(b, []byte("x"))
		if err := s.PutExpect(ctx, slipway.DigestOf(b), bytes.NewReader(other)); !slipway.IsCode(err, slipway.Invalid) {
			t.Errorf("other bytes: %v", err)
		}
		if n := packBytes(t, dir); n != 0 {
			t.Errorf("other bytes left %d behind", n)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "tmp", "*")); len(left) > 0 {
			t.Errorf("other bytes left %v", left)
		}
		if err := s.PutExpect(ctx, slipway.DigestOf(b), bytes.NewReader(b)); err != nil {
			t.Error(err)
		}
		if !bytes.Equal(get(t, s, slipway.DigestOf(b)), b) {
			t.Error("not what was put")
		}
	}
}

func TestPutFile(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	s := openStore(t, filepath.Join(dir, "store"), Options{})
	for i, b := range [][]byte{nil, noise(1, 10_000), noise(2, 5<<20), parquet(3, 5<<20), parquet(4, 100)} {
		path := writeFile(t, filepath.Join(dir, fmt.Sprint(i)), b)
		d, n, err := s.PutFile(ctx, path)
		if err != nil || d != slipway.DigestOf(b) || n != int64(len(b)) {
			t.Errorf("%d: %s, %d, %v", i, d, n, err)
		}
		if !bytes.Equal(get(t, s, d), b) {
			t.Errorf("%d: not what was put", i)
		}
	}
	if _, _, err := s.PutFile(ctx, filepath.Join(dir, "none")); !slipway.IsCode(err, slipway.NotFound) {
		t.Errorf("no file: %v", err)
	}
	if _, _, err := s.PutFile(ctx, dir); !slipway.IsCode(err, slipway.Invalid) {
		t.Errorf("a folder: %v", err)
	}
}

func TestBatch(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, filepath.Join(dir, "store"), Options{PackBytes: 200_000})
	var paths []string
	var contents [][]byte
	for i := range 200 {
		n := 100 + i*37
		switch i {
		case 50, 51:
			n = 2 << 20
		case 60:
			n = 0
		}
		b := noise(uint64(i/2), n)
		if i == 70 {
			b = parquet(70, 2<<20)
		}
		contents = append(contents, b)
		paths = append(paths, writeFile(t, filepath.Join(dir, fmt.Sprint("f", i)), b))
	}
	batch := s.Batch(t.Context())
	seen := 0
	stored, err := batch.PutFiles(paths, func(string, Stored) { seen++ })
	if err != nil || seen != len(paths) {
		t.Fatalf("%d files, %v", seen, err)
	}
	if err := batch.Commit(); err != nil {
		t.Fatal(err)
	}
	for i, f := range stored {
		if f.Digest != slipway.DigestOf(contents[i]) || f.Size != int64(len(contents[i])) || !bytes.Equal(get(t, s, f.Digest), contents[i]) {
			t.Errorf("file %d: %+v", i, f)
		}
	}
	if _, err := s.Batch(t.Context()).PutFiles(append(paths, filepath.Join(dir, "none")), nil); !slipway.IsCode(err, slipway.NotFound) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestBrokenSource(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{})
	broken := errors.New("the source broke")
	for _, n := range []int{100, 3 << 20} {
		b := noise(1, n)
		_, _, err := s.Put(t.Context(), io.MultiReader(bytes.NewReader(b), iotest.ErrReader(broken)))
		if !errors.Is(err, broken) {
			t.Errorf("%d bytes: %v", n, err)
		}
		if has, _ := s.Has(t.Context(), slipway.DigestOf(b)); has[0] {
			t.Errorf("%d bytes are there all the same", n)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Put(ctx, bytes.NewReader(noise(1, 3<<20))); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// Several processes, and several goroutines of each, write and read at once;
// what one was told is stored, all can read.
func TestManyWriters(t *testing.T) {
	dir := t.TempDir()
	stores := []*Store{}
	for range 3 {
		stores = append(stores, openStore(t, dir, Options{PackBytes: 300_000}))
	}
	stored := make(chan []byte, 1000)
	var writers, readers sync.WaitGroup
	for w := range 6 {
		writers.Go(func() {
			s := stores[w%len(stores)]
			for i := range 25 {
				b := noise(uint64(w/2*100+i), 100+i*1000) // pairs of writers share content
				if i == 20 {
					b = noise(uint64(w/2), 2<<20)
				}
				if _, _, err := s.Put(t.Context(), bytes.NewReader(b)); err != nil {
					t.Error(err)
					return
				}
				stored <- b
			}
		})
	}
	for r := range 3 {
		readers.Go(func() {
			for b := range stored {
				got, err := readAll(stores[r], slipway.DigestOf(b))
				if err != nil || !bytes.Equal(got, b) {
					t.Errorf("reader %d: %d bytes of %d, %v", r, len(got), len(b), err)
				}
			}
		})
	}
	writers.Wait()
	close(stored)
	readers.Wait()
	report, err := stores[0].Verify(t.Context())
	if err != nil || len(report.Damage) > 0 {
		t.Errorf("Verify: %+v, %v", report, err)
	}
}

func readAll(s *Store, d slipway.Digest) ([]byte, error) {
	r, err := s.Open(context.Background(), d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// Commands that each store a little share one pack, instead of leaving one
// each.
func TestSmallSessionsShareAPack(t *testing.T) {
	dir := t.TempDir()
	for i := range 10 {
		s, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		put(t, s, noise(uint64(i), 100))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if packs, _ := filepath.Glob(filepath.Join(dir, "packs", "*.pack")); len(packs) != 1 {
		t.Errorf("there are %d packs", len(packs))
	}
}

func TestOpenOptions(t *testing.T) {
	for _, o := range []Options{{CacheBytes: -1}, {PackBytes: -1}, {PackBytes: 1 << 40}} {
		if _, err := Open(t.TempDir(), o); !slipway.IsCode(err, slipway.Invalid) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, err := Open(writeFile(t, filepath.Join(t.TempDir(), "file"), nil), Options{}); err == nil {
		t.Error("a file was opened as a store")
	}
}
