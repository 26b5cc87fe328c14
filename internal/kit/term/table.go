package term

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"
)

// Table collects rows and writes them in columns: aligned and cut to the width
// of a terminal, or separated by tabs in a pipe, where nothing is ever cut.
type Table struct {
	io      IO
	heading []string
	rows    [][]cell
}

// Cell is a value with a role.
type Cell struct {
	Role  Role
	Value any // as Row takes it
}

type cell struct {
	text  string
	role  Role
	right bool
}

// Table starts a table with the given headings.
func (t IO) Table(heading ...string) *Table { return &Table{io: t, heading: heading} }

// Row adds a row. A value is a string, a number (right-aligned), a time.Time
// (see IO.Time), a time.Duration, a fmt.Stringer, nil (a dash) or a Cell.
func (t *Table) Row(values ...any) *Table {
	row := make([]cell, len(values))
	for i, v := range values {
		row[i] = t.cell(v)
	}
	t.rows = append(t.rows, row)
	return t
}

func (t *Table) cell(v any) cell {
	switch v := v.(type) {
	case nil:
		return cell{text: "-"}
	case Cell:
		out := t.cell(v.Value)
		out.role = v.Role
		return out
	case string:
		return cell{text: oneLine(v)}
	case int:
		return cell{text: t.whole(int64(v)), right: true}
	case int64:
		return cell{text: t.whole(v), right: true}
	case float64:
		if !t.io.TTY {
			return cell{text: strconv.FormatFloat(v, 'g', -1, 64), right: true}
		}
		return cell{text: Float(v), right: true}
	case time.Time:
		return cell{text: t.io.Time(v)}
	case time.Duration:
		return cell{text: Duration(v), right: true}
	}
	return cell{text: oneLine(fmt.Sprint(v))}
}

func (t *Table) whole(n int64) string {
	if t.io.TTY {
		return Count(n)
	}
	return strconv.FormatInt(n, 10)
}

// oneLine keeps a value from breaking the table, or from giving orders to the
// terminal: line ends and tabs become spaces, other control characters go.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r < 0x20 || r == 0x7f || (r >= 0x80 && r < 0xa0):
			return -1
		}
		return r
	}, s)
}

// Write writes the table to w.
func (t *Table) Write(w io.Writer) error {
	var b strings.Builder
	if t.io.TTY {
		t.aligned(&b)
	} else {
		t.tabbed(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Render writes the table to Out.
func (t *Table) Render() error { return t.Write(t.io.Out) }

func (t *Table) tabbed(b *strings.Builder) {
	fmt.Fprintln(b, strings.Join(t.heading, "\t"))
	for _, row := range t.rows {
		for i, c := range row {
			if i > 0 {
				b.WriteByte('\t')
			}
			b.WriteString(c.text)
		}
		b.WriteByte('\n')
	}
}

const gap = 2 // columns between two cells

func (t *Table) aligned(b *strings.Builder) {
	width, right := t.measure()
	t.shrink(width)
	heading := make([]cell, len(t.heading))
	for i, h := range t.heading {
		heading[i] = cell{text: strings.ToUpper(h), role: Heading, right: right[i]}
	}
	for _, row := range append([][]cell{heading}, t.rows...) {
		for i, c := range row {
			if i >= len(width) {
				break
			}
			text := runewidth.Truncate(c.text, width[i], "…")
			pad := strings.Repeat(" ", width[i]-runewidth.StringWidth(text))
			if i > 0 {
				b.WriteString(strings.Repeat(" ", gap))
			}
			last := i == len(row)-1 || i == len(width)-1
			switch {
			case c.right:
				b.WriteString(pad + t.io.Paint(c.role, text))
			case last:
				b.WriteString(t.io.Paint(c.role, text))
			default:
				b.WriteString(t.io.Paint(c.role, text) + pad)
			}
		}
		b.WriteByte('\n')
	}
}

// measure finds the width of each column and whether all of it is numbers, in
// which case its heading stands right too.
func (t *Table) measure() (width []int, right []bool) {
	width, right = make([]int, len(t.heading)), make([]bool, len(t.heading))
	for i, h := range t.heading {
		width[i] = runewidth.StringWidth(h)
		for _, row := range t.rows {
			if i < len(row) {
				width[i] = max(width[i], runewidth.StringWidth(row[i].text))
				right[i] = right[i] || row[i].right
			}
		}
	}
	return width, right
}

// shrink takes columns away from the widest one until the table fits, but no
// column below what shows that something was there.
func (t *Table) shrink(width []int) {
	if t.io.Width <= 0 {
		return
	}
	total := gap * (len(width) - 1)
	for _, w := range width {
		total += w
	}
	for total > t.io.Width {
		widest := 0
		for i, w := range width {
			if w > width[widest] {
				widest = i
			}
		}
		if width[widest] <= 8 {
			return
		}
		width[widest]--
		total--
	}
}
