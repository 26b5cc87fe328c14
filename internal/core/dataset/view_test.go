package dataset_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/core/dataset"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

func TestProfileCountsWhatIsThere(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var b strings.Builder
		b.WriteString("n,x,kind,code,flag,day\n")
		for i := range 1000 {
			x := fmt.Sprint(float64(i) / 10)
			if i%4 == 0 {
				x = "NA"
			}
			fmt.Fprintf(&b, "%d,%s,%s,c%d,%t,2024-01-%02d\n", i, x, []string{"a", " b"}[i%10/9], i, i%2 == 0, 1+i/100)
		}
		w.write("t.csv", b.String())
		w.does("data", "add", "t.csv")
		p, err := w.s.Profile(t.Context(), cli.DefaultProject, "t", 0)
		if err != nil {
			t.Fatal(err)
		}
		n, x, kind, code, flag := p.Column("n"), p.Column("x"), p.Column("kind"), p.Column("code"), p.Column("flag")
		if p.Rows != 1000 || *n.Mean != 499.5 || *n.Max != 999 || math.Abs(n.Quantiles[3]-499.5) > 5 || len(n.Histogram.Counts) != 32 {
			t.Errorf("n: %+v", n)
		}
		var sum int64
		for _, c := range x.Histogram.Counts {
			sum += c
		}
		if x.Missing != 250 || sum != 750 || math.Abs(*x.SD-28.8) > 0.2 {
			t.Errorf("x: %+v, %d in its histogram", x, sum)
		}
		if kind.Distinct != 2 || kind.Top[0] != (dataset.ValueCount{Value: "a", Count: 900}) || kind.Padded != 100 {
			t.Errorf("kind: %+v", kind)
		}
		if code.Top != nil || *code.Length != [2]int64{2, 4} || *flag.Mean != 0.5 {
			t.Errorf("code: %+v flag: %+v", code, flag)
		}
		if p.Time == nil || len(p.Time.Days) != 10 || p.Time.Days[3] != (dataset.ValueCount{Value: "2024-01-04", Count: 100}) {
			t.Errorf("time: %+v", p.Time)
		}
		contains(t, strings.Join(w.newest("t").Odd, "\n"), "text with space around it: kind", "often missing: x 25 %")
		contains(t, w.does("data", "profile", "t"), "1,000 rows", "a 90 %")
		contains(t, w.does("data", "show", "t", "--limit", "1"), "0\t-\ta\tc0")
	})
}

func TestFileWithoutHeaderTimeOrKey(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		text := strings.Repeat("39, State-gov, 77516, <=50K\n50, ?, 83311, >50K\n", 50)
		w.write("adult.csv", text)
		contains(t, w.does("data", "add", "adult.csv"), "100 rows × 4 columns", "the file has no header")
		p, err := w.s.Profile(t.Context(), cli.DefaultProject, "adult", 0)
		if err != nil || p.Columns[1].Missing != 50 || p.Columns[0].Type != slipway.Int || p.Time != nil {
			t.Errorf("%v %+v", err, p)
		}
		w.write("slipway.yaml", "project: default\ndata:\n  adult: {path: adult.csv, header: false, columns: [age, work, weight, income]}\n")
		w.does("data", "add", "adult") // the columns have names now: a version of the same files
		if v := w.newest("adult"); v.Number != 2 || v.Schema[3].Name != "income" {
			t.Errorf("%+v", v)
		}
		contains(t, w.does("data", "add"), "no new version")
	})
}

func TestDiffFromFilesToRows(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.write("slipway.yaml", "project: default\ndata:\n  trips: {path: feed/, time: at, key: id}\n")
		w.write("feed/01.csv", month(1, 5, steady))
		w.write("feed/02.csv", month(2, 5, steady))
		w.does("data", "add", "trips")
		w.fails(slipway.NotFound, "the first version", "data", "diff", "trips")
		changed := strings.ReplaceAll(month(2, 5, steady), "Narvik", "Tromsø")
		changed = strings.Replace(changed, "2-0,2024-02-01T00:00:00Z,20.00,Oslo\n", "", 1)
		w.write("feed/02.csv", changed)
		w.write("feed/03.csv", month(3, 1, steady))
		w.does("data", "add", "trips")
		d, err := w.s.Diff(t.Context(), cli.DefaultProject, "trips", dataset.Compare{})
		if err != nil {
			t.Fatal(err)
		}
		if r := d.ByKey; r.Added != 24 || r.Removed != 1 || r.Changed != 40 || r.Columns["city"] != 40 || len(r.Columns) != 1 || r.Sample[0].Key != "2-0" || r.Sample[0].Change != "removed" {
			t.Errorf("%+v", r)
		}
		out := w.does("data", "diff", "trips@v1", "trips@v2")
		contains(t, out, "+ 03.csv", "~ 02.csv", "24 added, 1 removed, 40 changed", "new: Tromsø", "rows +23")
	})
}

func TestUnitChangeIsNoticedWithoutAContract(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.write("t.csv", month(1, 9, steady))
		w.does("data", "add", "t.csv")
		w.write("t.csv", month(1, 9, func(i int) float64 { return 1.609344 * steady(i) }))
		contains(t, w.does("data", "add", "t.csv"), "km is 1.61 times what it was: kilometres for miles?")
	})
}

