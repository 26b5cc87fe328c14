// Package filter reads the search grammar that MLflow's searches share:
// comparisons joined by AND, such as
//
//	metrics.auc > 0.8 AND params.model = 'lgbm' AND tags.`a b` LIKE 'x%'
//
// and keys of an order such as "metrics.auc DESC". What may be searched is a
// Grammar; what a condition means in a database is the caller's.
package filter

import (
	"strconv"
	"strings"

	"github.com/slipway-ml/slipway"
)

// Field is what a condition or an order looks at.
type Field struct {
	Of  Entity
	Key string // of a metric, param or tag; the canonical name of an attribute
}

// Entity is the part of a thing that a Field belongs to.
type Entity string

// The entities of the search grammar.
const (
	OfMetric    Entity = "metric"
	OfParam     Entity = "param"
	OfTag       Entity = "tag"
	OfAttribute Entity = "attribute"
	OfDataset   Entity = "dataset"
)

// entities are the words before the dot.
var entities = map[string]Entity{
	"metric": OfMetric, "metrics": OfMetric,
	"param": OfParam, "params": OfParam, "parameter": OfParam, "parameters": OfParam,
	"tag": OfTag, "tags": OfTag,
	"attribute": OfAttribute, "attributes": OfAttribute, "attr": OfAttribute, "run": OfAttribute,
	"dataset": OfDataset, "datasets": OfDataset,
}

// Condition is one comparison of a filter. A filter is all of its conditions.
type Condition struct {
	Field
	Op     string   // = != < <= > >= LIKE ILIKE IN NOT IN IS NULL IS NOT NULL
	Text   []string // what a text is compared with; several for IN
	Number float64  // what a number is compared with
}

// Grammar is what may be searched: the attributes of one kind of thing by the
// names that are understood, and the entities that it has.
type Grammar struct {
	Attributes map[string]Attribute
	Entities   []Entity
	Prefer     Entity // of a name without a dot
}

// Attribute is one column of what is searched.
type Attribute struct {
	Name   string // canonical
	Number bool
	List   bool // IN and NOT IN are allowed
	Sorts  bool // it orders, and does not filter
}

// parser walks over the tokens of one filter or order.
type parser struct {
	g      Grammar
	source string
	tokens []token
}

func (p *parser) next() token {
	t := p.tokens[0]
	if t.kind != endToken {
		p.tokens = p.tokens[1:]
	}
	return t
}

func (p *parser) peek() token { return p.tokens[0] }

func (p *parser) fail(format string, args ...any) *slipway.Error {
	e := slipway.Errorf(slipway.Invalid, format, args...)
	e.Message = "Invalid clause(s) in filter string '" + p.source + "': " + e.Message
	return e
}

// Parse reads a filter of the grammar that MLflow's searches share: conditions
// joined by AND. The empty filter has none. It fails with Invalid.
func (g Grammar) Parse(filter string) ([]Condition, error) {
	if strings.TrimSpace(filter) == "" {
		return nil, nil
	}
	tokens, err := split(filter)
	if err != nil {
		return nil, err
	}
	p := &parser{g: g, source: filter, tokens: tokens}
	var out []Condition
	for {
		c, err := p.condition()
		if err != nil {
			return nil, err
		}
		out = append(out, c)
		switch t := p.next(); {
		case t.kind == endToken:
			return out, nil
		case t.is("or"):
			return nil, p.fail("conditions are joined by AND only")
		case !t.is("and"):
			return nil, p.fail("AND was expected instead of %s", t)
		}
	}
}

// field reads entity.key, or a name alone.
func (p *parser) field() (Field, error) {
	t := p.next()
	if t.kind != wordToken && t.kind != nameToken && t.kind != textToken {
		return Field{}, p.fail("a name was expected instead of %s", t)
	}
	of, key := p.g.Prefer, t.text
	if p.peek().kind == signToken && p.peek().text == "." {
		e, ok := entities[strings.ToLower(t.text)]
		if !ok {
			return Field{}, p.fail("Invalid entity type '%s'; it is one of metric, parameter, tag, attribute, dataset", t.text)
		}
		of, key = e, ""
		for p.peek().kind == signToken && p.peek().text == "." {
			p.next()
			part := p.next()
			if part.kind == endToken || part.kind == signToken {
				return Field{}, p.fail("a key was expected instead of %s", part)
			}
			if key != "" {
				key += "."
			}
			key += part.text
		}
	}
	return p.g.resolve(p, Field{of, key})
}

func (g Grammar) resolve(p *parser, f Field) (Field, error) {
	known := false
	for _, e := range g.Entities {
		known = known || e == f.Of
	}
	if !known {
		return f, p.fail("Invalid entity type '%s'", f.Of)
	}
	switch f.Of {
	case OfAttribute:
		a, ok := g.Attributes[f.Key]
		if !ok {
			return f, p.fail("Invalid attribute key '%s' specified", f.Key)
		}
		f.Key = a.Name
	case OfDataset:
		if f.Key != "name" && f.Key != "digest" && f.Key != "context" {
			return f, p.fail("Invalid dataset key '%s'; it is one of name, digest, context", f.Key)
		}
	}
	return f, nil
}

