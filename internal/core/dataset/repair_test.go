package dataset_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway"
)

// flip changes one bit of the pack or whole file that holds a text.
func (w *world) flip(text string) {
	w.t.Helper()
	hit := false
	for _, pattern := range []string{"packs/*.pack", "whole/*/*"} {
		names, _ := filepath.Glob(filepath.Join(w.contentDir, pattern))
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				w.t.Fatal(err)
			}
			if i := strings.Index(string(b), text); i >= 0 {
				hit = true
				b[i+len(text)/2] ^= 4
				if err := os.Chmod(name, 0o600); err != nil {
					w.t.Fatal(err)
				}
				if err := os.WriteFile(name, b, 0o600); err != nil {
					w.t.Fatal(err)
				}
			}
		}
	}
	if !hit {
		w.t.Fatal("the text is nowhere")
	}
}

func TestAddingTheSameAgainRepairs(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		long := strings.Repeat("0123456789 and so on, ", 200_000)
		w.write("blob/a.bin", "a small file that is read by somebody")
		w.write("blob/b.bin", "PAR1"+long+"a place in the middle"+long+"PAR1")
		w.does("data", "add", "blob/", "--format", "files")
		w.flip("read by somebody")
		w.flip("a place in the middle")
		out := w.fails(slipway.Refused, "damaged", "data", "fsck")
		contains(t, out, "reached  blob@v1 of project default: a.bin, b.bin")
		contains(t, w.does("data", "add", "blob/", "--format", "files"), "no new version")
		contains(t, w.does("data", "fsck"), "nothing is damaged, nothing is missing")
		contains(t, w.does("data", "cat", "blob", "a.bin"), "read by somebody")
	})
}

func TestPullRepairs(t *testing.T) {
	eachRemote(t, func(t *testing.T, a, _ *world, remote string) {
		long := strings.Repeat("0123456789 and so on, ", 200_000)
		a.write("blob/a.bin", "a small file that is read by somebody")
		a.write("blob/b.bin", "PAR1"+long+"a place in the middle"+long+"PAR1")
		a.does("data", "add", "blob/", "--format", "files")
		a.does("data", "push", "--remote", remote)
		a.flip("read by somebody")
		a.flip("a place in the middle")
		a.fails(slipway.Refused, "damaged", "data", "fsck")
		a.does("data", "pull", "--remote", remote)
		contains(t, a.does("data", "fsck"), "nothing is damaged, nothing is missing")
		contains(t, a.does("data", "cat", "blob", "a.bin"), "read by somebody")
	})
}
