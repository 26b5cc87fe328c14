package query

import (
	"encoding/binary"
	"math"
	"time"

	slipway "github.com/slipway-ml/slipway"
)

// duckType is what a column is in DuckDB, reduced to what matters here.
type duckType struct {
	name       string   // BOOLEAN, BIGINT, DOUBLE, VARCHAR, JSON, ENUM, BLOB, DATE, TIMESTAMP, TIMESTAMPTZ, NESTED, OTHER, UNKNOWN
	categories []string // the values of an ENUM, in order
}

// column is one column of a table or of a result, as DuckDB describes it.
type column struct {
	name string
	duck duckType
}

// vector is a look at one column of at most 2,048 rows in DuckDB's memory. The
// field of its type is set; valid is nil when nothing is null.
type vector struct {
	valid  []uint64
	bools  []uint8
	days   []int32 // since 1970-01-01
	ints   []int64 // whole numbers, or UTC microseconds
	floats []float64
	text   func(row int) []byte
}

func (v *vector) null(row int) bool { return v.valid != nil && v.valid[row/64]>>(row%64)&1 == 0 }

const microsPerDay = 24 * 60 * 60 * 1_000_000

// An encoding says how a column travels from the worker: frames carry every
// number as a float64, rows carry whole numbers exactly.
type encoding byte

const (
	asFloat encoding = 'f' // float64, NaN for null: 8 bytes a row
	asExact encoding = 'd' // nulls, then float64: 8 bytes a row
	asInt   encoding = 'i' // nulls, then int64: 8 bytes a row
	asText  encoding = 't' // nulls, then the end of each value (4 bytes), then the bytes
)

// encodingOf chooses how a column of type t travels.
func encodingOf(t slipway.Type, frame bool) encoding {
	switch {
	case t == slipway.Text || t == slipway.Binary:
		return asText
	case frame:
		return asFloat
	case t == slipway.Float:
		return asExact
	}
	return asInt
}

// batch collects rows on their way out of the worker.
type batch struct {
	types  []slipway.Type
	frame  bool
	rows   int
	column []growing
}

// growing is one column of a batch, already in wire form.
type growing struct {
	null []byte // one bit a row, 1 for null; nil while there is none
	data []byte // numbers, or the ends of the values
	text []byte
}

func newBatch(types []slipway.Type, frame bool) *batch {
	return &batch{types: types, frame: frame, column: make([]growing, len(types))}
}

// size is roughly how many bytes the batch will be.
func (b *batch) size() int {
	n := 0
	for i := range b.column {
		n += len(b.column[i].data) + len(b.column[i].text)
	}
	return n
}

// add appends the rows [from, to) of vectors.
func (b *batch) add(vectors []vector, from, to int) {
	for i := range vectors {
		c, v := &b.column[i], &vectors[i]
		switch encodingOf(b.types[i], b.frame) {
		case asFloat:
			for row := from; row < to; row++ {
				c.data = binary.LittleEndian.AppendUint64(c.data, math.Float64bits(v.float(b.types[i], row)))
			}
			continue
		case asExact:
			for row := from; row < to; row++ {
				c.data = binary.LittleEndian.AppendUint64(c.data, math.Float64bits(v.floats[row]))
			}
		case asInt:
			for row := from; row < to; row++ {
				c.data = binary.LittleEndian.AppendUint64(c.data, uint64(v.int(b.types[i], row)))
			}
		case asText:
			for row := from; row < to; row++ {
				if !v.null(row) {
					c.text = append(c.text, v.text(row)...)
				}
				c.data = binary.LittleEndian.AppendUint32(c.data, uint32(len(c.text)))
			}
		}
		if v.valid != nil {
			for row := from; row < to; row++ {
				if v.null(row) {
					c.setNull(b.rows + row - from)
				}
			}
		}
	}
	b.rows += to - from
}

func (c *growing) setNull(row int) {
	for len(c.null) <= row/8 {
		c.null = append(c.null, 0)
	}
	c.null[row/8] |= 1 << (row % 8)
}

// float is value row as a frame holds it.
func (v *vector) float(t slipway.Type, row int) float64 {
	switch {
	case v.null(row):
		return math.NaN()
	case t == slipway.Float:
		return v.floats[row]
	}
	return float64(v.int(t, row))
}

// int is value row of a column of whole numbers, booleans or times.
func (v *vector) int(t slipway.Type, row int) int64 {
	switch t {
	case slipway.Bool:
		return int64(v.bools[row])
	case slipway.Date:
		return int64(v.days[row]) * microsPerDay
	}
	return v.ints[row]
}

