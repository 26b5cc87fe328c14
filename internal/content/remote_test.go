package content

import (
	"bytes"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/blob"
	"github.com/slipway-ml/slipway/internal/backend/blob/blobtest"
	"github.com/slipway-ml/slipway/internal/backend/blob/mem"
)

// dataset puts small, cut and whole content and a tree of them.
func dataset(t testing.TB, s *Store, seed uint64) (root slipway.Digest, contents map[slipway.Digest][]byte) {
	t.Helper()
	contents = map[slipway.Digest][]byte{}
	var entries []Entry
	for i := range 30 {
		b := noise(seed+uint64(i), 10_000)
		switch i {
		case 10:
			b = noise(seed+uint64(i), 3<<20)
		case 20:
			b = parquet(seed+uint64(i), 2<<20)
		}
		d := put(t, s, b)
		contents[d] = b
		entries = append(entries, Entry{Path: string(d), Digest: d, Size: int64(len(b))})
	}
	tr := tree(t, entries...)
	root, err := s.PutTree(t.Context(), tr)
	if err != nil {
		t.Fatal(err)
	}
	contents[root] = tr.Encode()
	return root, contents
}

func TestPushAndPull(t *testing.T) {
	bucket := mem.New()
	o := Options{Remote: bucket, PackBytes: 1 << 20}
	laptop := openStore(t, t.TempDir(), o)
	put(t, laptop, []byte("private, and not part of the data set"))
	root, contents := dataset(t, laptop, 0)
	sent, err := laptop.Push(t.Context(), root)
	if err != nil || sent.Packs < 3 || sent.Whole != 1 {
		t.Fatalf("Push: %+v, %v", sent, err)
	}
	if again, err := laptop.Push(t.Context(), root); err != nil || again != (Transfer{}) {
		t.Errorf("a second push sent %+v, %v", again, err)
	}

	server := openStore(t, t.TempDir(), o)
	for d, b := range contents {
		if n, err := server.Size(t.Context(), d); err != nil || n != int64(len(b)) {
			t.Errorf("Size: %d, %v", n, err)
		}
		if !bytes.Equal(get(t, server, d), b) {
			t.Error("content read from the remote changed")
		}
		if path, err := server.File(t.Context(), d); err != nil || !bytes.Equal(readFile(t, path), b) {
			t.Errorf("File: %v", err)
		}
	}
	private := slipway.DigestOf([]byte("private, and not part of the data set"))
	if _, err := server.Open(t.Context(), private); !slipway.IsCode(err, slipway.NotFound) {
		t.Errorf("what was not pushed: %v", err)
	}

	dir := t.TempDir()
	other := openStore(t, dir, o)
	got, err := other.Pull(t.Context(), root)
	if err != nil || got.Objects == 0 || got.Whole != 1 {
		t.Fatalf("Pull: %+v, %v", got, err)
	}
	if again, err := other.Pull(t.Context(), root); err != nil || again != (Transfer{}) {
		t.Errorf("a second pull fetched %+v, %v", again, err)
	}
	other.Close()
	alone := openStore(t, dir, Options{}) // without the remote
	for d, b := range contents {
		if !bytes.Equal(get(t, alone, d), b) {
			t.Error("pulled content changed")
		}
	}
}

// A later version that differs little is sent in little.
func TestPushSendsWhatIsNew(t *testing.T) {
	bucket := mem.New()
	s := openStore(t, t.TempDir(), Options{Remote: bucket})
	b := noise(1, 5<<20)
	if _, err := s.Push(t.Context(), put(t, s, b)); err != nil {
		t.Fatal(err)
	}
	edited := slices.Concat(b[:2<<20], []byte("more"), b[2<<20:])
	sent, err := s.Push(t.Context(), put(t, s, edited))
	if err != nil || sent.Bytes > 600_000 {
		t.Errorf("sent %+v, %v", sent, err)
	}
	// Another machine that has all of it on disk sends nothing.
	other := openStore(t, t.TempDir(), Options{Remote: bucket})
	sent, err = other.Push(t.Context(), put(t, other, edited))
	if err != nil || sent != (Transfer{}) {
		t.Errorf("another machine sent %+v, %v", sent, err)
	}
}

