package inference

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"strconv"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/serving"
)

// Tensors as bytes: Triton's binary tensor extension
// (docs/protocol/extension_binary_data.md), and the raw contents of gRPC.
// Numbers are little-endian and lie in row-major order; an element of BYTES has
// its length before it, in four bytes.

// headerLength is how long the JSON before the tensors is.
const headerLength = "Inference-Header-Content-Length"

// source is where the values of a tensor are: in the JSON that comes next, in
// bytes, or in a message InferTensorContents.
type source struct {
	datatype []byte // as the protocol writes it
	binary   []byte
	contents []byte
}

// fill reads values into the scratch column.
func (p *parser) fill(from source, depth int) error {
	switch {
	case from.binary != nil:
		return p.column.addBinary(string(from.datatype), from.binary)
	case from.contents != nil:
		return p.column.addContents(string(from.datatype), from.contents)
	}
	return p.flat(&p.column, depth)
}

// split takes the tensors off a body whose JSON has n bytes, as the header says.
func (p *parser) split(n string) error {
	length, err := strconv.Atoi(n)
	if err != nil || length < 0 || length > len(p.b) {
		return slipway.Errorf(slipway.Invalid, "the header %s is %q, and the body has %d bytes", headerLength, clip([]byte(n)), len(p.b))
	}
	p.b, p.tail = p.b[:length:length], p.b[length:]
	return nil
}

// alone reads a body without any JSON: the only input of a model that has one.
func (p *parser) alone() (*serving.Request, error) {
	if p.layout.Whole != 1 {
		return nil, slipway.Errorf(slipway.Invalid, "a body of bytes alone is for models of one input, and this one has %d", p.layout.Whole)
	}
	f := &p.layout.Field[0]
	kind := datatype(f.Type)
	width := widths[kind]
	p.binary = true
	p.shape = append(p.shape[:0], 1)
	if width > 0 {
		p.shape[0] = len(p.tail) / width
	}
	values := p.tail
	p.tail = nil
	if kind == "BYTES" { // one element, whose length is the body's
		values = append(binary.LittleEndian.AppendUint32(nil, uint32(len(values))), values...)
	}
	if err := p.data([]byte(f.Name), source{datatype: []byte(kind), binary: values}); err != nil {
		return nil, err
	}
	return p.request()
}

// beside reads a tensor's parameters; it gives the bytes that it takes from
// behind the JSON, nil when its data is in the JSON.
func (p *parser) beside() ([]byte, error) {
	raw, err := p.skip()
	if err != nil {
		return nil, err
	}
	var said struct {
		Size   *int    `json:"binary_data_size"`
		Shared *string `json:"shared_memory_region"`
	}
	if json.Unmarshal(raw, &said) != nil {
		return nil, p.malformed("an object of parameters")
	}
	if said.Shared != nil {
		return nil, slipway.Errorf(slipway.Invalid, "tensors in shared memory are not taken").WithHint("send the data in the request")
	}
	if said.Size == nil {
		return nil, nil
	}
	if n := *said.Size; n < 0 || n > len(p.tail) {
		return nil, slipway.Errorf(slipway.Invalid, "an input takes %d bytes from behind the JSON, where %d are left", n, len(p.tail)).
			WithHint("the header %s must give the length of the JSON", headerLength)
	}
	out := p.tail[:*said.Size:*said.Size]
	p.tail = p.tail[*said.Size:]
	return out, nil
}

// widths are the bytes of one element; BYTES has its own in each.
var widths = map[string]int{"FP64": 8, "INT64": 8, "UINT64": 8, "FP32": 4, "INT32": 4, "UINT32": 4,
	"FP16": 2, "BF16": 2, "INT16": 2, "UINT16": 2, "INT8": 1, "UINT8": 1, "BOOL": 1}

// addBinary reads elements of a datatype.
func (c *column) addBinary(kind string, b []byte) error {
	if kind == "BYTES" {
		return c.addTexts(b)
	}
	width := widths[kind]
	if width == 0 || len(b)%width != 0 {
		return slipway.Errorf(slipway.Invalid, "column %q has %d bytes, which are no whole number of %s", c.name, len(b), kind)
	}
	form := datatypes[kind]
	for ; len(b) > 0; b = b[width:] {
		if err := c.addNumber(element(kind, b), form); err != nil {
			return err
		}
	}
	return nil
}

