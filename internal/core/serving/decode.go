package serving

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/slipway-ml/slipway"
)

// prediction is a decoded prediction record.
type prediction struct {
	hash    uint64
	at      time.Time
	took    time.Duration
	failure string
	id      []ID
	key     []string
	time    []int64
	in, out *slipway.Frame // out is nil when the variant failed
	shape   string         // the columns' names and forms: equal shapes join
}

// decoder reads a record. After a malformed value it gives zeros and failed.
type decoder struct {
	b      []byte
	failed bool
}

func (d *decoder) bytes(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.failed, d.b = true, nil
		return nil
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.failed, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.failed, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) byte() byte {
	if b := d.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) word() uint64 {
	if b := d.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) text() string { return string(d.bytes(d.uvarint())) }

// count reads how many things of at least size bytes follow.
func (d *decoder) count(size int) int {
	n := d.uvarint()
	if n > uint64(len(d.b)/size) {
		d.failed, d.b = true, nil
		return 0
	}
	return int(n)
}

func (d *decoder) prediction() (p prediction) {
	p.hash = d.word()
	rows := d.uvarint()
	p.at = time.UnixMicro(d.varint()).UTC()
	p.took = time.Duration(d.uvarint())
	p.failure = d.text()
	has := d.byte()
	if rows > uint64(len(d.b)/len(ID{})) {
		d.failed = true
		return p
	}
	p.id = make([]ID, rows)
	for i := range p.id {
		copy(p.id[i][:], d.bytes(uint64(len(ID{}))))
	}
	if has&hasKey != 0 {
		p.key = make([]string, rows)
		for i := range p.key {
			p.key[i] = d.text()
		}
	}
	if has&hasTime != 0 {
		p.time = make([]int64, rows)
		for i := range p.time {
			p.time[i] = int64(d.word())
		}
	}
	var shape []byte
	p.in, shape = d.frame(int(rows), shape)
	if p.failure == "" {
		p.out, shape = d.frame(int(rows), append(shape, '>'))
	}
	p.shape = string(shape)
	return p
}

func (d *decoder) frame(rows int, shape []byte) (*slipway.Frame, []byte) {
	f := &slipway.Frame{Rows: rows, Series: make([]slipway.Series, d.count(3))}
	for i := range f.Series {
		s := &f.Series[i]
		s.Name = d.text()
		if t := int(d.byte()); t < len(logTypes) {
			s.Type = logTypes[t]
		} else {
			d.failed = true
		}
		isText := d.byte() == 1
		shape = append(append(shape, s.Name...), 0, typeCode(s.Type), '0')
		if isText {
			shape[len(shape)-1] = '1'
			d.texts(s, rows)
		} else {
			d.floats(s, rows)
		}
		if d.failed {
			return f, shape
		}
	}
	return f, shape
}

func (d *decoder) floats(s *slipway.Series, rows int) {
	raw := d.bytes(8 * uint64(rows))
	if raw == nil && rows > 0 {
		return
	}
	s.Float = make([]float64, rows)
	for j := range s.Float {
		s.Float[j] = math.Float64frombits(binary.LittleEndian.Uint64(raw[8*j:]))
	}
}

func (d *decoder) texts(s *slipway.Series, rows int) {
	s.Text = make([]string, rows)
	for j := range s.Text {
		n := d.uvarint()
		if n == 0 {
			if s.Null == nil {
				s.Null = make([]bool, rows)
			}
			s.Null[j] = true
			continue
		}
		s.Text[j] = string(d.bytes(n - 1))
	}
}

// join appends the record's rows to a batch of the same shape.
func (p *prediction) join(b *slipway.PredictionBatch) {
	for i := range p.id {
		b.ID = append(b.ID, p.id[i].String())
		key, at := "", p.at
		if p.key != nil {
			key = p.key[i]
		}
		if p.time != nil {
			at = time.UnixMicro(p.time[i]).UTC()
		}
		b.Key, b.Time = append(b.Key, key), append(b.Time, at)
		b.At, b.Latency, b.Failure = append(b.At, p.at), append(b.Latency, p.took), append(b.Failure, p.failure)
	}
	b.Input = extend(b.Input, p.in)
	if p.out != nil {
		b.Output = extend(b.Output, p.out)
	}
}

// extend appends more's rows to f, which is nil at first.
func extend(f, more *slipway.Frame) *slipway.Frame {
	if f == nil {
		return more
	}
	for i := range f.Series {
		s, m := &f.Series[i], &more.Series[i]
		s.Float = append(s.Float, m.Float...)
		if s.Null == nil && m.Null != nil {
			s.Null = make([]bool, f.Rows)
		}
		if s.Null != nil {
			null := m.Null
			if null == nil {
				null = make([]bool, more.Rows)
			}
			s.Null = append(s.Null, null...)
		}
		s.Text = append(s.Text, m.Text...)
	}
	f.Rows += more.Rows
	return f
}
