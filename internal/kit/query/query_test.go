package query

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
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

func fails(t *testing.T, e *Engine, r Request, code slipway.Code, message string) {
	t.Helper()
	_, err := e.Run(context.Background(), r)
	expect(t, err, code, message)
}

func expect(t *testing.T, err error, code slipway.Code, message string) {
	t.Helper()
	if !slipway.IsCode(err, code) || !strings.Contains(err.Error(), message) {
		t.Errorf("got %v (%s), want %s with %q", err, slipway.AsError(err).Code, code, message)
	}
}

func TestRunReturnsEveryType(t *testing.T) {
	e := engine(t)
	out := run(t, e, Request{SQL: `SELECT true AS b, 9007199254740993 AS i, 1.5::FLOAT AS f, 'a' AS s, TIMESTAMP '2013-01-01 10:00' AS naive,
		TIMESTAMPTZ '2013-01-01 10:00:00+00' AS t, DATE '2013-01-01' AS d, '\xAA\x00'::BLOB AS bin, [1, 2] AS list, {'x': 1} AS struct,
		12.34::DECIMAL(9, 2) AS dec, 170141183460469231731687303715884105727 AS huge, NULL AS none, 'b'::ENUM('a', 'b') AS enum,
		uuid '12345678-1234-1234-1234-123456789abc' AS id, INTERVAL 2 HOUR AS span, 'nan'::DOUBLE AS nan, 1 AS b`, Timezone: "America/New_York"})
	ten := time.Date(2013, 1, 1, 10, 0, 0, 0, time.UTC)
	want := []any{true, int64(9007199254740993), 1.5, "a", ten.Add(5 * time.Hour), ten, ten.Add(-10 * time.Hour), []byte{0xaa, 0}, "[1,2]", `{"x":1}`,
		12.34, 1.7014118346046923e38, nil, "b", "12345678-1234-1234-1234-123456789abc", "02:00:00", math.NaN(), int64(1)}
	if diff := cmp.Diff(want, out.Rows[0], cmp.Comparer(func(a, b float64) bool { return a == b || a != a && b != b })); diff != "" {
		t.Error(diff)
	}
	var types []slipway.Type
	for _, c := range out.Schema {
		types = append(types, c.Type)
	}
	if diff := cmp.Diff([]slipway.Type{slipway.Bool, slipway.Int, slipway.Float, slipway.Text, slipway.Time, slipway.Time, slipway.Date, slipway.Binary, slipway.Text,
		slipway.Text, slipway.Float, slipway.Float, slipway.Int, slipway.Text, slipway.Text, slipway.Text, slipway.Float, slipway.Int}, types); diff != "" {
		t.Error(diff)
	}
	if got := out.Schema[17].Name; got != "b_1" {
		t.Errorf("a second column b is named %s", got)
	}
	if diff := cmp.Diff([]string{"a", "b"}, out.Schema[13].Categories); diff != "" {
		t.Error(diff)
	}
}

func TestRunLimits(t *testing.T) {
	e := engine(t)
	out := run(t, e, Request{SQL: "SELECT i FROM range(20000) r(i)"})
	if len(out.Rows) != 10_000 || !out.Truncated {
		t.Errorf("%d rows, truncated %t", len(out.Rows), out.Truncated)
	}
	out = run(t, e, Request{SQL: "SELECT i FROM range(5) r(i)", Limit: 5})
	if len(out.Rows) != 5 || out.Truncated {
		t.Errorf("%d rows, truncated %t", len(out.Rows), out.Truncated)
	}
	out = run(t, e, Request{SQL: "SELECT i FROM range(0) r(i)"})
	if len(out.Rows) != 0 || len(out.Schema) != 1 {
		t.Errorf("%+v", out)
	}
}

func TestParams(t *testing.T) {
	e := engine(t)
	at := time.Date(2013, 5, 1, 12, 0, 0, 123456000, time.UTC)
	values := []any{nil, true, 7, int64(1) << 60, math.Inf(1), "it's", []byte{1, 2}, at}
	out := run(t, e, Request{SQL: "SELECT ?, ?, ?, ?, ?, ?, ?, ?", Params: values})
	if diff := cmp.Diff([]any{nil, true, int64(7), int64(1) << 60, math.Inf(1), "it's", []byte{1, 2}, at}, out.Rows[0]); diff != "" {
		t.Error(diff)
	}
	out = run(t, e, Request{SQL: "SELECT i FROM range(9) r(i) WHERE i IN (SELECT unnest(?)) AND i::VARCHAR IN (SELECT unnest(?)) AND i < ?", Params: []any{[]int64{1, 2, 3}, []string{"2", "3", "4"}, 2.5}})
	if diff := cmp.Diff([][]any{{int64(2)}}, out.Rows); diff != "" {
		t.Error(diff)
	}
	fails(t, e, Request{SQL: "SELECT ?", Params: []any{1, 2}}, slipway.Invalid, "1 parameters but 2 values")
	fails(t, e, Request{SQL: "SELECT ?", Params: []any{struct{}{}}}, slipway.Invalid, "struct {}")
	rows, err := e.Run(context.Background(), Request{SQL: "SELECT i FROM range(3) r(i) WHERE i > ?", Params: []any{0}, Output: ToParquet(filepath.Join(t.TempDir(), "x.parquet"))})
	if err != nil || rows.RowCount != 2 {
		t.Errorf("%d rows, %v", rows.RowCount, err)
	}
}

