package inference

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/serving"
)

// column gathers the values of one column. It is used again and again; finish
// copies them out.
type column struct {
	name  string
	kind  slipway.Type // "" until a value shows it
	field *serving.Field
	float []float64
	text  []string
	null  []bool // of text, when any is missing
	late  bool   // kind is "" and only missing values came so far
}

func (c *column) reset(name string, kind slipway.Type, field *serving.Field) {
	c.name, c.kind, c.field, c.late = name, kind, field, kind == ""
	c.float, c.text, c.null = c.float[:0], c.text[:0], c.null[:0]
}

func isText(t slipway.Type) bool { return t == slipway.Text || t == slipway.Binary }

func isTime(t slipway.Type) bool { return t == slipway.Time || t == slipway.Date }

func (c *column) rows() int { return max(len(c.float), len(c.text)) }

func (c *column) wrong(what string) error {
	return slipway.Errorf(slipway.Invalid, "column %q takes %s, and row %d is %s", c.name, c.kind, c.rows()+1, what)
}

// add reads the scalar that comes next.
func (c *column) add(s *scanner) error {
	switch first := s.peek(); first {
	case '"':
		b, err := s.str()
		if err != nil {
			return err
		}
		return c.addText(b)
	case 'n':
		if s.word("null") {
			c.addMissing()
			return nil
		}
	case 't', 'f':
		if s.word("true") {
			return c.addNumber(1, slipway.Bool)
		}
		if s.word("false") {
			return c.addNumber(0, slipway.Bool)
		}
	case '{', '[':
		return slipway.Errorf(slipway.Invalid, "column %q takes one value a row, and row %d is an object or a list", c.name, c.rows()+1)
	}
	v, err := s.number()
	if err != nil {
		return err
	}
	return c.addNumber(v, slipway.Float)
}

func (c *column) addMissing() {
	if !isText(c.kind) {
		c.float = append(c.float, math.NaN())
		return
	}
	c.text = append(c.text, "")
	for len(c.null) < len(c.text) {
		c.null = append(c.null, false)
	}
	c.null[len(c.text)-1] = true
}

// settle chooses the kind of a column that nobody described, by its first
// present value.
func (c *column) settle(kind slipway.Type) {
	if !c.late {
		return
	}
	c.kind, c.late = kind, false
	if isText(kind) {
		missing := len(c.float)
		c.float = c.float[:0]
		for range missing {
			c.addMissing()
		}
	}
}

func (c *column) addNumber(v float64, kind slipway.Type) error {
	c.settle(kind)
	if isText(c.kind) {
		if math.IsNaN(v) {
			c.addMissing()
			return nil
		}
		return c.wrong("a number")
	}
	if math.IsInf(v, 0) {
		return c.wrong("infinite")
	}
	if c.kind == slipway.Int && v != math.Trunc(v) && !math.IsNaN(v) {
		return c.wrong(strconv.FormatFloat(v, 'g', -1, 64))
	}
	c.float = append(c.float, v)
	return nil
}

func (c *column) addText(b []byte) error {
	c.settle(slipway.Text)
	if isTime(c.kind) {
		t, ok := parseTime(string(b))
		if !ok {
			return c.wrong(strconv.Quote(clip(b)))
		}
		c.float = append(c.float, float64(t.UnixMicro()))
		return nil
	}
	if !isText(c.kind) {
		return c.wrong("the text " + strconv.Quote(clip(b)))
	}
	if c.field != nil {
		c.text = append(c.text, c.field.Text(b))
	} else {
		c.text = append(c.text, string(b))
	}
	if len(c.null) > 0 {
		c.null = append(c.null, false)
	}
	return nil
}

// addCell reads a cell of CSV, where everything is text and nothing is missing.
func (c *column) addCell(cell string) error {
	if cell == "" {
		c.addMissing()
		return nil
	}
	if c.late || !isText(c.kind) && !isTime(c.kind) {
		if v, err := strconv.ParseFloat(strings.TrimSpace(cell), 64); err == nil {
			return c.addNumber(v, slipway.Float)
		}
		if b, err := strconv.ParseBool(strings.ToLower(cell)); err == nil && !c.late {
			v := 0.0
			if b {
				v = 1
			}
			return c.addNumber(v, slipway.Bool)
		}
	}
	return c.addText([]byte(cell))
}

func clip(b []byte) string {
	if len(b) > 40 {
		return string(b[:40]) + "…"
	}
	return string(b)
}

// timeForms are the ways in which a time may be written; one without an offset
// is UTC.
var timeForms = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04", "2006-01-02"}

func parseTime(s string) (time.Time, bool) {
	for _, form := range timeForms {
		if t, err := time.Parse(form, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// arena hands out the slices of one request from few allocations.
type arena struct {
	float []float64
	hint  int // columns that may come
}

func (a *arena) take(values []float64) []float64 {
	if cap(a.float)-len(a.float) < len(values) {
		a.float = make([]float64, 0, len(values)*max(1, a.hint))
	}
	from := len(a.float)
	a.float = append(a.float, values...)
	return a.float[from:len(a.float):len(a.float)]
}

// finish is the column's values as a series of their own.
func (c *column) finish(a *arena) slipway.Series {
	out := slipway.Series{Name: c.name, Type: c.kind}
	if out.Type == "" {
		out.Type = slipway.Float // nothing but missing values
	}
	if !isText(c.kind) {
		out.Float = a.take(c.float)
		return out
	}
	out.Text = append(make([]string, 0, len(c.text)), c.text...)
	if len(c.null) > 0 {
		out.Null = slices.Clone(c.null)
	}
	return out
}
