package inference

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/serving"
)

// datatype is how a type stands in the protocol.
func datatype(t slipway.Type) string {
	switch t {
	case slipway.Bool:
		return "BOOL"
	case slipway.Int:
		return "INT64"
	case slipway.Text, slipway.Time, slipway.Date, slipway.Binary:
		return "BYTES"
	}
	return "FP64"
}

// appendReply writes the answer as an Open Inference Protocol reply; tail is
// the outputs that go behind it.
func appendReply(b []byte, endpoint string, p *parser, a *serving.Answer) (reply, tail []byte, err error) {
	if err := p.know(a); err != nil {
		return b, nil, err
	}
	id := p.id
	b = append(b, `{"model_name":`...)
	b = appendText(b, endpoint)
	b = append(b, `,"model_version":`...)
	b = appendText(b, serving.Version(a.Variant.Model))
	if id == "" && len(a.ID) > 0 {
		id = a.ID[0].String()
	}
	if id != "" {
		b = append(b, `,"id":`...)
		b = appendText(b, id)
	}
	b = append(b, `,"parameters":{"prediction_id":[`...)
	for i := range a.ID {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, a.ID[i].String()...)
		b = append(b, '"')
	}
	b = append(b, `],"variant":`...)
	b = appendText(b, string(a.Variant.Role))
	b = append(b, `,"model":`...)
	b = appendText(b, a.Variant.Model)
	if a.Variant.Release != "" {
		b = append(b, `,"release":`...)
		b = appendText(b, a.Variant.Release)
	}
	if a.Explanation != nil {
		about, err := json.Marshal(aboutExplanation(a))
		if err != nil {
			return b, nil, err
		}
		b = append(append(b, `,"explanation":`...), about...)
	}
	b = append(b, `},"outputs":[`...)
	first := true
	for i := range a.Output.Series {
		s := &a.Output.Series[i]
		wanted, binary := p.wants(s.Name)
		if !wanted {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		if binary {
			b, tail = appendBehind(b, tail, s, a.Output.Rows)
		} else {
			b = appendSeries(b, s, a.Output.Rows)
		}
	}
	if a.Explanation != nil {
		b = appendExplanation(b, a.Explanation, first)
	}
	return append(b, "]}"...), tail, nil
}

// know refuses a request for outputs that the answer does not have.
func (p *parser) know(a *serving.Answer) error {
	for _, o := range p.only {
		if a.Output.Column(o.name) == nil {
			return slipway.Errorf(slipway.Invalid, "the model has no output %q", o.name)
		}
	}
	return nil
}

// wants reports whether the caller wants an output, and whether behind the JSON.
func (p *parser) wants(name string) (wanted, binary bool) {
	if p.only == nil {
		return true, p.binary
	}
	i := slices.IndexFunc(p.only, func(o requested) bool { return o.name == name })
	return i >= 0, i >= 0 && p.only[i].binary
}

// endList ends a list whose every element has a comma after it, and its tensor.
func endList(b []byte) []byte {
	if b[len(b)-1] == ',' {
		b = b[:len(b)-1]
	}
	return append(b, "]}"...)
}

func appendSeries(b []byte, s *slipway.Series, rows int) []byte {
	b = append(b, `{"name":`...)
	b = appendText(b, s.Name)
	b = append(b, `,"datatype":"`...)
	b = append(b, datatype(s.Type)...)
	b = append(b, `","shape":[`...)
	b = strconv.AppendInt(b, int64(rows), 10)
	b = append(b, `],"data":[`...)
	for i := range rows {
		b = append(appendValue(b, s, i), ',')
	}
	return endList(b)
}

// appendValue writes value i of s as JSON.
func appendValue(b []byte, s *slipway.Series, i int) []byte {
	switch {
	case s.Missing(i):
		return append(b, "null"...)
	case s.Text != nil:
		return appendText(b, s.Text[i])
	case s.Type == slipway.Time || s.Type == slipway.Date:
		b = append(b, '"')
		b = time.UnixMicro(int64(s.Float[i])).UTC().AppendFormat(b, time.RFC3339Nano)
		return append(b, '"')
	case s.Type == slipway.Bool:
		return strconv.AppendBool(b, s.Float[i] != 0)
	case s.Type == slipway.Int:
		return strconv.AppendFloat(b, s.Float[i], 'f', -1, 64)
	}
	return appendNumber(b, s.Float[i])
}

func appendNumber(b []byte, v float64) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(b, "null"...)
	}
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}

// appendText writes a JSON string.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			raw, _ := json.Marshal(s) // any string marshals
			return append(b, raw...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
