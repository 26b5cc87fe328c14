package project

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Limits on a file, so that one cannot be made to eat the machine.
const (
	maxBytes = 1 << 20
	maxDepth = 64
	maxNodes = 100_000
)

// entry is one key of a map with its value.
type entry struct {
	key   string
	at    ast.Node
	value ast.Node
}

// document reads the one YAML document of a file. It returns nil when it has
// noted a fault.
func (d *decoder) document(source []byte) ast.Node {
	file, err := parse(source)
	if err != nil {
		d.syntax(err)
		return nil
	}
	var docs []ast.Node
	for _, doc := range file.Docs {
		if doc.Body != nil && doc.Body.Type() != ast.NullType && doc.Body.Type() != ast.CommentType {
			docs = append(docs, doc.Body)
		}
	}
	switch {
	case len(docs) == 0:
		d.faultAt(Position{1, 1}, "", "start with project: NAME, or run slipway init", "the file is empty")
		return nil
	case len(docs) > 1:
		d.faultAt(positionOf(docs[1]), "", "write everything into the first, without ---", "a project is one YAML document, this is a second")
		return nil
	}
	ast.Walk(anchors(d.anchor), docs[0])
	return docs[0]
}

// parse guards against a panic of the parser on text that it does not expect.
func parse(source []byte) (file *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			file, err = nil, fmt.Errorf("the text cannot be read as YAML: %v", r)
		}
	}()
	return parser.ParseBytes(source, 0, parser.AllowDuplicateMapKey())
}

// anchors gathers the values that &name marks.
type anchors map[string]ast.Node

func (a anchors) Visit(n ast.Node) ast.Visitor {
	if x, ok := n.(*ast.AnchorNode); ok && x.Name != nil {
		a[x.Name.GetToken().Value] = x.Value
	}
	return a
}

// syntax notes what the YAML parser refused, in our words where its own do
// not help.
func (d *decoder) syntax(err error) {
	var bad *yaml.SyntaxError
	if !errors.As(err, &bad) || bad.Token == nil || bad.Token.Position == nil {
		d.faultAt(Position{1, 1}, "", "", "%s", err)
		return
	}
	at := Position{bad.Token.Position.Line, bad.Token.Position.Column}
	message, hint := bad.Message, ""
	switch {
	case strings.Contains(message, "'\t'"):
		message, hint = "a tab stands where YAML takes only spaces", "indent with spaces"
	case strings.Contains(message, "mapping value is not allowed"):
		message, hint = "a second colon in one value", `put text that holds ": " into quotes`
	case strings.Contains(message, "value is not allowed in this context"):
		message, hint = "this line is indented like no line above it", "indent the keys of one map alike"
	case strings.Contains(message, "or ']' must be specified"):
		message, hint = "this list is not closed here", `write ], or put text that holds brackets into quotes: "flights[2013-01]"`
	case strings.Contains(message, "or '}' must be specified"):
		message, hint = "this map is not closed here", "write }, or put text that holds braces into quotes"
	case strings.Contains(message, "end token '}'"):
		message, hint = "this map is never closed", "write } at its end"
	case strings.Contains(message, "end token ']'"):
		message, hint = "this list is never closed", "write ] at its end"
	case strings.Contains(message, "end character of"):
		message, hint = "this quote is never closed", "write the same quote at its end"
	case strings.Contains(message, "reserved character"):
		message, hint = fmt.Sprintf("a value cannot start with %q", first(bad.Token.Value)), "put it into quotes"
	case strings.Contains(message, "directive value"):
		message, hint = `a value cannot start with "%"`, "put it into quotes"
	}
	d.faultAt(at, "", hint, "%s", message)
}

func first(s string) string {
	for _, r := range strings.TrimSpace(s) {
		return string(r)
	}
	return ""
}

// resolve follows anchors and aliases to the value itself. It returns nil when
// it has noted a fault.
func (d *decoder) resolve(path string, n ast.Node) ast.Node {
	for hops := 0; ; hops++ {
		if d.nodes++; d.nodes > maxNodes || hops > maxDepth {
			d.stop(n, path, "the file unfolds to too many values")
			return nil
		}
		switch x := n.(type) {
		case *ast.AnchorNode:
			n = x.Value
		case *ast.AliasNode:
			name := ""
			if x.Value != nil {
				name = x.Value.GetToken().Value
			}
			value, ok := d.anchor[name]
			if !ok {
				d.fault(n, path, "", "*%s refers to nothing: no value is marked &%s", name, name)
				return nil
			}
			n = value
		case *ast.TagNode:
			d.fault(n, path, "remove it; put text into quotes", "the tag %s is not understood", x.Start.Value)
			return nil
		case *ast.MappingKeyNode:
			n = x.Value
		case nil:
			return nil
		default:
			return n
		}
	}
}

// mapping lists the entries of a map in the order of the file, with those of
// merged maps (<<) after its own.
func (d *decoder) mapping(path string, n ast.Node) []entry {
	var values []*ast.MappingValueNode
	switch x := n.(type) {
	case *ast.MappingNode:
		values = x.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{x}
	}
	var out []entry
	var merged []ast.Node
	line := map[string]int{}
	for _, v := range values {
		if v.Key.IsMergeKey() {
			merged = append(merged, v.Value)
			continue
		}
		key, ok := d.key(path, v.Key)
		if !ok {
			continue
		}
		if before, ok := line[key]; ok {
			d.fault(v.Key, join(path, key), "keep one of them", "%q stands here a second time, first on line %d", key, before)
			continue
		}
		line[key] = positionOf(v.Key).Line
		out = append(out, entry{key, v.Key, v.Value})
	}
	for _, m := range merged {
		for _, e := range d.merge(path, m) {
			if _, ok := line[e.key]; !ok {
				line[e.key] = 0
				out = append(out, e)
			}
		}
	}
	return out
}

// merge lists the entries of a map, or of a list of maps, that << names.
func (d *decoder) merge(path string, n ast.Node) []entry {
	if !d.enter(n, path) {
		return nil
	}
	defer d.leave()
	at := n
	switch x := d.resolve(path, n).(type) {
	case nil:
		return nil
	case *ast.MappingNode, *ast.MappingValueNode:
		return d.mapping(path, x)
	case *ast.SequenceNode:
		var out []entry
		for _, v := range x.Values {
			out = append(out, d.merge(path, v)...)
		}
		return out
	}
	d.fault(at, path, "write <<: *name, where &name marks a map", "<< merges maps only")
	return nil
}

// key reads a map's key as text, also where YAML sees a number or a truth
// value in it.
func (d *decoder) key(path string, n ast.MapKeyNode) (string, bool) {
	switch x := n.(type) {
	case *ast.StringNode:
		return x.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode, *ast.InfinityNode, *ast.NanNode:
		return x.GetToken().Value, true
	}
	d.fault(n, path, "", "a key must be plain text")
	return "", false
}

// positionOf is where a node begins: a block map begins at its first key, not
// at the colon that the parser reports.
func positionOf(n ast.Node) Position {
	switch x := n.(type) {
	case *ast.MappingNode:
		if !x.IsFlowStyle && len(x.Values) > 0 {
			return positionOf(x.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return positionOf(x.Key)
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return Position{max(1, t.Position.Line), max(1, t.Position.Column)}
	}
	return Position{1, 1}
}

// quoted reports whether text stands in quotes, so that it cannot be meant as
// a number.
func quoted(n *ast.StringNode) bool {
	return n.Token.Type == token.DoubleQuoteType || n.Token.Type == token.SingleQuoteType
}
