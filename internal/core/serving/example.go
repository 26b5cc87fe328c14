package serving

import (
	"encoding/json"
	"strings"

	"github.com/slipway-ml/slipway"
)

// Example is a request that a model of this signature answers: a tensor a
// column, in JSON. "" when the signature does not say what it takes.
func Example(s slipway.Signature) string {
	if len(s.Input) == 0 {
		return ""
	}
	type tensor struct {
		Name     string `json:"name"`
		Shape    []int  `json:"shape"`
		Datatype string `json:"datatype"`
		Data     []any  `json:"data"`
	}
	var body struct {
		Inputs []tensor `json:"inputs"`
	}
	for _, c := range s.Input {
		kind, value := exampleValue(c)
		body.Inputs = append(body.Inputs, tensor{Name: c.Name, Shape: []int{1}, Datatype: kind, Data: []any{value}})
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return "" // a category that is no number, in a column of numbers
	}
	return string(raw)
}

// exampleRow is the same row as `slipway predict` takes it: an object, its
// columns in the model's order.
func exampleRow(s slipway.Signature) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, c := range s.Input {
		_, value := exampleValue(c)
		name, _ := json.Marshal(c.Name)
		raw, _ := json.Marshal(value)
		if i > 0 {
			b.WriteString(", ")
		}
		b.Write(name)
		b.WriteString(": ")
		b.Write(raw)
	}
	return b.String() + "}"
}

// exampleValue is a value that a column takes, and its datatype in the protocol.
func exampleValue(c slipway.Column) (datatype string, value any) {
	switch {
	case len(c.Categories) > 0 && !c.Type.Numeric():
		return "BYTES", c.Categories[0]
	case len(c.Categories) > 0:
		return "FP64", json.Number(c.Categories[0])
	case c.Type == slipway.Text || c.Type == slipway.Binary:
		return "BYTES", "a"
	case c.Type == slipway.Bool:
		return "BOOL", true
	case c.Type == slipway.Int:
		return "INT64", 1
	case c.Type == slipway.Time || c.Type == slipway.Date:
		return "BYTES", "2026-01-31T12:00:00Z"
	}
	return "FP64", 1
}

// quoted writes s as one word of a shell's command line.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
