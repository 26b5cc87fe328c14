package project

import (
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"

	"github.com/goccy/go-yaml/ast"
)

// scalar fills text, a number or a truth value, and keeps the field's rule.
func (d *decoder) scalar(path string, n ast.Node, v reflect.Value, r rule) {
	switch v.Kind() {
	case reflect.String:
		s, ok := d.string(path, n)
		if !ok {
			return
		}
		if slices.Contains(r.later, s) {
			d.fault(n, path, "available: "+oneOf(r.enum), "%q is not available yet", s)
			return
		}
		if !r.allows(s) {
			d.fault(n, path, suggest(s, r.enum, "choose one"), "%q is %s, not %q", leaf(path), oneOf(r.enum), short(s))
			return
		}
		v.SetString(s)
	case reflect.Bool:
		b, ok := n.(*ast.BoolNode)
		if !ok {
			d.want(n, path, "true or false")
			return
		}
		v.SetBool(b.Value)
	case reflect.Int:
		d.integer(path, n, v, r)
	case reflect.Float64:
		f, ok := number(n)
		if !ok {
			d.want(n, path, "a number")
			return
		}
		if limit := r.broken(f); limit != "" {
			d.fault(n, path, "", "%q must be %s, not %s", leaf(path), limit, n.GetToken().Value)
			return
		}
		v.SetFloat(f)
	}
}

func (d *decoder) integer(path string, n ast.Node, v reflect.Value, r rule) {
	i, ok := n.(*ast.IntegerNode)
	if !ok {
		d.want(n, path, "a whole number")
		return
	}
	value := integer(i)
	f, _ := number(n)
	limit := r.broken(f)
	whole, fits := value.(int64)
	if limit == "" && (!fits || whole > math.MaxInt32 || whole < math.MinInt32) {
		limit = "at most " + strconv.Itoa(math.MaxInt32)
	}
	if limit != "" {
		d.fault(n, path, "", "%q must be %s, not %s", leaf(path), limit, n.GetToken().Value)
		return
	}
	v.SetInt(whole)
}

// string reads text that is not empty.
func (d *decoder) string(path string, n ast.Node) (string, bool) {
	s, ok := plain(n)
	switch {
	case !ok:
		d.want(n, path, "text")
		return "", false
	case s == "":
		d.fault(n, path, "give it a value or remove the key", "%q is empty", leaf(path))
		return "", false
	}
	return s, true
}

func plain(n ast.Node) (string, bool) {
	switch x := n.(type) {
	case *ast.StringNode:
		return x.Value, true
	case *ast.LiteralNode:
		if x.Value != nil {
			return x.Value.Value, true
		}
	}
	return "", false
}

// exponent is a number that the parser leaves as text: YAML 1.2 reads 1e-3 as
// a number, and so do people.
var exponent = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)

// number reads a finite number.
func number(n ast.Node) (float64, bool) {
	switch x := n.(type) {
	case *ast.IntegerNode:
		switch i := integer(x).(type) {
		case int64:
			return float64(i), true
		case uint64:
			return float64(i), true
		}
	case *ast.FloatNode:
		return x.Value, !math.IsInf(x.Value, 0) && !math.IsNaN(x.Value)
	case *ast.StringNode:
		if !quoted(x) && exponent.MatchString(x.Value) {
			f, err := strconv.ParseFloat(x.Value, 64)
			return f, err == nil
		}
	}
	return 0, false
}

// integer is a whole number as int64, or as uint64 where it must be.
func integer(n *ast.IntegerNode) any {
	switch i := n.Value.(type) {
	case int64:
		return i
	case uint64:
		if i <= math.MaxInt64 {
			return int64(i)
		}
		return i
	case int:
		return int64(i)
	}
	return int64(0)
}

// free reads a value of any form.
func (d *decoder) free(path string, n ast.Node) any {
	if !d.enter(n, path) {
		return nil
	}
	defer d.leave()
	if n = d.resolve(path, n); n == nil {
		return nil
	}
	if f, ok := number(n); ok {
		if i, ok := n.(*ast.IntegerNode); ok {
			return integer(i)
		}
		return f
	}
	switch x := n.(type) {
	case *ast.BoolNode:
		return x.Value
	case *ast.NullNode:
		return nil
	case *ast.SequenceNode:
		out := make([]any, len(x.Values))
		for i, v := range x.Values {
			out[i] = d.free(path+"["+strconv.Itoa(i)+"]", v)
		}
		return out
	case *ast.MappingNode, *ast.MappingValueNode:
		out := map[string]any{}
		for _, e := range d.mapping(path, n) {
			d.place(join(path, e.key), e)
			out[e.key] = d.free(join(path, e.key), e.value)
		}
		return out
	}
	if s, ok := plain(n); ok {
		return s
	}
	d.fault(n, path, "", "%q cannot hold %s", leaf(path), describe(n))
	return nil
}
