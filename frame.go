package slipway

import "math"

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
