package project

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/slipway-ml/slipway"
)

// maxFaults is how many mistakes are shown together; more would bury the
// first.
const maxFaults = 5

// Position is a place in the file: line and column in characters, from 1.
type Position struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

// Fault is one mistake in a file.
type Fault struct {
	Position
	File    string `json:"file"`    // name of the file without its folder
	Path    string `json:"path"`    // where in the structure: pipeline.train.in[0]
	Message string `json:"message"` // what is wrong
	Hint    string `json:"hint"`    // what was probably meant, or ""
	Excerpt string `json:"excerpt"` // the line, and a caret under the place
}

// Error writes file:line:column: message.
func (f Fault) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.Message)
}

// Error is everything that is wrong with a file, in the order of the file and
// at least one. It unwraps to a *slipway.Error of code Invalid that carries
// the first five as text, so that every surface can show it.
type Error struct {
	Faults []Fault
}

// Error lists the mistakes without their excerpts, one a line.
func (e *Error) Error() string {
	var lines []string
	for _, f := range e.Faults {
		lines = append(lines, f.Error())
	}
	return strings.Join(lines, "\n")
}

// Unwrap is the error as a user sees it: message, excerpt and hint of each
// mistake. The hint of a lone mistake stands in the Error's own Hint.
func (e *Error) Unwrap() error {
	if len(e.Faults) == 1 {
		f := e.Faults[0]
		return &slipway.Error{Code: slipway.Invalid, Message: f.Error() + f.block(""), Hint: f.Hint}
	}
	var text []string
	for i, f := range e.Faults {
		if i == maxFaults {
			text = append(text, fmt.Sprintf("and %d more", len(e.Faults)-maxFaults))
			break
		}
		text = append(text, f.Error()+f.block(f.Hint))
	}
	return &slipway.Error{Code: slipway.Invalid, Message: strings.Join(text, "\n")}
}

func (f Fault) block(hint string) string {
	out := ""
	if f.Excerpt != "" {
		out = "\n" + f.Excerpt
	}
	if hint != "" {
		out += "\n  " + hint
	}
	return out
}

// Position is where the value at a path stands in the file, such as
// "gates.metrics[0].metric". A value that the file does not hold is placed at
// the nearest thing around it.
func (p *Project) Position(path string) Position { return nearest(p.position, path) }

// Fault makes an error about the value at a path, for what only another
// package can know, such as whether a metric exists.
func (p *Project) Fault(path, hint, format string, args ...any) error {
	return &Error{[]Fault{newFault(p.Path, lines(p.Source), p.Position(path), path, hint, fmt.Sprintf(format, args...))}}
}

func nearest(position map[string]Position, path string) Position {
	for path != "" {
		if at, ok := position[path]; ok {
			return at
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return Position{1, 1}
}

func newFault(file string, source []string, at Position, path, hint, message string) Fault {
	return Fault{
		Position: at, File: filepath.Base(file), Path: path,
		Message: message, Hint: hint, Excerpt: excerpt(source, at),
	}
}

// excerpt is the line at a position with a caret below. Of a long line only
// the part around the position is kept.
func excerpt(source []string, at Position) string {
	if at.Line < 1 || at.Line > len(source) {
		return ""
	}
	const width = 100
	line := []rune(strings.ReplaceAll(strings.ToValidUTF8(source[at.Line-1], "?"), "\t", " "))
	column := min(max(at.Column, 1), len(line)+1)
	if from := max(0, column-1-width/2); len(line) > width && from > 0 {
		line, column = line[from:], column-from
	}
	line = line[:min(len(line), width)]
	number := fmt.Sprintf("%5d", at.Line)
	return number + " | " + string(line) + "\n" +
		strings.Repeat(" ", len(number)) + " | " + strings.Repeat(" ", column-1) + "^"
}

func lines(source []byte) []string {
	out := strings.Split(string(source), "\n")
	for i := range out {
		out[i] = strings.TrimSuffix(out[i], "\r")
	}
	return out
}

// failed is what was noted, in the order of the file, or nil.
func (d *decoder) failed() error {
	if len(d.faults) == 0 {
		return nil
	}
	slices.SortStableFunc(d.faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	for i := range d.faults {
		if d.hidden[d.faults[i].Line] {
			d.faults[i].Excerpt = ""
		}
	}
	return &Error{d.faults}
}

// notText finds the first byte that is not UTF-8 or that no text holds.
func notText(source []byte) (Position, bool) {
	at := Position{1, 1}
	for len(source) > 0 {
		r, n := utf8.DecodeRune(source)
		if r == utf8.RuneError && n == 1 || r == 0 {
			return at, true
		}
		if at.Column++; r == '\n' {
			at = Position{at.Line + 1, 1}
		}
		source = source[n:]
	}
	return at, false
}
