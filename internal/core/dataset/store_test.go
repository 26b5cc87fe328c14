package dataset_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/blob"
	"github.com/slipway-ml/slipway/internal/backend/blob/blobtest"
	"github.com/slipway-ml/slipway/internal/backend/blob/local"
	"github.com/slipway-ml/slipway/internal/backend/blob/s3"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/core/dataset"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// broken is buckets that fail on demand, by their addresses.
var broken sync.Map

func openBucket(address string) (blob.Bucket, error) {
	if b, ok := broken.Load(address); ok {
		return b.(blob.Bucket), nil
	}
	if strings.HasPrefix(address, "s3://") {
		c, err := s3.ParseURL(address)
		if err != nil {
			return nil, err
		}
		return s3.Open(c)
	}
	return local.Open(strings.TrimPrefix(address, "file://"))
}

// eachRemote runs fn with two workspaces and a remote: a folder, and a bucket
// where SLIPWAY_TEST_S3 names one.
func eachRemote(t *testing.T, fn func(t *testing.T, a, b *world, remote string)) {
	run := func(t *testing.T, remote string) {
		open := func() *world {
			var w *world
			d, err := db.Open(t.Context(), filepath.Join(t.TempDir(), "db"), db.Options{Migrations: []db.Migration{dataset.Migration, dataset.NameMigration}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = d.Close() })
			w = newWorld(t, d)
			return w
		}
		fn(t, open(), open(), remote)
	}
	t.Run("folder", func(t *testing.T) { run(t, t.TempDir()) })
	t.Run("s3", func(t *testing.T) {
		address := os.Getenv("SLIPWAY_TEST_S3")
		if address == "" {
			t.Skip("SLIPWAY_TEST_S3 is not set")
		}
		before, query, _ := strings.Cut(address, "?")
		run(t, strings.TrimSuffix(before, "/")+"/data-"+strings.ToLower(rand.Text()[:10])+"?"+query)
	})
}

func TestTagsNameVersions(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.write("trips/01.csv", month(1, 3, steady))
		w.does("data", "add", "trips/")
		w.write("trips/02.csv", month(2, 3, steady))
		w.does("data", "add", "trips/")
		contains(t, w.does("data", "tag", "trips@v1", "train"), "trips@train  is v1")
		w.fails(slipway.Conflict, "the tag train is on trips@v1", "data", "tag", "trips", "train")
		contains(t, w.does("data", "ls", "trips@train"), "01.csv")
		if out := w.does("data", "cat", "trips@train", "01.csv"); out != month(1, 3, steady) {
			t.Errorf("cat wrote %d bytes", len(out))
		}
		w.fails(slipway.NotFound, "no file 02.csv", "data", "cat", "trips@train", "02.csv")
		w.does("data", "tag", "trips", "train", "--move")
		contains(t, w.does("data", "tag", "trips"), "train", "trips@v2")
		contains(t, w.does("data", "ls", "trips@train", "02*"), "02.csv")
		w.fails(slipway.Invalid, "cannot be a tag", "data", "tag", "trips", "v7")
		w.fails(slipway.Conflict, "is tagged train", "data", "rm", "trips@v2", "-m", "no", "--force")
		w.does("data", "tag", "trips", "--delete", "train")
		w.fails(slipway.NotFound, "no tag train", "data", "ls", "trips@train")
	})
}

func TestRemovedVersionsLeaveANumberAndAReason(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for i := 1; i <= 3; i++ {
			w.write(fmt.Sprintf("trips/%02d.csv", i), month(i, 3, steady))
			w.does("data", "add", "trips/")
		}
		w.used["trips@v2"] = "1234"
		w.fails(slipway.Conflict, "trips@v2 is what run:1234 was made from", "data", "rm", "trips@v2", "-m", "no")
		w.fails(slipway.Invalid, "say why", "data", "rm", "trips@v3")
		w.does("data", "rm", "trips@v3", "-m", "added by mistake")
		w.fails(slipway.NotFound, "trips@v3 was removed by ana", "data", "ls", "trips@v3")
		w.does("data", "add", "trips/")
		if v := w.newest("trips"); v.Number != 4 || v.Change.From != 2 {
			t.Errorf("%+v", v)
		}
	})
}

