package content

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/slipway-ml/slipway"
)

// noise gives n bytes that do not compress and differ from seed to seed.
func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	r.Read(b)
	return b
}

func openStore(t testing.TB, dir string, o Options) *Store {
	t.Helper()
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func put(t testing.TB, s *Store, b []byte) slipway.Digest {
	t.Helper()
	d, n, err := s.Put(context.Background(), bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if d != slipway.DigestOf(b) || n != int64(len(b)) {
		t.Fatalf("Put of %d bytes said %s, %d", len(b), d, n)
	}
	return d
}

func get(t testing.TB, s *Store, d slipway.Digest) []byte {
	t.Helper()
	r, err := s.Open(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(b)) != r.Size() {
		t.Fatalf("read %d bytes of %d", len(b), r.Size())
	}
	return b
}

func TestPutThenOpen(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Options{})
	var contents [][]byte
	for i, n := range []int{0, 1, 63, 64, 16 << 10, wholeLimit - 1, wholeLimit, wholeLimit + 1, 3 << 20, 9<<20 + 7} {
		contents = append(contents, noise(uint64(i), n))
	}
	for _, b := range contents {
		put(t, s, b)
	}
	other := openStore(t, dir, Options{}) // a second process, while the first still writes
	for _, b := range contents {
		for _, s := range []*Store{s, other} {
			if !bytes.Equal(get(t, s, slipway.DigestOf(b)), b) {
				t.Fatalf("%d bytes came back changed", len(b))
			}
		}
	}
}
