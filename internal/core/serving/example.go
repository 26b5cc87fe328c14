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
		t := tensor{Name: c.Name, Shape: []int{1}, Datatype: "FP64", Data: []any{1}}
		switch {
		case len(c.Categories) > 0 && !c.Type.Numeric():
			t.Datatype, t.Data[0] = "BYTES", c.Categories[0]
		case len(c.Categories) > 0:
			t.Data[0] = json.Number(c.Categories[0])
		case c.Type == slipway.Text || c.Type == slipway.Binary:
			t.Datatype, t.Data[0] = "BYTES", "a"
		case c.Type == slipway.Bool:
			t.Datatype, t.Data[0] = "BOOL", true
		case c.Type == slipway.Int:
			t.Datatype = "INT64"
		case c.Type == slipway.Time || c.Type == slipway.Date:
			t.Datatype, t.Data[0] = "BYTES", "2026-01-31T12:00:00Z"
		}
		body.Inputs = append(body.Inputs, t)
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return "" // a category that is no number, in a column of numbers
	}
	return string(raw)
}

// quoted writes s as one word of a shell's command line.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