func TestARenamedDatasetKeepsItsOldName(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.write("slipway.yaml", "project: default\ndata:\n  trips: {path: feed/}\n")
		w.write("feed/01.csv", month(1, 3, steady))
		w.does("data", "add", "trips")
		contains(t, w.does("data", "mv", "trips", "rides"), "rides  was trips", "rename data.trips in slipway.yaml")
		lock, err := dataset.ReadLock(w.dir)
		if err != nil || lock["rides"].Version != 1 || len(lock) != 1 {
			t.Errorf("%v %+v", err, lock)
		}
		contains(t, w.does("data", "log", "trips"), "v1")
		if v := w.newest("trips"); v.Name != "rides" {
			t.Errorf("%+v", v)
		}
		w.does("data", "mv", "rides", "journeys")
		if v := w.newest("trips"); v.Name != "journeys" {
			t.Errorf("%+v", v)
		}
		w.fails(slipway.NotFound, "has no version", "data", "mv", "absent", "x")
		w.fails(slipway.Invalid, "not a name", "data", "mv", "trips", "../x")
	})
}

// A pin means its files, whatever number they have here.
func TestCheckoutOfACommitGivesItsData(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.write("slipway.yaml", "project: default\ndata:\n  trips: {path: feed/}\n  other: {path: more/}\n")
		w.write("feed/2013/01.csv", month(1, 3, steady))
		w.write("more/a.csv", "a\n1\n")
		w.does("data", "add")
		old, err := os.ReadFile(filepath.Join(w.dir, dataset.LockName))
		if err != nil {
			t.Fatal(err)
		}
		w.write("feed/2014/01.csv", month(2, 3, steady))
		w.write("more/a.csv", "a\n2\n")
		w.does("data", "add")
		w.write(dataset.LockName, strings.Replace(string(old), "{version: 1, ", "{version: 7, ", 1)) // another workspace's number
		contains(t, w.does("data", "checkout", "other"), "other@v1")
		w.write(dataset.LockName, string(old))
		w.write("feed/notes.txt", "mine")
		w.does("data", "checkout")
		if b, _ := os.ReadFile(filepath.Join(w.dir, "more/a.csv")); string(b) != "a\n1\n" {
			t.Errorf("a.csv is %q", b)
		}
		w.write("more/a.csv", "a\n99\n")
		w.fails(slipway.Conflict, "a.csv", "data", "checkout", "other@v2")
		if b, _ := os.ReadFile(filepath.Join(w.dir, "more/a.csv")); string(b) != "a\n99\n" {
			t.Errorf("a.csv is %q", b)
		}
		w.does("data", "checkout", "trips@v2", "part", "--path", "2014")
		if _, err := os.Stat(filepath.Join(w.dir, "part/2013")); err == nil {
			t.Error("a part brought the whole")
		}
		w.fails(slipway.NotFound, "no file 2015", "data", "checkout", "trips@v2", "part", "--path", "2015")
	})
}

// A folder that somebody made a link leads a checkout nowhere.
func TestCheckoutStaysInItsFolder(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.write("trips/sub/01.csv", month(1, 3, steady))
		w.does("data", "add", "trips/")
		outside := t.TempDir()
		if err := os.Mkdir(filepath.Join(w.dir, "out"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(outside, filepath.Join(w.dir, "out/sub")); err != nil {
			t.Fatal(err)
		}
		w.fails(slipway.Invalid, "", "data", "checkout", "trips", "out")
		if names, _ := os.ReadDir(outside); len(names) > 0 {
			t.Errorf("%v was written outside", names)
		}
	})
}

