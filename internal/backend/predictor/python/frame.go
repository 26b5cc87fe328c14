package python

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"unicode/utf8"

	"github.com/slipway-ml/slipway"
)

// The wire form of a frame; worker/slipway_frame.py describes it and is the
// other half. Little endian: uint32 rows, uint32 length of the schema, the
// schema in JSON, then the columns, each padded as the schema is to 8 bytes.

// maxMessage bounds one message, so that a length can be trusted enough to
// allocate.
const maxMessage = 1 << 30

// part is the rows of one request in a batch: column c of the batch is
// in.Series[at[c]].
type part struct {
	in *slipway.Frame
	at []int
}

// wireSchema is the schema of a frame on the wire: its columns' types there.
type wireSchema struct {
	text []byte
	kind []slipway.Type
}

type wireColumn struct {
	Name       string       `json:"name"`
	Type       slipway.Type `json:"type"`
	Categories []string     `json:"categories,omitempty"`
}

// newWireSchema takes the types of input, or where it has none those of in,
// which is nil when input is complete.
func newWireSchema(input slipway.Schema, in *slipway.Frame, at []int) (*wireSchema, error) {
	columns := make([]wireColumn, len(at))
	kind := make([]slipway.Type, len(at))
	for c, j := range at {
		var known slipway.Column
		if len(input) > 0 {
			known = input[c]
		} else {
			known = slipway.Column{Name: in.Series[j].Name}
		}
		kind[c] = known.Type
		if kind[c] == "" {
			kind[c] = in.Series[j].Type
		}
		columns[c] = wireColumn{known.Name, kind[c], known.Categories}
	}
	text, err := json.Marshal(columns)
	return &wireSchema{text, kind}, err
}

func textual(t slipway.Type) bool { return t == slipway.Text || t == slipway.Binary }

// appendFrame writes the parts as one frame of rows rows.
func appendFrame(b []byte, schema *wireSchema, rows int, parts []part) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(rows))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(schema.text)))
	b = append(b, schema.text...)
	b = pad(b, start)
	for c, kind := range schema.kind {
		if textual(kind) {
			b = appendText(b, c, parts)
			b = pad(b, start)
		} else {
			b = appendNumbers(b, c, parts)
		}
	}
	return b
}

func pad(b []byte, start int) []byte {
	var zero [8]byte
	return append(b, zero[:-(len(b)-start)&7]...)
}

func appendNumbers(b []byte, c int, parts []part) []byte {
	for _, p := range parts {
		s := &p.in.Series[p.at[c]]
		if textual(s.Type) { // all missing, or Bind would have refused it
			for range p.in.Rows {
				b = binary.LittleEndian.AppendUint64(b, math.Float64bits(math.NaN()))
			}
			continue
		}
		for _, v := range s.Float {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
		}
	}
	return b
}

func appendText(b []byte, c int, parts []part) []byte {
	end := uint32(0)
	b = binary.LittleEndian.AppendUint32(b, 0)
	for _, p := range parts {
		s := &p.in.Series[p.at[c]]
		for i := range p.in.Rows {
			if !absent(s, i) {
				end += uint32(len(s.Text[i]))
			}
			b = binary.LittleEndian.AppendUint32(b, end)
		}
	}
	for _, p := range parts {
		s := &p.in.Series[p.at[c]]
		for i := range p.in.Rows {
			mark := byte(0)
			if absent(s, i) {
				mark = 1
			}
			b = append(b, mark)
		}
	}
	for _, p := range parts {
		s := &p.in.Series[p.at[c]]
		for i := range p.in.Rows {
			if !absent(s, i) {
				b = append(b, s.Text[i]...)
			}
		}
	}
	return b
}

// absent is Missing for a column that is text on the wire: numbers that stand
// there are all missing.
func absent(s *slipway.Series, i int) bool {
	return !textual(s.Type) || (s.Null != nil && s.Null[i])
}

// wireSize bounds the bytes that appendFrame writes for one part, without its
// schema.
func wireSize(schema *wireSchema, p part) int {
	size := 0
	for c, kind := range schema.kind {
		size += 8*p.in.Rows + 16
		if s := &p.in.Series[p.at[c]]; textual(kind) && textual(s.Type) {
			for _, v := range s.Text {
				size += len(v)
			}
		}
	}
	return size
}

var errFrame = errors.New("malformed frame")

// decoder reads frames. It keeps the last schema, for answers of one model
// have the same one.
type decoder struct {
	text   []byte
	schema []wireColumn
}

// decode reads a frame; the result shares nothing with b. Bytes that no
// encoder wrote give an error, never a panic, and allocate no more than a few
// times len(b).
func (d *decoder) decode(b []byte) (*slipway.Frame, error) {
	if len(b) < 8 {
		return nil, errFrame
	}
	rows, size := int(binary.LittleEndian.Uint32(b)), int(binary.LittleEndian.Uint32(b[4:]))
	rest := b[8:]
	if size > len(rest) {
		return nil, errFrame
	}
	if err := d.read(rest[:size]); err != nil {
		return nil, err
	}
	at := 8 + size
	at += -at & 7
	out := &slipway.Frame{Rows: rows, Series: make([]slipway.Series, len(d.schema))}
	for c, column := range d.schema {
		if at > len(b) {
			return nil, errFrame
		}
		s := &out.Series[c]
		s.Name, s.Type = column.Name, column.Type
		var n int
		if textual(column.Type) {
			n = readText(s, rows, b[at:])
		} else {
			n = readNumbers(s, rows, b[at:])
		}
		if n < 0 {
			return nil, errFrame
		}
		at += n
	}
	return out, nil
}

func (d *decoder) read(text []byte) error {
	if d.schema != nil && bytes.Equal(text, d.text) {
		return nil
	}
	var schema []wireColumn
	if err := json.Unmarshal(text, &schema); err != nil || schema == nil {
		return errFrame
	}
	for _, c := range schema {
		switch c.Type {
		case slipway.Bool, slipway.Int, slipway.Float, slipway.Text, slipway.Time, slipway.Date, slipway.Binary:
		default:
			return errFrame
		}
	}
	d.text, d.schema = bytes.Clone(text), schema
	return nil
}

// readNumbers returns the bytes that it took, or -1.
func readNumbers(s *slipway.Series, rows int, b []byte) int {
	if rows > len(b)/8 {
		return -1
	}
	s.Float = make([]float64, rows)
	for i := range s.Float {
		s.Float[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
	}
	return 8 * rows
}

// readText returns the bytes that it took, or -1.
func readText(s *slipway.Series, rows int, b []byte) int {
	head := 4*(rows+1) + rows
	if head > len(b) {
		return -1
	}
	null, body := b[4*(rows+1):head], b[head:]
	end := int(binary.LittleEndian.Uint32(b[4*rows:]))
	if end > len(body) {
		return -1
	}
	all := string(body[:end])
	s.Text = make([]string, rows)
	from := int(binary.LittleEndian.Uint32(b))
	for i := range rows {
		to := int(binary.LittleEndian.Uint32(b[4*(i+1):]))
		if to < from || to > end {
			return -1
		}
		s.Text[i] = all[from:to]
		from = to
		if s.Type == slipway.Text && !utf8.ValidString(s.Text[i]) {
			return -1
		}
		if null[i] != 0 {
			if s.Null == nil {
				s.Null = make([]bool, rows)
			}
			s.Null[i] = true
		}
	}
	size := head + end
	return size + -size&7
}
