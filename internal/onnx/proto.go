package onnx

import (
	"encoding/binary"
	"math"
)

// message is a protocol buffer that is being written.
type message []byte

func (m *message) key(field, wire int) {
	*m = binary.AppendUvarint(*m, uint64(field<<3|wire))
}

func (m *message) int(field int, v int64) {
	m.key(field, 0)
	*m = binary.AppendUvarint(*m, uint64(v))
}

func (m *message) bytes(field int, v []byte) {
	m.key(field, 2)
	*m = binary.AppendUvarint(*m, uint64(len(v)))
	*m = append(*m, v...)
}

func (m *message) text(field int, v string) { m.bytes(field, []byte(v)) }

func (m *message) float(field int, v float32) {
	m.key(field, 5)
	*m = binary.LittleEndian.AppendUint32(*m, math.Float32bits(v))
}

// Kinds of attributes and of elements, as onnx.proto numbers them.
const (
	kindInt     = 2
	kindString  = 3
	kindTensor  = 4
	kindFloats  = 6
	kindInts    = 7
	kindStrings = 8

	elementFloat  = 1
	elementDouble = 11
)

// attributes are those of one node.
type attributes struct{ node message }

func (a *attributes) add(name string, kind int, fill func(m *message)) {
	var m message
	m.text(1, name)
	fill(&m)
	m.int(20, int64(kind))
	a.node.bytes(5, m)
}

func (a *attributes) int(name string, v int64) {
	a.add(name, kindInt, func(m *message) { m.int(3, v) })
}

func (a *attributes) text(name, v string) {
	a.add(name, kindString, func(m *message) { m.text(4, v) })
}

func (a *attributes) ints(name string, v []int64) {
	a.add(name, kindInts, func(m *message) {
		for _, i := range v {
			m.int(8, i)
		}
	})
}

func (a *attributes) texts(name string, v []string) {
	a.add(name, kindStrings, func(m *message) {
		for _, s := range v {
			m.text(9, s)
		}
	})
}

// numbers are floats, or with double a tensor of doubles under name_as_tensor.
func (a *attributes) numbers(name string, v []float64, double bool) {
	if double {
		a.add(name+"_as_tensor", kindTensor, func(m *message) { m.bytes(5, doubles("", v, len(v))) })
		return
	}
	a.add(name, kindFloats, func(m *message) {
		for _, x := range v {
			m.float(7, float32(x))
		}
	})
}

// doubles is a tensor.
func doubles(name string, v []float64, shape ...int) message {
	var m message
	for _, n := range shape {
		m.int(1, int64(n))
	}
	m.int(2, elementDouble)
	if name != "" {
		m.text(8, name)
	}
	raw := make([]byte, 0, 8*len(v))
	for _, x := range v {
		raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(x))
	}
	m.bytes(9, raw)
	return m
}

// graph is a model that is being written, one node after another.
type graph struct {
	nodes, constants message
	last             string // the name of the newest result
	count            int
}

// node adds an operator of domain ("" for ONNX's own) on the newest result and
// further inputs.
func (g *graph) node(domain, op string, fill func(a *attributes), more ...string) {
	g.count++
	name := op + "_" + itoa(g.count)
	var a attributes
	a.node.text(1, g.last)
	for _, input := range more {
		a.node.text(1, input)
	}
	a.node.text(2, name)
	a.node.text(4, op)
	if fill != nil {
		fill(&a)
	}
	a.node.text(7, domain)
	g.nodes.bytes(1, a.node)
	g.last = name
}

func (g *graph) constant(name string, v []float64, shape ...int) string {
	g.constants.bytes(5, doubles(name, v, shape...))
	return name
}

func (g *graph) cast(element int64) {
	g.node("", "Cast", func(a *attributes) { a.int("to", element) })
}

// value is a matrix of n columns and any number of rows.
func value(name string, element int64, n int) message {
	var rows, columns, shape, tensor, kind, m message
	rows.text(2, "N")
	columns.int(1, int64(n))
	shape.bytes(1, rows)
	shape.bytes(1, columns)
	tensor.int(1, element)
	tensor.bytes(2, shape)
	kind.bytes(1, tensor)
	m.text(1, name)
	m.bytes(2, kind)
	return m
}

// model closes the graph.
func (g *graph) model(inputs, outputs int, input, output int64, names []string) []byte {
	graph := append(message(nil), g.nodes...)
	graph.text(2, "slipway")
	graph = append(graph, g.constants...)
	graph.bytes(11, value(inputName, input, inputs))
	graph.bytes(12, value(g.last, output, outputs))
	var m message
	m.int(1, 8) // IR version
	m.text(2, "slipway")
	m.bytes(7, graph)
	for _, set := range []struct {
		domain  string
		version int64
	}{{"", 17}, {"ai.onnx.ml", 3}} {
		var s message
		s.text(1, set.domain)
		s.int(2, set.version)
		m.bytes(8, s)
	}
	for i, name := range names {
		var p message
		p.text(1, "feature."+itoa(i))
		p.text(2, name)
		m.bytes(14, p)
	}
	return m
}
