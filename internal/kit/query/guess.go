package query

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	slipway "github.com/slipway-ml/slipway"
)

// shape is a set of things that a text may be.
type shape uint8

const (
	isBool shape = 1 << iota
	isInt
	isFloat
	isComma // a number with a decimal comma
	isDate  // ISO 8601
	isTime  // ISO 8601, with or without a time of day
	isOther // a date or time in one of timeFormats
	isAny   = isBool | isInt | isFloat | isComma | isDate | isTime | isOther
)

// timeFormat is a way to write dates or times, for Go and for strptime.
type timeFormat struct {
	layout, strptime string
	clock            bool // has a time of day
}

// timeFormats are tried in this order: where the numbers leave open what is the
// day and what the month, the earlier format wins, which is the month first
// between slashes and the day first between dots or dashes.
var timeFormats = makeTimeFormats()

func makeTimeFormats() []timeFormat {
	var out []timeFormat
	for _, date := range []timeFormat{
		{layout: "1/2/2006", strptime: "%m/%d/%Y"}, {layout: "2/1/2006", strptime: "%d/%m/%Y"},
		{layout: "2.1.2006", strptime: "%d.%m.%Y"}, {layout: "1.2.2006", strptime: "%m.%d.%Y"},
		{layout: "2-1-2006", strptime: "%d-%m-%Y"}, {layout: "1-2-2006", strptime: "%m-%d-%Y"},
		{layout: "2006/1/2", strptime: "%Y/%m/%d"}, {layout: "2006.1.2", strptime: "%Y.%m.%d"}, {layout: "2006-1-2", strptime: "%Y-%m-%d"},
		{layout: "2-Jan-2006", strptime: "%d-%b-%Y"}, {layout: "2 Jan 2006", strptime: "%d %b %Y"}, {layout: "Jan 2, 2006", strptime: "%b %d, %Y"},
		{layout: "2 January 2006", strptime: "%d %B %Y"}, {layout: "January 2, 2006", strptime: "%B %d, %Y"},
		{layout: "1/2/06", strptime: "%m/%d/%y"}, {layout: "2/1/06", strptime: "%d/%m/%y"}, {layout: "2.1.06", strptime: "%d.%m.%y"},
	} {
		out = append(out, date)
		for _, clock := range []timeFormat{
			{layout: " 15:04", strptime: " %H:%M"}, {layout: " 15:04:05", strptime: " %H:%M:%S"}, {layout: " 15:04:05.999999", strptime: " %H:%M:%S.%f"},
			{layout: " 3:04 PM", strptime: " %I:%M %p"}, {layout: " 3:04:05 PM", strptime: " %I:%M:%S %p"},
		} {
			out = append(out, timeFormat{date.layout + clock.layout, date.strptime + clock.strptime, true})
		}
	}
	return out
}

// guess is what the values of a column seen so far can be.
type guess struct {
	name    string
	seen    bool // a value that is not missing
	can     shape
	line    int    // of the first value that is no whole number; 0 while there is none
	value   string // it
	formats []timeFormat
}

func newGuess(name string) *guess { return &guess{name: name, can: isAny, formats: timeFormats} }

// observe narrows the guess by one value, which is not missing.
func (g *guess) observe(field []byte, line int) {
	g.seen = true
	if g.can == 0 {
		return
	}
	was := g.can
	b := bytes.TrimSpace(field)
	if g.can&(isInt|isFloat|isComma) != 0 {
		g.can &= numberShape(b) | isBool | isDate | isTime | isOther
	}
	if g.can&isBool != 0 && !strings.EqualFold(string(b), "true") && !strings.EqualFold(string(b), "false") {
		g.can &^= isBool
	}
	if g.can&(isDate|isTime) != 0 {
		g.can &= isoShape(b) | isBool | isInt | isFloat | isComma | isOther
	}
	if g.can&isOther != 0 {
		g.formats = matching(g.formats, string(b))
		if len(g.formats) == 0 {
			g.can &^= isOther
		}
	}
	if was&^g.can&isInt != 0 {
		g.line, g.value = line, string(field)
	}
}