// The connection breaks at every request in turn. Nothing half sent is ever
// visible, and each repetition comes further.
func TestPushIsResumed(t *testing.T) {
	bucket := mem.New()
	flaky := blobtest.NewFaulty(bucket)
	away := slipway.Errorf(slipway.Unavailable, "the connection broke")
	o := Options{Remote: flaky, PackBytes: 500_000}
	s := openStore(t, t.TempDir(), o)
	root, contents := dataset(t, s, 0)
	broken := 0
	for attempt := 1; ; attempt++ {
		writes := 0
		flaky.Fail(func(c blobtest.Call) blobtest.Fault {
			if c.Method == "Put" || c.Method == "Create" {
				if writes++; writes == 3 {
					return blobtest.Fault{Err: away, Done: attempt%2 == 0}
				}
			}
			return blobtest.Fault{}
		})
		_, err := s.Push(t.Context(), root)
		flaky.Fail(nil)
		reader := openStore(t, t.TempDir(), Options{Remote: bucket})
		for d, b := range contents {
			got, readErr := readAll(reader, d)
			if readErr == nil && !bytes.Equal(got, b) || readErr != nil && !slipway.IsCode(readErr, slipway.NotFound) {
				t.Fatalf("attempt %d left %s half there: %v", attempt, d.Short(), readErr)
			}
			if err == nil && readErr != nil {
				t.Fatalf("the push is complete, but %s is not there", d.Short())
			}
		}
		if err == nil {
			break
		}
		if !slipway.IsCode(err, slipway.Unavailable) || attempt > 50 {
			t.Fatalf("attempt %d: %v", attempt, err)
		}
		broken++
	}
	packs := 0
	for info, err := range bucket.List(t.Context(), "packs/") {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(info.Key, ".pack") {
			packs++
		}
	}
	// A pack whose index did not arrive may be sent again with other neighbours,
	// since those that were sent beside it have arrived.
	if known := len(s.remote); packs > known+broken {
		t.Errorf("%d packs were sent, %d count, %d attempts broke", packs, known, broken)
	}
}

func TestRemoteThatFails(t *testing.T) {
	flaky := blobtest.NewFaulty(mem.New())
	away := slipway.Errorf(slipway.Unavailable, "the connection broke")
	source := openStore(t, t.TempDir(), Options{Remote: flaky})
	root, contents := dataset(t, source, 0)
	if _, err := source.Push(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	for name, fault := range map[string]func(blobtest.Call) blobtest.Fault{
		"lists fail": func(c blobtest.Call) blobtest.Fault {
			if c.Method == "List" {
				return blobtest.Fault{Err: away, After: 1}
			}
			return blobtest.Fault{}
		},
		"reads break": func(c blobtest.Call) blobtest.Fault {
			if c.Method == "Get" && !strings.HasSuffix(c.Key, ".idx") {
				return blobtest.Fault{Err: away, After: 100}
			}
			return blobtest.Fault{}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := openStore(t, dir, Options{Remote: flaky})
			flaky.Fail(fault)
			for d := range contents {
				if _, err := readAll(s, d); !slipway.IsCode(err, slipway.Unavailable) {
					t.Errorf("Open: %v", err)
				}
				if _, err := s.File(t.Context(), d); !slipway.IsCode(err, slipway.Unavailable) {
					t.Errorf("File: %v", err)
				}
			}
			if _, err := s.Pull(t.Context(), root); !errors.Is(err, error(away)) {
				t.Errorf("Pull: %v", err)
			}
			flaky.Fail(nil)
			if left, _ := filepath.Glob(filepath.Join(dir, "files", "*", "*")); len(left) > 0 {
				t.Errorf("half files: %v", left)
			}
			if _, err := s.Pull(t.Context(), root); err != nil {
				t.Errorf("Pull, when the remote is back: %v", err)
			}
			for d, b := range contents {
				if !bytes.Equal(get(t, s, d), b) {
					t.Error("content changed")
				}
			}
		})
	}
}

// Bytes that changed in the bucket are refused.
func TestRemoteThatLies(t *testing.T) {
	bucket := mem.New()
	source := openStore(t, t.TempDir(), Options{Remote: bucket})
	root, contents := dataset(t, source, 0)
	if _, err := source.Push(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	var names []blob.Info
	for info := range bucket.List(t.Context(), "") {
		if !strings.HasSuffix(info.Key, ".idx") {
			names = append(names, info)
		}
	}
	for _, info := range names {
		if err := bucket.Put(t.Context(), info.Key, bytes.NewReader(noise(77, int(info.Size))), info.Size); err != nil {
			t.Fatal(err)
		}
	}
	s := openStore(t, t.TempDir(), Options{Remote: bucket})
	for d := range contents {
		if _, err := readAll(s, d); !slipway.IsCode(err, slipway.Internal) {
			t.Errorf("%v", err)
		}
	}
	if _, err := s.Pull(t.Context(), root); !slipway.IsCode(err, slipway.Internal) {
		t.Errorf("Pull: %v", err)
	}
}

func TestNoRemote(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{})
	if _, err := s.Push(t.Context()); !slipway.IsCode(err, slipway.Invalid) {
		t.Errorf("Push: %v", err)
	}
	if _, err := s.Pull(t.Context()); !slipway.IsCode(err, slipway.Invalid) {
		t.Errorf("Pull: %v", err)
	}
}