// encode writes the batch: rows (uint32), columns (uint32), then each column as
// its encoding says, nulls as a byte that says whether a bitmap follows. All
// numbers are little-endian. It empties the batch.
func (b *batch) encode() []byte {
	out := make([]byte, 0, b.size()+len(b.column)*(b.rows/8+16)+8)
	out = binary.LittleEndian.AppendUint32(out, uint32(b.rows))
	out = binary.LittleEndian.AppendUint32(out, uint32(len(b.column)))
	for i := range b.column {
		c := &b.column[i]
		code := encodingOf(b.types[i], b.frame)
		out = append(out, byte(code))
		if code != asFloat {
			if c.null == nil {
				out = append(out, 0)
			} else {
				out = append(out, 1)
				out = append(out, c.null...)
				out = append(out, make([]byte, (b.rows+7)/8-len(c.null))...)
			}
		}
		if code == asText {
			out = binary.LittleEndian.AppendUint32(out, uint32(len(c.text)))
		}
		out = append(out, c.data...)
		out = append(out, c.text...)
		*c = growing{data: c.data[:0], text: c.text[:0]}
	}
	b.rows = 0
	return out
}

// values is one decoded column: floats, ints or text by its encoding.
type values struct {
	code   encoding
	floats []float64
	ints   []int64
	text   []string
	null   []bool // nil when nothing is null; always nil for asFloat
}

// errFrame tells that a worker sent something that is not a batch.
var errFrame = slipway.Errorf(slipway.Internal, "the query worker sent a damaged batch")

// reader takes a message apart. After a read past the end every further read
// gives nothing and bad is set.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.b) {
		r.bad = true
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint32() int {
	if b := r.take(4); b != nil {
		return int(binary.LittleEndian.Uint32(b))
	}
	return 0
}

// decode reads a batch of a known number of columns. The bytes come from
// another process, one that may have opened a hostile file, so nothing in them
// is believed: every length is checked against what is there before memory is
// taken for it.
func decode(b []byte, columns int) (rows int, out []values, err error) {
	r := &reader{b: b}
	rows = r.uint32()
	if r.uint32() != columns || r.bad || (columns == 0 && rows > 0) {
		return 0, nil, errFrame
	}
	out = make([]values, columns)
	for i := range out {
		out[i] = r.column(rows)
		if r.bad {
			return 0, nil, errFrame
		}
	}
	if len(r.b) != 0 {
		return 0, nil, errFrame
	}
	return rows, out, nil
}

func (r *reader) column(rows int) values {
	v := values{code: encoding(r.byte())}
	if v.code != asFloat {
		v.null = r.nulls(rows)
	}
	switch v.code {
	case asFloat, asExact:
		data := r.take(8 * rows)
		v.floats = make([]float64, len(data)/8)
		for i := range v.floats {
			v.floats[i] = math.Float64frombits(binary.LittleEndian.Uint64(data[8*i:]))
		}
	case asInt:
		data := r.take(8 * rows)
		v.ints = make([]int64, len(data)/8)
		for i := range v.ints {
			v.ints[i] = int64(binary.LittleEndian.Uint64(data[8*i:]))
		}
	case asText:
		size := r.uint32()
		ends := r.take(4 * rows)
		v.text = make([]string, len(ends)/4)
		all := string(r.take(size))
		start := 0
		for i := range v.text {
			end := int(binary.LittleEndian.Uint32(ends[4*i:]))
			if end < start || end > len(all) {
				r.bad = true
				return v
			}
			v.text[i] = all[start:end]
			start = end
		}
	default:
		r.bad = true
	}
	return v
}

func (r *reader) nulls(rows int) []bool {
	if r.byte() == 0 {
		return nil
	}
	bits := r.take((rows + 7) / 8)
	if bits == nil {
		r.bad = true
		return nil
	}
	out := make([]bool, rows)
	for i := range out {
		out[i] = bits[i/8]>>(i%8)&1 == 1
	}
	return out
}

// appendTo adds decoded values to a frame's series. Binary stands as text.
func (v *values) appendTo(s *slipway.Series) error {
	switch v.code {
	case asFloat:
		if s.Type == slipway.Text || s.Type == slipway.Binary {
			return errFrame
		}
		s.Float = append(s.Float, v.floats...)
	case asText:
		if s.Type != slipway.Text && s.Type != slipway.Binary {
			return errFrame
		}
		before := len(s.Text)
		s.Text = append(s.Text, v.text...)
		if v.null != nil && s.Null == nil {
			s.Null = make([]bool, before, len(s.Text))
		}
		if v.null != nil {
			s.Null = append(s.Null, v.null...)
		} else if s.Null != nil {
			s.Null = append(s.Null, make([]bool, len(v.text))...)
		}
	default:
		return errFrame
	}
	return nil
}

// value is row i as a Go value: nil, bool, int64, float64, string, []byte, or
// time.Time in UTC.
func (v *values) value(t slipway.Type, i int) (any, error) {
	if v.null != nil && v.null[i] {
		return nil, nil
	}
	switch {
	case v.code == asExact && t == slipway.Float:
		return v.floats[i], nil
	case v.code == asText && t == slipway.Binary:
		return []byte(v.text[i]), nil
	case v.code == asText && t == slipway.Text:
		return v.text[i], nil
	case v.code != asInt:
		return nil, errFrame
	case t == slipway.Bool:
		return v.ints[i] != 0, nil
	case t == slipway.Time || t == slipway.Date:
		return time.UnixMicro(v.ints[i]).UTC(), nil
	case t == slipway.Int:
		return v.ints[i], nil
	}
	return nil, errFrame
}