func TestGarbageIsWhatNothingRefersTo(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.write("blob/a.bin", strings.Repeat("kept", 100_000))
		w.does("data", "add", "blob/", "--format", "files")
		w.write("blob/b.bin", strings.Repeat("dropped", 300_000))
		w.does("data", "add", "blob/", "--format", "files")
		w.does("data", "rm", "blob@v2", "-m", "test")
		if err := w.content.Close(); err != nil { // packs that are written to are not collected
			t.Fatal(err)
		}
		old := func(path string, _ fs.DirEntry, err error) error {
			if err == nil {
				err = os.Chtimes(path, longAgo, longAgo)
			}
			return err
		}
		if err := filepath.WalkDir(filepath.Join(w.contentDir, "packs"), old); err != nil {
			t.Fatal(err)
		}
		contains(t, w.does("data", "gc"), "would remove", "slipway data gc --yes")
		before := size(t, w.contentDir)
		w.does("data", "gc", "--yes")
		if after := size(t, w.contentDir); after > before/2 {
			t.Errorf("%d bytes became %d", before, after)
		}
		contains(t, w.does("data", "fsck"), "nothing is damaged, nothing is missing")
		if out := w.does("data", "cat", "blob", "a.bin"); out != strings.Repeat("kept", 100_000) {
			t.Error("what was referred to is gone")
		}
	})
}

func TestFsckNamesAFlippedBit(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		large := make([]byte, 3<<20)
		if _, err := rand.Read(large); err != nil {
			t.Fatal(err)
		}
		w.write("blob/sound.bin", "sound")
		w.write("blob/large.bin", string(large))
		w.does("data", "add", "blob/", "--format", "files")
		contains(t, w.does("data", "fsck"), "nothing is damaged")
		packs, _ := filepath.Glob(filepath.Join(w.contentDir, "packs", "*.pack"))
		for _, p := range packs {
			b, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			if i := strings.Index(string(b), string(large[1<<20:1<<20+64])); i >= 0 {
				b[i] ^= 4
				if err := os.WriteFile(p, b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		out := w.fails(slipway.Refused, "damaged", "data", "fsck")
		contains(t, out, "packs/", "reached  blob@v1 of project default: large.bin")
		if strings.Contains(out, "sound.bin") {
			t.Error(out)
		}
	})
}

func TestVersionsTravelThroughARemote(t *testing.T) {
	eachRemote(t, func(t *testing.T, a, b *world, remote string) {
		for i := 1; i <= 3; i++ {
			a.write(fmt.Sprintf("trips/%02d.csv", i), month(i, 3, steady))
			a.does("data", "add", "trips/")
		}
		a.does("data", "tag", "trips@v2", "train")
		contains(t, a.does("data", "push", "--remote", remote), "3 versions sent", "trips@train")
		contains(t, a.does("data", "push", "--remote", remote), "nothing new")

		contains(t, b.does("data", "pull", "--remote", remote), "trips@v3", "1 version fetched")
		contains(t, b.does("data", "pull", "--remote", remote, "--all"), "trips@v1", "trips@v2", "trips@train")
		b.does("data", "checkout", "trips@train", "here")
		if got, _ := os.ReadFile(filepath.Join(b.dir, "here/02.csv")); string(got) != month(2, 3, steady) {
			t.Error("02.csv did not arrive")
		}
		if v := b.newest("trips"); v.Number != 3 || v.Actor != "ana" || v.Rows != 216 || v.Origin == "" || strings.Contains(v.Origin, "secret") {
			t.Errorf("%+v", v)
		}
		contains(t, b.does("data", "fsck"), "nothing is damaged")
		b.fails(slipway.NotFound, "has no dataset", "data", "pull", "absent", "--remote", remote)
		b.fails(slipway.Invalid, "no remote is known", "data", "pull")
	})
}

// Two people who push at once both find their versions there.
func TestTwoWhoPushAtOnceLoseNothing(t *testing.T) {
	eachRemote(t, func(t *testing.T, a, b *world, remote string) {
		for i, w := range []*world{a, b} {
			for n := range 4 {
				w.write("trips/x.csv", fmt.Sprintf("who,n\n%d,%d\n", i, n))
				w.does("data", "add", "trips/")
			}
		}
		var both sync.WaitGroup
		for _, w := range []*world{a, b} {
			both.Go(func() {
				if _, err := w.s.Push(context.WithoutCancel(t.Context()), "default", dataset.Transport{Remote: remote}, func(web.Progress) {}); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		for _, w := range []*world{a, b} {
			w.does("data", "pull", "--remote", remote, "--all")
			log, err := w.s.Log(t.Context(), "default", "trips")
			if err != nil || len(log) != 8 {
				t.Errorf("%v, %d versions", err, len(log))
			}
			seen := map[slipway.Digest]bool{}
			for _, v := range log {
				seen[v.Tree] = true
			}
			if len(seen) != 8 {
				t.Errorf("%d different versions", len(seen))
			}
		}
	})
}

// A file that changes between being hashed and being sent makes no version.
func TestAFileThatChangesWhileItIsAdded(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, []byte("new!"), 0o600); err != nil {
			t.Fatal(err)
		}
		up := content.Upload{Path: path, Digest: slipway.DigestOf([]byte("old.")), Size: 4}
		err := content.Remote{Client: w.client}.PutFiles(t.Context(), []content.Upload{up}, func(int64) {})
		if !slipway.IsCode(err, slipway.Conflict) || !strings.Contains(err.Error(), "changed") {
			t.Errorf("%v", err)
		}
	})
}

// Strange names are kept, or refused with a clear error.
func TestNamesOfFiles(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.write("odd/two\nlines.bin", "x")
		w.write("odd/ space .bin", "y")
		w.does("data", "add", "odd/", "--format", "files")
		w.does("data", "checkout", "odd", "copy")
		if b, err := os.ReadFile(filepath.Join(w.dir, "copy/two\nlines.bin")); err != nil || string(b) != "x" {
			t.Errorf("%v %q", err, b)
		}
		if os.WriteFile(filepath.Join(w.dir, "odd/\xff.bin"), nil, 0o600) == nil { // some file systems refuse it themselves
			w.fails(slipway.Invalid, "not valid UTF-8", "data", "add", "odd/", "--format", "files")
			_ = os.Remove(filepath.Join(w.dir, "odd/\xff.bin"))
		}
		if os.Getuid() != 0 {
			w.write("odd/secret.bin", "z")
			_ = os.Chmod(filepath.Join(w.dir, "odd/secret.bin"), 0)
			w.fails(slipway.Invalid, "secret.bin", "data", "add", "odd/", "--format", "files")
		}
		if err := os.Symlink("nowhere", filepath.Join(w.dir, "odd/link")); err != nil {
			t.Fatal(err)
		}
		w.fails(slipway.Invalid, "link to nothing", "data", "add", "odd/", "--format", "files")
	})
}

