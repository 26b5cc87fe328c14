package inference

import (
	"encoding/json"
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/serving"
)

// The two messages of ModelInfer are read and written where they lie, like the
// JSON: thirty columns would otherwise become a hundred objects.

// wireRequest is a ModelInferRequest, taken apart at its first level.
type wireRequest struct {
	model, version, id string
	params             [][]byte // entries of the map
	inputs             [][]byte
	outputs            [][]byte
	raw                [][]byte
}

func (w *wireRequest) reset() {
	w.model, w.version, w.id = "", "", ""
	clear(w.params)
	clear(w.inputs)
	clear(w.outputs)
	clear(w.raw)
	w.params, w.inputs, w.outputs, w.raw = w.params[:0], w.inputs[:0], w.outputs[:0], w.raw[:0]
}

var errWire = slipway.Errorf(slipway.Invalid, "the message is no ModelInferRequest")

// fields visits the fields of a message. value is the content of one that has a
// length, else it is empty and v is the number.
func fields(b []byte, visit func(n protowire.Number, t protowire.Type, value []byte, v uint64) error) error {
	for len(b) > 0 {
		n, t, size := protowire.ConsumeTag(b)
		if size < 0 {
			return errWire
		}
		b = b[size:]
		var value []byte
		var v uint64
		switch t {
		case protowire.BytesType:
			value, size = protowire.ConsumeBytes(b)
		case protowire.VarintType:
			v, size = protowire.ConsumeVarint(b)
		case protowire.Fixed64Type:
			v, size = protowire.ConsumeFixed64(b)
		case protowire.Fixed32Type:
			var short uint32
			short, size = protowire.ConsumeFixed32(b)
			v = uint64(short)
		default:
			size = protowire.ConsumeFieldValue(n, t, b)
		}
		if size < 0 {
			return errWire
		}
		b = b[size:]
		if err := visit(n, t, value, v); err != nil {
			return err
		}
	}
	return nil
}

func (w *wireRequest) read(b []byte) error {
	return fields(b, func(n protowire.Number, t protowire.Type, value []byte, _ uint64) error {
		if t != protowire.BytesType {
			return nil
		}
		switch n {
		case 1:
			w.model = string(value)
		case 2:
			w.version = string(value)
		case 3:
			w.id = string(value)
		case 4:
			w.params = append(w.params, value)
		case 5:
			w.inputs = append(w.inputs, value)
		case 6:
			w.outputs = append(w.outputs, value)
		case 7:
			w.raw = append(w.raw, value)
		}
		return nil
	})
}

// wire makes a request of the message's parts.
func (p *parser) wire(w *wireRequest) (*serving.Request, error) {
	p.id = w.id
	if len(w.raw) > 0 && len(w.raw) != len(w.inputs) {
		return nil, slipway.Errorf(slipway.Invalid, "there are %d raw_input_contents for %d inputs", len(w.raw), len(w.inputs))
	}
	for i, input := range w.inputs {
		var raw []byte
		if len(w.raw) > 0 {
			if raw = w.raw[i]; raw == nil {
				raw = []byte{}
			}
		}
		if err := p.wireTensor(input, raw); err != nil {
			return nil, err
		}
	}
	for _, entry := range w.params {
		if err := p.wireParam(entry); err != nil {
			return nil, err
		}
	}
	for _, output := range w.outputs {
		var o requested
		if err := fields(output, func(n protowire.Number, _ protowire.Type, value []byte, _ uint64) error {
			if n == 1 {
				o.name = string(value)
			}
			return nil
		}); err != nil {
			return nil, err
		}
		p.only = append(p.only, o)
	}
	return p.request()
}

