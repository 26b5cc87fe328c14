package serving

import (
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"math"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/slipway-ml/slipway"
)

// A segment is a header and records, each of them
//
//	length of the payload  uint32 little-endian
//	CRC-32C of the payload uint32 little-endian
//	payload, whose first byte is its kind
//
// A stream record describes, in JSON, what the prediction records that carry
// its hash are about; each segment describes the streams it uses. A prediction
// record holds the rows of one request, column by column.
const (
	kindStream     = 1
	kindPrediction = 2
)

// magic opens every segment; the header record follows it.
const magic = "slipway-log 1\n"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// batch is what the outcomes of one request have in common.
type batch struct {
	rows int
	id   []ID
	key  []string // nil when the caller sent none
	time []int64  // microseconds; nil when the caller sent none
	at   time.Time
}

func (h Handle) batch(r *Request) *batch {
	l := h.e.layout
	b := &batch{rows: r.Rows, id: make([]ID, r.Rows), at: time.Now()}
	for i := range b.id {
		b.id[i] = newID()
	}
	if len(l.key) > 0 {
		b.key = make([]string, r.Rows)
		for i := range b.key {
			b.key[i] = l.keyOf(r, i)
		}
	}
	if l.time >= 0 && r.Column[l.time].Name != "" {
		b.time = make([]int64, r.Rows)
		for i := range b.time {
			at, ok := l.timeOf(r, i)
			if !ok {
				at = b.at.UnixMicro()
			}
			b.time[i] = at
		}
	}
	return b
}

// stream is what the predictions of a variant have in common.
type stream struct {
	hash   uint64
	record []byte // as a segment holds it
}

// streamHead is a stream record in JSON.
type streamHead struct {
	Hash     uint64              `json:"hash,string"`
	Project  string              `json:"project"`
	Endpoint string              `json:"endpoint"`
	Release  string              `json:"release"`
	Role     slipway.VariantRole `json:"role"`
	Model    string              `json:"model"`
	Input    slipway.Schema      `json:"input"`
}

func newStream(v *variant, input slipway.Schema) *stream {
	h := streamHead{Project: v.endpoint.spec.Project, Endpoint: v.endpoint.spec.Name, Release: v.spec.Release, Role: v.spec.Role, Model: v.spec.Model}
	for _, c := range input {
		h.Input = append(h.Input, slipway.Column{Name: c.Name, Type: c.Type})
	}
	raw, _ := json.Marshal(h) // plain strings marshal
	h.Hash = xxhash.Sum64(raw)
	raw, _ = json.Marshal(h)
	s := &stream{hash: h.Hash}
	s.record = seal(append(open(nil), append([]byte{kindStream}, raw...)...), 0)
	return s
}

// stream is where an outcome belongs: the variant's own, or one by the columns
// that the request had, when the model does not say what it takes.
func (o *outcome) stream() *stream {
	if o.variant.stream != nil {
		return o.variant.stream
	}
	return newStream(o.variant, o.in.Schema())
}

// open begins a record: room for its length and checksum.
func open(b []byte) []byte { return append(b, 0, 0, 0, 0, 0, 0, 0, 0) }

// seal completes the record that begins at from.
func seal(b []byte, from int) []byte {
	payload := b[from+8:]
	binary.LittleEndian.PutUint32(b[from:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(b[from+4:], crc32.Checksum(payload, castagnoli))
	return b
}

func appendHeader(b []byte, gateway string, number int64, at time.Time) []byte {
	raw, _ := json.Marshal(segmentHead{Gateway: gateway, Number: number, Time: at.UTC()})
	b = append(b, magic...)
	from := len(b)
	return seal(append(open(b), raw...), from)
}

type segmentHead struct {
	Gateway string    `json:"gateway"`
	Number  int64     `json:"number"`
	Time    time.Time `json:"time"`
}

// What a prediction record has, beside what every one has.
const (
	hasKey  = 1 << 0
	hasTime = 1 << 1
)

// appendRecord writes an outcome as a record.
func (b *batch) appendRecord(to []byte, s *stream, o *outcome) []byte {
	from := len(to)
	to = append(open(to), kindPrediction)
	to = binary.LittleEndian.AppendUint64(to, s.hash)
	to = binary.AppendUvarint(to, uint64(b.rows))
	to = binary.AppendVarint(to, b.at.UnixMicro())
	to = binary.AppendUvarint(to, uint64(max(0, o.took)))
	to = appendText(to, o.failure)
	has := byte(0)
	if b.key != nil {
		has |= hasKey
	}
	if b.time != nil {
		has |= hasTime
	}
	to = append(to, has)
	for i := range b.id {
		to = append(to, b.id[i][:]...)
	}
	for _, k := range b.key {
		to = appendText(to, k)
	}
	for _, t := range b.time {
		to = binary.LittleEndian.AppendUint64(to, uint64(t))
	}
	to = appendFrame(to, o.in)
	if o.failure == "" {
		to = appendFrame(to, o.out)
	}
	return seal(to, from)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendFrame writes the columns: name, type, and the values as eight bytes
// each, or as text with its length plus one, 0 standing for a missing one.
func appendFrame(b []byte, f *slipway.Frame) []byte {
	b = binary.AppendUvarint(b, uint64(len(f.Series)))
	for i := range f.Series {
		s := &f.Series[i]
		b = appendText(b, s.Name)
		b = append(b, typeCode(s.Type))
		if s.Text == nil && len(s.Float) == f.Rows {
			b = append(b, 0)
			for _, v := range s.Float {
				b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
			}
			continue
		}
		b = append(b, 1)
		for j, v := range s.Text {
			if s.Missing(j) {
				b = append(b, 0)
				continue
			}
			b = append(binary.AppendUvarint(b, uint64(len(v))+1), v...)
		}
	}
	return b
}

// logTypes numbers the types in the log; the order never changes.
var logTypes = []slipway.Type{"", slipway.Bool, slipway.Int, slipway.Float, slipway.Text, slipway.Time, slipway.Date, slipway.Binary}

func typeCode(t slipway.Type) byte {
	for i, known := range logTypes {
		if t == known {
			return byte(i)
		}
	}
	return 0
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

func getBuffer() *[]byte { b := buffers.Get().(*[]byte); *b = (*b)[:0]; return b }

// putBuffer keeps a buffer for the next request, unless a huge one made it huge.
func putBuffer(b *[]byte) {
	if cap(*b) <= 1<<20 {
		buffers.Put(b)
	}
}
