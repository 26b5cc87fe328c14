package content

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/slipway-ml/slipway"
)

// A pack of any bytes is read without harm, and what comes out has the digest
// it was asked for.
func FuzzPack(f *testing.F) {
	image, contents, _ := threeRecords(f)
	f.Add(image, 0, byte(0))
	f.Add(image[:len(image)/2], 40, byte(1))
	f.Add([]byte{}, 0, byte(0))
	f.Fuzz(func(t *testing.T, image []byte, at int, flip byte) {
		image = bytes.Clone(image)
		if len(image) > 0 {
			image[max(at, -at, 0)%len(image)] ^= flip
		}
		s, _ := storeOf(t, image)
		for _, b := range contents {
			if got, err := readAll(s, slipway.DigestOf(b)); err == nil && !bytes.Equal(got, b) {
				t.Fatal("other bytes under the digest")
			}
		}
		s.mu.RLock()
		var known []entry
		for _, p := range s.order {
			known = append(known, p.entries()...)
		}
		s.mu.RUnlock()
		for _, e := range known {
			r, err := s.Open(t.Context(), e.digest.digest())
			if err == nil {
				io.Copy(io.Discard, io.LimitReader(r, 1<<20))
				r.Close()
			}
		}
	})
}

func FuzzIndex(f *testing.F) {
	e := entry{digest: key{1}, kind: kindBytes, offset: 32, length: 5, size: 5}
	f.Add(encodeIndex([]entry{e, {digest: key{9}}}, 100, packMark{1}, true))
	f.Add(encodeIndex(nil, 32, packMark{}, false))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := decodeIndex(b)
		if err != nil {
			return
		}
		for i := range x.count {
			x.at(i)
		}
		for i := range 256 {
			x.find(key{byte(i)})
		}
	})
}

// Every digest in an index is found, and no other.
func TestIndexFindsAll(t *testing.T) {
	for _, n := range []int{0, 1, 2, 9, 500, 6000} {
		var entries []entry
		for i := range n {
			d := mustKey(t, slipway.DigestOf(fmt.Append(nil, i)))
			if i%100 == 7 { // a clump, which guessing does not expect
				d = key{7, 7, 7, 7, 7, 7, 7, 7, byte(i), byte(i >> 8)}
			}
			entries = append(entries, entry{digest: d, kind: kindBytes, offset: int64(i), size: int64(i) << 20})
		}
		x, err := decodeIndex(encodeIndex(entries, 5, packMark{}, false))
		if err != nil || x.checkBody() != nil {
			t.Fatal(err)
		}
		for _, want := range entries {
			if got, ok := x.find(want.digest); !ok || got != want {
				t.Errorf("%d entries: %v is found as %v", n, want, got)
			}
		}
		for i := range 1000 {
			if _, ok := x.find(mustKey(t, slipway.DigestOf(fmt.Append(nil, "other", i)))); ok {
				t.Error("a stranger was found")
			}
		}
	}
}
