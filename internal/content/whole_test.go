package content

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/slipway-ml/slipway"
)

func stat(t testing.TB, path string) fs.FileInfo {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Options{})
	for name, b := range map[string][]byte{"small": noise(1, 100), "cut": noise(2, 3<<20), "empty": nil, "Parquet": parquet(3, 2<<20)} {
		d := put(t, s, b)
		var paths [4]string
		var work sync.WaitGroup
		for i := range paths {
			work.Go(func() {
				path, err := s.File(t.Context(), d)
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				paths[i] = path
			})
		}
		work.Wait()
		for _, path := range paths {
			if path != paths[0] {
				t.Errorf("%s has the paths %v", name, paths)
			}
		}
		info := stat(t, paths[0])
		if !bytes.Equal(readFile(t, paths[0]), b) || info.Mode() != 0o444 || !Stamped(d, info) {
			t.Errorf("%s: the file is %v of %v", name, info.Mode(), info.ModTime())
		}
		if isWhole := strings.HasPrefix(paths[0], filepath.Join(dir, "whole")); isWhole != (name == "Parquet") {
			t.Errorf("%s is kept at %s", name, paths[0])
		}
	}
}

// Parquet is kept once: not in packs, and not a second time as a file.
func TestParquetIsKeptOnce(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Options{})
	b := parquet(1, 2<<20)
	path := writeFile(t, filepath.Join(dir, "data.parquet"), b)
	for range 2 {
		if _, _, err := s.PutFile(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		put(t, s, b)
	}
	if n := packBytes(t, dir); n != 0 {
		t.Errorf("packs hold %d bytes", n)
	}
	if _, err := s.File(t.Context(), slipway.DigestOf(b)); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*", "*", "*"))
	if len(files) != 1 {
		t.Errorf("it is kept as %v", files)
	}
}

// A stream of much is kept as one file, of less as Put keeps it, and either
// comes back; the digest is that of Put. One that breaks off leaves nothing.
func TestPutStream(t *testing.T) {
	for _, n := range []int{0, 100, wholeLimit, wholeLimit + 1, streamLimit - 1, streamLimit, streamLimit + 1, 40<<20 + 7} {
		dir := t.TempDir()
		s := openStore(t, dir, Options{})
		b := noise(uint64(n), n)
		d, size, err := s.PutStream(t.Context(), iotest.HalfReader(bytes.NewReader(b)))
		if err != nil || size != int64(n) || d != slipway.DigestOf(b) {
			t.Fatalf("%d bytes: %d under %s, %v", n, size, d, err)
		}
		r, err := s.Open(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, b) {
			t.Errorf("%d bytes: %d came back, %v", n, len(got), err)
		}
		if _, whole := r.(File); whole != (n >= streamLimit) {
			t.Errorf("%d bytes are kept whole: %v", n, whole)
		}
		_ = r.Close()
		_, _, err = s.PutStream(t.Context(), io.MultiReader(bytes.NewReader(noise(uint64(n)+1, n)), iotest.ErrReader(errors.New("gone"))))
		if err == nil {
			t.Errorf("%d bytes that broke off are stored", n)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "tmp", "*")); len(left) > 0 {
			t.Errorf("%d bytes that broke off left %v", n, left)
		}
	}
}

// Somebody writes through a hard link. A cached file is made again; the only
// copy of a Parquet file is reported.
func TestChangedWholeFile(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"overwritten": func(p string) error { return os.WriteFile(p, noise(9, 2<<20), 0o644) },
		"cut":         func(p string) error { return os.Truncate(p, 1000) },
		"grown":       func(p string) error { return os.Truncate(p, 3<<20) },
		"touched":     func(p string) error { return os.Chtimes(p, time.Now(), time.Now()) },
		"unprotected": func(p string) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, t.TempDir(), Options{})
			b, table := noise(1, 2<<20), parquet(2, 2<<20)
			for _, content := range [][]byte{b, table} {
				d := put(t, s, content)
				path, err := s.File(t.Context(), d)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(path, 0o644); err != nil {
					t.Fatal(err)
				}
				if err := change(path); err != nil {
					t.Fatal(err)
				}
				path, err = s.File(t.Context(), d)
				harmless := name == "touched" || name == "unprotected"
				if &content[0] == &table[0] && !harmless {
					if !slipway.IsCode(err, slipway.Internal) || !strings.Contains(err.Error(), "damaged") {
						t.Errorf("Parquet: %q, %v", path, err)
					}
					put(t, s, content) // which mends it
					path, err = s.File(t.Context(), d)
				}
				if err != nil || !bytes.Equal(readFile(t, path), content) {
					t.Errorf("the file was not mended: %v", err)
				}
			}
		})
	}
}

