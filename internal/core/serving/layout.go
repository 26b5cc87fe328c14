package serving

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
)

// Field is a column that a request may carry.
type Field struct {
	Name string
	Type slipway.Type // "" where nobody says: then the request's own
	text map[string]string
}

// Text is b as a string, without a copy where b is a known category.
func (f *Field) Text(b []byte) string {
	if s, ok := f.text[string(b)]; ok {
		return s
	}
	return string(b)
}

// Layout is what the requests of an endpoint may carry: the inputs of all its
// models first, those of the champion in its order, then key, time and unit.
type Layout struct {
	Field  []Field
	Inputs int  // how many fields are models' inputs
	Whole  int  // how many, from the first, are the champion's
	Open   bool // a model does not say what it takes, so any column is passed on
	index  map[string]int
	key    []int
	time   int // -1 for none
	unit   int // -1 for none
}

func newLayout(e *endpoint) *Layout {
	l := &Layout{index: map[string]int{}, time: -1, unit: -1}
	for _, v := range append([]*variant{e.champion}, e.variant...) {
		l.Open = l.Open || len(v.inputs) == 0
		for _, c := range v.inputs {
			l.add(c)
		}
		if v == e.champion && l.Whole == 0 {
			l.Whole = len(l.Field)
		}
	}
	l.Inputs = len(l.Field)
	for _, name := range e.spec.Key {
		l.key = append(l.key, l.add(slipway.Column{Name: name}))
	}
	if e.spec.Time != "" {
		l.time = l.add(slipway.Column{Name: e.spec.Time, Type: slipway.Time})
	}
	if e.spec.Unit != "" {
		l.unit = l.add(slipway.Column{Name: e.spec.Unit})
	}
	return l
}

func (l *Layout) add(c slipway.Column) int {
	if i, ok := l.index[c.Name]; ok {
		return i
	}
	f := Field{Name: c.Name, Type: c.Type}
	if len(c.Categories) > 0 && c.Type == slipway.Text {
		f.text = make(map[string]string, len(c.Categories))
		for _, v := range c.Categories {
			f.text[v] = v
		}
	}
	l.index[c.Name] = len(l.Field)
	l.Field = append(l.Field, f)
	return len(l.Field) - 1
}

// Find is the position of a field by its name, or -1.
func (l *Layout) Find(name []byte) int {
	if i, ok := l.index[string(name)]; ok {
		return i
	}
	return -1
}

// places is where input's columns stand, nil when they are the first in order.
func (l *Layout) places(input slipway.Schema) []int {
	at := make([]int, len(input))
	first := true
	for i, c := range input {
		at[i] = l.index[c.Name]
		first = first && at[i] == i
	}
	if first {
		return nil
	}
	return at
}

// Request is the rows that a caller wants answered.
type Request struct {
	Rows    int
	Column  []slipway.Series // one for each field of the Layout, those not sent without a Name; further ones when it is Open
	Unit    string           // whom canary assignment is about, when the caller said so beside the columns
	Header  func(name string) string
	Explain *Reasons      // attribute the answer to the inputs; nil does not
	Parse   time.Duration // what reading it took
}

// frame is the request as v's model takes it.
func (r *Request) frame(v *variant) *slipway.Frame {
	f := &slipway.Frame{Rows: r.Rows}
	l := v.endpoint.layout
	if len(v.inputs) == 0 { // it takes what comes
		for i, c := range r.Column {
			if c.Name != "" && (i < l.Inputs || i >= len(l.Field)) {
				f.Series = append(f.Series, c)
			}
		}
		return f
	}
	if v.at == nil {
		f.Series = r.Column[:len(v.inputs):len(v.inputs)]
		for i := range f.Series {
			if f.Series[i].Name == "" {
				f.Series = sent(f.Series)
				break
			}
		}
		return f
	}
	f.Series = make([]slipway.Series, 0, len(v.at))
	for _, i := range v.at {
		if r.Column[i].Name != "" {
			f.Series = append(f.Series, r.Column[i])
		}
	}
	return f
}

// sent leaves out the columns that the request did not carry; the model then
// says which it misses.
func sent(all []slipway.Series) []slipway.Series {
	var out []slipway.Series
	for _, s := range all {
		if s.Name != "" {
			out = append(out, s)
		}
	}
	return out
}

// key is the key of row i: its columns' values joined by "|", "" when the
// caller sent none of them.
func (l *Layout) keyOf(r *Request, i int) string {
	switch len(l.key) {
	case 0:
		return ""
	case 1:
		return text(&r.Column[l.key[0]], i)
	}
	parts, any := make([]string, len(l.key)), false
	for k, at := range l.key {
		parts[k] = text(&r.Column[at], i)
		any = any || r.Column[at].Name != ""
	}
	if !any {
		return ""
	}
	return strings.Join(parts, "|")
}

// timeOf is the event time of row i in UTC microseconds; ok is false when the
// caller sent none.
func (l *Layout) timeOf(r *Request, i int) (micros int64, ok bool) {
	if l.time < 0 || r.Column[l.time].Name == "" || r.Column[l.time].Missing(i) {
		return 0, false
	}
	return int64(r.Column[l.time].Float[i]), true
}

// unitOf is whom the request is about: what the caller said, else the unit
// column or header, else the key. "" is nobody known.
func (l *Layout) unitOf(r *Request, name string) string {
	if r.Unit != "" {
		return r.Unit
	}
	if name != "" {
		if u := text(&r.Column[l.unit], 0); u != "" {
			return u
		}
		if r.Header != nil {
			return r.Header(name)
		}
		return ""
	}
	return l.keyOf(r, 0)
}

// text writes one value as a label would name it.
func text(s *slipway.Series, i int) string {
	switch {
	case s.Name == "" || s.Missing(i):
		return ""
	case s.Text != nil:
		return s.Text[i]
	case s.Type == slipway.Time || s.Type == slipway.Date:
		return time.UnixMicro(int64(s.Float[i])).UTC().Format(time.RFC3339Nano)
	case math.IsInf(s.Float[i], 0):
		return ""
	}
	return strconv.FormatFloat(s.Float[i], 'f', -1, 64)
}
