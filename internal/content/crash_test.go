package content

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway"
)

// onlyPack returns the one pack of a store.
func onlyPack(t testing.TB, dir string) string {
	t.Helper()
	packs, err := filepath.Glob(filepath.Join(dir, "packs", "*.pack"))
	if err != nil || len(packs) != 1 {
		t.Fatalf("packs: %v, %v", packs, err)
	}
	return packs[0]
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// threeRecords makes a pack of three records without an index, as a killed
// process leaves it, and returns where each ends.
func threeRecords(t testing.TB) (image []byte, contents [][]byte, ends []int64) {
	t.Helper()
	dir := t.TempDir()
	s := openStore(t, dir, Options{})
	for i, n := range []int{70, 0, 300} {
		b := noise(uint64(i+1), n)
		put(t, s, b)
		contents = append(contents, b)
		ends = append(ends, packBytes(t, dir))
	}
	return readFile(t, onlyPack(t, dir)), contents, ends
}

func storeOf(t testing.TB, image []byte) (*Store, string) {
	t.Helper()
	dir := t.TempDir()
	path := writeFile(t, filepath.Join(dir, "packs", "0000.pack"), image)
	return openStore(t, dir, Options{}), path
}

// Wherever a pack is cut off, the records before are there, the torn one is
// not, and the store goes on.
func TestTornTail(t *testing.T) {
	image, contents, ends := threeRecords(t)
	for n := range len(image) + 1 {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, "packs", "0000.pack"), image[:n])
		s, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i, b := range contents {
			has, err := s.Has(t.Context(), slipway.DigestOf(b))
			if err != nil || has[0] != (ends[i] <= int64(n)) {
				t.Fatalf("cut at %d: content %d, which ends at %d, there: %v, %v", n, i, ends[i], has, err)
			}
		}
		if n%7 == 0 { // each costs a few fsyncs
			for _, b := range contents {
				put(t, s, b)
			}
			put(t, s, []byte("after"))
			for _, b := range append(contents, []byte("after")) {
				if !bytes.Equal(get(t, s, slipway.DigestOf(b)), b) {
					t.Fatalf("cut at %d: content came back changed", n)
				}
			}
		}
		s.Close()
	}
}

// One damaged byte costs one record, with and without an index.
func TestDamagedByte(t *testing.T) {
	image, contents, ends := threeRecords(t)
	for at := packHeaderSize; at < len(image); at += 5 {
		broken := bytes.Clone(image)
		broken[at] ^= 0x10
		s, _ := storeOf(t, broken)
		for i, b := range contents {
			from := int64(packHeaderSize)
			if i > 0 {
				from = ends[i-1]
			}
			hit := int64(at) >= from && int64(at) < ends[i]
			got, err := readAll(s, slipway.DigestOf(b))
			if hit && err == nil {
				t.Errorf("byte %d is damaged, and content %d is read", at, i)
			}
			if !hit && (err != nil || !bytes.Equal(got, b)) {
				t.Errorf("byte %d is damaged, and content %d is lost: %v", at, i, err)
			}
		}
	}
}

func TestDamageUnderAnIndex(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	good, bad, large := put(t, s, noise(1, 1000)), put(t, s, noise(2, 1000)), put(t, s, noise(3, 2<<20))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := onlyPack(t, dir)
	image := readFile(t, path)
	image[bytes.Index(image, noise(2, 1000))+500] ^= 1
	writeFile(t, path, image)
	s = openStore(t, dir, Options{})
	if _, err := readAll(s, bad); !slipway.IsCode(err, slipway.Internal) || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("damaged content: %v", err)
	}
	get(t, s, good)
	get(t, s, large)
	report, err := s.Verify(t.Context())
	if err != nil || len(report.Damage) == 0 {
		t.Errorf("Verify: %+v, %v", report, err)
	}
	for _, d := range report.Damage {
		if d.Digest != "" && d.Digest != bad {
			t.Errorf("Verify blames %s", d.Digest)
		}
	}
}

