package query

import (
	"compress/gzip"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	slipway "github.com/slipway-ml/slipway"
)

// TestMain lets the test binary be its own query worker.
func TestMain(m *testing.M) {
	if os.Getenv("SLIPWAY_TEST_WORKER") != "" {
		os.Exit(Serve(os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func engine(t *testing.T, change ...func(*Options)) *Engine {
	t.Helper()
	if !linked {
		t.Skip("built without cgo")
	}
	o := Options{Command: []string{os.Args[0]}, Env: []string{"SLIPWAY_TEST_WORKER=1"}, TempDir: t.TempDir()}
	for _, fn := range change {
		fn(&o)
	}
	e := New(o)
	t.Cleanup(e.Close)
	return e
}

func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func table(paths ...string) []Table { return []Table{{Name: "t", Files: paths}} }

func run(t *testing.T, e *Engine, r Request) Result {
	t.Helper()
	out, err := e.Run(context.Background(), r)
	if err != nil {
		t.Fatalf("%s: %v (%v)", r.SQL, err, errors.Unwrap(err))
	}
	return out
}

func TestDump(t *testing.T) {
	e := engine(t)
	for _, f := range strings.Fields(os.Getenv("FILES")) {
		begun := time.Now()
		schema, csv, err := e.Describe(context.Background(), Table{Files: []string{f}})
		t.Log(f, time.Since(begun))
		var se *slipway.Error
		errors.As(err, &se)
		t.Logf("%+v %+v %v %+v", schema, csv, err, se)
		if err != nil {
			continue
		}
		begun = time.Now()
		r, err := e.Run(context.Background(), Request{Tables: table(f), SQL: "FROM t", Limit: 2, Timezone: "America/New_York"})
		errors.As(err, &se)
		t.Log(r, err, se, time.Since(begun))
		begun = time.Now()
		fr, err := e.Frame(context.Background(), Request{Tables: table(f), SQL: "FROM t", Timezone: "America/New_York"})
		errors.As(err, &se)
		if err == nil {
			t.Log(fr.Rows, len(fr.Series), time.Since(begun))
		} else {
			t.Log(err, se)
		}
	}
}

var _ = []any{gzip.NewWriter, math.NaN, cmp.Diff}