// attribute finds the attribute that a resolved field names.
func (g Grammar) attribute(f Field) Attribute {
	for _, a := range g.Attributes {
		if f.Of == OfAttribute && a.Name == f.Key {
			return a
		}
	}
	return Attribute{}
}

// number reports whether a field holds numbers.
func (g Grammar) number(f Field) bool { return f.Of == OfMetric || g.attribute(f).Number }

func (g Grammar) list(f Field) bool { return f.Of == OfDataset || g.attribute(f).List }

func (g Grammar) sorts(f Field) bool { return g.attribute(f).Sorts }

func (p *parser) condition() (Condition, error) {
	f, err := p.field()
	if err != nil {
		return Condition{}, err
	}
	if p.g.sorts(f) {
		return Condition{}, p.fail("Invalid attribute key '%s' specified; it orders a search, and does not filter it", f.Key)
	}
	op, err := p.operator()
	if err != nil {
		return Condition{}, err
	}
	c := Condition{Field: f, Op: op}
	number := p.g.number(f)
	switch op {
	case "IS NULL", "IS NOT NULL":
		if f.Of != OfParam && f.Of != OfTag {
			return c, p.fail("%s is for params and tags only", op)
		}
		return c, nil
	case "IN", "NOT IN":
		if !p.g.list(f) {
			return c, p.fail("%s is not supported for %s", op, f.Key)
		}
		c.Text, err = p.texts()
		return c, err
	case "LIKE", "ILIKE":
		if number {
			return c, p.fail("%s compares text, and '%s' is a number", op, f.Key)
		}
	case "<", "<=", ">", ">=":
		if !number {
			return c, p.fail("'%s' compares numbers, and '%s' is text", op, f.Key)
		}
	}
	return c, p.value(&c, number)
}

// value reads what a field is compared with.
func (p *parser) value(c *Condition, number bool) error {
	t := p.next()
	if number {
		if t.kind != numberToken {
			return p.fail("Expected a numeric value for '%s' instead of %s", c.Key, t)
		}
		v, err := strconv.ParseFloat(t.text, 64)
		if err != nil {
			return p.fail("%s is out of range", t)
		}
		c.Number = v
		return nil
	}
	if t.kind != textToken {
		return p.fail("Expected a quoted string value for '%s' (e.g. 'my-value') instead of %s", c.Key, t)
	}
	c.Text = []string{t.text}
	return nil
}

// operator reads a comparison, in its canonical spelling.
func (p *parser) operator() (string, error) {
	t := p.next()
	if t.kind == signToken {
		switch t.text {
		case "=", "!=", "<", "<=", ">", ">=":
			return t.text, nil
		case "==":
			return "=", nil
		case "<>":
			return "!=", nil
		}
	}
	word := strings.ToUpper(t.text)
	switch {
	case t.is("like"), t.is("ilike"), t.is("in"):
		return word, nil
	case t.is("not") && p.next().is("in"):
		return "NOT IN", nil
	case t.is("is"):
		if p.peek().is("not") {
			p.next()
			word = "IS NOT"
		}
		if p.next().is("null") {
			return word + " NULL", nil
		}
	}
	return "", p.fail("a comparison was expected instead of %s", t)
}

// texts reads ('a', 'b').
func (p *parser) texts() ([]string, error) {
	if t := p.next(); t.text != "(" || t.kind != signToken {
		return nil, p.fail("a list such as ('a', 'b') was expected instead of %s", t)
	}
	var out []string
	for {
		t := p.next()
		if t.kind != textToken {
			return nil, p.fail("a list holds quoted strings, not %s", t)
		}
		out = append(out, t.text)
		switch t := p.next(); {
		case t.kind == signToken && t.text == ")":
			return out, nil
		case t.kind != signToken || t.text != ",":
			return nil, p.fail("a comma or ) was expected instead of %s", t)
		}
	}
}

// Order is one key of an ordering.
type Order struct {
	Field
	Descending bool
}

// Order reads keys such as "metrics.loss DESC". It fails with Invalid, also
// when a key comes twice.
func (g Grammar) Order(keys []string) ([]Order, error) {
	var out []Order
	seen := map[Field]bool{}
	for _, key := range keys {
		tokens, err := split(key)
		if err != nil {
			return nil, err
		}
		p := &parser{g: g, source: key, tokens: tokens}
		f, err := p.field()
		if err != nil {
			return nil, err
		}
		o := Order{Field: f}
		t := p.next()
		if t.is("desc") || t.is("asc") {
			o.Descending = t.is("desc")
			t = p.next()
		}
		if t.kind != endToken {
			return nil, slipway.Errorf(slipway.Invalid, "Invalid order_by clause '%s': %s was not expected", key, t)
		}
		if f.Of == OfDataset {
			return nil, slipway.Errorf(slipway.Invalid, "Invalid order_by clause '%s': datasets have no order", key)
		}
		if seen[f] {
			return nil, slipway.Errorf(slipway.Invalid, "`order_by` contains duplicate fields: ['%s']", key)
		}
		seen[f] = true
		out = append(out, o)
	}
	return out, nil
}
