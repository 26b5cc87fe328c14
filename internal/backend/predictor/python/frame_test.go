package python

import (
	"bytes"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/slipway-ml/slipway"
)

func encode(t testing.TB, parts ...*slipway.Frame) []byte {
	t.Helper()
	var ps []part
	rows := 0
	for _, f := range parts {
		at, err := every(f)
		if err != nil {
			t.Fatal(err)
		}
		ps = append(ps, part{f, at})
		rows += f.Rows
	}
	schema, err := newWireSchema(nil, parts[0], ps[0].at)
	if err != nil {
		t.Fatal(err)
	}
	size := 16 + len(schema.text)
	for _, p := range ps {
		size += wireSize(schema, p)
	}
	b := appendFrame(nil, schema, rows, ps)
	if len(b) > size {
		t.Errorf("%d bytes, bounded by %d", len(b), size)
	}
	return b
}

func mixed() *slipway.Frame {
	return &slipway.Frame{Rows: 3, Series: []slipway.Series{
		{Name: "x", Type: slipway.Float, Float: []float64{1.5, math.NaN(), math.Inf(-1)}},
		{Name: "s", Type: slipway.Text, Text: []string{"a", "", "zwölf"}, Null: []bool{false, true, false}},
		{Name: "when", Type: slipway.Time, Float: []float64{1e15, 0, -1}},
		{Name: "raw", Type: slipway.Binary, Text: []string{"\xff", "\x00\x01", ""}},
	}}
}

func TestAFrameComesBackAsItWent(t *testing.T) {
	var d decoder
	for _, f := range []*slipway.Frame{mixed(), {Rows: 1, Series: []slipway.Series{{Name: "ü", Type: slipway.Int, Float: []float64{3}}}}, mixed()} {
		got, err := d.decode(encode(t, f))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(f, got, cmpopts.EquateNaNs()); diff != "" {
			t.Error(diff)
		}
	}
}

func TestPartsAreOneFrame(t *testing.T) {
	var d decoder
	got, err := d.decode(encode(t, mixed(), mixed()))
	if err != nil {
		t.Fatal(err)
	}
	if s := got.Series[1]; got.Rows != 6 || !cmp.Equal(s.Text, []string{"a", "", "zwölf", "a", "", "zwölf"}) || !s.Null[1] || !s.Null[4] || s.Null[0] {
		t.Errorf("got %+v", got)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(f, mixed()))
	f.Add(encode(f, mixed())[:40])
	f.Add([]byte("\xff\xff\xff\xff\x02\x00\x00\x00[]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var d decoder
		frame, err := d.decode(b)
		if err != nil {
			return
		}
		for _, s := range frame.Series {
			if n := len(s.Float) + len(s.Text); n != frame.Rows {
				t.Fatalf("column %q has %d values for %d rows", s.Name, n, frame.Rows)
			}
		}
		if _, err := every(frame); err != nil {
			return
		}
		for _, s := range frame.Series { // what stands under a null mark is not sent
			for i := range s.Text {
				if s.Missing(i) {
					s.Text[i] = ""
				}
			}
		}
		again, err := d.decode(encode(t, frame))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(frame, again, cmpopts.EquateNaNs()); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestTheTailKeepsTheEnd(t *testing.T) {
	var out tail
	for i := range 3000 {
		_, _ = out.Write(append(bytes.Repeat([]byte{'a' + byte(i%26)}, 9), '\n'))
	}
	_, _ = out.Write([]byte("the end\n"))
	if got := out.last(2); got != "jjjjjjjjj\nthe end" {
		t.Errorf("got %q", got)
	}
	if n := len(out.String()); n > len(out.ring) || n < len(out.ring)-20 {
		t.Errorf("kept %d bytes", n)
	}
}
