package query

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	slipway "github.com/slipway-ml/slipway"
)

// Read loads files of one table into memory, in their order. columns chooses
// among those that the files have, in the order given; nil is all of them. A
// column that the files lack is left out, which the frame's schema tells.
// Times without an offset are read in timezone, "" for UTC. It fails as Frame
// does.
func (e *Engine) Read(ctx context.Context, files []string, format Format, columns []string, timezone string) (*slipway.Frame, error) {
	t := Table{Name: "t", Files: files, Format: format}
	list := "*"
	if columns != nil {
		schema, csv, err := e.Describe(ctx, t)
		if err != nil {
			return nil, err
		}
		t.CSV, t.Columns = csv, nil
		for _, c := range columns {
			if i := schema.Index(c); i >= 0 {
				t.Columns = append(t.Columns, schema[i])
			}
		}
		if len(t.Columns) == 0 {
			return &slipway.Frame{}, nil
		}
		var names []string
		for _, c := range t.Columns {
			names = append(names, name(c.Name))
		}
		list = strings.Join(names, ", ")
	}
	return e.Frame(ctx, Request{Tables: []Table{t}, SQL: "SELECT " + list + " FROM t", Timezone: timezone})
}

// WriteParquet writes a frame to a file, which appears whole or not at all.
// Times are written as instants in UTC; NaN is written as a missing value.
func (e *Engine) WriteParquet(ctx context.Context, f *slipway.Frame, path string) error {
	tmp, err := os.CreateTemp(e.options.TempDir, "frame-*.csv")
	if err != nil {
		return slipway.Errorf(slipway.Unavailable, "no temporary file can be made: %v", err)
	}
	defer os.Remove(tmp.Name())
	w := bufio.NewWriterSize(tmp, 1<<16)
	writeFrame(w, f)
	err = w.Flush()
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return slipway.Errorf(slipway.Unavailable, "the rows cannot be written: %v", err)
	}
	header := true
	csv := CSV{Delimiter: ",", Header: &header, Null: []string{missingMark}, Encoding: "utf-8", Decimal: "."}
	columns := f.Schema()
	for i := range columns {
		columns[i].Categories = nil
	}
	_, err = e.Run(ctx, Request{Tables: []Table{{Name: "t", Files: []string{tmp.Name()}, Format: FormatCSV, CSV: csv, Columns: columns}},
		SQL: "SELECT * FROM t", Output: ToParquet(path)})
	return err
}

// missingMark stands for a missing value in the file between a frame and its
// Parquet form, so that empty text stays what it is.
const missingMark = `\N`

func writeFrame(w *bufio.Writer, f *slipway.Frame) {
	for i := range f.Series {
		comma(w, i)
		quoted(w, f.Series[i].Name)
	}
	_ = w.WriteByte('\n') // errors of a bufio.Writer show in Flush
	for row := range f.Rows {
		for i := range f.Series {
			comma(w, i)
			s := &f.Series[i]
			switch {
			case s.Missing(row):
				_, _ = w.WriteString(missingMark)
			case s.Text != nil:
				quoted(w, s.Text[row])
			default:
				_, _ = w.WriteString(number(s.Type, s.Float[row]))
			}
		}
		_ = w.WriteByte('\n')
	}
}

func number(t slipway.Type, v float64) string {
	switch t {
	case slipway.Time:
		return time.UnixMicro(int64(v)).UTC().Format("2006-01-02T15:04:05.000000Z")
	case slipway.Date:
		return time.UnixMicro(int64(v)).UTC().Format(time.DateOnly)
	case slipway.Bool:
		return strconv.FormatBool(v != 0)
	case slipway.Int:
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

func comma(w *bufio.Writer, i int) {
	if i > 0 {
		_ = w.WriteByte(',')
	}
}

func quoted(w *bufio.Writer, s string) {
	fmt.Fprintf(w, `"%s"`, strings.ReplaceAll(s, `"`, `""`))
}
