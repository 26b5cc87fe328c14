package project

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// want notes that a value has the wrong form.
func (d *decoder) want(n ast.Node, path, form string) {
	hint := ""
	if _, ok := n.(*ast.StringNode); !ok && strings.HasPrefix(form, "text") && isScalar(n) {
		hint = fmt.Sprintf("put it into quotes: %q", n.GetToken().Value)
	}
	if s, ok := n.(*ast.StringNode); ok && strings.Contains(form, "number") && quoted(s) {
		if _, err := strconv.ParseFloat(s.Value, 64); err == nil {
			hint = "remove the quotes"
		}
	}
	name := strconv.Quote(leaf(path))
	if path == "" {
		name = "the file"
	}
	d.fault(n, path, hint, "%s wants %s, not %s", name, form, describe(n))
}

func isScalar(n ast.Node) bool {
	switch n.Type() {
	case ast.IntegerType, ast.FloatType, ast.BoolType, ast.InfinityType, ast.NanType, ast.StringType, ast.LiteralType:
		return true
	}
	return false
}

// describe says what a value is.
func describe(n ast.Node) string {
	switch x := n.(type) {
	case *ast.StringNode:
		return fmt.Sprintf("the text %q", short(x.Value))
	case *ast.LiteralNode:
		return "a block of text"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "the number " + n.GetToken().Value
	case *ast.BoolNode:
		return n.GetToken().Value
	case *ast.SequenceNode:
		return "a list"
	case *ast.NullNode:
		return "nothing"
	}
	return "a map"
}

func short(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}
