// Package term is what a person sees on a terminal.
package term

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/slipway-ml/slipway"
)

// IO is the terminal of one command line.
type IO struct {
	In          io.Reader
	Out, Err    io.Writer
	JSON, Quiet bool
}

// New looks at what the streams are.
func New(in io.Reader, out, err io.Writer, getenv func(string) string) *IO {
	return &IO{In: in, Out: out, Err: err}
}

// PrintJSON writes v indented.
func (t *IO) PrintJSON(v any) error {
	e := json.NewEncoder(t.Out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// Errorln prints an error and its hint.
func (t *IO) Errorln(err error) {
	e := slipway.AsError(err)
	fmt.Fprintf(t.Err, "error: %s\n", e.Message)
	if e.Hint != "" {
		fmt.Fprintf(t.Err, "  hint: %s\n", e.Hint)
	}
}
