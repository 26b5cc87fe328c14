package inference

import (
	"math"
	"strconv"
	"strings"

	"github.com/slipway-ml/slipway"
)

// tensor reads one input: a column by its name, or with a second dimension all
// of the model's inputs in the signature's order.
func (p *parser) tensor() error {
	if done, err := p.compact(); done || err != nil {
		return err
	}
	var name []byte
	named, data := false, -1
	var from source
	p.shape = p.shape[:0]
	read := false
	err := p.each(func(key []byte) (err error) {
		switch string(key) {
		case "name":
			name, err = p.str()
			named = true
		case "datatype":
			from.datatype, err = p.datatype()
		case "shape":
			err = p.list(p.dimension)
		case "data":
			data = p.at
			if read = named && len(p.shape) > 0; read {
				err = p.data(name, from) // the usual order: nothing is read twice
			} else {
				_, err = p.skip()
			}
		case "parameters":
			from.binary, err = p.beside()
		default:
			_, err = p.skip()
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case !named:
		return slipway.Errorf(slipway.Invalid, "an input has no name")
	case from.binary != nil && data >= 0:
		return slipway.Errorf(slipway.Invalid, "the input %q has data here and behind the JSON", clip(name))
	case from.binary != nil:
		return p.data(name, from)
	case data < 0:
		return slipway.Errorf(slipway.Invalid, "the input %q has no data", clip(name))
	case read:
		return nil
	}
	end := p.at
	p.at = data
	err = p.data(name, from)
	p.at = end
	return err
}

// compact reads a tensor in the form that most programs write,
//
//	{"name":"x","shape":[1],"datatype":"FP64","data":[1.5]}
//
// several times faster than member by member. done is false when it is another
// form; nothing has been read then.
func (p *parser) compact() (done bool, err error) {
	p.peek()
	start := p.at
	defer func() {
		if !done {
			p.at, err = start, nil // the other way finds the same fault, and names it
		}
	}()
	if !p.word(`{"name":"`) {
		return false, nil
	}
	name, ok := p.plain()
	if !ok || !p.word(`,"shape":[`) {
		return false, nil
	}
	at := p.next(name)
	rows := 0
	for p.at < len(p.b) && p.b[p.at] >= '0' && p.b[p.at] <= '9' && rows < 1<<24 {
		rows = 10*rows + int(p.b[p.at]-'0')
		p.at++
	}
	if at < 0 || p.series[at].Name != "" || !p.word(`],"datatype":"`) {
		return false, nil
	}
	word, ok := p.plain()
	kind := typeOf(word)
	if !ok || kind == "" || !p.word(`,"data":`) {
		return false, nil
	}
	f := &p.layout.Field[at]
	if f.Type != "" {
		kind = f.Type
	}
	p.column.reset(f.Name, kind, f)
	if rows == 1 && p.single(kind) {
		return true, p.put(at)
	}
	if err := p.flat(&p.column, 1); err != nil || p.column.rows() != rows || !p.word("}") {
		return false, nil
	}
	return true, p.put(at)
}

// single reads a list of one short number and the end of its tensor. It passes
// over nothing when something else comes.
func (p *parser) single(kind slipway.Type) bool {
	from := p.at
	if kind == slipway.Float && p.word("[") {
		if v, ok := p.short(); ok && p.word("]}") {
			p.column.float = append(p.column.float, v)
			return true
		}
	}
	p.at = from
	return false
}

// plain reads the rest of a string that has nothing to decode, and its end.
func (p *parser) plain() ([]byte, bool) {
	from := p.at
	for p.at < len(p.b) && !special[p.b[p.at]] {
		p.at++
	}
	if !p.word(`"`) {
		return nil, false
	}
	return p.b[from : p.at-1], true
}

// next is the place of a field: most callers keep to the layout's order.
func (p *parser) next(name []byte) int {
	if p.guess < len(p.layout.Field) && p.layout.Field[p.guess].Name == string(name) {
		p.guess++
		return p.guess - 1
	}
	at := p.layout.Find(name)
	p.guess = at + 1
	return at
}

// datatypes are the protocol's, and what they stand for.
var datatypes = map[string]slipway.Type{
	"FP64": slipway.Float, "FP32": slipway.Float, "FP16": slipway.Float, "BYTES": slipway.Text, "BOOL": slipway.Bool,
	"INT64": slipway.Int, "INT32": slipway.Int, "INT16": slipway.Int, "INT8": slipway.Int,
	"BF16": slipway.Float, "UINT64": slipway.Int, "UINT32": slipway.Int, "UINT16": slipway.Int, "UINT8": slipway.Int,
}

// typeOf is what a datatype stands for, "" when it is none.
func typeOf(word []byte) slipway.Type {
	switch string(word) { // the common ones without the map
	case "FP64", "FP32":
		return slipway.Float
	case "BYTES":
		return slipway.Text
	case "INT64":
		return slipway.Int
	}
	return datatypes[string(word)]
}

// dimension reads a number of the shape.
func (p *parser) dimension() error {
	v, err := p.number()
	if err == nil && (v < 0 || v > 1<<31 || v != math.Trunc(v)) {
		err = slipway.Errorf(slipway.Invalid, "%v is no size in a shape", v)
	}
	p.shape = append(p.shape, int(v))
	return err
}

// datatype reads an OIP datatype.
func (p *parser) datatype() ([]byte, error) {
	b, err := p.str()
	if err != nil {
		return nil, err
	}
	return b, knownType(b)
}

func knownType(b []byte) error {
	if typeOf(b) != "" {
		return nil
	}
	return slipway.Errorf(slipway.Invalid, "%q is no datatype", clip(b)).WithHint("the protocol has BOOL, INT8 to INT64, UINT8 to UINT64, FP16 to FP64 and BYTES")
}

// data reads the values of a tensor, flat or nested.
func (p *parser) data(name []byte, from source) error {
	if len(p.shape) == 2 && p.shape[1] != 1 && p.layout.Find(name) < 0 {
		return p.table(name, from)
	}
	at, err := p.begin(name, typeOf(from.datatype))
	if err != nil {
		return err
	}
	if err := p.fill(from, len(p.shape)); err != nil {
		return err
	}
	want := p.column.rows()
	if len(p.shape) > 0 {
		want = 1
		for _, n := range p.shape {
			if n > 0 && want > math.MaxInt32/n {
				want = -1
				break
			}
			want *= n
		}
	}
	if want != p.column.rows() {
		return p.misshapen(name, p.column.rows())
	}
	return p.put(at)
}

func (p *parser) misshapen(name []byte, n int) error {
	var dims []string
	for _, d := range p.shape {
		dims = append(dims, strconv.Itoa(d))
	}
	return slipway.Errorf(slipway.Invalid, "the input %q has %d values, which its shape [%s] does not hold", clip(name), n, strings.Join(dims, ", "))
}

// flat reads values into c, through up to depth levels of lists.
func (p *parser) flat(c *column, depth int) error {
	if err := p.expect('['); err != nil {
		return err
	}
	if p.take(']') {
		return nil
	}
	for {
		var err error
		if p.peek() == '[' && depth > 1 {
			err = p.flat(c, depth-1)
		} else {
			err = c.add(&p.scanner)
		}
		if err != nil || p.take(']') {
			return err
		}
		if err := p.expect(','); err != nil {
			return err
		}
	}
}

// table reads a tensor of rows × inputs: numbers, in the order of the model's
// signature.
func (p *parser) table(name []byte, from source) error {
	width := p.shape[1]
	if wants := p.layout.Whole; wants > 0 && width != wants {
		return slipway.Errorf(slipway.Invalid, "the input %q has %d columns, and the model takes %d", clip(name), width, wants).WithHint("it takes %s", p.wanted())
	}
	p.column.reset(string(name), slipway.Float, nil)
	if err := p.fill(from, 2); err != nil {
		return err
	}
	all := append(p.matrix[:0], p.column.float...)
	p.matrix = all
	rows := p.shape[0]
	if width == 0 || len(all)%width != 0 || len(all)/width != rows {
		return p.misshapen(name, len(all))
	}
	for f := range width {
		column := strconv.Itoa(f)
		kind := slipway.Float
		if p.layout.Whole > 0 {
			column, kind = p.layout.Field[f].Name, p.layout.Field[f].Type
		}
		at, err := p.begin([]byte(column), kind)
		if err != nil {
			return err
		}
		for row := range rows {
			if v := all[row*width+f]; math.IsNaN(v) {
				p.column.addMissing()
			} else if err := p.column.addNumber(v, slipway.Float); err != nil {
				return err
			}
		}
		if err := p.put(at); err != nil {
			return err
		}
	}
	return nil
}
