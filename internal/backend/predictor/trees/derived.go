package trees

import (
	"math"

	"github.com/slipway-ml/slipway"
)

// derived makes a model's features of a frame's columns. Each feature comes
// from one column by a chain of steps on a number; the text of a column has been
// replaced by its place in the column's vocabulary first.
type derived struct {
	columns  []derivedColumn
	features []derivedFeature
}

type derivedColumn struct {
	name    string
	text    bool
	words   map[string]float64 // every text that a step or known asks for
	known   map[float64]bool   // nil where all values are answered
	missing bool               // among the known
}

type derivedFeature struct {
	column int
	steps  []derivedStep
}

type operation uint8

const (
	opFill operation = iota
	opMissing
	opEquals
	opCode
	opSubtract
	opAdd
	opMultiply
	opDivide
	opClip
	opLog1p
	opLog
	opExp
	opSqrt
	opAbs
)

// operations gives the number of arguments of each operation.
var operations = map[string]struct {
	op   operation
	args int
}{
	"fill": {opFill, 1}, "missing": {opMissing, 0}, "equals": {opEquals, 1}, "code": {opCode, 3},
	"subtract": {opSubtract, 1}, "add": {opAdd, 1}, "multiply": {opMultiply, 1}, "divide": {opDivide, 1},
	"clip": {opClip, 2}, "log1p": {opLog1p, 0}, "log": {opLog, 0}, "exp": {opExp, 0}, "sqrt": {opSqrt, 0}, "abs": {opAbs, 0},
}

type derivedStep struct {
	op   operation
	a, b float64 // of code: what an unknown and a missing value become
	code map[float64]float64
}

func newDerived(f *form) (*derived, error) {
	d := &derived{columns: make([]derivedColumn, len(f.Columns)), features: make([]derivedFeature, len(f.Features))}
	for i, c := range f.Columns {
		out := &d.columns[i]
		out.name, out.text = c.Name, c.Type == "text"
		if out.text {
			out.words = map[string]float64{}
		}
		if c.Known == nil {
			continue
		}
		out.known = map[float64]bool{}
		for _, v := range c.Known {
			n, ok := out.value(v, true)
			if !ok {
				return nil, slipway.Errorf(slipway.Invalid, "column %q knows a value that is neither text nor a number", c.Name)
			}
			if math.IsNaN(n) {
				out.missing = true
			} else {
				out.known[n] = true
			}
		}
	}
	for i, from := range f.Features {
		if from.Column < 0 || from.Column >= len(d.columns) {
			return nil, slipway.Errorf(slipway.Invalid, "feature %d comes from column %d, but there are %d", i, from.Column, len(d.columns))
		}
		to := &d.features[i]
		to.column = from.Column
		c := &d.columns[from.Column]
		text := c.text
		for _, words := range from.Steps {
			s, err := c.step(words, &text)
			if err != nil {
				return nil, slipway.Errorf(slipway.Invalid, "feature %d: %s", i, err.Message)
			}
			to.steps = append(to.steps, s)
		}
		if text {
			return nil, slipway.Errorf(slipway.Invalid, "feature %d is text that no step turns into a number", i)
		}
	}
	return d, nil
}

// value is v as the column's steps see it: a number, the place of a text in the
// vocabulary, NaN for null.
func (c *derivedColumn) value(v any, text bool) (float64, bool) {
	switch v := v.(type) {
	case nil:
		return math.NaN(), true
	case float64:
		return v, !(c.text && text)
	case string:
		if !c.text || !text {
			return 0, false
		}
		n, found := c.words[v]
		if !found {
			n = float64(len(c.words))
			c.words[v] = n
		}
		return n, true
	}
	return 0, false
}

