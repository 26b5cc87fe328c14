package content

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/slipway-ml/slipway"
	"pgregory.net/rapid"
)

func cutLengths(t testing.TB, b []byte) (lengths []int) {
	t.Helper()
	var joined []byte
	err := cutAll(context.Background(), bytes.NewReader(b), func(c []byte) {
		lengths = append(lengths, len(c))
		joined = append(joined, c...)
	})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(joined, b) {
		t.Fatal("the chunks are not the content")
	}
	return lengths
}

// The cuts are part of the format: were they to move, every large file would
// be stored anew. These were written down when the format was made.
func TestCutsNeverMove(t *testing.T) {
	got := cutLengths(t, noise(1, 512<<10))
	want := []int{69678, 79707, 111363, 82520, 85705, 76625, 18690}
	if !slices.Equal(got, want) {
		t.Errorf("the cuts are %v, were %v", got, want)
	}
	if gear[0] != 0x2844072baaab5e83 || gear[255] != 0xcabf9473c286b054 {
		t.Errorf("the table begins with %#x and ends with %#x", gear[0], gear[255])
	}
}

func TestChunkSizes(t *testing.T) {
	lengths := cutLengths(t, noise(2, 32<<20))
	for i, n := range lengths {
		if n > maxChunk || n < minChunk && i < len(lengths)-1 {
			t.Errorf("chunk %d has %d bytes", i, n)
		}
	}
	if mean := 32 << 20 / len(lengths); mean < 50<<10 || mean > 90<<10 {
		t.Errorf("the mean chunk has %d bytes", mean)
	}
	for _, n := range cutLengths(t, make([]byte, 3*maxChunk+1)) { // no content to cut by
		if n != maxChunk && n != 1 {
			t.Errorf("zeros are cut to %d bytes", n)
		}
	}
}

// However the bytes arrive, the cuts are the same.
func TestCutsDoNotDependOnReads(t *testing.T) {
	b := noise(3, 2<<20)
	want := cutLengths(t, b)
	var got []int
	if err := cutAll(context.Background(), iotest.HalfReader(bytes.NewReader(b)), func(c []byte) { got = append(got, len(c)) }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Error("reading in small pieces moved the cuts")
	}
}

// An edit anywhere leaves nearly all chunks as they were.
func TestEditsStoreLittle(t *testing.T) {
	base := noise(4, 3<<20)
	known := map[slipway.Digest]bool{}
	if err := cutAll(t.Context(), bytes.NewReader(base), func(c []byte) { known[slipway.DigestOf(c)] = true }); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		at := rapid.IntRange(0, len(base)).Draw(t, "at")
		insert := rapid.IntRange(0, 1000).Draw(t, "inserted")
		remove := rapid.IntRange(0, min(1000, len(base)-at)).Draw(t, "removed")
		edited := slices.Concat(base[:at], noise(uint64(insert), insert), base[at+remove:])
		fresh := 0
		err := cutAll(context.Background(), bytes.NewReader(edited), func(c []byte) {
			if !known[slipway.DigestOf(c)] {
				fresh += len(c)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		// Two cuts to resynchronise, and a piece on either side.
		if fresh > 4*maxChunk {
			t.Fatalf("an edit of %d bytes stores %d anew", insert+remove, fresh)
		}
	})
}
