package filter

import (
	"strings"

	"github.com/slipway-ml/slipway"
)

// kindOfToken says what a token of a filter is.
type kindOfToken uint8

const (
	endToken    kindOfToken = iota
	wordToken               // a bare name or keyword
	nameToken               // a name in backticks
	textToken               // a string in single or double quotes
	numberToken             // a number
	signToken               // a comparison, parenthesis, comma or dot
)

type token struct {
	kind kindOfToken
	text string
	at   int // where it begins, in bytes
}

// is reports whether the token is a keyword, in any case.
func (t token) is(keyword string) bool {
	return t.kind == wordToken && strings.EqualFold(t.text, keyword)
}

func (t token) String() string {
	if t.kind == endToken {
		return "the end"
	}
	return "'" + t.text + "'"
}

// split cuts a filter into tokens. A word takes letters, digits and _ - / : and
// a dot ends it, so that metrics.loss is three tokens.
func split(s string) ([]token, error) {
	var out []token
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
		case c == '\'' || c == '"' || c == '`':
			text, n, ok := unquote(s[i:])
			if !ok {
				return nil, slipway.Errorf(slipway.Invalid, "Invalid filter string '%s': the %c at %d is never closed", s, c, i+1)
			}
			kind := textToken
			if c == '`' {
				kind = nameToken
			}
			out = append(out, token{kind, text, i})
			i += n
		case numberStart(s[i:]) && !insideName(out, c):
			n := numberLength(s[i:])
			out = append(out, token{numberToken, s[i : i+n], i})
			i += n
		case wordByte(c):
			n := 1
			for i+n < len(s) && wordByte(s[i+n]) {
				n++
			}
			out = append(out, token{wordToken, s[i : i+n], i})
			i += n
		default:
			n := 1
			if len(s) > i+1 && strings.Contains("<= >= != <> ==", s[i:i+2]) && s[i+1] != ' ' {
				n = 2
			}
			if !strings.Contains("<>=!(),.", s[i:i+1]) {
				return nil, slipway.Errorf(slipway.Invalid, "Invalid filter string '%s': unexpected character at %d", s, i+1)
			}
			out = append(out, token{signToken, s[i : i+n], i})
			i += n
		}
	}
	return append(out, token{endToken, "", len(s)}), nil
}

// insideName reports whether the next token, which begins with c, goes on with
// a name: in params.1 neither the dot nor the 1 begins a number.
func insideName(out []token, c byte) bool {
	if len(out) == 0 {
		return false
	}
	last := out[len(out)-1]
	return last.kind == signToken && last.text == "." || c == '.' && (last.kind == wordToken || last.kind == nameToken)
}

func wordByte(c byte) bool {
	return c == '_' || c == '-' || c == '/' || c == ':' || c >= 0x80 ||
		c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func digit(s string, i int) bool { return i < len(s) && s[i] >= '0' && s[i] <= '9' }

// numberStart reports whether s begins with a number and not with a name that
// begins with a digit.
func numberStart(s string) bool {
	n := numberLength(s)
	return n > 0 && (n == len(s) || !wordByte(s[n]))
}

// numberLength is the length of the decimal number that s begins with, or 0.
func numberLength(s string) int {
	i := 0
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		i++
	}
	if !digit(s, i) && !(i < len(s) && s[i] == '.' && digit(s, i+1)) {
		return 0
	}
	for digit(s, i) {
		i++
	}
	if i < len(s) && s[i] == '.' {
		for i++; digit(s, i); {
			i++
		}
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		j := i + 1
		if j < len(s) && (s[j] == '-' || s[j] == '+') {
			j++
		}
		if digit(s, j) {
			for i = j; digit(s, i); {
				i++
			}
		}
	}
	return i
}

// unquote reads the quoted text that s begins with; the quote doubled is one of
// its characters. n is its length with quotes.
func unquote(s string) (text string, n int, ok bool) {
	quote := s[0]
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		if s[i] != quote {
			b.WriteByte(s[i])
			continue
		}
		if i+1 < len(s) && s[i+1] == quote {
			b.WriteByte(quote)
			i++
			continue
		}
		return b.String(), i + 1, true
	}
	return "", 0, false
}
