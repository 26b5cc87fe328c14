package content

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/slipway-ml/slipway"
)

// With the table, without it, and while packs come and go under it, the finder
// gives the same answers.
func TestFinder(t *testing.T) {
	dir := t.TempDir()
	o := Options{PackBytes: 5_000}
	s := openStore(t, dir, o)
	known := map[slipway.Digest][]byte{}
	add := func(from, to int) {
		batch := s.Batch(t.Context())
		for i := from; i < to; i++ {
			b := noise(uint64(i), 100+i)
			d, _, err := batch.Put(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			known[d] = b
		}
		if err := batch.Commit(); err != nil {
			t.Fatal(err)
		}
		s.sealing.Wait()
	}
	check := func(when string) {
		t.Helper()
		for d, b := range known {
			if loc, ok := s.lookup(mustKey(t, d)); !ok || loc.size != int64(len(b)) {
				t.Errorf("%s: content of %d bytes is not found", when, len(b))
			}
		}
		for i := range 500 {
			if _, ok := s.lookup(mustKey(t, slipway.DigestOf(fmt.Append(nil, "stranger", i)))); ok {
				t.Errorf("%s: a stranger is found", when)
			}
		}
	}
	built := func() *table {
		s.mu.RLock()
		defer s.mu.RUnlock()
		return s.here.table
	}
	add(0, 200)
	check("before the table")
	for i := 0; built() == nil; i++ {
		if i > worthTable {
			t.Fatal("the table is never built")
		}
		s.lookup(key{byte(i), byte(i >> 8), 1})
	}
	check("with the table")
	first := built()
	add(200, 230)
	if built() != first {
		t.Error("a few more packs threw the table away")
	}
	check("with packs added to it")
	add(230, 900)
	check("with more packs than it has room for")

	var keep []slipway.Digest
	for d := range known {
		if len(keep) < 300 {
			keep = append(keep, d)
		} else {
			delete(known, d)
		}
	}
	for range 200 {
		check("again") // until there is a table once more
		if built() != nil {
			break
		}
	}
	age(t, dir)
	if _, err := s.GC(t.Context(), roots(keep...), GCOptions{}); err != nil {
		t.Fatal(err)
	}
	check("after garbage collection")
}