func TestCheckoutOverwritesNothingThatIsNowhereElse(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.write("slipway.yaml", "project: default\ndata:\n  trips: {path: feed/, time: at}\n")
		first := month(1, 2, steady)
		w.write("feed/01.csv", first)
		w.does("data", "add", "trips")
		contains(t, w.does("data", "status"), "trips@v1", "as pinned")
		w.write("feed/01.csv", month(1, 3, steady))
		w.write("feed/02.csv", month(2, 3, steady))
		contains(t, w.does("data", "status"), "differs", "+ 02.csv", "~ 01.csv")
		w.fails(slipway.Conflict, "what no version has: 01.csv", "data", "checkout", "trips")
		w.does("data", "add", "trips")
		contains(t, w.does("data", "checkout", "trips@v1"), "1 written, 0 as they were, 1 removed")
		raw, err := os.ReadFile(filepath.Join(w.dir, "feed/01.csv"))
		if err != nil || string(raw) != first {
			t.Errorf("%v: not the file of v1", err)
		}
		contains(t, w.does("data", "status"), "as pinned", "the newest version is v2")
		w.write("feed/mine.txt", "notes")
		w.does("data", "checkout", "trips@v2")
		if _, err := os.Stat(filepath.Join(w.dir, "feed/mine.txt")); err != nil {
			t.Error("a file that no version knows was touched")
		}
		w.does("data", "checkout", "trips@v1", "old")
		if _, err := os.Stat(filepath.Join(w.dir, "old/01.csv")); err != nil {
			t.Error(err)
		}
	})
}

func TestScanReadsWhatChanged(t *testing.T) {
	dir := t.TempDir()
	for i := range 50 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), []byte(strings.Repeat("x", i)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	later := time.Now().Add(time.Hour)
	scan := dataset.Scanner{Cache: filepath.Join(t.TempDir(), "c"), Now: func() time.Time { return later }}
	read := func() (files int, bytes int64) {
		t.Helper()
		found, err := scan.Scan(t.Context(), dir, []string{dir}, func(n int64) { bytes = n }, func(int64) {})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if f.Digest != slipway.DigestOf([]byte(strings.Repeat("x", int(f.Size)))) {
				t.Errorf("%s has the digest of another file", f.Path)
			}
		}
		return len(found), bytes
	}
	if n, b := read(); n != 50 || b != 49*50/2 {
		t.Errorf("%d files, %d bytes", n, b)
	}
	if _, b := read(); b != 0 {
		t.Errorf("%d bytes were read again", b)
	}
	if err := os.WriteFile(filepath.Join(dir, "7"), []byte(strings.Repeat("x", 9)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, b := read(); b != 9 {
		t.Errorf("%d bytes were read of a change of 9", b)
	}
}

// TestUploadWithoutVersionLeavesNothing is a client that died between the two:
// what it sent is content that nothing refers to.
func TestUploadWithoutVersionLeavesNothing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.write("t.csv", "a,b\n1,2\n")
		raw := []byte("a,b\n1,2\n")
		remote := content.Remote{Client: w.client}
		up := content.Upload{Path: filepath.Join(w.dir, "t.csv"), Digest: slipway.DigestOf(raw), Size: int64(len(raw))}
		if err := remote.PutFiles(t.Context(), []content.Upload{up}, nil); err != nil {
			t.Fatal(err)
		}
		if all, err := w.s.List(t.Context(), cli.DefaultProject); err != nil || len(all) != 0 {
			t.Errorf("%v %+v", err, all)
		}
		for d, err := range w.s.Roots(t.Context()) {
			t.Errorf("%v keeps %s", err, d)
		}
		contains(t, w.does("data", "add", "t.csv"), "t@v1")

		tree, err := content.NewTree([]content.Entry{{Path: "x.csv", Digest: slipway.DigestOf([]byte("absent")), Size: 6}})
		if err != nil {
			t.Fatal(err)
		}
		d, err := remote.PutTree(t.Context(), tree)
		if err != nil {
			t.Fatal(err)
		}
		in := dataset.AddVersion{Project: cli.DefaultProject, Name: "x", Body: dataset.Addition{Tree: d}}
		j, err := dataset.OpAdd.Call(t.Context(), w.client, in)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = web.Follow(t.Context(), w.client, j.ID, func(web.Progress) {}); !slipway.IsCode(err, slipway.NotFound) || !strings.Contains(err.Error(), "1 files of the version were not sent") {
			t.Error(err)
		}
	})
}

func TestLockIsTheSameForTheSamePins(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	pins := map[string]dataset.Pin{"x": {Version: 1, Tree: slipway.DigestOf([]byte("x"))}, "a": {Version: 12, Tree: slipway.DigestOf([]byte("a"))}}
	for dir, order := range map[string][]string{a: {"x", "a"}, b: {"a", "x"}} {
		for _, name := range order {
			l, err := dataset.ReadLock(dir)
			if err == nil {
				err = l.Set(dir, name, pins[name])
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	one, err := os.ReadFile(filepath.Join(a, dataset.LockName))
	two, err2 := os.ReadFile(filepath.Join(b, dataset.LockName))
	if err != nil || err2 != nil || string(one) != string(two) || strings.Count(string(one), "\n") != 4 {
		t.Errorf("%v %v\n%s\n%s", err, err2, one, two)
	}
	if err := os.WriteFile(filepath.Join(a, dataset.LockName), []byte("data:\n<<<<<<< ours\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := dataset.ReadLock(a); !slipway.IsCode(err, slipway.Invalid) {
		t.Error(err)
	}
}

func TestVersionInJSON(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.write("t.csv", month(1, 2, steady))
		var out dataset.Outcome
		if err := json.Unmarshal([]byte(w.does("data", "add", "t.csv", "--json")), &out); err != nil || out.Version.Rows != 48 {
			t.Errorf("%v %+v", err, out)
		}
		read, err := dataset.OpVersion.Call(t.Context(), w.client, dataset.OfVersion{Project: cli.DefaultProject, Name: "t"})
		if err != nil || read.Covers != out.Version.Covers || read.Tree != out.Version.Tree {
			t.Errorf("%v %+v", err, read)
		}
	})
}
