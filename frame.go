package slipway

import (
	"math"
	"strconv"
)

// Frame is a small table in memory, column by column: the rows of a prediction
// request, or a batch of a gate. All columns have Rows values.
type Frame struct {
	Rows   int
	Series []Series
}

// Series is one column of a Frame. Numbers, booleans and times (UTC
// microseconds) stand in Float, with NaN for a missing value; text stands in
// Text, where Null marks the missing ones (nil when there are none).
type Series struct {
	Name  string
	Type  Type
	Float []float64
	Text  []string
	Null  []bool
}

// Len is the number of values.
func (s *Series) Len() int { return max(len(s.Text), len(s.Float)) }

// Label is value i as the name of a class or a group: text as it is, numbers in
// the shortest form that reads back as the same.
func (s *Series) Label(i int) string {
	if s.Text != nil {
		return s.Text[i]
	}
	return strconv.FormatFloat(s.Float[i], 'g', -1, 64)
}

// Missing reports whether value i is absent.
func (s *Series) Missing(i int) bool {
	if s.Text != nil {
		return s.Null != nil && s.Null[i]
	}
	return math.IsNaN(s.Float[i])
}

// Column finds a series by name, or nil.
func (f *Frame) Column(name string) *Series {
	for i := range f.Series {
		if f.Series[i].Name == name {
			return &f.Series[i]
		}
	}
	return nil
}

// Schema describes the frame's columns.
func (f *Frame) Schema() Schema {
	out := make(Schema, len(f.Series))
	for i, s := range f.Series {
		out[i] = Column{Name: s.Name, Type: s.Type, Nullable: true}
	}
	return out
}

// Take makes a frame of the rows at the positions given, in that order.
func (f *Frame) Take(rows []int) *Frame {
	out := &Frame{Rows: len(rows), Series: make([]Series, len(f.Series))}
	for i, s := range f.Series {
		t := Series{Name: s.Name, Type: s.Type}
		if s.Text == nil {
			t.Float = make([]float64, len(rows))
			for j, r := range rows {
				t.Float[j] = s.Float[r]
			}
			out.Series[i] = t
			continue
		}
		t.Text = make([]string, len(rows))
		if s.Null != nil {
			t.Null = make([]bool, len(rows))
		}
		for j, r := range rows {
			t.Text[j] = s.Text[r]
			if s.Null != nil {
				t.Null[j] = s.Null[r]
			}
		}
		out.Series[i] = t
	}
	return out
}

// Select makes a frame of the named columns, in that order, sharing their
// values. Columns that are not there are left out.
func (f *Frame) Select(names []string) *Frame {
	out := &Frame{Rows: f.Rows}
	for _, n := range names {
		if s := f.Column(n); s != nil {
			out.Series = append(out.Series, *s)
		}
	}
	return out
}

// Slice makes a frame of rows from to to, sharing their values.
func (f *Frame) Slice(from, to int) *Frame {
	out := &Frame{Rows: to - from, Series: make([]Series, len(f.Series))}
	for i, s := range f.Series {
		if s.Text == nil {
			s.Float = s.Float[from:to:to]
		} else {
			s.Text = s.Text[from:to:to]
			if s.Null != nil {
				s.Null = s.Null[from:to:to]
			}
		}
		out.Series[i] = s
	}
	return out
}

// Append adds the rows of g, which has the same columns; a frame whose columns
// are not known yet takes those of g. It fails with Invalid for other columns.
func (f *Frame) Append(g *Frame) error {
	if len(f.Series) != len(g.Series) {
		return Errorf(Invalid, "%d columns cannot take rows of %d", len(f.Series), len(g.Series))
	}
	for i := range g.Series {
		s, more := &f.Series[i], &g.Series[i]
		if s.Name == "" {
			s.Name, s.Type = more.Name, more.Type
		}
		if s.Name != more.Name {
			return Errorf(Invalid, "column %q cannot take values of %q", s.Name, more.Name)
		}
		if more.Null != nil && s.Null == nil {
			s.Null = make([]bool, f.Rows)
		}
		if s.Null != nil {
			s.Null = append(s.Null, more.Null...)
			for len(s.Null) < f.Rows+g.Rows {
				s.Null = append(s.Null, false)
			}
		}
		s.Float, s.Text = append(s.Float, more.Float...), append(s.Text, more.Text...)
	}
	f.Rows += g.Rows
	return nil
}