// A version that a commit pins is not forgotten, on whatever branch.
func TestACommitKeepsItsVersion(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	each(t, func(t *testing.T, w *world) {
		git := func(args ...string) {
			t.Helper()
			cmd := exec.Command("git", append([]string{"-C", w.dir, "-c", "user.name=ana", "-c", "user.email=ana@example.org"}, args...)...)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("git %v: %v\n%s", args, err, out)
			}
		}
		git("init", "-q")
		w.write("slipway.yaml", "project: default\ndata:\n  trips: {path: feed/}\n")
		w.write("feed/01.csv", month(1, 3, steady))
		w.does("data", "add")
		git("add", dataset.LockName)
		git("commit", "-q", "-m", "pin")
		w.write("feed/02.csv", month(2, 3, steady))
		w.does("data", "add")
		w.fails(slipway.Conflict, "trips@v1 is pinned by slipway.lock of the commit", "data", "rm", "trips@v1", "-m", "old")
		w.does("data", "rm", "trips@v1", "-m", "old", "--force")
	})
}

// longAgo is when nobody is writing any more.
var longAgo = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// size is the bytes of all files below a folder.
func size(t *testing.T, dir string) (n int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A checkout that was killed leaves a file that nobody takes for data, and the
// next one writes it whole.
func TestAKilledCheckoutIsRepeated(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.write("trips/01.csv", month(1, 3, steady))
		w.does("data", "add", "trips/")
		half := filepath.Join(w.dir, "out/01.csv")
		w.write("out/01.csv", month(1, 3, steady)[:100])
		if err := os.Chmod(half, content.Unfinished); err != nil {
			t.Fatal(err)
		}
		w.fails(slipway.Conflict, "half of a file", "data", "add", "out/")
		w.does("data", "checkout", "trips", "out")
		if b, err := os.ReadFile(half); err != nil || string(b) != month(1, 3, steady) {
			t.Errorf("%v, %d bytes", err, len(b))
		}
		w.write("out/01.csv", "mine")
		w.fails(slipway.Conflict, "01.csv", "data", "checkout", "trips", "out")
	})
}