func TestStatementForms(t *testing.T) {
	e := engine(t)
	for _, sql := range []string{
		"SELECT 1;", "SELECT 1 -- one", "SELECT 1; -- one; two", "/* ; */ SELECT ';' ; ", "FROM (SELECT 1)", "WITH q AS (SELECT 1) SELECT * FROM q", "VALUES (1)",
		"SELECT $$;$$", "DESCRIBE SELECT 1", "SELECT 1 ORDER BY 1 LIMIT 1", "(SELECT 1) UNION ALL (SELECT 2)",
	} {
		if out := run(t, e, Request{SQL: sql}); len(out.Rows) == 0 {
			t.Errorf("%s gave no rows", sql)
		}
	}
}

func TestErrorsSayWhere(t *testing.T) {
	e := engine(t)
	path := file(t, "t.csv", "a,b\n1,x\n")
	for _, c := range []struct {
		sql, message string
		code         slipway.Code
	}{
		{"SELECT *\nFORM t x y", `SQL line 2, column 6: syntax error at or near "t"`, slipway.Invalid},
		{"SELECT nope FROM t", `SQL line 1, column 8: Referenced column "nope" not found`, slipway.Invalid},
		{"SELECT * FROM nowhere", "SQL line 1, column 15: Table with name nowhere does not exist", slipway.Invalid},
		{"SELECT b::INT FROM t", "Could not convert string 'x'", slipway.Invalid},
		{"SELECT 1; SELECT 2", "multiple statements", slipway.Invalid},
		{"DROP VIEW t", "not a query", slipway.Invalid},
		{"COPY t TO 't.csv'", "may read its tables and nothing else", slipway.Denied},
		{"", "No statement", slipway.Invalid},
		{"SELECT error('told')", "told", slipway.Invalid},
	} {
		fails(t, e, Request{Tables: table(path), SQL: c.sql}, c.code, c.message)
	}
	fails(t, e, Request{Tables: table(path + ".none"), SQL: "FROM t"}, slipway.NotFound, "does not exist")
	fails(t, e, Request{Tables: table(filepath.Dir(path)), SQL: "FROM t"}, slipway.Invalid, "is a folder")
	fails(t, e, Request{SQL: "SELECT 1", Timezone: "Mars/Base"}, slipway.Invalid, "Mars/Base")
	fails(t, e, Request{SQL: "SELECT 1", Output: Output{Format: "xml", Path: "x"}}, slipway.Invalid, "xml")
	fails(t, e, Request{SQL: "SELECT 1", Output: ToParquet(filepath.Join(path, "x", "y"))}, slipway.Invalid, "cannot be written")
	fails(t, e, Request{SQL: "SELECT 1", Output: ToParquet(filepath.Join(t.TempDir(), "no", "y"))}, slipway.NotFound, "folder")
}

