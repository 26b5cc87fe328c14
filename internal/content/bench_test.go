package content

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/slipway-ml/slipway"
)

// manyFiles writes n files of 0.5 to 20 kB in folders of a thousand. The
// environment variable SLIPWAY_BENCH_FILES sets n; the figures in
// docs/benchmarks.md are for 100,000.
func manyFiles(b *testing.B) (paths []string, total int64) {
	n := 5000
	if text := os.Getenv("SLIPWAY_BENCH_FILES"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	dir, r := b.TempDir(), rand.New(rand.NewPCG(7, 7))
	for i := range n {
		size := 512 + r.IntN(19968)
		path := filepath.Join(dir, strconv.Itoa(i/1000), strconv.Itoa(i)+".jpg")
		paths = append(paths, writeFile(b, path, noise(uint64(i), size)))
		total += int64(size)
	}
	return paths, total
}

// BenchmarkAddFiles compares adding many small files with the least that any
// tool must do: read them, hash them, and write the bytes to 64 MB files that
// are synced.
func BenchmarkAddFiles(b *testing.B) {
	paths, total := manyFiles(b)
	b.Run("raw", func(b *testing.B) {
		b.SetBytes(total)
		for b.Loop() {
			rawLoop(b, paths)
		}
	})
	b.Run("store", func(b *testing.B) {
		b.SetBytes(total)
		for b.Loop() {
			s := openStore(b, b.TempDir(), Options{})
			addAll(b, s, paths)
			s.Close()
		}
	})
	b.Run("store again", func(b *testing.B) {
		s := openStore(b, b.TempDir(), Options{})
		addAll(b, s, paths)
		b.SetBytes(total)
		for b.Loop() {
			addAll(b, s, paths)
		}
	})
}

func addAll(b *testing.B, s *Store, paths []string) []Stored {
	batch := s.Batch(b.Context())
	stored, err := batch.PutFiles(paths, nil)
	if err == nil {
		err = batch.Commit()
	}
	if err != nil {
		b.Fatal(err)
	}
	return stored
}

// rawLoop uses as many goroutines as PutFiles does.
func rawLoop(b *testing.B, paths []string) {
	dir := b.TempDir()
	var next atomic.Int64
	var work sync.WaitGroup
	var mu sync.Mutex
	out, at := rawFile(b, dir, 0), int64(0)
	for range 2 * runtime.GOMAXPROCS(0) {
		work.Go(func() {
			buf := make([]byte, 32<<10)
			for {
				i := int(next.Add(1)) - 1
				if i >= len(paths) {
					return
				}
				f, err := os.Open(paths[i])
				if err != nil {
					b.Error(err)
					return
				}
				n, _ := f.Read(buf)
				f.Close()
				sha256.Sum256(buf[:n])
				mu.Lock()
				out.WriteAt(buf[:n], at)
				if at += int64(n); at >= defaultPackBytes {
					out.Sync()
					out.Close()
					out, at = rawFile(b, dir, i+1), 0
				}
				mu.Unlock()
			}
		})
	}
	work.Wait()
	out.Sync()
	out.Close()
}

func rawFile(b *testing.B, dir string, i int) *os.File {
	f, err := os.Create(filepath.Join(dir, strconv.Itoa(i)))
	if err != nil {
		b.Fatal(err)
	}
	return f
}

func BenchmarkLinkFiles(b *testing.B) {
	paths, _ := manyFiles(b)
	s := openStore(b, b.TempDir(), Options{})
	stored := addAll(b, s, paths)
	link := func(b *testing.B, mode Mode) {
		for b.Loop() {
			dir := b.TempDir()
			err := inParallel(2*runtime.GOMAXPROCS(0), stored, func(f Stored) error {
				return s.Link(b.Context(), f.Digest, filepath.Join(dir, string(f.Digest)), mode)
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("writable from packs", func(b *testing.B) { link(b, Writable) })
	b.Run("read-only", func(b *testing.B) { link(b, ReadOnly) })
}

func BenchmarkPutLarge(b *testing.B) {
	content := noise(1, 256<<20)
	b.Run("raw hash and write", func(b *testing.B) {
		b.SetBytes(int64(len(content)))
		for b.Loop() {
			sha256.Sum256(content)
			f := rawFile(b, b.TempDir(), 0)
			f.Write(content)
			f.Sync()
			f.Close()
		}
	})
	b.Run("store", func(b *testing.B) {
		b.SetBytes(int64(len(content)))
		for b.Loop() {
			s := openStore(b, b.TempDir(), Options{})
			put(b, s, content)
			s.Close()
		}
	})
	b.Run("cut only", func(b *testing.B) {
		b.SetBytes(int64(len(content)))
		for b.Loop() {
			if err := cutAll(b.Context(), bytes.NewReader(content), func([]byte) {}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkPutDurable is one small piece at a time from eight callers, each
// told when its piece is durable.
func BenchmarkPutDurable(b *testing.B) {
	s := openStore(b, b.TempDir(), Options{})
	var next atomic.Uint64
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, _, err := s.Put(b.Context(), bytes.NewReader(fmt.Append(nil, "piece ", next.Add(1)))); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkManyObjects opens a store of a million pieces of 10 kB, as its
// indexes show it, and looks for pieces that are there and that are not.
func BenchmarkManyObjects(b *testing.B) {
	dir := b.TempDir()
	writeFile(b, filepath.Join(dir, "packs", "x"), nil)
	const packs, each = 160, 6500
	for p := range packs {
		var entries []entry
		for i := range each {
			k := key(sha256.Sum256(fmt.Append(nil, p, "-", i)))
			entries = append(entries, entry{digest: k, kind: kindBytes, offset: int64(i) * 10_000, length: 10_000, size: 10_000})
		}
		id := fmt.Sprintf("%04d", p)
		mark := newMark()
		pack := filepath.Join(dir, "packs", id+".pack")
		writeFile(b, pack, encodePackHeader(mark))
		if err := os.Truncate(pack, 65_000_000); err != nil {
			b.Fatal(err)
		}
		writeFile(b, filepath.Join(dir, "packs", id+".idx"), encodeIndex(entries, 65_000_000, mark, true))
	}
	b.Run("open and find one", func(b *testing.B) {
		for b.Loop() {
			s := openStore(b, dir, Options{})
			if has, err := s.Has(b.Context(), slipway.DigestOf([]byte("0-0"))); err != nil || !has[0] {
				b.Fatal(has, err)
			}
			s.Close()
		}
	})
	s := openStore(b, dir, Options{})
	if err := s.load(b.Context()); err != nil {
		b.Fatal(err)
	}
	for _, there := range []bool{true, false} {
		b.Run(map[bool]string{true: "find", false: "miss"}[there], func(b *testing.B) {
			i := 0
			for b.Loop() {
				i++
				k := key(sha256.Sum256(fmt.Append(nil, i%packs, "-", i%each)))
				if !there {
					k[31]++
					k[0] ^= 0x55
				}
				if _, ok := s.lookup(k); ok != there {
					b.Fatal(i)
				}
			}
		})
	}
}
