package content_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// served is a store behind its operations, as a principal of a role sees it.
func served(t *testing.T) (*content.Store, func(slipway.Role) content.Remote) {
	t.Helper()
	store, err := content.Open(t.TempDir(), content.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	api := web.NewAPI("test")
	store.Routes(api)
	return store, func(r slipway.Role) content.Remote {
		return content.Remote{Client: web.InProcess(api.Mux, slipway.Principal{Name: "ana", Role: r, Project: "p"})}
	}
}

func TestClientSendsAndReads(t *testing.T) {
	store, as := served(t)
	r := as(slipway.Writer)
	dir := t.TempDir()
	var files []content.Upload
	var size int64
	for name, text := range map[string]string{"small": "hello", "empty": "", "large": strings.Repeat("0123456789", 300_000)} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		files = append(files, content.Upload{Path: path, Digest: slipway.DigestOf([]byte(text)), Size: int64(len(text))})
		size += int64(len(text))
	}
	var sent int64
	if err := r.PutFiles(t.Context(), files, func(n int64) { sent += n }); err != nil || sent != size {
		t.Fatalf("%v, %d of %d bytes", err, sent, size)
	}
	absent := slipway.DigestOf([]byte("absent"))
	missing, err := r.Missing(t.Context(), files[0].Digest, absent, files[1].Digest)
	if err != nil || len(missing) != 1 || missing[0] != absent {
		t.Errorf("%v %v", err, missing)
	}
	for _, f := range files {
		copied := f.Path + ".copy"
		if err := r.Fetch(t.Context(), f.Digest, copied, false); err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(f.Path)
		got, err2 := os.ReadFile(copied)
		if err != nil || err2 != nil || !bytes.Equal(want, got) {
			t.Errorf("%s came back as %d bytes (%v, %v)", f.Path, len(got), err, err2)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", r.Client.URL+"/api/v1/content/"+string(slipway.DigestOf([]byte("hello"))), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Range", "bytes=1-3")
	resp, err := r.Client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if part, err := io.ReadAll(resp.Body); err != nil || string(part) != "ell" || resp.StatusCode != http.StatusPartialContent {
		t.Errorf("%v %q %d", err, part, resp.StatusCode)
	}
	if _, err := store.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestClientCannotSendOneThingForAnother(t *testing.T) {
	_, as := served(t)
	r := as(slipway.Writer)
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("now"), 0o644); err != nil {
		t.Fatal(err)
	}
	then := slipway.DigestOf([]byte("old"))
	if err := r.PutFiles(t.Context(), []content.Upload{{Path: path, Digest: then, Size: 3}}, nil); !slipway.IsCode(err, slipway.Conflict) {
		t.Errorf("other bytes under a digest: %v", err)
	}
	if err := r.PutFiles(t.Context(), []content.Upload{{Path: path, Digest: then, Size: 5}}, nil); !slipway.IsCode(err, slipway.Conflict) {
		t.Errorf("a file that shrank: %v", err)
	}
	if err := r.Put(t.Context(), then, strings.NewReader("now")); !slipway.IsCode(err, slipway.Invalid) {
		t.Errorf("other bytes alone: %v", err)
	}
	if missing, err := r.Missing(t.Context(), then); err != nil || len(missing) != 1 {
		t.Errorf("%v %v", err, missing)
	}
	if err := as(slipway.Reader).Put(t.Context(), then, strings.NewReader("old")); !slipway.IsCode(err, slipway.Denied) {
		t.Errorf("a reader wrote: %v", err)
	}
	if _, err := as("").Open(t.Context(), then); !slipway.IsCode(err, slipway.Unauthenticated) {
		t.Errorf("nobody read: %v", err)
	}
	if _, err := r.Open(t.Context(), then); !slipway.IsCode(err, slipway.NotFound) {
		t.Errorf("absent content: %v", err)
	}
}

// What a checkout gets is the same whether the server puts the files there
// itself or sends them, and no link leads out of the folder.
func TestClientPlacesFiles(t *testing.T) {
	store, as := served(t)
	var entries []content.Entry
	for name, text := range map[string]string{"a.txt": "hello", "sub/b.bin": strings.Repeat("0123456789", 300_000), "sub/c.txt": "hello", "empty": ""} {
		d, n, err := store.Put(t.Context(), strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, content.Entry{Path: name, Digest: d, Size: n})
	}
	tree, err := content.NewTree(entries)
	if err != nil {
		t.Fatal(err)
	}
	for name, role := range map[string]slipway.Role{"by the server": slipway.Admin, "over the connection": slipway.Reader} {
		for _, mode := range []content.Mode{content.Writable, content.ReadOnly} {
			root := filepath.Join(t.TempDir(), "new")
			var got int64
			if err := as(role).Place(t.Context(), root, tree, mode, func(n int64) { got += n }); err != nil || got != tree.Size() {
				t.Fatalf("%s: %v, %d bytes", name, err, got)
			}
			for _, e := range tree {
				b, err := os.ReadFile(filepath.Join(root, e.Path))
				if err != nil || slipway.DigestOf(b) != e.Digest {
					t.Errorf("%s: %s: %v", name, e.Path, err)
				}
			}
			if names, err := os.ReadDir(root); err != nil || len(names) != 3 {
				t.Errorf("%s leaves %v", name, names)
			}
			outside := t.TempDir()
			other := t.TempDir()
			if err := os.Symlink(outside, filepath.Join(other, "sub")); err != nil {
				t.Fatal(err)
			}
			if err := as(role).Place(t.Context(), other, tree, mode, func(int64) {}); !slipway.IsCode(err, slipway.Invalid) {
				t.Errorf("%s through a link: %v", name, err)
			}
			if names, _ := os.ReadDir(outside); len(names) > 0 {
				t.Errorf("%s wrote outside: %v", name, names)
			}
		}
	}
}