func matching(formats []timeFormat, s string) []timeFormat {
	if len(s) < 6 || len(s) > 40 {
		return nil
	}
	fits := func(f timeFormat) bool {
		_, err := time.Parse(f.layout, s)
		return err == nil
	}
	for i, f := range formats {
		if !fits(f) {
			out := append([]timeFormat{}, formats[:i]...)
			for _, f := range formats[i+1:] {
				if fits(f) {
					out = append(out, f)
				}
			}
			return out
		}
	}
	return formats
}

// result is the type of the column, and the strptime format of its values when
// they are dates or times not in ISO 8601. decimal is what numbers use.
func (g *guess) result(decimal string) (t slipway.Type, strptime string) {
	switch {
	case !g.seen:
		return slipway.Text, ""
	case g.can&isBool != 0:
		return slipway.Bool, ""
	case g.can&isInt != 0:
		return slipway.Int, ""
	case g.can&isFloat != 0 && decimal != ",", g.can&isComma != 0 && decimal == ",":
		return slipway.Float, ""
	case g.can&isDate != 0:
		return slipway.Date, ""
	case g.can&isTime != 0:
		return slipway.Time, ""
	case g.can&isOther != 0 && g.formats[0].clock:
		return slipway.Time, g.formats[0].strptime
	case g.can&isOther != 0:
		return slipway.Date, g.formats[0].strptime
	}
	return slipway.Text, ""
}

// fits reports whether a value agrees with the column's type.
func (g *guess) fits(field []byte) bool {
	probe := &guess{can: g.can, formats: g.formats}
	probe.observe(field, 0)
	return probe.can != 0
}

// numberShape tells which kinds of number b is: digits with an optional minus,
// up to 18 of them for a whole number; a decimal point or comma; an exponent;
// or infinity. A whole number too long for an int64 is a name, not a number.
func numberShape(b []byte) shape {
	rest := bytes.TrimPrefix(b, []byte{'-'})
	digits := leadingDigits(rest)
	if digits == len(rest) && digits > 0 {
		if digits > 18 {
			return 0
		}
		return isInt | isFloat | isComma
	}
	if digits < len(rest) && rest[digits] == ',' && digits > 0 {
		fraction := rest[digits+1:]
		if n := leadingDigits(fraction); n > 0 && n == len(fraction) {
			return isComma
		}
		return 0
	}
	if !floatChars(rest) {
		return 0
	}
	if _, err := strconv.ParseFloat(string(b), 64); err != nil {
		return 0
	}
	return isFloat
}

func leadingDigits(b []byte) int {
	for i, c := range b {
		if c < '0' || c > '9' {
			return i
		}
	}
	return len(b)
}

// floatChars keeps out what ParseFloat reads and DuckDB does not, such as
// hexadecimal and underscores.
func floatChars(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	if s := strings.ToLower(string(b[:min(len(b), 9)])); s == "inf" || s == "infinity" {
		return true
	}
	for i, c := range b {
		exponent := i > 0 && (c == 'e' || c == 'E')
		sign := i > 0 && (c == '+' || c == '-') && (b[i-1] == 'e' || b[i-1] == 'E')
		if c != '.' && (c < '0' || c > '9') && !exponent && !sign {
			return false
		}
	}
	return true
}

// isoShape tells whether b is a date, or a time, as ISO 8601 writes them:
// 2013-01-31, then T or a space, 23:59, :59, .123456, and Z or ±hh:mm.
func isoShape(b []byte) shape {
	if len(b) < 10 || b[4] != '-' || b[7] != '-' {
		return 0
	}
	if _, err := time.Parse("2006-01-02", string(b[:10])); err != nil {
		return 0
	}
	if len(b) == 10 {
		return isDate | isTime
	}
	s := string(b[11:])
	if b[10] != 'T' && b[10] != ' ' {
		return 0
	}
	if i := strings.IndexAny(s, "Z+-"); i >= 0 {
		if !isOffset(s[i:]) {
			return 0
		}
		s = s[:i]
	}
	for _, layout := range []string{"15:04:05", "15:04"} {
		// Parse accepts a fraction after the seconds of its own accord.
		if _, err := time.Parse(layout, s); err == nil && len(s) >= len(layout) {
			return isTime
		}
	}
	return 0
}

func isOffset(s string) bool {
	if s == "Z" {
		return true
	}
	for _, layout := range []string{"-07:00", "-07"} {
		if _, err := time.Parse(layout, s); err == nil {
			return true
		}
	}
	return false
}