func TestFrameAndBatches(t *testing.T) {
	e := engine(t)
	r := Request{SQL: "SELECT i, CASE WHEN i % 3 = 0 THEN NULL ELSE 'v' || i END AS s, CASE WHEN i % 2 = 0 THEN NULL ELSE i * 0.5 END AS f, i > 9 AS b, to_timestamp(i) AS t FROM range(150000) r(i)"}
	f, err := e.Frame(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	joined := &slipway.Frame{}
	sizes := 0
	for part, err := range e.Batches(context.Background(), r, 40_000) {
		if err != nil {
			t.Fatal(err)
		}
		if part.Rows > 40_000 {
			t.Errorf("a batch of %d rows", part.Rows)
		}
		sizes++
		joinFrame(joined, part)
	}
	if f.Rows != 150_000 || sizes != 4 {
		t.Errorf("%d rows, %d batches", f.Rows, sizes)
	}
	if diff := cmp.Diff(f, joined, cmp.Comparer(func(a, b float64) bool { return a == b || a != a && b != b })); diff != "" {
		t.Error("the batches are not the frame")
	}
	for _, i := range []int{0, 1, 2, 65_535, 65_536, 149_999} {
		s := f.Column("s")
		if s.Missing(i) != (i%3 == 0) || (i%3 != 0 && s.Text[i] != "v"+strconv.Itoa(i)) || f.Column("i").Float[i] != float64(i) || f.Column("t").Float[i] != float64(i)*1e6 {
			t.Errorf("row %d is wrong", i)
		}
		if f.Column("f").Missing(i) != (i%2 == 0) {
			t.Errorf("row %d: f", i)
		}
	}
	empty, err := e.Frame(context.Background(), Request{SQL: "SELECT 1 AS a, 'x' AS b WHERE false"})
	if err != nil || empty.Rows != 0 || len(empty.Series) != 2 || empty.Schema()[1].Type != slipway.Text {
		t.Errorf("%+v, %v", empty, err)
	}
}

func joinFrame(f, part *slipway.Frame) {
	if f.Series == nil {
		*f = *part
		return
	}
	for i := range part.Series {
		to, from := &f.Series[i], part.Series[i]
		to.Float, to.Text = append(to.Float, from.Float...), append(to.Text, from.Text...)
		to.Null = append(to.Null, from.Null...)
	}
	f.Rows += part.Rows
}

func TestBatchesBreakOffAndNest(t *testing.T) {
	e := engine(t, func(o *Options) { o.Workers = 1 })
	seen := 0
	for f, err := range e.Batches(context.Background(), Request{SQL: "SELECT i FROM range(1000000000) r(i)"}, 1000) {
		if err != nil {
			t.Fatal(err)
		}
		run(t, e, Request{SQL: "SELECT 1"})
		if seen += f.Rows; seen == 3000 {
			break
		}
	}
	for _, err := range e.Batches(context.Background(), Request{SQL: "SELECT i, error('late') FROM range(10) r(i)"}, 0) {
		expect(t, err, slipway.Invalid, "late")
	}
}

func TestParquetIsDeterministicAndWhole(t *testing.T) {
	e := engine(t)
	dir := t.TempDir()
	sql := "SELECT i, md5(i::VARCHAR) AS h, i / 7 AS f, TIMESTAMP '2013-01-01' + INTERVAL (i) SECOND AS t FROM range(300000) r(i)"
	var last []byte
	for i := range 2 {
		path := filepath.Join(dir, fmt.Sprint(i)+".parquet")
		out := run(t, e, Request{SQL: sql, Output: ToParquet(path)})
		b, err := os.ReadFile(path)
		if err != nil || out.RowCount != 300_000 || out.Stats.Bytes != int64(len(b)) || out.Rows != nil {
			t.Fatalf("%+v, %v", out, err)
		}
		if last != nil && !bytes.Equal(last, b) {
			t.Error("the same rows gave other bytes")
		}
		last = b
	}
	back := run(t, e, Request{Tables: table(filepath.Join(dir, "0.parquet"), filepath.Join(dir, "1.parquet")), SQL: "SELECT count(*), count(DISTINCT h), max(t), typeof(any_value(t)) FROM t", Timezone: "Asia/Tokyo"})
	if diff := cmp.Diff([]any{int64(600_000), int64(300_000), time.Date(2013, 1, 4, 11, 19, 59, 0, time.UTC), "TIMESTAMP WITH TIME ZONE"}, back.Rows[0]); diff != "" {
		t.Error(diff)
	}
	path := filepath.Join(dir, "0.parquet")
	fails(t, e, Request{SQL: "SELECT CASE WHEN i = 250000 THEN error('late') ELSE i END FROM range(300000) r(i)", Output: ToParquet(path)}, slipway.Invalid, "late")
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, last) {
		t.Error("a failed query touched the file")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestCSVOutputReadsBack(t *testing.T) {
	e := engine(t)
	path := filepath.Join(t.TempDir(), "out.csv")
	sql := "SELECT i, CASE WHEN i = 1 THEN NULL ELSE 'a,\"' || i END AS s, make_timestamptz(2013, 1, 1, 10, 0, i + 0.25) AS t, i > 1 AS b, DATE '2013-01-01' + i::INT AS d FROM range(3) r(i)"
	first := run(t, e, Request{SQL: sql})
	run(t, e, Request{SQL: sql, Output: ToCSV(path)})
	second := run(t, e, Request{Tables: table(path), SQL: "FROM t", Timezone: "America/New_York"})
	if diff := cmp.Diff(first.Rows, second.Rows); diff != "" {
		t.Error(diff)
	}
}
