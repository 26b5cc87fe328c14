package term

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	slipway "github.com/slipway-ml/slipway"
)

var noon = time.Date(2013, 9, 10, 12, 0, 0, 0, time.UTC)

// golden compares got with testdata/name, which SLIPWAY_UPDATE=1 rewrites.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("SLIPWAY_UPDATE") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

func TestTable(t *testing.T) {
	for name, io := range map[string]IO{
		"table-terminal.txt": {TTY: true, Now: func() time.Time { return noon }},
		"table-narrow.txt":   {TTY: true, Width: 44, Now: func() time.Time { return noon }},
		"table-colour.txt":   {TTY: true, Color: true, Now: func() time.Time { return noon }},
		"table-pipe.txt":     {Now: func() time.Time { return noon }},
	} {
		var b bytes.Buffer
		io.Out = &b
		table := io.Table("dataset", "rows", "auc", "verdict", "took", "updated")
		table.Row("flights", 336776, 0.71234567, Cell{OK, "passed"}, 1234*time.Millisecond, noon.Add(-3*time.Minute))
		table.Row("a name that is rather long for a table", int64(12345), math.NaN(), Cell{Bad, "refused"}, 75*time.Second, noon.Add(-50*time.Hour))
		table.Row("日本 München\n\x1b[2J", 7, 0.5, nil, time.Duration(0), time.Time{})
		if err := table.Render(); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.String())
	}
}

func TestErrorln(t *testing.T) {
	var b bytes.Buffer
	for _, err := range []error{
		nil,
		slipway.Errorf(slipway.NotFound, "no dataset flights").WithHint("slipway data add data/flights"),
		fmt.Errorf("step train: %w", slipway.Errorf(slipway.Invalid, "model.txt is missing")),
		errors.New("index out of range"),
		fmt.Errorf("read: %w", context.Canceled),
	} {
		IO{Err: &b}.Errorln(err)
		IO{Err: &b, Color: true}.Errorln(err)
		IO{Err: &b, JSON: true}.Errorln(err)
	}
	golden(t, "errors.txt", b.String())
}

// story drives a progress through some work, told by a clock that jumps.
func story(io IO, total int64) {
	now := noon
	io.Now = func() time.Time { return now }
	p := io.Progress("hashing", total, Bytes)
	for _, step := range []struct {
		after time.Duration
		n     int64
	}{{10 * time.Millisecond, 1e6}, {500 * time.Millisecond, 9e6}, {10 * time.Second, 300e6}, {time.Second, 190e6}, {20 * time.Second, 500e6}} {
		now = now.Add(step.after)
		p.Add(step.n)
	}
	p.Done()
	p.Add(1)
	p.Done()
}

func TestProgress(t *testing.T) {
	for name, io := range map[string]IO{
		"progress-terminal.txt": {ErrTTY: true, Width: 60},
		"progress-narrow.txt":   {ErrTTY: true, Width: 20},
		"progress-pipe.txt":     {},
	} {
		var b bytes.Buffer
		io.Err = &b
		story(io, 1e9)
		story(io, 0)
		golden(t, name, strings.ReplaceAll(b.String(), "\r", "\n\\r"))
	}
	for _, io := range []IO{{Quiet: true}, {JSON: true}, {Quiet: true, ErrTTY: true}} {
		var b bytes.Buffer
		io.Err = &b
		story(io, 1e9)
		if b.Len() != 0 {
			t.Errorf("%+v is not silent: %q", io, b.String())
		}
	}
	var b bytes.Buffer
	io := IO{Err: &b, ErrTTY: true, Now: func() time.Time { return noon }}
	io.Progress("hashing", 10, Count).Stop()
	if !strings.HasSuffix(b.String(), " \r") {
		t.Errorf("a stopped bar stays: %q", b.String())
	}
}

func TestPrint(t *testing.T) {
	value := map[string]any{"name": "a<b", "rows": 3}
	human := func(w io.Writer) { fmt.Fprintln(w, "three rows") }
	for json, want := range map[bool]string{true: "{\n  \"name\": \"a<b\",\n  \"rows\": 3\n}\n", false: "three rows\n"} {
		var b bytes.Buffer
		if err := (IO{Out: &b, JSON: json}).Print(value, human); err != nil || b.String() != want {
			t.Errorf("%v, %q", err, b.String())
		}
	}
}

func TestFormats(t *testing.T) {
	var b strings.Builder
	for _, n := range []int64{0, 999, 1000, 1049, 9949, 9950, 12345, 999499, 999500, 1e6, 35_400_000, 1e9, math.MaxInt64, -1500, math.MinInt64} {
		fmt.Fprintf(&b, "%d: %s, %s\n", n, Bytes(n), Count(n))
	}
	for _, d := range []time.Duration{0, 999, 850 * time.Microsecond, 12 * time.Millisecond, 3490 * time.Millisecond, 9999 * time.Millisecond, 59 * time.Second,
		125 * time.Second, 3*time.Hour + 10*time.Minute, 98 * time.Hour, -time.Second, math.MinInt64} {
		fmt.Fprintf(&b, "%d: %s\n", d, Duration(d))
	}
	for _, d := range []time.Duration{0, 4 * time.Second, 30 * time.Second, time.Minute, 90 * time.Minute, 25 * time.Hour, 400 * 24 * time.Hour, -48 * time.Hour} {
		fmt.Fprintf(&b, "%s: %s\n", d, Ago(noon, noon.Add(-d)))
	}
	for _, v := range []float64{0, 1, 0.712345, 12345.678, 1e-7, 1e12, -0.05, math.NaN(), math.Inf(1)} {
		fmt.Fprintf(&b, "%g: %s\n", v, Float(v))
	}
	for _, values := range [][]float64{{}, {1}, {1, 1}, {0, 1, 2, 3, 4, 5, 6, 7}, {-math.MaxFloat64, math.NaN(), math.MaxFloat64}} {
		fmt.Fprintf(&b, "%v: [%s]\n", values, Spark(values))
	}
	for _, v := range []float64{-1, 0, 0.01, 0.125, 0.5, 0.999, 1, 2, math.NaN()} {
		fmt.Fprintf(&b, "%g: [%s]\n", v, Bar(v, 10))
	}
	golden(t, "formats.txt", b.String())
}

func TestNewInAPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	io := New(r, w, new(bytes.Buffer), func(string) string { return "" })
	if io.TTY || io.ErrTTY || io.Color || io.Width != 0 {
		t.Errorf("a pipe was taken for a terminal: %+v", io)
	}
	for _, c := range []struct {
		tty  bool
		env  string
		want bool
	}{{true, "", true}, {false, "", false}, {true, "NO_COLOR=1", false}, {true, "TERM=dumb", false}, {false, "CLICOLOR_FORCE=1", true}, {false, "CLICOLOR_FORCE=0", false}} {
		name, value, _ := strings.Cut(c.env, "=")
		got := colorWanted(c.tty, func(n string) string {
			if n == name {
				return value
			}
			return ""
		})
		if got != c.want {
			t.Errorf("%+v: colour %t", c, got)
		}
	}
}
