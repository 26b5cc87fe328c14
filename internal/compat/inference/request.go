package inference

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/serving"
)

// parser reads requests for one layout. It is pooled; what it makes is not.
type parser struct {
	scanner
	layout *serving.Layout
	column column
	matrix []float64
	shape  []int
	arena  arena
	series []slipway.Series
	rows   int // -1 until a column came
	guess  int // the field that probably comes next
	id     string
	params map[string]json.RawMessage
	only   []requested // outputs that the caller wants; nil for all
	tail   []byte      // tensors behind the JSON that no input has taken yet
	binary bool        // outputs go behind the JSON of the reply unless asked for otherwise
}

// requested is an output that the caller wants.
type requested struct {
	name   string
	binary bool
}

var parsers = sync.Pool{New: func() any { return &parser{} }}

func newParser(body []byte, l *serving.Layout) *parser {
	p := parsers.Get().(*parser)
	*p = parser{scanner: scanner{b: body}, layout: l, column: p.column, matrix: p.matrix[:0], shape: p.shape[:0], rows: -1}
	p.arena.hint = len(l.Field)
	p.series = make([]slipway.Series, len(l.Field))
	return p
}

// free keeps the parser for the next request.
func (p *parser) free() {
	clear(p.column.text[:cap(p.column.text)]) // holds no strings of this one
	if cap(p.column.float) > 1<<16 || cap(p.column.text) > 1<<16 || cap(p.matrix) > 1<<16 {
		return
	}
	p.b, p.layout, p.series, p.params, p.only, p.arena.float, p.tail = nil, nil, nil, nil, nil, nil, nil
	parsers.Put(p)
}

// infer reads an Open Inference Protocol request.
func (p *parser) infer() (*serving.Request, error) {
	inputs := false
	err := p.each(func(key []byte) (err error) {
		switch string(key) {
		case "id":
			var b []byte
			b, err = p.str()
			p.id = string(b)
		case "inputs":
			inputs = true
			err = p.list(p.tensor)
		case "outputs":
			err = p.outputs()
		case "parameters":
			err = p.parameters()
		default:
			_, err = p.skip()
		}
		return err
	})
	if err == nil {
		err = p.end()
	}
	if err == nil && len(p.tail) > 0 {
		err = slipway.Errorf(slipway.Invalid, "%d bytes behind the JSON belong to no input", len(p.tail))
	}
	if err == nil && !inputs {
		err = slipway.Errorf(slipway.Invalid, "the request has no inputs").WithHint(`send {"inputs": [{"name": …, "shape": [1], "datatype": "FP64", "data": [1.5]}, …]}`)
	}
	if err != nil {
		return nil, err
	}
	return p.request()
}

func (p *parser) parameters() error {
	raw, err := p.skip()
	if err == nil && json.Unmarshal(raw, &p.params) != nil {
		err = p.malformed("an object of parameters")
	}
	return err
}

func (p *parser) outputs() error {
	p.only = []requested{}
	return p.list(func() error {
		var o requested
		said := struct {
			Binary *bool `json:"binary_data"`
		}{}
		err := p.each(func(key []byte) error {
			if string(key) == "parameters" {
				raw, err := p.skip()
				if err == nil && json.Unmarshal(raw, &said) != nil {
					err = p.malformed("an object of parameters")
				}
				return err
			}
			if string(key) != "name" {
				_, err := p.skip()
				return err
			}
			name, err := p.str()
			o.name = string(name)
			return err
		})
		o.binary = said.Binary != nil && *said.Binary
		p.only = append(p.only, o)
		return err
	})
}

// request completes what was read: key and time from the parameters, and rows.
func (p *parser) request() (*serving.Request, error) {
	r := &serving.Request{Rows: p.rows, Column: p.series}
	if p.rows < 0 {
		return nil, slipway.Errorf(slipway.Invalid, "the request has no columns").WithHint("the endpoint takes %s", p.wanted())
	}
	for name, raw := range p.params {
		switch i := p.layout.Find([]byte(name)); {
		case name == "binary_data_output":
			p.binary = string(raw) == "true"
		case name == "explain":
			var err error
			if r.Explain, err = serving.ReadReasons(raw); err != nil {
				return nil, err
			}
		case name == "unit":
			_ = json.Unmarshal(raw, &r.Unit)
		case i >= p.layout.Inputs && p.series[i].Name == "":
			if err := p.everyRow(i, raw); err != nil {
				return nil, err
			}
		}
	}
	return r, nil
}

// everyRow gives all rows the key or time that came as a parameter.
func (p *parser) everyRow(i int, raw json.RawMessage) error {
	f := &p.layout.Field[i]
	p.column.reset(f.Name, f.Type, f)
	for range p.rows {
		if err := p.column.add(&scanner{b: raw}); err != nil {
			return err
		}
	}
	p.series[i] = p.column.finish(&p.arena)
	return nil
}

func (p *parser) wanted() string {
	names := make([]string, 0, p.layout.Inputs)
	for _, f := range p.layout.Field[:p.layout.Inputs] {
		names = append(names, f.Name)
	}
	if len(names) > 40 {
		names = append(names[:40], "…")
	}
	return strings.Join(names, ", ")
}

// begin makes the scratch column ready for a column of that name; at is its
// place in the layout, -1 for one that an open endpoint passes on.
func (p *parser) begin(name []byte, kind slipway.Type) (at int, err error) {
	at = p.layout.Find(name)
	if at < 0 {
		if !p.layout.Open {
			return at, slipway.Errorf(slipway.Invalid, "the endpoint does not take the column %q", clip(name)).WithHint("it takes %s", p.wanted())
		}
		p.column.reset(string(name), kind, nil)
		return at, nil
	}
	f := &p.layout.Field[at]
	if p.series[at].Name != "" {
		return at, slipway.Errorf(slipway.Invalid, "the column %q is there twice", f.Name)
	}
	if f.Type != "" {
		kind = f.Type
	}
	p.column.reset(f.Name, kind, f)
	return at, nil
}

// put takes the scratch column into the request.
func (p *parser) put(at int) error {
	if err := p.count(p.column.name, p.column.rows()); err != nil {
		return err
	}
	s := p.column.finish(&p.arena)
	if at < 0 {
		if slices.ContainsFunc(p.series[len(p.layout.Field):], func(o slipway.Series) bool { return o.Name == s.Name }) {
			return slipway.Errorf(slipway.Invalid, "the column %q is there twice", s.Name)
		}
		p.series = append(p.series, s)
		return nil
	}
	p.series[at] = s
	return nil
}

// count holds every column to the number of rows of the first.
func (p *parser) count(name string, rows int) error {
	if p.rows < 0 {
		p.rows = rows
	}
	if rows != p.rows {
		return slipway.Errorf(slipway.Invalid, "the column %q has %d rows, and those before it have %d", name, rows, p.rows)
	}
	return nil
}