func (c *column) addTexts(b []byte) error {
	for len(b) > 0 {
		if len(b) < 4 {
			return slipway.Errorf(slipway.Invalid, "column %q breaks off in the length of row %d", c.name, c.rows()+1)
		}
		n := int(binary.LittleEndian.Uint32(b))
		if b = b[4:]; n > len(b) {
			return slipway.Errorf(slipway.Invalid, "column %q breaks off in row %d: %d bytes of %d", c.name, c.rows()+1, len(b), n)
		}
		if err := c.addText(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// element is the number that b begins with.
func element(kind string, b []byte) float64 {
	le := binary.LittleEndian
	switch kind {
	case "FP64":
		return math.Float64frombits(le.Uint64(b))
	case "FP32":
		return float64(math.Float32frombits(le.Uint32(b)))
	case "INT64":
		return float64(int64(le.Uint64(b)))
	case "UINT64":
		return float64(le.Uint64(b))
	case "INT32":
		return float64(int32(le.Uint32(b)))
	case "UINT32":
		return float64(le.Uint32(b))
	case "INT16":
		return float64(int16(le.Uint16(b)))
	case "UINT16":
		return float64(le.Uint16(b))
	case "INT8":
		return float64(int8(b[0]))
	case "BF16": // the upper half of an FP32
		return float64(math.Float32frombits(uint32(le.Uint16(b)) << 16))
	case "FP16":
		return half(le.Uint16(b))
	case "BOOL":
		return float64(min(b[0], 1))
	}
	return float64(b[0]) // UINT8
}

// half is an IEEE 754 binary16: a sign, five bits of exponent, ten of fraction.
func half(h uint16) float64 {
	sign := 1.0
	if h>>15 == 1 {
		sign = -1
	}
	exponent, fraction := int(h>>10&31), float64(h&1023)
	switch {
	case exponent == 31 && fraction == 0:
		return math.Inf(int(sign))
	case exponent == 31:
		return math.NaN()
	case exponent == 0:
		return sign * math.Ldexp(fraction, -24)
	}
	return sign * math.Ldexp(fraction+1024, exponent-25)
}

// appendBehind writes an output's head to the JSON and its values to tail.
func appendBehind(b, tail []byte, s *slipway.Series, rows int) (reply, values []byte) {
	before := len(tail)
	kind := rawType(s, rows)
	tail = appendRaw(tail, s, kind, rows)
	b = append(b, `{"name":`...)
	b = appendText(b, s.Name)
	b = append(b, `,"datatype":"`...)
	b = append(b, kind...)
	b = append(b, `","shape":[`...)
	b = strconv.AppendInt(b, int64(rows), 10)
	b = append(b, `],"parameters":{"binary_data_size":`...)
	b = strconv.AppendInt(b, int64(len(tail)-before), 10)
	return append(b, "}}"...), tail
}

// rawType is the datatype of a series as bytes: whole numbers and truths have
// no way to say that one is missing, so that they are FP64 then.
func rawType(s *slipway.Series, rows int) string {
	kind := datatype(s.Type)
	if kind == "INT64" || kind == "BOOL" {
		for i := range rows {
			if s.Missing(i) {
				return "FP64"
			}
		}
	}
	return kind
}

// appendRaw writes the values; a missing number is NaN, a missing text empty.
func appendRaw(b []byte, s *slipway.Series, kind string, rows int) []byte {
	for i := range rows {
		switch kind {
		case "BYTES":
			text := textOf(s, i)
			b = binary.LittleEndian.AppendUint32(b, uint32(len(text)))
			b = append(b, text...)
		case "INT64":
			b = binary.LittleEndian.AppendUint64(b, uint64(int64(s.Float[i])))
		case "BOOL":
			b = append(b, byte(s.Float[i]))
		default:
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(s.Float[i]))
		}
	}
	return b
}

// textOf is value i of a text or time column, "" when it is missing.
func textOf(s *slipway.Series, i int) string {
	switch {
	case s.Missing(i):
		return ""
	case s.Text != nil:
		return s.Text[i]
	}
	quoted := appendValue(nil, s, i)
	return string(quoted[1 : len(quoted)-1])
}