func TestLink(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	s := openStore(t, filepath.Join(dir, "store"), Options{})
	b := noise(1, 2<<20)
	d := put(t, s, b)
	for name, c := range map[string]struct {
		mode Mode
		perm fs.FileMode
	}{
		"read-only": {ReadOnly, 0o444}, "writable": {Writable, 0o644}, "program": {Executable, 0o555}, "writable program": {Writable | Executable, 0o755},
	} {
		dst := filepath.Join(dir, name)
		for range 2 { // the second replaces the first
			if err := s.Link(ctx, d, dst, c.mode); err != nil {
				t.Fatal(err)
			}
			info := stat(t, dst)
			if info.Mode() != c.perm || !bytes.Equal(readFile(t, dst), b) || !Stamped(d, info) {
				t.Errorf("%s: %v, %v", name, info.Mode(), info.ModTime())
			}
		}
	}
	// A writable file is one's own.
	own := filepath.Join(dir, "writable")
	if err := os.WriteFile(own, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if Stamped(d, stat(t, own)) {
		t.Error("an edited file looks untouched")
	}
	if !bytes.Equal(readFile(t, filepath.Join(dir, "read-only")), b) || !bytes.Equal(get(t, s, d), b) {
		t.Error("an edit of one's own file reached the store")
	}
	left, _ := filepath.Glob(filepath.Join(dir, ".slipway-*"))
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestLinkRefuses(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	s := openStore(t, filepath.Join(dir, "store"), Options{})
	d := put(t, s, []byte("content"))
	outside := writeFile(t, filepath.Join(dir, "outside", "victim"), []byte("untouched"))
	root := filepath.Join(dir, "root")
	writeFile(t, filepath.Join(root, "file"), nil)
	if err := os.Symlink(filepath.Dir(outside), filepath.Join(root, "way-out")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []Mode{ReadOnly, Writable} {
		for _, path := range []string{"way-out/victim", "way-out/new", "../outside/victim", "/etc/x", "file/below", "a/../../b", ""} {
			if err := s.LinkIn(ctx, d, root, path, mode); !slipway.IsCode(err, slipway.Invalid) {
				t.Errorf("%q: %v", path, err)
			}
		}
		// A symbolic link in the place of the file is replaced, not followed.
		if err := s.LinkIn(ctx, d, root, "link", mode); err != nil {
			t.Error(err)
		}
		if err := s.LinkIn(ctx, d, root, "new/folder/file", mode); err != nil {
			t.Error(err)
		}
		if err := s.LinkIn(ctx, d, root, "new/folder", mode); !slipway.IsCode(err, slipway.Invalid) {
			t.Errorf("over a folder: %v", err)
		}
		if err := s.Link(ctx, d, filepath.Join(root, "none", "file"), mode); !slipway.IsCode(err, slipway.Invalid) {
			t.Errorf("into no folder: %v", err)
		}
		if err := s.LinkIn(ctx, slipway.DigestOf([]byte("absent")), root, "file", mode); !slipway.IsCode(err, slipway.NotFound) {
			t.Errorf("no content: %v", err)
		}
	}
	if got := readFile(t, outside); string(got) != "untouched" {
		t.Errorf("a file outside the root now holds %q", got)
	}
	if names, _ := os.ReadDir(filepath.Dir(outside)); len(names) != 1 {
		t.Errorf("outside the root are now %v", names)
	}
	if info := stat(t, filepath.Join(root, "link")); !info.Mode().IsRegular() {
		t.Errorf("the link is now %v", info.Mode())
	}
}

// Where files cannot be cloned, read-only links share the cached file.
func TestLinkSharesTheFile(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, filepath.Join(dir, "store"), Options{})
	d := put(t, s, []byte("content"))
	if err := s.Link(t.Context(), d, filepath.Join(dir, "a"), ReadOnly); err != nil {
		t.Fatal(err)
	}
	path, err := s.File(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	cloned := stat(t, path).Sys().(*syscall.Stat_t).Nlink == 1
	if !cloned && !os.SameFile(stat(t, path), stat(t, filepath.Join(dir, "a"))) {
		t.Error("the link is a copy")
	}
}

func TestCacheIsBounded(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Options{CacheBytes: 50_000})
	var ds []slipway.Digest
	for i := range 10 {
		d := put(t, s, noise(uint64(i), 10_000))
		ds = append(ds, d)
		path, err := s.File(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		long := time.Now().Add(-time.Duration(20-i) * time.Hour) // the first is used longest ago
		if err := os.Chtimes(path, long, stat(t, path).ModTime()); err != nil {
			t.Fatal(err)
		}
	}
	cached := func() (n int) {
		for _, d := range ds {
			if _, err := os.Stat(s.inCache(d)); err == nil {
				n++
			}
		}
		return n
	}
	if n := cached(); n > 5 {
		t.Errorf("%d files of 10 kB are cached, 50 kB are allowed", n)
	}
	if _, err := os.Stat(s.inCache(ds[0])); err == nil {
		t.Error("the file unused for longest is still there")
	}
	for _, d := range ds { // all can be made again, and what is in use stays above the bound
		if _, err := s.File(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	if n := cached(); n != 10 {
		t.Errorf("%d of 10 files that were just handed out are there", n)
	}
}