func TestIgnoredFilesAreNoData(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for _, name := range []string{"a.bin", "a.tmp", "keep.tmp", "sub/b.bin", "sub/b.tmp", "cache/c.bin", "sub/cache/d.bin", "sub/deep/x/e.bin", "only/f.bin", "sub/only/g.bin"} {
			w.write("d/"+name, name)
		}
		w.write("d/.slipwayignore", "# what tools leave\n*.tmp\n!keep.tmp\ncache/\nsub/**/e.bin\n/only\n")
		w.does("data", "add", "d/", "--format", "files")
		var got []string
		tree, err := w.content.GetTree(t.Context(), w.newest("d").Tree)
		for _, e := range tree {
			got = append(got, e.Path)
		}
		if err != nil || strings.Join(got, " ") != "a.bin keep.tmp sub/b.bin sub/only/g.bin" {
			t.Errorf("%v %v", err, got)
		}
		w.write("d/.slipwayignore", "[\n")
		w.fails(slipway.Invalid, "line 1", "data", "add", "d/", "--format", "files")
	})
}

// The connection breaks at every request of a push in turn, before it takes
// effect or after, when only the answer is lost. Nothing half sent is ever seen,
// and the next push ends with every version there once.
func TestAPushThatBreaksOffGoesOn(t *testing.T) {
	d, err := db.Open(t.Context(), filepath.Join(t.TempDir(), "db"), db.Options{Migrations: []db.Migration{dataset.Migration, dataset.NameMigration}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	w := newWorld(t, d)
	for n := range 3 {
		w.write("trips/x.csv", fmt.Sprintf("n\n%d\n", n))
		w.does("data", "add", "trips/")
	}
	w.does("data", "tag", "trips@v1", "first")
	away := slipway.Errorf(slipway.Unavailable, "the connection broke")
	for _, done := range []bool{false, true} {
		whole := false
		for at := 0; !whole; at++ {
			dir := t.TempDir()
			folder, err := local.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			bucket := blobtest.NewFaulty(folder)
			address := fmt.Sprintf("broken:%v %d", done, at)
			broken.Store(address, bucket)
			var calls atomic.Int64
			bucket.Fail(func(blobtest.Call) blobtest.Fault {
				if calls.Add(1)-1 == int64(at) {
					return blobtest.Fault{Err: away, Done: done}
				}
				return blobtest.Fault{}
			})
			_, err = w.s.Push(t.Context(), "default", dataset.Transport{Remote: address}, func(web.Progress) {})
			if whole = err == nil; !whole && !slipway.IsCode(err, slipway.Unavailable) {
				t.Fatalf("request %d: %v", at, err)
			}
			bucket.Fail(nil)
			// What can be seen now can be read.
			seen := 0
			for info, err := range folder.List(t.Context(), "version/") {
				if err != nil {
					t.Fatal(err)
				}
				in, err := folder.Get(t.Context(), info.Key, 0, -1)
				if err != nil {
					t.Fatal(err)
				}
				var v dataset.Version
				if err := json.NewDecoder(in).Decode(&v); err != nil {
					t.Fatal(err)
				}
				_ = in.Close()
				other, err := content.Open(t.TempDir(), content.Options{Remote: folder})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := other.Pull(t.Context(), v.Tree); err != nil {
					t.Errorf("request %d: %s is there without its content: %v", at, info.Key, err)
				}
				_ = other.Close()
				seen++
			}
			if _, err := w.s.Push(t.Context(), "default", dataset.Transport{Remote: address}, func(web.Progress) {}); err != nil {
				t.Fatalf("after request %d broke: %v", at, err)
			}
			n := 0
			for _, err := range folder.List(t.Context(), "version/") {
				if err != nil {
					t.Fatal(err)
				}
				n++
			}
			if n != 3 {
				t.Errorf("request %d broke with %d versions seen; there are %d at the end", at, seen, n)
			}
		}
	}
}