// The index is a help, not the truth.
func TestIndexIsRebuilt(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"gone":       os.Remove,
		"empty":      func(p string) error { return os.Truncate(p, 0) },
		"cut":        func(p string) error { return os.Truncate(p, 100) },
		"overwrites": func(p string) error { return os.WriteFile(p, bytes.Repeat([]byte("x"), 500), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, err := Open(dir, Options{PackBytes: 50_000})
			if err != nil {
				t.Fatal(err)
			}
			var ds []slipway.Digest
			for i := range 20 {
				ds = append(ds, put(t, s, noise(uint64(i), 10_000)))
			}
			s.Close()
			indexes, _ := filepath.Glob(filepath.Join(dir, "packs", "*.idx"))
			if len(indexes) < 3 {
				t.Fatalf("indexes: %v", indexes)
			}
			for _, path := range indexes {
				if err := spoil(path); err != nil {
					t.Fatal(err)
				}
			}
			s = openStore(t, dir, Options{PackBytes: 50_000})
			for _, d := range ds {
				get(t, s, d)
			}
			put(t, s, []byte("one more")) // which is when indexes are made again
			s.Close()
			again, _ := filepath.Glob(filepath.Join(dir, "packs", "*.idx"))
			for _, path := range again {
				if x, err := openIndex(path); err != nil || x.checkBody() != nil {
					t.Errorf("%s: %v", path, err)
				}
			}
			if len(again) < len(indexes) {
				t.Errorf("%d of %d indexes were made again", len(again), len(indexes))
			}
		})
	}
}

func mustKey(t testing.TB, d slipway.Digest) key {
	k, err := parseKey(d)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestMain also plays the process that TestKill kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv("CONTENT_TEST_WRITER"); dir != "" {
		writeUntilKilled(dir)
		return
	}
	os.Exit(m.Run())
}

// writeUntilKilled prints each digest when it has been acknowledged.
func writeUntilKilled(dir string) {
	s, err := Open(dir, Options{PackBytes: 400_000})
	if err != nil {
		fmt.Println("error", err)
		return
	}
	for i := uint64(0); ; i++ {
		n := int(i*7919) % 60_000
		switch {
		case i%9 == 8:
			n = 1<<20 + int(i)
		case i%13 == 12:
			b := parquet(i+uint64(os.Getpid()), 1<<20+100)
			d, _, err := s.Put(context.Background(), bytes.NewReader(b))
			fmt.Println(d, err)
			continue
		}
		d, _, err := s.Put(context.Background(), bytes.NewReader(noise(i+uint64(os.Getpid()), n)))
		fmt.Println(d, err)
	}
}

// A process is killed while it writes, many times, and nothing that it was
// told is stored is lost.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	var acknowledged []slipway.Digest
	for round := range 6 {
		command := exec.Command(os.Args[0])
		command.Env = append(os.Environ(), "CONTENT_TEST_WRITER="+dir)
		out, err := command.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			digest, failure, _ := strings.Cut(lines.Text(), " ")
			if failure != "<nil>" {
				t.Errorf("the writer says %q", lines.Text())
			}
			acknowledged = append(acknowledged, slipway.Digest(digest))
			if n == 5+round*6 {
				command.Process.Kill() // and read what it printed before it died
			}
		}
		command.Wait()
	}
	s := openStore(t, dir, Options{PackBytes: 400_000})
	for _, d := range acknowledged {
		b, err := readAll(s, d)
		if err != nil || slipway.DigestOf(b) != d {
			t.Errorf("%s was acknowledged and is lost: %v", d, err)
		}
	}
	if report, err := s.Verify(t.Context()); err != nil || len(report.Damage) > 0 {
		t.Errorf("Verify: %+v, %v", report, err)
	}
	t.Logf("%d acknowledged", len(acknowledged))
}
