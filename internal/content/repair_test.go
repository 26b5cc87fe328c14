package content

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/slipway-ml/slipway"
)

// flip changes one bit of what holds b below dir, and keeps the time of the
// file, as a dying disk does.
func flip(t *testing.T, dir string, b []byte) {
	t.Helper()
	n := 0
	for _, pattern := range []string{"packs/*.pack", "whole/*/*", "files/*/*"} {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			image := readFile(t, name)
			i := bytes.Index(image, b)
			if i < 0 {
				continue
			}
			image[i+len(b)/2] ^= 4
			if err := os.Chmod(name, 0o600); err != nil {
				t.Fatal(err)
			}
			writeFile(t, name, image)
			if err := os.Chtimes(name, info.ModTime(), info.ModTime()); err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	if n == 0 {
		t.Fatal("the bytes are nowhere")
	}
}

// Content of every form that a flipped bit has hit is missing until the same
// bytes are put again; then it is whole, Verify says so, and no collection
// takes the sound copy for a spare one. The same in one process and in several.
func TestPuttingAgainRepairs(t *testing.T) {
	forms := map[string][]byte{"record": noise(1, 1000), "cut": noise(2, 3<<20), "whole": parquet(3, 2<<20)}
	for name, b := range forms {
		for _, processes := range []int{1, 2} {
			t.Run(name, func(t *testing.T) {
				dir := t.TempDir()
				s, err := Open(dir, Options{})
				if err != nil {
					t.Fatal(err)
				}
				d, other := put(t, s, b), put(t, s, noise(9, 1000))
				again := func() {
					if processes == 1 {
						return
					}
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					if s, err = Open(dir, Options{}); err != nil {
						t.Fatal(err)
					}
				}
				again()
				flip(t, dir, b[len(b)/2:len(b)/2+64])
				report, err := s.Verify(t.Context())
				if err != nil || len(report.Damage) == 0 {
					t.Fatalf("a flipped bit is not found: %+v, %v", report, err)
				}
				again()
				if missing, err := s.Missing(t.Context(), d, other); err != nil || len(missing) != 1 || missing[0] != d {
					t.Errorf("%v is missing (%v), want the damaged content alone", missing, err)
				}
				if _, err := readAll(s, d); !slipway.IsCode(err, slipway.Internal) {
					t.Errorf("damaged content is read: %v", err)
				}
				put(t, s, b)
				again()
				if got := get(t, s, d); !bytes.Equal(got, b) {
					t.Error("other bytes after the repair")
				}
				report, err = s.Verify(t.Context())
				if err != nil || len(report.Damage) > 0 {
					t.Errorf("after the repair: %+v, %v", report.Damage, err)
				}
				if bad, err := s.Damaged(t.Context()); err != nil || len(bad) > 0 {
					t.Errorf("still suspected: %v, %v", bad, err)
				}
				put(t, s, noise(10, 5000))
				again()
				if _, err := s.GC(t.Context(), roots(d), GCOptions{NoGrace: true, Thorough: true}); err != nil {
					t.Fatal(err)
				}
				if got := get(t, s, d); !bytes.Equal(got, b) {
					t.Error("a collection has taken the sound copy")
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// A reader that meets damage notes it, so that no check is needed before the
// repair.
func TestReadingFindsDamage(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Options{})
	b := noise(1, 3<<20)
	d := put(t, s, b)
	flip(t, dir, b[1<<20:1<<20+64])
	if _, err := readAll(s, d); !slipway.IsCode(err, slipway.Internal) {
		t.Fatalf("damaged content is read: %v", err)
	}
	if missing, err := s.Missing(t.Context(), d); err != nil || len(missing) != 1 {
		t.Errorf("%v is missing (%v)", missing, err)
	}
	put(t, s, b)
	get(t, s, d)
}
