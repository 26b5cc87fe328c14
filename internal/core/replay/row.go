package replay

import (
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/slipway-ml/slipway"
)

// columns are the parts of a frame that a replay reads.
type columns struct {
	time, id, label *slipway.Series
	input           []*slipway.Series
	prefix          [][]byte // of each input's tensor, up to its value
	buf             []byte
}

// columns finds the plan's columns in f. It fails with Invalid naming the one
// that is absent.
func (p *Plan) columns(f *slipway.Frame) (*columns, error) {
	c := &columns{}
	for _, want := range []struct {
		name string
		into **slipway.Series
	}{{p.Time, &c.time}, {p.Key, &c.id}, {p.Label, &c.label}} {
		if want.name == "" {
			continue
		}
		if *want.into = f.Column(want.name); *want.into == nil {
			return nil, slipway.Errorf(slipway.Invalid, "the rows have no column %s", want.name)
		}
	}
	if c.time == nil || c.time.Type != slipway.Time && c.time.Type != slipway.Date {
		return nil, slipway.Errorf(slipway.Invalid, "the column %s holds no times", p.Time).WithHint("name the column of event time with --time")
	}
	names := p.Input
	for _, extra := range []string{p.Key, p.Time} {
		if extra != "" {
			names = append(names[:len(names):len(names)], extra)
		}
	}
	for _, name := range names {
		s := f.Column(name)
		if s == nil {
			return nil, slipway.Errorf(slipway.Invalid, "the endpoint wants the column %s, which the rows do not have", name)
		}
		c.input = append(c.input, s)
		c.prefix = append(c.prefix, prefix(s))
	}
	return c, nil
}

// prefix is a tensor of one value up to that value.
func prefix(s *slipway.Series) []byte {
	name, _ := json.Marshal(s.Name)
	datatype := "FP64"
	if s.Text != nil {
		datatype = "BYTES"
	} else if s.Type == slipway.Time || s.Type == slipway.Date {
		datatype = "BYTES" // written as RFC 3339
	}
	return []byte(`{"name":` + string(name) + `,"shape":[1],"datatype":"` + datatype + `","data":[`)
}

func (c *columns) at(i int) time.Time { return time.UnixMicro(int64(c.time.Float[i])).UTC() }

// key is the row's key as a label names it.
func (c *columns) key(i int) string {
	if c.id == nil {
		return ""
	}
	if c.id.Text != nil {
		return c.id.Text[i]
	}
	return strconv.FormatFloat(c.id.Float[i], 'f', -1, 64)
}

// truth is the row's label, if it has one.
func (c *columns) truth(i int) (any, bool) {
	if c.label == nil || c.label.Missing(i) {
		return nil, false
	}
	if c.label.Text != nil {
		return c.label.Text[i], true
	}
	return c.label.Float[i], true
}

// body is the request for row i: one tensor a column (Open Inference Protocol
// v2). The bytes are the caller's.
func (c *columns) body(i int) []byte {
	b := append(c.buf[:0], `{"inputs":[`...)
	for k, s := range c.input {
		if k > 0 {
			b = append(b, ',')
		}
		b = append(b, c.prefix[k]...)
		b = appendValue(b, s, i)
		b = append(b, "]}"...)
	}
	b = append(b, "]}"...)
	c.buf = b
	return append([]byte(nil), b...)
}

func appendValue(b []byte, s *slipway.Series, i int) []byte {
	switch {
	case s.Missing(i):
		return append(b, "null"...)
	case s.Text != nil:
		text, _ := json.Marshal(s.Text[i]) // any string marshals
		return append(b, text...)
	case s.Type == slipway.Time || s.Type == slipway.Date:
		b = append(b, '"')
		b = time.UnixMicro(int64(s.Float[i])).UTC().AppendFormat(b, time.RFC3339Nano)
		return append(b, '"')
	case math.IsInf(s.Float[i], 0):
		return append(b, "null"...)
	}
	return strconv.AppendFloat(b, s.Float[i], 'g', -1, 64)
}
