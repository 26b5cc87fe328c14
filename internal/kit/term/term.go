// Package term is what a person at a terminal, or a program behind a pipe, gets
// to see of a command: tables, progress, colour, errors, small charts. A
// terminal gets colour and "3 minutes ago", a pipe gets tabs and RFC 3339, and
// --json gets neither.
//
// Nothing here looks at the process: an IO is made at the edge, by New or by
// a test, and passed down.
package term

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	slipway "github.com/slipway-ml/slipway"
)

// IO is where a command reads and writes, and what it may assume about it.
type IO struct {
	In       io.Reader
	Out, Err io.Writer
	TTY      bool             // Out is a terminal
	ErrTTY   bool             // Err is a terminal: progress may draw
	Width    int              // columns of the terminal; 0 means no limit
	Color    bool             // escape sequences are wanted
	JSON     bool             // one JSON value is wanted on Out
	Quiet    bool             // no progress
	Now      func() time.Time // for times told as "3 minutes ago" and for rates; nil tells them in full
}

// New makes the IO of a process from its streams, any of which may be something
// else than a file. NO_COLOR (any value) and TERM=dumb switch colour off,
// CLICOLOR_FORCE switches it on in a pipe. The flags --json and --quiet are set
// afterwards, by whoever reads them.
func New(in io.Reader, out, err io.Writer, getenv func(string) string) *IO {
	t := &IO{In: in, Out: out, Err: err, Now: time.Now}
	var width int
	t.TTY, width = terminal(out)
	t.ErrTTY, t.Width = terminal(err)
	if t.TTY {
		t.Width = width
	}
	t.Color = colorWanted(t.TTY, getenv)
	return t
}

// terminal reports whether w is one, and how many columns it has.
func terminal(w io.Writer) (is bool, width int) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return false, 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		width = 0
	}
	return true, width
}

// colorWanted follows no-color.org and the CLICOLOR convention.
func colorWanted(tty bool, getenv func(string) string) bool {
	switch {
	case getenv("NO_COLOR") != "":
		return false
	case getenv("CLICOLOR_FORCE") != "" && getenv("CLICOLOR_FORCE") != "0":
		return true
	}
	return tty && getenv("TERM") != "dumb"
}

// Role is what a piece of text means, which decides its colour.
type Role string

// The roles. Their values are ANSI attributes, from the sixteen colours that
// every terminal's theme keeps readable.
const (
	Plain   Role = ""
	OK      Role = "32"
	Warn    Role = "33"
	Bad     Role = "31"
	Dim     Role = "2"
	Bold    Role = "1"
	Heading Role = "1;36"
)

// Paint colours s for its role where colour is wanted.
func (t IO) Paint(r Role, s string) string {
	if !t.Color || r == Plain || s == "" {
		return s
	}
	return "\x1b[" + string(r) + "m" + s + "\x1b[0m"
}

// Printf writes to Out.
func (t IO) Printf(format string, args ...any) { fmt.Fprintf(t.Out, format, args...) }

// Print writes v as JSON when that is wanted, else what human writes.
func (t IO) Print(v any, human func(w io.Writer)) error {
	return Out{JSON: t.JSON, W: t.Out}.Print(v, human)
}

// PrintJSON writes v to Out as JSON.
func (t IO) PrintJSON(v any) error { return Out{JSON: true, W: t.Out}.Print(v, nil) }

// Out writes one result in one of two ways.
type Out struct {
	JSON bool
	W    io.Writer
}

// Print writes v as indented JSON with a line end, or lets human write it.
func (o Out) Print(v any, human func(w io.Writer)) error {
	if !o.JSON {
		human(o.W)
		return nil
	}
	enc := json.NewEncoder(o.W)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// Errorln tells err on Err: "error: message", and what to do about it on a
// second line. With --json it is one line {"error": …}, so that a program reads
// the code. It writes nothing for nil.
func (t IO) Errorln(err error) {
	if err == nil {
		return
	}
	e := *slipway.AsError(err)
	var ours *slipway.Error
	switch {
	case errors.As(err, &ours):
		// The wrapping says where it happened.
		e.Message = err.Error()
	case e.Code == slipway.Internal:
		// The text of a defect belongs to whoever runs the program, and a
		// server has taken out its own before it came here.
		e.Message = "internal error: " + err.Error()
	}
	if e.Code == slipway.Internal && e.Hint == "" {
		e.Hint = "this is a defect of slipway; please report it with the command that led to it"
	}
	if t.JSON {
		enc := json.NewEncoder(t.Err)
		enc.SetEscapeHTML(false)
		// Three strings always encode; a closed Err has nobody to be told.
		_ = enc.Encode(map[string]slipway.Error{"error": e})
		return
	}
	fmt.Fprintln(t.Err, t.Paint(Bad, "error:")+" "+e.Message)
	if e.Hint != "" {
		fmt.Fprintln(t.Err, "  "+t.Paint(Dim, "hint:")+" "+e.Hint)
	}
}
