package inference

import (
	"encoding/json"
	"math"
	"strconv"
	"unsafe"

	"github.com/slipway-ml/slipway"
)

// scanner reads JSON where it lies: values of known columns become numbers and
// strings without a tree in between.
type scanner struct {
	b  []byte
	at int
}

func (s *scanner) malformed(want string) error {
	return slipway.Errorf(slipway.Invalid, "the body is not the JSON that was expected: want %s at byte %d", want, s.at)
}

// peek is the next byte that is not space, or 0 at the end.
func (s *scanner) peek() byte {
	for s.at < len(s.b) {
		switch c := s.b[s.at]; c {
		case ' ', '\n', '\t', '\r':
			s.at++
		default:
			return c
		}
	}
	return 0
}

// take passes over c, if that comes next.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.at++
	return true
}

func (s *scanner) expect(c byte) error {
	if !s.take(c) {
		return s.malformed("'" + string(c) + "'")
	}
	return nil
}

// each visits the members of an object; visit must pass over the value.
func (s *scanner) each(visit func(key []byte) error) error {
	if err := s.expect('{'); err != nil {
		return err
	}
	if s.take('}') {
		return nil
	}
	for {
		key, err := s.str()
		if err != nil {
			return err
		}
		if err := s.expect(':'); err != nil {
			return err
		}
		if err := visit(key); err != nil {
			return err
		}
		if s.take('}') {
			return nil
		}
		if err := s.expect(','); err != nil {
			return err
		}
	}
}

// list visits the elements of an array; visit must pass over the value.
func (s *scanner) list(visit func() error) error {
	if err := s.expect('['); err != nil {
		return err
	}
	if s.take(']') {
		return nil
	}
	for {
		if err := visit(); err != nil {
			return err
		}
		if s.take(']') {
			return nil
		}
		if err := s.expect(','); err != nil {
			return err
		}
	}
}

// str reads a string. The bytes are the body's own when it has no escapes.
func (s *scanner) str() ([]byte, error) {
	if err := s.expect('"'); err != nil {
		return nil, err
	}
	from, plain := s.at, true
	for s.at < len(s.b) {
		if !special[s.b[s.at]] {
			s.at++
			continue
		}
		switch c := s.b[s.at]; {
		case c == '"':
			raw := s.b[from:s.at]
			s.at++
			if plain {
				return raw, nil
			}
			var out string
			if json.Unmarshal(s.b[from-1:s.at], &out) != nil {
				return nil, s.malformed("a string")
			}
			return []byte(out), nil
		case c == '\\':
			plain = false
			s.at += 2
		case c < ' ':
			return nil, s.malformed("a string without control characters")
		default:
			plain = plain && c < 0x80 // other bytes go through the decoder, which knows UTF-8
			s.at++
		}
	}
	return nil, s.malformed("the end of a string")
}

// special are the bytes that a string cannot simply pass over.
var special = func() (t [256]bool) {
	for c := range t {
		t[c] = c < ' ' || c >= 0x80 || c == '"' || c == '\\'
	}
	return t
}()

// number reads a JSON number, or NaN as Python writes it.
func (s *scanner) number() (float64, error) {
	s.peek()
	if v, ok := s.short(); ok {
		return v, nil
	}
	from, digits := s.at, 0
	for s.at < len(s.b) {
		c := s.b[s.at]
		if c >= '0' && c <= '9' {
			digits++
		} else if c != '-' && c != '+' && c != '.' && c != 'e' && c != 'E' {
			break
		}
		s.at++
	}
	if digits == 0 {
		s.at = from
		if s.word("NaN") {
			return math.NaN(), nil
		}
		for _, inf := range []string{"Infinity", "-Infinity"} {
			if s.word(inf) {
				return math.Inf(1), nil
			}
		}
		return 0, s.malformed("a number")
	}
	raw := s.b[from:s.at]
	v, err := strconv.ParseFloat(unsafe.String(&raw[0], len(raw)), 64)
	if err != nil && !math.IsInf(v, 0) || raw[0] == '+' || raw[0] == '.' {
		s.at = from
		return 0, s.malformed("a number")
	}
	return v, nil
}

// powers of ten that a float64 holds exactly.
var powers = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// short reads a decimal of at most 15 digits without an exponent: both its
// digits and its power of ten are exact, so that one division rounds correctly
// (Clinger 1990). It passes over nothing when the number is another one.
func (s *scanner) short() (float64, bool) {
	at, negative := s.at, false
	if at < len(s.b) && s.b[at] == '-' {
		negative = true
		at++
	}
	digits, whole, point, m := 0, 0, -1, uint64(0)
	for ; at < len(s.b); at++ {
		c := s.b[at]
		if c == '.' && point < 0 && digits > 0 {
			point, whole = at, digits
			continue
		}
		if c-'0' > 9 {
			break
		}
		m = 10*m + uint64(c-'0')
		if digits++; digits > 15 {
			return 0, false
		}
	}
	if at < len(s.b) && (s.b[at] == 'e' || s.b[at] == 'E' || s.b[at] == '.') || digits == 0 || point == at-1 {
		return 0, false
	}
	v := float64(m)
	if point >= 0 {
		v /= powers[digits-whole]
	}
	if negative {
		v = -v
	}
	s.at = at
	return v, true
}

// word passes over a literal, if that comes next.
func (s *scanner) word(w string) bool {
	if s.at+len(w) > len(s.b) || string(s.b[s.at:s.at+len(w)]) != w {
		return false
	}
	s.at += len(w)
	return true
}

// maxDepth bounds how deep what is passed over may nest.
const maxDepth = 100

// skip passes over any value and gives its bytes.
func (s *scanner) skip() ([]byte, error) { return s.skipTo(maxDepth) }

func (s *scanner) skipTo(depth int) (raw []byte, err error) {
	first := s.peek()
	from := s.at
	if depth == 0 {
		return nil, s.malformed("less nesting")
	}
	switch first {
	case '{':
		err = s.each(func([]byte) error { _, err := s.skipTo(depth - 1); return err })
	case '[':
		err = s.list(func() error { _, err := s.skipTo(depth - 1); return err })
	case '"':
		_, err = s.str()
	default:
		if !s.word("null") && !s.word("true") && !s.word("false") {
			_, err = s.number()
		}
	}
	return s.b[from:s.at], err
}

// end fails when anything but space follows.
func (s *scanner) end() error {
	if s.peek() != 0 || s.at < len(s.b) {
		return s.malformed("the end")
	}
	return nil
}
