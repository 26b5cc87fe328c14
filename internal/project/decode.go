package project

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/slipway-ml/slipway"
)

// decoder fills the types of this package from YAML nodes and notes every
// fault with its place, instead of stopping at the first.
type decoder struct {
	file     string
	lines    []string
	anchor   map[string]ast.Node
	position map[string]Position
	faults   []Fault
	nodes    int
	depth    int
	stopped  bool
	hidden   map[int]bool // lines that may hold a secret, which no message shows
}

// unmarshaler is a type with a form of its own in the file, such as a list
// that may be written as one value.
type unmarshaler interface {
	unmarshal(d *decoder, path string, n ast.Node)
}

// defaulter is a type whose fields do not all begin at zero.
type defaulter interface{ setDefaults() }

// reserved is a type with keys that are planned and not built yet, each with
// what to do instead.
type reserved interface{ reserved() map[string]string }

func (d *decoder) faultAt(at Position, path, hint, format string, args ...any) {
	if !d.stopped {
		d.faults = append(d.faults, newFault(d.file, d.lines, at, path, hint, fmt.Sprintf(format, args...)))
	}
}

func (d *decoder) fault(n ast.Node, path, hint, format string, args ...any) {
	d.faultAt(positionOf(n), path, hint, format, args...)
}

// stop notes a fault after which nothing else is worth telling.
func (d *decoder) stop(n ast.Node, path, message string) {
	d.fault(n, path, "", "%s", message)
	d.stopped = true
}

// enter counts the depth. It reports false when there is no going deeper.
func (d *decoder) enter(n ast.Node, path string) bool {
	if d.depth++; d.depth > maxDepth {
		d.depth--
		d.stop(n, path, "values are nested too deeply")
		return false
	}
	if d.stopped {
		d.depth--
	}
	return !d.stopped
}

func (d *decoder) leave() { d.depth-- }

// decode fills v from n.
func (d *decoder) decode(path string, n ast.Node, v reflect.Value, rule rule) {
	if !d.enter(n, path) {
		return
	}
	defer d.leave()
	at := n
	if n = d.resolve(path, n); n == nil {
		return
	}
	if n.Type() == ast.NullType && d.absent(path, at, v) {
		return
	}
	if _, ok := d.position[path]; !ok {
		d.position[path] = positionOf(n)
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			fresh := reflect.New(v.Type().Elem())
			if x, ok := fresh.Interface().(defaulter); ok {
				x.setDefaults()
			}
			v.Set(fresh)
		}
		v = v.Elem()
	}
	if x, ok := v.Addr().Interface().(unmarshaler); ok {
		x.unmarshal(d, path, n)
		return
	}
	if x, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		d.text(path, n, x, v.Type())
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.structure(path, n, v)
	case reflect.Map:
		d.table(path, n, v)
	case reflect.Slice:
		d.list(path, n, v)
	default:
		d.scalar(path, n, v, rule)
	}
}

// absent accepts a section whose content is commented out, and refuses any
// other key without a value.
func (d *decoder) absent(path string, n ast.Node, v reflect.Value) bool {
	t := v.Type()
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Map, reflect.Slice:
		if !strings.ContainsAny(path, ".[") {
			return true
		}
	}
	d.faultAt(nearest(d.position, path), path, "give it a value or remove the key", "%q has no value", leaf(path))
	return true
}

func (d *decoder) structure(path string, n ast.Node, v reflect.Value) {
	if !isMap(n) {
		d.want(n, path, "a map of keys to values")
		return
	}
	t := v.Type()
	known := map[string]int{}
	var keys []string
	for i := range t.NumField() {
		if name := fieldName(t.Field(i)); name != "" {
			known[name] = i
			keys = append(keys, name)
		}
	}
	seen := map[string]bool{}
	for _, e := range d.mapping(path, n) {
		i, ok := known[e.key]
		if !ok {
			d.unknown(join(path, e.key), e, v, keys)
			continue
		}
		seen[e.key] = true
		d.place(join(path, e.key), e)
		d.decode(join(path, e.key), e.value, v.Field(i), ruleOf(t.Field(i)))
	}
	var missing []string
	for _, key := range keys {
		if ruleOf(t.Field(known[key])).required && !seen[key] {
			missing = append(missing, strconv.Quote(key))
		}
	}
	if len(missing) > 0 {
		d.faultAt(nearest(d.position, path), path, "", "%s needs %s", path, strings.Join(missing, " and "))
	}
}

// place notes where to point for a value: at a scalar itself, at the key of
// anything larger.
func (d *decoder) place(path string, e entry) {
	switch e.value.(type) {
	case *ast.MappingNode, *ast.MappingValueNode, *ast.SequenceNode, *ast.NullNode:
		d.position[path] = positionOf(e.at)
	case nil:
	default:
		d.position[path] = positionOf(e.value)
	}
}

func (d *decoder) unknown(path string, e entry, v reflect.Value, keys []string) {
	if x, ok := v.Addr().Interface().(reserved); ok {
		if hint, ok := x.reserved()[e.key]; ok {
			d.fault(e.at, path, hint, "%q is not available yet", e.key)
			return
		}
	}
	d.fault(e.at, path, suggest(e.key, keys, "known keys"), "unknown key %q", e.key)
}

func (d *decoder) table(path string, n ast.Node, v reflect.Value) {
	if !isMap(n) {
		d.want(n, path, "a map of names to values")
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, e := range d.mapping(path, n) {
		value := reflect.New(v.Type().Elem())
		if x, ok := value.Interface().(defaulter); ok {
			x.setDefaults()
		}
		d.place(join(path, e.key), e)
		d.decode(join(path, e.key), e.value, value.Elem(), rule{})
		v.SetMapIndex(reflect.ValueOf(e.key).Convert(v.Type().Key()), value.Elem())
	}
}

func (d *decoder) list(path string, n ast.Node, v reflect.Value) {
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		d.want(n, path, "a list")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(list.Values), len(list.Values)))
	for i, item := range list.Values {
		if x, ok := v.Index(i).Addr().Interface().(defaulter); ok {
			x.setDefaults()
		}
		d.decode(path+"["+strconv.Itoa(i)+"]", item, v.Index(i), rule{})
	}
}

// text fills a type that reads itself from text, such as a Duration.
func (d *decoder) text(path string, n ast.Node, into encoding.TextUnmarshaler, t reflect.Type) {
	s, ok := n.(*ast.StringNode)
	if !ok {
		d.want(n, path, textForm[t.Name()])
		return
	}
	if err := into.UnmarshalText([]byte(s.Value)); err != nil {
		e := slipway.AsError(err)
		if _, ok := into.(*Secret); ok {
			d.hidden[positionOf(n).Line] = true
		}
		d.fault(n, path, e.Hint, "%s", e.Message)
	}
}

// textForm says what a type that reads itself looks like.
var textForm = map[string]string{
	"Duration":  "a length of time such as 7d, 12h or 30m",
	"Size":      "a size such as 512MB or 4GB",
	"Secret":    "the name of a secret, as $NAME",
	"OutputRef": "an output, as step.output",
}

func isMap(n ast.Node) bool {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return true
	}
	return false
}

// join names a key of a map; leaf is the last key of a path, without the
// number of a list's item.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func leaf(path string) string {
	path, _, _ = strings.Cut(path[strings.LastIndex(path, ".")+1:], "[")
	return path
}

// fieldName is the key of a field, or "" when the file does not hold it.
func fieldName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "-" {
		return ""
	}
	return name
}

// valueOf is what a pointer points at.
func valueOf[T any](p *T) reflect.Value { return reflect.ValueOf(p).Elem() }
