package dataset_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/core/dataset"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
	"github.com/slipway-ml/slipway/internal/kit/query"
	"github.com/slipway-ml/slipway/internal/kit/term"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// TestMain lets the test binary be its own query worker.
func TestMain(m *testing.M) {
	if os.Getenv("SLIPWAY_TEST_WORKER") == "dies" {
		_, _ = os.Stdin.Read(make([]byte, 1))
		_ = syscall.Kill(os.Getpid(), syscall.SIGSEGV) // as a reader does that a hostile file has got the better of
		select {}
	}
	if os.Getenv("SLIPWAY_TEST_WORKER") != "" {
		os.Exit(query.Serve(os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// world is a small server and somebody who types commands at it.
type world struct {
	t       *testing.T
	s       *dataset.Service
	db      *db.DB
	content *content.Store
	client  web.Client
	dir     string // where the user works

	contentDir string
	used       map[string]string // runs by the version that they used
	env        map[string]string // variables of whoever types
}

func each(t *testing.T, fn func(*testing.T, *world)) {
	dbtest.Each(t, []db.Migration{dataset.Migration, dataset.NameMigration}, func(t *testing.T, d *db.DB) { fn(t, newWorld(t, d)) })
}

func newWorld(t *testing.T, d *db.DB) *world { return worldWith(t, d, "serves") }

func worldWith(t *testing.T, d *db.DB, worker string) *world {
	dir := t.TempDir()
	store, err := content.Open(dir, content.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	engine := query.New(query.Options{Command: []string{os.Args[0]}, Env: []string{"SLIPWAY_TEST_WORKER=" + worker}, TempDir: t.TempDir()})
	t.Cleanup(engine.Close)
	ctx, cancel := context.WithCancel(context.Background())
	jobs := &web.Jobs{Lifetime: ctx}
	t.Cleanup(func() { cancel(); jobs.Wait() })
	w := &world{t: t, db: d, content: store, contentDir: dir, dir: t.TempDir(), used: map[string]string{}, env: map[string]string{}}
	w.s = dataset.New(dataset.Options{DB: d, Content: store, Query: engine, Jobs: jobs, Dir: t.TempDir(), ContentDir: dir,
		Roots:  func(ctx context.Context) iter.Seq2[slipway.Digest, error] { return w.s.Roots(ctx) },
		Bucket: openBucket,
		Used: func(_ context.Context, _ string, v slipway.Ref) ([]slipway.Ref, error) {
			if run := w.used[v.ID]; run != "" {
				return []slipway.Ref{slipway.NewRef(slipway.KindRun, run)}, nil
			}
			return nil, nil
		}})
	api := web.NewAPI("test")
	w.s.Routes(api)
	store.Routes(api)
	jobs.Routes(api)
	w.client = web.InProcess(api.Mux, slipway.Principal{Name: "ana", Role: slipway.Operator})
	return w
}

// slipway runs a command and returns what it wrote.
func (w *world) slipway(args ...string) (string, error) {
	w.t.Helper()
	var out bytes.Buffer
	io := &term.IO{In: strings.NewReader(""), Out: &out, Err: &out}
	if args[len(args)-1] == "--json" {
		io.JSON, args = true, args[:len(args)-1]
	}
	env := &cli.Env{IO: io, Dir: w.dir, Client: func(context.Context) (web.Client, error) { return w.client, nil },
		Getenv: func(key string) string {
			if key == "XDG_CACHE_HOME" {
				return filepath.Join(w.dir, ".cache")
			}
			return w.env[key]
		}}
	root := &cobra.Command{Use: "slipway", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(dataset.Commands(env, openBucket)...)
	root.SetArgs(args)
	err := root.ExecuteContext(w.t.Context())
	return out.String(), err
}

// does is slipway for a command that must succeed.
func (w *world) does(args ...string) string {
	w.t.Helper()
	out, err := w.slipway(args...)
	if err != nil {
		w.t.Fatalf("slipway %s: %v (%s)\n%s", strings.Join(args, " "), err, slipway.AsError(err).Hint, out)
	}
	return out
}

// fails is slipway for a command that must fail.
func (w *world) fails(code slipway.Code, want string, args ...string) string {
	w.t.Helper()
	out, err := w.slipway(args...)
	if !slipway.IsCode(err, code) || !strings.Contains(err.Error(), want) {
		w.t.Fatalf("slipway %s: %v (%v), want %s with %q\n%s", strings.Join(args, " "), err, slipway.AsError(err).Code, code, want, out)
	}
	return out
}

func (w *world) write(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) newest(name string) dataset.Version {
	w.t.Helper()
	v, err := w.s.Resolve(w.t.Context(), cli.DefaultProject, name, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

// contains checks that every part is in the text.
func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is missing from\n%s", p, text)
		}
	}
}

// month is a CSV of trips in a month of 2024: one an hour for days days.
func month(m, days int, km func(i int) float64) string {
	var b strings.Builder
	b.WriteString("id,at,km,city\n")
	for i := range days * 24 {
		fmt.Fprintf(&b, "%d-%d,2024-%02d-%02dT%02d:00:00Z,%.2f,%s\n", m, i, m, 1+i/24, i%24, km(i), []string{"Oslo", "Bergen", "Narvik"}[i%3])
	}
	return b.String()
}

func steady(i int) float64 { return 20 + float64(i%37) }

func TestFolderWithoutProjectBecomesAVersion(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.write("trips/01.csv", month(1, 10, steady))
		w.write("trips/02.csv", month(2, 10, steady))
		out := w.does("data", "add", "trips/")
		contains(t, out, "trips@v1", "480 rows × 4 columns in 2 files", "at from 2024-01-01 00:00 to 2024-02-10 23:00 UTC")
		v := w.newest("trips")
		if v.Rows != 480 || v.Files != 2 || v.Actor != "ana" || v.Schema[2].Type != slipway.Float || v.Spec.Time != `"at"` {
			t.Errorf("%+v", v)
		}

		contains(t, w.does("data", "add", "trips/"), "no new version")
		if v := w.newest("trips"); v.Number != 1 {
			t.Errorf("the same content became version %d", v.Number)
		}

		w.write("trips/03.csv", month(3, 10, steady))
		contains(t, w.does("data", "add", "trips/", "-m", "March"), "trips@v2", "files +1, rows +240 since v1")
		contains(t, w.does("data", "log", "trips"), "v2", "March", "v1")
		contains(t, w.does("data", "ls"), "trips@v2\t720")

		frame, err := w.s.DatasetRows(t.Context(), cli.DefaultProject, "trips", 0, slipway.Window{From: v.Covers.To}, []string{"km", "id", "absent"})
		if err != nil || frame.Rows != 240 || len(frame.Series) != 2 || frame.Series[0].Name != "km" {
			t.Errorf("%v %+v", err, frame)
		}
		events, err := w.db.Events(t.Context(), 0, 10)
		if err != nil || len(events) != 2 || events[1].Subject.String() != "dataset:trips@v2" || events[1].Verb != "dataset.versioned" {
			t.Errorf("%v %+v", err, events)
		}
		var data struct{ Rows int64 }
		if err := json.Unmarshal(events[1].Data, &data); err != nil || data.Rows != 720 {
			t.Errorf("%v %s", err, events[1].Data)
		}
	})
}

func TestProjectPinsVersionsInItsLock(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.write("slipway.yaml", "project: default\ndata:\n  trips: {path: feed/, time: at, key: id, missing: ['-']}\n")
		w.write("feed/01.csv", month(1, 3, steady))
		w.write("feed/02.csv", strings.ReplaceAll(month(2, 3, steady), "Oslo", "-"))
		w.does("data", "add", "trips", "feed/01.csv")
		first, err := dataset.ReadLock(w.dir)
		if err != nil || first["trips"].Version != 1 {
			t.Fatalf("%v %+v", err, first)
		}
		w.does("data", "add", "trips", "--append", "feed/02.csv")
		v := w.newest("trips")
		if v.Files != 2 || v.Rows != 144 || v.Change.Added != 1 {
			t.Errorf("%+v", v)
		}
		contains(t, w.does("data", "add"), "no new version") // the whole folder is the same
		second, err := dataset.ReadLock(w.dir)
		if err != nil || second["trips"] != (dataset.Pin{Version: 2, Tree: v.Tree}) {
			t.Errorf("%v %+v", err, second)
		}
		w.write("feed/02.csv", month(2, 4, steady))
		w.fails(slipway.Conflict, "holds another 02.csv", "data", "add", "trips", "--append", "feed/02.csv")
	})
}

func TestBadInputLeavesNothing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.write("bad.csv", "a,b\n1,2\n3,4,5\n")
		w.fails(slipway.Invalid, "bad.csv line 3: 2 columns expected, 3 found", "data", "add", "bad.csv")
		w.fails(slipway.NotFound, "nothing at", "data", "add", "absent.csv")
		w.write("empty/.keep", "")
		w.fails(slipway.Invalid, "no files", "data", "add", "empty")
		w.fails(slipway.Invalid, "no slipway.yaml", "data", "add")
		w.fails(slipway.NotFound, "has no version", "data", "log", "bad")
		w.write("ok.csv", "a,b\n1,2\n")
		w.fails(slipway.Invalid, "no column c", "data", "add", "ok.csv", "--key", "c")
		w.does("data", "add", "bad.csv", "--format", "files")
		if v := w.newest("bad"); v.Table() || v.Rows != 0 {
			t.Errorf("%+v", v)
		}
		if events, err := w.db.Events(t.Context(), 0, 10); err != nil || len(events) != 1 {
			t.Errorf("%v %d events", err, len(events))
		}
	})
}
