package query

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	slipway "github.com/slipway-ml/slipway"
)

// endless is SQL that no machine finishes during a test.
const endless = "SELECT sum(a.i * b.i) FROM range(100000000) a(i), range(100000000) b(i)"

func TestSandbox(t *testing.T) {
	e := engine(t)
	dir := t.TempDir()
	given, secret := filepath.Join(dir, "given.csv"), filepath.Join(dir, "secret.csv")
	for _, path := range []string{given, secret} {
		if err := os.WriteFile(path, []byte("a\n1\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, sql := range []string{
		"FROM read_csv('" + secret + "')", "FROM read_text('" + secret + "')", "FROM '" + secret + "'", "FROM glob('" + dir + "/*')",
		"FROM read_text('/proc/self/environ')", "FROM read_parquet('https://example.org/x.parquet')", "FROM read_csv('s3://bucket/x.csv')",
	} {
		if out, err := e.Run(context.Background(), Request{Tables: table(given), SQL: sql}); err == nil {
			t.Errorf("%s was allowed and gave %v", sql, out.Rows)
		}
	}
	for _, sql := range []string{
		"SET enable_external_access = true", "INSTALL httpfs", "LOAD httpfs", "ATTACH '" + secret + "'", "COPY (SELECT 1) TO '" + given + "'",
		"EXPORT DATABASE '" + dir + "'", "PRAGMA enable_external_access", "CREATE TABLE x AS SELECT 1", "CALL pragma_version()",
	} {
		if _, err := e.Run(context.Background(), Request{Tables: table(given), SQL: sql}); err == nil {
			t.Errorf("%s was allowed", sql)
		}
	}
	if b, err := os.ReadFile(given); err != nil || string(b) != "a\n1\n" {
		t.Error("a table's file was changed")
	}
	run(t, e, Request{Tables: table(given), SQL: "FROM t"})
}

func TestLargeSortSpills(t *testing.T) {
	e := engine(t)
	out := run(t, e, Request{SQL: "SELECT max(h) FROM (SELECT md5(i::VARCHAR) || repeat('x', 200) AS h FROM range(600000) r(i) ORDER BY h OFFSET 10)", Memory: 100 << 20})
	if len(out.Rows) != 1 {
		t.Errorf("%v", out.Rows)
	}
	fails(t, e, Request{SQL: "SELECT list(md5(i::VARCHAR)) FROM range(5000000) r(i)", Memory: 60 << 20}, slipway.Unavailable, "more than its 60 MiB")
	run(t, e, Request{SQL: "SELECT 1"})
}

func TestCancelAndTimeoutKill(t *testing.T) {
	e := engine(t)
	fails(t, e, Request{SQL: endless, Timeout: 200 * time.Millisecond}, slipway.Unavailable, "longer than 200ms")
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(200*time.Millisecond, cancel)
	path := filepath.Join(t.TempDir(), "x.parquet")
	_, err := e.Run(ctx, Request{SQL: endless, Output: ToParquet(path)})
	expect(t, err, slipway.Interrupted, "canceled")
	if left, _ := filepath.Glob(filepath.Dir(path) + "/.*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	_, err = e.Run(ctx, Request{SQL: "SELECT 1"})
	expect(t, err, slipway.Interrupted, "canceled")
	run(t, e, Request{SQL: "SELECT 1"})
}

func TestWarmWorkersAreReusedAndReplaced(t *testing.T) {
	e := engine(t)
	run(t, e, Request{SQL: "SELECT 1"})
	first := e.pool.idle[0]
	fails(t, e, Request{SQL: "SELECT nope"}, slipway.Invalid, "nope")
	run(t, e, Request{SQL: "SELECT 1"})
	if len(e.pool.idle) != 1 || e.pool.idle[0] != first {
		t.Error("the worker was not reused")
	}
	// It dies while nobody looks.
	first.kill()
	<-first.heard
	run(t, e, Request{SQL: "SELECT 1"})
	if len(e.pool.idle) != 1 || e.pool.idle[0] == first {
		t.Error("the dead worker was not replaced")
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := e.Run(context.Background(), Request{SQL: "SELECT count(*) FROM range(100000)"}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := len(e.pool.idle); n != maxIdle {
		t.Errorf("%d idle workers", n)
	}
	second := e.pool.idle[0]
	e.pool.retire(second)
	if n := len(e.pool.idle); n != maxIdle-1 || second.cmd.ProcessState == nil {
		t.Errorf("%d idle workers after one retired", n)
	}
	e.Close()
	if left, _ := filepath.Glob(filepath.Join(e.options.TempDir, "*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestWorkerThatDiesOrDoesNotStart(t *testing.T) {
	e := engine(t, func(o *Options) { o.Command = []string{"/nonexistent/worker"} })
	fails(t, e, Request{SQL: "SELECT 1"}, slipway.Unavailable, "does not start")
	e = engine(t, func(o *Options) { o.Command = []string{"/bin/sh", "-c", "echo broken >&2; exit 3"} })
	fails(t, e, Request{SQL: "SELECT 1"}, slipway.Unavailable, "broken")
	e = engine(t, func(o *Options) { o.Command = []string{"/bin/sh", "-c", "kill -9 $$"} })
	fails(t, e, Request{SQL: "SELECT 1"}, slipway.Unavailable, "killed from outside")
	e = engine(t, func(o *Options) { o.Command = []string{"/bin/sh", "-c", "exit 75"} })
	fails(t, e, Request{SQL: "SELECT 1"}, slipway.Unavailable, "memory")
	e = engine(t, func(o *Options) { o.Command = []string{"/bin/sh", "-c", "head -c 100 /dev/zero; cat >/dev/null"} })
	fails(t, e, Request{SQL: "SELECT 1"}, slipway.Internal, "unexpected")
}

// A worker whose engine is gone ends even in the middle of a query.
func TestWorkerEndsWithItsEngine(t *testing.T) {
	engine(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{"SLIPWAY_TEST_WORKER=1"}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	progress, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	wire := newWireRequest(Request{SQL: endless, Memory: 1 << 30, Threads: 1}, verbRows)
	wire.TempDir = filepath.Join(t.TempDir(), "worker")
	if err := os.Mkdir(wire.TempDir, 0o700); err != nil {
		t.Fatal(err)
	}
	body, _ := json.Marshal(wire)
	if err := writeMessage(in, 0, body); err != nil {
		t.Fatal(err)
	}
	// The first line of progress tells that the worker is at it.
	if _, err := progress.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	in.Close()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		cmd.Process.Kill()
		t.Fatal("the worker goes on without its engine")
	}
	if _, err := os.Stat(wire.TempDir); !errors.Is(err, os.ErrNotExist) {
		t.Error("its folder is left behind")
	}
}

func TestProgressRises(t *testing.T) {
	e := engine(t)
	path := filepath.Join(t.TempDir(), "t.parquet")
	run(t, e, Request{SQL: "SELECT i FROM range(3000000) r(i)", Output: ToParquet(path)})
	last, calls := 0.0, 0
	run(t, e, Request{Tables: table(path), SQL: "SELECT max(sha256(md5(i::VARCHAR))) FROM t", Threads: 1, Progress: func(f float64) {
		calls++
		if f <= last || f > 1 {
			t.Errorf("progress went from %g to %g", last, f)
		}
		last = f
	}})
	if calls == 0 {
		t.Error("no progress was told")
	}
}

func TestDefaultCommand(t *testing.T) {
	command, err := DefaultCommand()
	if !linked {
		expect(t, err, slipway.Unavailable, "slipway-query is missing")
		_, err = New(Options{}).Run(context.Background(), Request{SQL: "SELECT 1"})
		expect(t, err, slipway.Unavailable, "no query engine")
		return
	}
	if err != nil || len(command) != 2 || command[1] != "query-worker" {
		t.Errorf("%v, %v", command, err)
	}
}