// wireTensor reads an InferInputTensor.
func (p *parser) wireTensor(b, raw []byte) error {
	var name []byte
	from := source{binary: raw}
	p.shape = p.shape[:0]
	err := fields(b, func(n protowire.Number, t protowire.Type, value []byte, v uint64) error {
		switch {
		case n == 1:
			name = value
		case n == 2:
			from.datatype = value
		case n == 3 && t == protowire.VarintType:
			return p.size(int64(v))
		case n == 3:
			for len(value) > 0 {
				v, size := protowire.ConsumeVarint(value)
				if size < 0 {
					return errWire
				}
				value = value[size:]
				if err := p.size(int64(v)); err != nil {
					return err
				}
			}
		case n == 5:
			if from.contents == nil {
				from.contents = value
			} else { // a message may come in pieces
				from.contents = append(from.contents[:len(from.contents):len(from.contents)], value...)
			}
			if raw != nil && len(value) > 0 {
				return slipway.Errorf(slipway.Invalid, "the input %q has contents and raw_input_contents", clip(name))
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case len(name) == 0:
		return slipway.Errorf(slipway.Invalid, "an input has no name")
	case from.binary == nil && from.contents == nil:
		from.contents = []byte{}
	}
	if err := knownType(from.datatype); err != nil {
		return err
	}
	return p.data(name, from)
}

func (p *parser) size(n int64) error {
	if n < 0 || n > 1<<31 {
		return slipway.Errorf(slipway.Invalid, "%d is no size in a shape", n)
	}
	p.shape = append(p.shape, int(n))
	return nil
}

// wireParam reads an entry of the map of parameters.
func (p *parser) wireParam(entry []byte) error {
	var key string
	var raw json.RawMessage
	err := fields(entry, func(n protowire.Number, _ protowire.Type, value []byte, _ uint64) error {
		if n == 1 {
			key = string(value)
			return nil
		}
		return fields(value, func(n protowire.Number, _ protowire.Type, text []byte, v uint64) error {
			switch n {
			case 1:
				raw = strconv.AppendBool(nil, v != 0)
			case 2:
				raw = strconv.AppendInt(nil, int64(v), 10)
			case 3:
				raw = appendText(nil, string(text))
			case 4:
				raw = appendNumber(nil, math.Float64frombits(v))
			case 5:
				raw = strconv.AppendUint(nil, v, 10)
			}
			return nil
		})
	})
	if err == nil && raw != nil {
		if p.params == nil {
			p.params = map[string]json.RawMessage{}
		}
		p.params[key] = raw
	}
	return err
}

// contentField is the field of InferTensorContents that goes with a datatype.
var contentField = map[string]protowire.Number{"BOOL": 1, "INT8": 2, "INT16": 2, "INT32": 2, "INT64": 3,
	"UINT8": 4, "UINT16": 4, "UINT32": 4, "UINT64": 5, "FP32": 6, "FP64": 7, "BYTES": 8}

// addContents reads an InferTensorContents.
func (c *column) addContents(kind string, b []byte) error {
	want, form := contentField[kind], datatypes[kind]
	if want == 0 {
		return slipway.Errorf(slipway.Invalid, "column %q is %s, which only raw_input_contents can hold", c.name, kind)
	}
	return fields(b, func(n protowire.Number, t protowire.Type, value []byte, v uint64) error {
		switch {
		case n != want:
			return slipway.Errorf(slipway.Invalid, "column %q is %s, and its contents are in another field", c.name, kind)
		case n == 8:
			return c.addText(value)
		case t != protowire.BytesType:
			return c.addNumber(wireNumber(n, v), form)
		}
		for len(value) > 0 {
			var size int
			switch n {
			case 6:
				var short uint32
				short, size = protowire.ConsumeFixed32(value)
				v = uint64(short)
			case 7:
				v, size = protowire.ConsumeFixed64(value)
			default:
				v, size = protowire.ConsumeVarint(value)
			}
			if size < 0 {
				return errWire
			}
			value = value[size:]
			if err := c.addNumber(wireNumber(n, v), form); err != nil {
				return err
			}
		}
		return nil
	})
}

func wireNumber(n protowire.Number, v uint64) float64 {
	switch n {
	case 1:
		return float64(min(v, 1))
	case 2:
		return float64(int32(v))
	case 3:
		return float64(int64(v))
	case 4:
		return float64(uint32(v))
	case 6:
		return float64(math.Float32frombits(uint32(v)))
	case 7:
		return math.Float64frombits(v)
	}
	return float64(v)
}
