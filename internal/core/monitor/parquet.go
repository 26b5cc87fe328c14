package monitor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"github.com/slipway-ml/slipway"
)

// schemaKey is the metadata of a partition that holds its columns as we know
// them: Parquet sorts columns by name and has no date of ours.
const schemaKey = "slipway.schema"

// encode writes a frame as Parquet, any column nullable: numbers as DOUBLE,
// INT64 or BOOLEAN, times as TIMESTAMP in UTC microseconds, text as STRING.
func encode(f *slipway.Frame) ([]byte, error) {
	group, columns := parquet.Group{}, f.Schema()
	for _, c := range columns {
		if _, twice := group[c.Name]; twice {
			return nil, slipway.Errorf(slipway.Internal, "the column %s is there twice", c.Name)
		}
		group[c.Name] = parquet.Optional(node(c.Type))
	}
	described, err := json.Marshal(columns)
	if err != nil {
		return nil, err
	}
	schema := parquet.NewSchema("prediction", group)
	var out bytes.Buffer
	w := parquet.NewWriter(&out, schema, parquet.Compression(&zstd.Codec{Level: zstd.SpeedFastest}),
		parquet.KeyValueMetadata(schemaKey, string(described)), parquet.CreatedBy("slipway", "1", ""))
	writers := w.ColumnWriters()
	values := make([]parquet.Value, f.Rows)
	for i := range f.Series {
		s := &f.Series[i]
		leaf, _ := schema.Lookup(s.Name)
		fill(values, s, leaf.ColumnIndex)
		if _, err := writers[leaf.ColumnIndex].WriteRowValues(values); err != nil {
			return nil, fmt.Errorf("write the column %s: %w", s.Name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("write a partition: %w", err)
	}
	return out.Bytes(), nil
}

func node(t slipway.Type) parquet.Node {
	switch t {
	case slipway.Int:
		return parquet.Leaf(parquet.Int64Type)
	case slipway.Bool:
		return parquet.Leaf(parquet.BooleanType)
	case slipway.Time, slipway.Date:
		return parquet.Timestamp(parquet.Microsecond)
	case slipway.Float:
		return parquet.Leaf(parquet.DoubleType)
	}
	return parquet.String()
}

// fill turns a series into the values of a column.
func fill(values []parquet.Value, s *slipway.Series, column int) {
	for i := range values {
		v := parquet.NullValue()
		if s.Missing(i) {
			values[i] = v.Level(0, 0, column)
			continue
		}
		switch {
		case s.Text != nil:
			v = parquet.ByteArrayValue([]byte(s.Text[i]))
		case s.Type == slipway.Bool:
			v = parquet.BooleanValue(s.Float[i] != 0)
		case s.Type == slipway.Float:
			v = parquet.DoubleValue(s.Float[i])
		default:
			v = parquet.Int64Value(int64(s.Float[i]))
		}
		values[i] = v.Level(0, 1, column)
	}
}

// decode reads columns of a partition, or all when none is named; one that the
// partition does not have is left out. Columns come in the order in which they
// were written.
func decode(r io.ReaderAt, size int64, names ...string) (*slipway.Frame, error) {
	file, err := parquet.OpenFile(r, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, fmt.Errorf("read a partition: %w", err)
	}
	var columns slipway.Schema
	described, _ := file.Lookup(schemaKey)
	if err := json.Unmarshal([]byte(described), &columns); err != nil {
		return nil, fmt.Errorf("read the columns of a partition: %w", err)
	}
	out := &slipway.Frame{Rows: int(file.NumRows())}
	for _, c := range columns {
		if len(names) > 0 && !slices.Contains(names, c.Name) {
			continue
		}
		leaf, ok := file.Schema().Lookup(c.Name)
		if !ok {
			return nil, fmt.Errorf("a partition lacks its column %s", c.Name)
		}
		s := newSeries(c.Name, c.Type, out.Rows)
		for _, g := range file.RowGroups() {
			if err := readColumn(g.ColumnChunks()[leaf.ColumnIndex], &s); err != nil {
				return nil, fmt.Errorf("read the column %s: %w", c.Name, err)
			}
		}
		if s.len() != out.Rows {
			return nil, fmt.Errorf("the column %s has %d values of %d", c.Name, s.len(), out.Rows)
		}
		out.Series = append(out.Series, s.done())
	}
	return out, nil
}

// readColumn appends the values of a column chunk.
func readColumn(chunk parquet.ColumnChunk, s *column) error {
	pages := chunk.Pages()
	defer pages.Close()
	var buf [512]parquet.Value
	for {
		page, err := pages.ReadPage()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		values := page.Values()
		for {
			n, err := values.ReadValues(buf[:])
			for _, v := range buf[:n] {
				s.append(v)
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				return err
			}
		}
		parquet.Release(page)
	}
}

// column is a series that grows.
type column struct {
	slipway.Series
	text bool
	null bool
}

func newSeries(name string, t slipway.Type, rows int) column {
	c := column{Series: slipway.Series{Name: name, Type: t}, text: t == slipway.Text || t == slipway.Binary}
	if c.text {
		c.Text, c.Null = make([]string, 0, rows), make([]bool, 0, rows)
	} else {
		c.Float = make([]float64, 0, rows)
	}
	return c
}

func (c *column) len() int { return max(len(c.Float), len(c.Text)) }

func (c *column) append(v parquet.Value) {
	switch {
	case v.IsNull():
		c.missing(1)
	case c.text:
		c.Text, c.Null = append(c.Text, string(v.ByteArray())), append(c.Null, false)
	case v.Kind() == parquet.Boolean:
		c.Float = append(c.Float, number(v.Boolean()))
	case v.Kind() == parquet.Int64:
		c.Float = append(c.Float, float64(v.Int64()))
	default:
		c.Float = append(c.Float, v.Double())
	}
}

// missing appends n absent values.
func (c *column) missing(n int) {
	for range n {
		if c.text {
			c.Text, c.Null, c.null = append(c.Text, ""), append(c.Null, true), true
			continue
		}
		c.Float = append(c.Float, math.NaN())
	}
}

// copy appends value i of another series. A value of the wrong kind, which a
// release that changed its signature could leave, counts as missing.
func (c *column) copy(s *slipway.Series, i int) {
	switch {
	case s.Missing(i) || c.text != (s.Text != nil):
		c.missing(1)
	case c.text:
		c.Text, c.Null = append(c.Text, s.Text[i]), append(c.Null, false)
	default:
		c.Float = append(c.Float, s.Float[i])
	}
}

func (c *column) done() slipway.Series {
	if c.text && !c.null {
		c.Null = nil
	}
	return c.Series
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// concat puts frames under one another; columns are matched by name, and are
// missing where a frame lacks them.
func concat(frames []*slipway.Frame) *slipway.Frame {
	if len(frames) == 1 {
		return frames[0]
	}
	out := &slipway.Frame{}
	at := map[string]int{}
	var columns []column
	for _, f := range frames {
		for i := range f.Series {
			s := &f.Series[i]
			k, known := at[s.Name]
			if !known {
				k, at[s.Name] = len(columns), len(columns)
				columns = append(columns, newSeries(s.Name, s.Type, 0))
				columns[k].missing(out.Rows)
			}
			for r := range f.Rows {
				columns[k].copy(s, r)
			}
		}
		out.Rows += f.Rows
		for k := range columns {
			columns[k].missing(out.Rows - columns[k].len())
		}
	}
	for k := range columns {
		out.Series = append(out.Series, columns[k].done())
	}
	return out
}
