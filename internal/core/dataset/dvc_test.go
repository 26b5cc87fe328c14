package dataset_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/slipway-ml/slipway"
)

// The real DVC makes a repository with two versions of a folder and of a file,
// pushes them to a folder, and loses its cache. SLIPWAY_TEST_DVC names the
// program where it is not on the path.
func TestDVCRepositoryIsTakenOver(t *testing.T) {
	dvc := os.Getenv("SLIPWAY_TEST_DVC")
	if dvc == "" {
		var err error
		if dvc, err = exec.LookPath("dvc"); err != nil {
			t.Skip("dvc is not installed, and SLIPWAY_TEST_DVC is not set")
		}
	}
	repo, remote := t.TempDir(), t.TempDir()
	do := func(name string, args ...string) {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir = repo
		cmd.Env = append(os.Environ(), "DVC_NO_ANALYTICS=1", "GIT_AUTHOR_NAME=ana", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=ana",
			"GIT_COMMITTER_EMAIL=a@example.org", "DVC_SITE_CACHE_DIR="+filepath.Join(remote, "site"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(repo, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(repo, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	do("git", "init", "-q")
	do(dvc, "init", "-q")
	do(dvc, "remote", "add", "-q", "-d", "folder", filepath.Join(remote, "objects"))
	write("feed/01.csv", month(1, 3, steady))
	write("feed/sub/notes.txt", "from the harbour\n")
	write("labels.csv", "id,late\n1,0\n")
	do(dvc, "add", "-q", "feed", "labels.csv")
	do("git", "add", "-A")
	do("git", "commit", "-q", "-m", "one")
	write("feed/02.csv", month(2, 3, steady))
	do(dvc, "add", "-q", "feed")
	do("git", "add", "-A")
	do("git", "commit", "-q", "-m", "two")
	do(dvc, "push", "-q", "--all-commits")
	if err := os.RemoveAll(filepath.Join(repo, ".dvc", "cache")); err != nil {
		t.Fatal(err)
	}
	each(t, func(t *testing.T, w *world) {
		contains(t, w.does("data", "import-dvc", repo), "feed@v1", "feed@v2", "3 files", "labels@v1")
		for ref, files := range map[string]map[string]string{
			"feed@v1":   {"01.csv": month(1, 3, steady), "sub/notes.txt": "from the harbour\n"},
			"feed@v2":   {"01.csv": month(1, 3, steady), "02.csv": month(2, 3, steady), "sub/notes.txt": "from the harbour\n"},
			"labels@v1": {"labels.csv": "id,late\n1,0\n"},
		} {
			for name, text := range files {
				if out := w.does("data", "cat", ref, name); out != text {
					t.Errorf("%s %s has %d bytes, want %d", ref, name, len(out), len(text))
				}
			}
		}
		if v := w.newest("feed"); v.Rows != 144 || len(v.Commit) != 40 {
			t.Errorf("%+v", v)
		}
		w.does("data", "import-dvc", repo)
		if v := w.newest("feed"); v.Number != 2 {
			t.Errorf("a second import made version %d", v.Number)
		}
	})
}

// A repository that DVC did not finish, or whose bytes are damaged, is told apart.
func TestDVCRepositoryThatIsNotWhole(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.fails(slipway.NotFound, "no DVC repository", "data", "import-dvc")
		w.write("r/.dvc/config", "[core]\n    remote = f\n['remote \"f\"']\n    url = ../objects\n")
		w.write("r/a.csv.dvc", "outs:\n- md5: d41d8cd98f00b204e9800998ecf8427e\n  size: 0\n  hash: md5\n  path: a.csv\n")
		w.fails(slipway.NotFound, "1 version could not be found", "data", "import-dvc", "r")
		w.write("r/objects/files/md5/d4/1d8cd98f00b204e9800998ecf8427e", "not empty")
		w.fails(slipway.Invalid, "damaged", "data", "import-dvc", "r")
		w.write("r/a.csv.dvc", "outs:\n- md5: ../../etc/passwd\n  path: a.csv\n")
		w.fails(slipway.Invalid, "names no content by its MD5", "data", "import-dvc", "r")
	})
}
