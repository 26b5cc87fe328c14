package app

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestKillData kills commands on data at random moments: add, push, pull and
// garbage collection, each alone with the workspace. After every death the store
// is whole, every version that was acknowledged can be read, and the next
// command goes on. SLIPWAY_SEED repeats a sequence.
func TestKillData(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills real commands")
	}
	seed, err := strconv.ParseUint(os.Getenv("SLIPWAY_SEED"), 10, 64)
	if err != nil {
		seed = 1
	}
	t.Logf("SLIPWAY_SEED=%d", seed)
	dir, err := os.MkdirTemp("", "slipway-killdata")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w := &killWorld{t: t, random: rand.New(rand.NewPCG(seed, 0)), dir: dir, project: filepath.Join(dir, "p")}
	remote := filepath.Join(dir, "remote")
	if err := os.MkdirAll(remote, 0o755); err != nil {
		t.Fatal(err)
	}
	w.write(filepath.Join(w.project, "slipway.yaml"), "project: killed\ndata:\n  rows: {path: rows/, key: id}\n")
	w.write(filepath.Join(w.project, "rows", "0.csv"), "id,x\n0,0\n")
	known := map[int]string{1: "0.csv"} // a file of each version that was acknowledged
	if code, out := w.slipway("data", "add", "rows"); code != 0 {
		t.Fatalf("the first version: %d\n%s", code, out)
	}
	begun := time.Now()
	w.pace = 300
	for round := 1; round <= 12 && time.Since(begun) < time.Minute; round++ {
		name := fmt.Sprintf("%d.csv", round)
		var b strings.Builder
		b.WriteString("id,x\n")
		for i := range 1 + w.random.IntN(60_000) {
			fmt.Fprintf(&b, "%d,%d\n", round*1_000_000+i, w.random.IntN(1000))
		}
		w.write(filepath.Join(w.project, "rows", name), b.String())
		commands := [][]string{{"data", "add", "rows"}, {"data", "push", "--remote", remote}, {"data", "gc", "--yes"}, {"data", "pull", "--remote", remote}}
		args := commands[w.random.IntN(len(commands))]
		cmd := w.start(args...)
		pause(t.Context(), w.moment(w.pace))
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if code, out := w.slipway("data", "fsck"); code != 0 {
			t.Fatalf("round %d: after the death of %v the store is not whole (%d):\n%s", round, args, code, out)
		}
		var out struct{ Version struct{ Version int } }
		started := time.Now()
		if code := w.json(&out, "data", "add", "rows"); code != 0 || out.Version.Version == 0 {
			t.Fatalf("round %d: after the death of %v `data add` ends with %d", round, args, code)
		}
		w.pace = int(time.Since(started)/time.Millisecond) + 1
		known[out.Version.Version] = name
		if round%4 != 0 {
			continue
		}
		for _, args := range [][]string{{"data", "push", "--remote", remote}, {"data", "gc", "--yes"}} {
			if code, out := w.slipway(args...); code != 0 {
				t.Fatalf("round %d: %v ends with %d:\n%s", round, args, code, out)
			}
		}
	}
	for version, name := range known {
		want, err := os.ReadFile(filepath.Join(w.project, "rows", name))
		if err != nil {
			t.Fatal(err)
		}
		if code, out := w.slipway("data", "cat", fmt.Sprintf("rows@v%d", version), name); code != 0 || out != string(want) {
			t.Errorf("rows@v%d was acknowledged, and %s of it is lost (%d)", version, name, code)
		}
	}
	if code, out := w.slipway("audit", "verify"); code != 0 {
		t.Errorf("the log does not verify: %s", out)
	}
}
