package inference

import (
	"encoding/json"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/serving"
)

// appendWire writes the answer as a ModelInferResponse, in raw contents when
// the request had them.
func appendWire(b []byte, endpoint string, p *parser, a *serving.Answer, raw bool) ([]byte, error) {
	if err := p.know(a); err != nil {
		return b, err
	}
	b = appendField(b, 1, endpoint)
	b = appendField(b, 2, serving.Version(a.Variant.Model))
	id := p.id
	if id == "" && len(a.ID) > 0 {
		id = a.ID[0].String()
	}
	b = appendField(b, 3, id)
	var ids []byte
	for i := range a.ID {
		if i > 0 {
			ids = append(ids, ',')
		}
		ids = append(ids, a.ID[i].String()...)
	}
	b = appendWireParam(b, "prediction_id", string(ids))
	b = appendWireParam(b, "variant", string(a.Variant.Role))
	b = appendWireParam(b, "model", a.Variant.Model)
	b = appendWireParam(b, "release", a.Variant.Release)
	all := a.Output.Series
	if a.Explanation != nil {
		about, err := json.Marshal(aboutExplanation(a))
		if err != nil {
			return b, err
		}
		b = appendWireParam(b, "explanation", string(about))
		for _, t := range explanationTensors(a.Explanation) {
			b = appendWireNumbers(b, t.name, raw, t.shape, t.rows...)
		}
	}
	for i := range all {
		if wanted, _ := p.wants(all[i].Name); wanted {
			b = appendWireSeries(b, &all[i], a.Output.Rows, raw)
		}
	}
	return b, nil
}

func appendField(b []byte, n protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	b = protowire.AppendTag(b, n, protowire.BytesType)
	return protowire.AppendString(b, s)
}

// appendWireParam writes a parameter that is a text.
func appendWireParam(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	inner := protowire.SizeTag(3) + protowire.SizeBytes(len(value))
	b = protowire.AppendTag(b, 4, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(protowire.SizeTag(1)+protowire.SizeBytes(len(key))+protowire.SizeTag(2)+protowire.SizeBytes(inner)))
	b = appendField(b, 1, key)
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(inner))
	return appendField(b, 3, value)
}

// appendWireSeries writes an output, and its raw contents.
func appendWireSeries(b []byte, s *slipway.Series, rows int, raw bool) []byte {
	kind := rawType(s, rows)
	if raw {
		b = appendWireTensor(b, s.Name, kind, []int{rows}, nil)
		b = protowire.AppendTag(b, 6, protowire.BytesType)
		return protowire.AppendBytes(b, appendRaw(nil, s, kind, rows))
	}
	var c []byte
	if kind == "BYTES" {
		for i := range rows {
			c = protowire.AppendTag(c, 8, protowire.BytesType)
			c = protowire.AppendString(c, textOf(s, i))
		}
		return appendWireTensor(b, s.Name, kind, []int{rows}, c)
	}
	var values []byte
	for i := range rows {
		if kind == "FP64" {
			values = protowire.AppendFixed64(values, math.Float64bits(s.Float[i]))
		} else {
			values = protowire.AppendVarint(values, uint64(int64(s.Float[i])))
		}
	}
	c = protowire.AppendTag(c, contentField[kind], protowire.BytesType)
	return appendWireTensor(b, s.Name, kind, []int{rows}, protowire.AppendBytes(c, values))
}

// appendWireNumbers writes an output of FP64, whose values come in pieces.
func appendWireNumbers(b []byte, name string, raw bool, shape []int, pieces ...[]float64) []byte {
	var values []byte
	for _, piece := range pieces {
		for _, v := range piece {
			values = protowire.AppendFixed64(values, math.Float64bits(v))
		}
	}
	if raw {
		b = appendWireTensor(b, name, "FP64", shape, nil)
		b = protowire.AppendTag(b, 6, protowire.BytesType)
		return protowire.AppendBytes(b, values)
	}
	c := protowire.AppendTag(nil, 7, protowire.BytesType)
	return appendWireTensor(b, name, "FP64", shape, protowire.AppendBytes(c, values))
}

func appendWireTensor(b []byte, name, kind string, shape []int, contents []byte) []byte {
	t := appendField(make([]byte, 0, 64), 1, name)
	t = appendField(t, 2, kind)
	var dims []byte
	for _, n := range shape {
		dims = protowire.AppendVarint(dims, uint64(n))
	}
	t = protowire.AppendTag(t, 3, protowire.BytesType)
	t = protowire.AppendBytes(t, dims)
	if contents != nil {
		t = protowire.AppendTag(t, 5, protowire.BytesType)
		t = protowire.AppendBytes(t, contents)
	}
	b = protowire.AppendTag(b, 5, protowire.BytesType)
	return protowire.AppendBytes(b, t)
}
