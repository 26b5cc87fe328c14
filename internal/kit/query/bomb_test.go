package query

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"

	slipway "github.com/slipway-ml/slipway"
)

// A file that unpacks to far more than it is is refused before anything else
// reads it; one that a limit allows, and one that is damaged, are left to the reader.
func TestBomb(t *testing.T) {
	packed := func(n int) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write(make([]byte, n)); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	half := packed(1 << 20)
	for name, c := range map[string]struct {
		b       []byte
		refused bool
	}{
		"small":   {packed(1 << 10), false},
		"bomb":    {packed(4 << 20), true},
		"members": {bytes.Repeat(packed(1<<19), 8), true},
		"torn":    {half[:len(half)-30], false},
		"plain":   {bytes.Repeat([]byte("id,x\n"), 1<<20), false},
	} {
		path := filepath.Join(t.TempDir(), name+".csv.gz")
		if err := os.WriteFile(path, c.b, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		err = checkUnpacked(f, 2<<20, unpackedRatio)
		if (err != nil) != c.refused || err != nil && !slipway.IsCode(err, slipway.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
