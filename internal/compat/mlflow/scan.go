package mlflow

import (
	"strconv"
	"unicode/utf8"

	"github.com/slipway-ml/slipway/internal/core/tracking"
)

// scanner reads the JSON that clients really send for log-batch, several times
// faster than encoding/json. Whatever it does not know makes it give up, and
// then encoding/json reads the request: it never reads one differently.
type scanner struct {
	b []byte
	i int
	// last is the key before: metrics of one series mostly stand together.
	last string
}

// scanBatch reads a log-batch request. ok is false when it gives up.
func scanBatch(b []byte) (id string, out tracking.Batch, ok bool) {
	s := &scanner{b: b}
	seen := [4]bool{}
	ok = s.object(func(name []byte) bool {
		switch string(name) {
		case "run_id":
			return once(&seen[0]) && s.text(&id)
		case "metrics":
			return once(&seen[1]) && s.array(func() bool {
				var m tracking.Metric
				if !s.metric(&m) {
					return false
				}
				if out.Metrics == nil {
					out.Metrics = make([]tracking.Metric, 0, min(1000, len(b)/60+1))
				}
				out.Metrics = append(out.Metrics, m)
				return true
			})
		case "params":
			return once(&seen[2]) && s.pairs(&out.Params)
		case "tags":
			return once(&seen[3]) && s.pairs(&out.Tags)
		}
		return false
	})
	s.space()
	return id, out, ok && s.i == len(s.b)
}

// once refuses a field that comes twice.
func once(seen *bool) bool {
	was := *seen
	*seen = true
	return !was
}

func (s *scanner) metric(m *tracking.Metric) bool {
	key, value, at := false, false, false
	return s.object(func(name []byte) bool {
		switch string(name) {
		case "key":
			key = true
			return s.text(&m.Key)
		case "value":
			value = true
			return s.float(&m.Value)
		case "timestamp":
			at = true
			return s.int(&m.Time)
		case "step":
			return s.int(&m.Step)
		case "model_id":
			return s.text(&m.Model)
		case "dataset_name":
			return s.text(&m.Dataset)
		case "dataset_digest":
			return s.text(&m.Digest)
		}
		return false
	}) && key && value && at && m.Key != ""
}

func (s *scanner) pairs(out *[]tracking.Pair) bool {
	return s.array(func() bool {
		var p tracking.Pair
		if !s.object(func(name []byte) bool {
			switch string(name) {
			case "key":
				return s.text(&p.Key)
			case "value":
				return s.text(&p.Value)
			}
			return false
		}) || p.Key == "" {
			return false
		}
		*out = append(*out, p)
		return true
	})
}

func (s *scanner) space() {
	for s.i < len(s.b) && (s.b[s.i] == ' ' || s.b[s.i] == '\n' || s.b[s.i] == '\t' || s.b[s.i] == '\r') {
		s.i++
	}
}

func (s *scanner) eat(c byte) bool {
	s.space()
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

// object calls field for every name, with the scanner at its value.
func (s *scanner) object(field func(name []byte) bool) bool {
	if !s.eat('{') {
		return false
	}
	if s.eat('}') {
		return true
	}
	for {
		name, ok := s.bytes()
		if !ok || !s.eat(':') || !field(name) {
			return false
		}
		if s.eat('}') {
			return true
		}
		if !s.eat(',') {
			return false
		}
	}
}

func (s *scanner) array(item func() bool) bool {
	if !s.eat('[') {
		return false
	}
	if s.eat(']') {
		return true
	}
	for {
		if !item() {
			return false
		}
		if s.eat(']') {
			return true
		}
		if !s.eat(',') {
			return false
		}
	}
}

// bytes reads a string without escapes.
func (s *scanner) bytes() ([]byte, bool) {
	if !s.eat('"') {
		return nil, false
	}
	for start := s.i; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return s.b[start : s.i-1], true
		case c == '\\' || c < ' ':
			return nil, false
		}
	}
	return nil, false
}

func (s *scanner) text(dst *string) bool {
	b, ok := s.bytes()
	if !ok {
		return false
	}
	if string(b) != s.last {
		if !utf8.Valid(b) {
			return false
		}
		s.last = string(b)
	}
	*dst = s.last
	return true
}

// number is the text of a JSON number; what encoding/json would refuse, such as
// 01 or 1., is left to it.
func (s *scanner) number() ([]byte, bool) {
	s.space()
	start := s.i
	digits := func() int {
		from := s.i
		for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
			s.i++
		}
		return s.i - from
	}
	if s.i < len(s.b) && s.b[s.i] == '-' {
		s.i++
	}
	first := s.i
	if n := digits(); n == 0 || n > 1 && s.b[first] == '0' {
		return nil, false
	}
	if s.i < len(s.b) && s.b[s.i] == '.' {
		s.i++
		if digits() == 0 {
			return nil, false
		}
	}
	if s.i < len(s.b) && (s.b[s.i] == 'e' || s.b[s.i] == 'E') {
		s.i++
		if s.i < len(s.b) && (s.b[s.i] == '+' || s.b[s.i] == '-') {
			s.i++
		}
		if digits() == 0 {
			return nil, false
		}
	}
	return s.b[start:s.i], true
}

func (s *scanner) float(dst *tracking.Number) bool {
	text, ok := s.number()
	v, err := strconv.ParseFloat(string(text), 64) // the text stays on the stack
	*dst = tracking.Number(v)
	return ok && err == nil
}

func (s *scanner) int(dst *int64) bool {
	text, ok := s.number()
	v, err := strconv.ParseInt(string(text), 10, 64)
	*dst = v
	return ok && err == nil
}