// step reads one step; text says whether the value is still text, and is
// updated.
func (c *derivedColumn) step(words []any, text *bool) (s derivedStep, err *slipway.Error) {
	if len(words) == 0 {
		return s, slipway.Errorf(slipway.Invalid, "a step has no name")
	}
	name, _ := words[0].(string)
	o, found := operations[name]
	if !found || len(words) != 1+o.args {
		return s, slipway.Errorf(slipway.Invalid, "the step %.40v with %d arguments is not known", words[0], len(words)-1)
	}
	s.op = o.op
	if o.op == opCode {
		list, ok := words[1].([]any)
		if !ok {
			return s, slipway.Errorf(slipway.Invalid, "the step code has no list of categories")
		}
		s.code = make(map[float64]float64, len(list))
		for i, v := range list {
			n, ok := c.value(v, *text)
			if !ok || math.IsNaN(n) {
				return s, slipway.Errorf(slipway.Invalid, "category %d is no value of column %q", i, c.name)
			}
			s.code[n] = float64(i)
		}
		*text = false
	}
	if o.op >= opSubtract && *text {
		return s, slipway.Errorf(slipway.Invalid, "the step %s is given text", name)
	}
	args := words[1+int(bit(o.op == opCode)):]
	for i, v := range args {
		n, ok := c.value(v, *text)
		if !ok || math.IsNaN(n) && o.op != opEquals && o.op != opCode {
			return s, slipway.Errorf(slipway.Invalid, "the step %s has %.40v for an argument", name, v)
		}
		if i == 0 {
			s.a = n
		} else {
			s.b = n
		}
	}
	if o.op == opMissing || o.op == opEquals {
		*text = false
	}
	return s, nil
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// unseen is the place of a text that no step asks for.
const unseen = -1

// read is row i of the column as a number.
func (c *derivedColumn) read(s *slipway.Series, i int) float64 {
	if !c.text {
		if len(s.Float) == 0 {
			return math.NaN() // text that is all missing
		}
		return s.Float[i]
	}
	if s.Text == nil || s.Null != nil && s.Null[i] {
		return math.NaN()
	}
	if n, found := c.words[s.Text[i]]; found {
		return n
	}
	return unseen
}

// fill writes the features of rows from to to, whose columns stand in in at at.
// raw is room for a row's columns.
func (d *derived) fill(x, raw []float64, at []int, in *slipway.Frame, from, to int) error {
	for i := from; i < to; i++ {
		for j := range d.columns {
			c := &d.columns[j]
			raw[j] = c.read(&in.Series[at[j]], i)
			if c.known != nil && !c.known[raw[j]] && !(c.missing && math.IsNaN(raw[j])) {
				return slipway.Errorf(slipway.Invalid, "row %d has a value in column %q that the model never saw", i+1, c.name).
					WithHint("its encoder refuses unknown values; train it with handle_unknown=\"ignore\" to have them answered")
			}
		}
		out := x[(i-from)*len(d.features):][:len(d.features)]
		for k := range out {
			f := &d.features[k]
			v := raw[f.column]
			for s := range f.steps {
				v = f.steps[s].run(v)
			}
			out[k] = v
		}
	}
	return nil
}

func (s *derivedStep) run(v float64) float64 {
	missing := v != v
	switch s.op {
	case opFill:
		if missing {
			return s.a
		}
	case opMissing:
		return float64(bit(missing))
	case opEquals:
		return float64(bit(v == s.a || missing && s.a != s.a))
	case opCode:
		if missing {
			return s.b
		}
		if code, found := s.code[v]; found {
			return code
		}
		return s.a
	case opSubtract:
		return v - s.a
	case opAdd:
		return v + s.a
	case opMultiply:
		return v * s.a
	case opDivide:
		return v / s.a
	case opClip:
		if !missing {
			return min(max(v, s.a), s.b)
		}
	case opLog1p:
		return math.Log1p(v)
	case opLog:
		return math.Log(v)
	case opExp:
		return math.Exp(v)
	case opSqrt:
		return math.Sqrt(v)
	case opAbs:
		return math.Abs(v)
	}
	return v
}
