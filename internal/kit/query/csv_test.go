package query

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	slipway "github.com/slipway-ml/slipway"
)

func day(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

// Every file is written as somebody's program really writes them; each must
// come out as the rows beside it.
func TestMessyCSV(t *testing.T) {
	e := engine(t)
	zip := func(s string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		w.Write([]byte(s))
		w.Close()
		return b.String()
	}
	wide := func(s string, big bool) string {
		var b strings.Builder
		for _, u := range utf16.Encode([]rune("\ufeff" + s)) {
			if big {
				b.Write([]byte{byte(u >> 8), byte(u)})
			} else {
				b.Write([]byte{byte(u), byte(u >> 8)})
			}
		}
		return b.String()
	}
	for _, c := range []struct {
		is, content string
		types       string
		row         []any // the last one
	}{
		{"plain", "a,b\n1,x\n2,y\n", "a:int b:text", []any{int64(2), "y"}},
		{"without header", "1,x\n2,y\n2,x\n", "column0:int column1:text", []any{int64(2), "x"}},
		{"only text, without header", "red,big\nblue,small\nred,small\n", "column0:text column1:text", []any{"red", "small"}},
		{"only text", "name,city\nann,oslo\nbob,rome\n", "name:text city:text", []any{"bob", "rome"}},
		{"nulls", "a,b\n?,NA\n2,\n", "a:int b:text", []any{int64(2), nil}},
		{"spaces behind delimiters", "1, x, ?\n2, ?, 3\n", "column0:int column1:text column2:int", []any{int64(2), nil, int64(3)}},
		{"semicolons and decimal commas", "a;b\n1,5;x\n2;y\n-3,25;z\n", "a:float b:text", []any{-3.25, "z"}},
		{"tabs", "a\tb\n1\tx,y\n", "a:int b:text", []any{int64(1), "x,y"}},
		{"bars", "a|b\n1|x\n", "a:int b:text", []any{int64(1), "x"}},
		{"CRLF with line breaks in values", "a,b\r\n1,\"x\n\"\"y\"\"\"\r\n", "a:int b:text", []any{int64(1), "x\n\"y\""}},
		{"mixed line ends", "a,b\r\n1,x\n2,y\r\n", "a:int b:text", []any{int64(2), "y"}},
		{"old Mac line ends", "a,b\r1,x\r2,y\r", "a:int b:text", []any{int64(2), "y"}},
		{"empty lines", "a,b\n1,x\n\n2,y\n\n", "a:int b:text", []any{int64(2), "y"}},
		{"byte order mark", "\xef\xbb\xbfa,b\n1,x\n", "a:int b:text", []any{int64(1), "x"}},
		{"windows-1252", "name,price\nJos\xe9,\x805\n", "name:text price:text", []any{"José", "€5"}},
		{"UTF-16", wide("a,b\n1,ž😀\n", false), "a:int b:text", []any{int64(1), "ž😀"}},
		{"UTF-16 big-endian", wide("a,b\n1,ž😀\n", true), "a:int b:text", []any{int64(1), "ž😀"}},
		{"gzip", zip("a,b\n1,x\n"), "a:int b:text", []any{int64(1), "x"}},
		{"gzip in windows-1252", zip("a,b\n1,\xe9\n"), "a:int b:text", []any{int64(1), "é"}},
		{"German dates", "a,d\n1,31.12.2012\n2,01.02.2013\n", "a:int d:date", []any{int64(2), day(2013, 2, 1)}},
		{"American times", "a,t\n1,12/31/2012 13:45\n2,1/2/2013 1:05\n", "a:int t:time", []any{int64(2), time.Date(2013, 1, 2, 6, 5, 0, 0, time.UTC)}},
		{"day first, as one value tells", "d\n01/02/2013\n13/02/2013\n", "d:date", []any{day(2013, 2, 13)}},
		{"words in dates", "a,d\n1,\"Jan 5, 2013\"\n", "a:int d:date", []any{int64(1), day(2013, 1, 5)}},
		{"two formats of dates in one file", "d,e\n31.12.2012,12/31/2012\n", "d:date e:date", []any{day(2012, 12, 31), day(2012, 12, 31)}},
		{"ISO times", "t,u\n2013-01-01 10:00,2013-01-01T10:00:00.5+01:00\n", "t:time u:time",
			[]any{time.Date(2013, 1, 1, 15, 0, 0, 0, time.UTC), time.Date(2013, 1, 1, 9, 0, 0, 5e8, time.UTC)}},
		{"no date at all", "d\n2013-02-30\n", "d:text", []any{"2013-02-30"}},
		{"pandas", ",a,b,a\n0,True,1e-3,x\n1,False,nan,y\n", "column0:int a:bool b:float a_1:text", []any{int64(1), false, nil, "y"}},
		{"numbers that become fractions", "a\n1\n2\n2.5\n", "a:float", []any{2.5}},
		{"identifiers too long for a number", "a\n123456789012345678901234\n", "a:text", []any{"123456789012345678901234"}},
		{"a column of nothing", "a,b\n,1\n,2\n", "a:text b:int", []any{nil, int64(2)}},
		{"one column", "a\nx\ny\n", "a:text", []any{"y"}},
		{"a name that means something in SQL", "select,a\"b\n1,x\n", "select:int a\"b:text", []any{int64(1), "x"}},
	} {
		path := file(t, "data.csv", c.content)
		if c.is == "plain" {
			path = file(t, "da[t]a*?.csv", c.content)
		}
		out, err := e.Run(context.Background(), Request{Tables: table(path), SQL: "FROM t", Timezone: "America/New_York"})
		if err != nil {
			t.Errorf("%s: %v", c.is, err)
			continue
		}
		var types []string
		for _, col := range out.Schema {
			types = append(types, fmt.Sprintf("%s:%s", col.Name, col.Type))
		}
		if got := strings.Join(types, " "); got != c.types {
			t.Errorf("%s: %s, want %s", c.is, got, c.types)
		}
		if diff := cmp.Diff(c.row, out.Rows[len(out.Rows)-1]); diff != "" {
			t.Errorf("%s: %s", c.is, diff)
		}
		// What Describe tells must be enough to read the file the same way.
		schema, csv, err := e.Describe(context.Background(), Table{Files: []string{path}})
		if err != nil {
			t.Errorf("%s: %v", c.is, err)
			continue
		}
		again, err := e.Run(context.Background(), Request{Tables: []Table{{Name: "t", Files: []string{path}, Format: FormatCSV, CSV: csv, Columns: schema}}, SQL: "FROM t", Timezone: "America/New_York"})
		if diff := cmp.Diff(out.Rows, again.Rows); err != nil || diff != "" {
			t.Errorf("%s, described: %v %s", c.is, err, diff)
		}
	}
}

func TestMalformedFilesSayWhere(t *testing.T) {
	e := engine(t)
	for _, c := range []struct{ is, content, message string }{
		{"too many", "a,b\n1,x\n2,y,z\n", "data.csv line 3: 2 columns expected, 3 found"},
		{"too few", "a,b\n1,x\n\"2\n2\",y\n3\n", "data.csv line 5: 2 columns expected, 1 found"},
		{"open quote", "a,b\n1,\"x\n2,y\n", "line 2: a quote is opened and never closed"},
		{"text behind a quote", "a,b\n1,\"x\"y\n", "line 2: a value goes on after its closing quote"},
		{"empty", "", "data.csv is empty"},
		{"half a gzip file", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x01\x05", "not a whole gzip file"},
		{"a workbook", "PK\x03\x04\x14\x00", "an Excel workbook"},
		{"half a Parquet file", "PAR1\x15\x04", "data.csv"},
		{"broken JSON", "{\"a\": 1}\n{\"a\": \n", "data.csv"},
	} {
		path := file(t, "data.csv", c.content)
		_, err := e.Run(context.Background(), Request{Tables: table(path), SQL: "FROM t"})
		if err == nil {
			t.Errorf("%s: no error", c.is)
			continue
		}
		expect(t, err, slipway.Invalid, c.message)
	}
}

func TestDeclaredColumns(t *testing.T) {
	e := engine(t)
	ask := func(content string, columns slipway.Schema) (Result, error) {
		return e.Run(context.Background(), Request{Tables: []Table{{Name: "t", Files: []string{file(t, "data.csv", content)}, Columns: columns}}, SQL: "FROM t"})
	}
	out, err := ask("a,B,c\n1,2,x\n3,,y\n", slipway.Schema{{Name: "c", Type: slipway.Text}, {Name: "b", Type: slipway.Float}})
	if diff := cmp.Diff([][]any{{"x", 2.0}, {"y", nil}}, out.Rows); err != nil || diff != "" {
		t.Error(err, diff)
	}
	// Of a large file only the beginning is looked at before it is read.
	large := file(t, "large.csv", "a\n"+strings.Repeat("1\n", knownBytes/2)+"3.7\n")
	yes, no := true, false
	known := Table{Name: "t", Files: []string{large}, CSV: CSV{Delimiter: ",", Header: &yes}, Columns: slipway.Schema{{Name: "a", Type: slipway.Int}}}
	fails(t, e, Request{Tables: []Table{known}, SQL: "SELECT sum(a) FROM t"}, slipway.Invalid, `column a holds "3.7", which is not of type int`)
	if out := run(t, e, Request{Tables: []Table{known}, SQL: "SELECT count(*) FROM t"}); out.Rows[0][0] != int64(knownBytes/2+1) {
		t.Errorf("%v rows", out.Rows)
	}
	for _, c := range []struct{ is, content, message string }{
		{"a word", "a\n1\nx\n", `data.csv line 3: column a holds "x", which is not of type int`},
		{"a fraction", "a\n1\n3.7\n", `3.7`},
		{"a missing column", "b\n1\n", "data.csv has no column a"},
	} {
		_, err := ask(c.content, slipway.Schema{{Name: "a", Type: slipway.Int}})
		if err == nil {
			t.Errorf("%s: no error", c.is)
			continue
		}
		expect(t, err, slipway.Invalid, c.message)
	}
	path := file(t, "bare.csv", "1,x\n")
	named := Table{Name: "t", Files: []string{path}, CSV: CSV{Header: &no}, Columns: slipway.Schema{{Name: "age", Type: slipway.Float}, {Name: "sex", Type: slipway.Text}}}
	out = run(t, e, Request{Tables: []Table{named}, SQL: "SELECT age, sex FROM t"})
	if diff := cmp.Diff([][]any{{1.0, "x"}}, out.Rows); diff != "" {
		t.Error(diff)
	}
	named.Columns = named.Columns[:1]
	fails(t, e, Request{Tables: []Table{named}, SQL: "FROM t"}, slipway.Invalid, "bare.csv line 1: 1 columns expected, 2 found")
}

func TestManyFilesAreOneTable(t *testing.T) {
	e := engine(t)
	january := file(t, "january.csv", "a,b\n1,x\n2,y\n")
	february := file(t, "february.csv", "b,a\r\nz,3.5\r\n")
	march := file(t, "march.csv", "a,c\n4,true\n")
	out := run(t, e, Request{Tables: table(january, february, march), SQL: "FROM t"})
	if diff := cmp.Diff([][]any{{1.0, "x", nil}, {2.0, "y", nil}, {3.5, "z", nil}, {4.0, nil, true}}, out.Rows); diff != "" {
		t.Error(diff)
	}
	fails(t, e, Request{Tables: table(january, file(t, "april.csv", "a,b\n1,x,y\n")), SQL: "FROM t"}, slipway.Invalid, "april.csv line 2")
}

func TestJSON(t *testing.T) {
	e := engine(t)
	lines := file(t, "lines.json", `{"a": 1, "t": "2013-01-01T10:00:00Z", "n": {"x": [1, 2]}}`+"\n"+`{"a": 2.5, "t": null, "z": "ü"}`+"\n")
	out := run(t, e, Request{Tables: table(lines), SQL: "FROM t", Timezone: "America/New_York"})
	want := [][]any{{1.0, time.Date(2013, 1, 1, 10, 0, 0, 0, time.UTC), `{"x":[1,2]}`, nil}, {2.5, nil, nil, "ü"}}
	if diff := cmp.Diff(want, out.Rows); diff != "" {
		t.Error(diff)
	}
	out = run(t, e, Request{Tables: table(file(t, "list.json", `[{"a": 1}, {"a": 2}]`)), SQL: "SELECT sum(a) FROM t"})
	if diff := cmp.Diff([][]any{{3.0}}, out.Rows); diff != "" {
		t.Error(diff)
	}
}

func FuzzDecode(f *testing.F) {
	b := newBatch([]slipway.Type{slipway.Text, slipway.Float}, false)
	b.add([]vector{{text: func(int) []byte { return []byte("x") }, valid: []uint64{2}}, {floats: []float64{1, 2}}}, 0, 2)
	f.Add(b.encode(), 2)
	f.Add([]byte{255, 255, 255, 255, 1, 0, 0, 0, 't', 1}, 1)
	f.Fuzz(func(t *testing.T, b []byte, columns int) {
		if columns < 0 || columns > 1000 {
			return
		}
		rows, out, err := decode(b, columns)
		if err != nil {
			return
		}
		for i := range out {
			if n := len(out[i].floats) + len(out[i].ints) + len(out[i].text); n != rows {
				t.Fatalf("column %d has %d of %d rows", i, n, rows)
			}
			if out[i].null != nil && len(out[i].null) != rows {
				t.Fatalf("column %d knows %d nulls of %d rows", i, len(out[i].null), rows)
			}
		}
	})
}

func FuzzRecords(f *testing.F) {
	for _, s := range []string{"a,b\n1,\"x\"\"\ny\"\r\n", "a\r", "\"", "a,\n,b", "\n\n,\n"} {
		f.Add([]byte(s), ",", 0)
		f.Add([]byte(s), ", ", 1)
	}
	f.Fuzz(func(t *testing.T, b []byte, delim string, skip int) {
		if delim == "" || len(delim) > 4 || strings.ContainsAny(delim, "\r\n\"") || skip > 10 {
			return
		}
		r := newRecords(b, CSV{Delimiter: delim, Skip: skip})
		last := 0
		for fields := r.next(); fields != nil; fields = r.next() {
			if r.line <= last {
				t.Fatalf("line %d follows line %d", r.line, last)
			}
			last = r.line
		}
		guessEncoding(b, false)
		guessDelimiter(b, CSV{})
	})
}
