package query

import (
	"bytes"
	"strings"
)

// records walks over the lines of a CSV file in memory, as RFC 4180 has them,
// with a delimiter of any length and lines that end in LF or CRLF. Empty lines
// are no records.
type records struct {
	data   []byte
	delim  []byte
	quote  byte // 0: no quoting
	line   int  // of the record that next returned, from 1
	at     int  // line that data begins with
	fields [][]byte
	fault  string // what is wrong with line, once next has returned nil; "" at the end
	lf     int    // records so far that ended in LF
	crlf   int    // records so far that ended in CRLF
}

func newRecords(data []byte, c CSV) *records {
	out := &records{data: data, delim: []byte(c.Delimiter), at: 1, quote: '"'}
	switch {
	case c.Quote == "none":
		out.quote = 0
	case c.Quote != "":
		out.quote = c.Quote[0]
	}
	for range c.Skip {
		_, rest, found := bytes.Cut(out.data, []byte{'\n'})
		if !found {
			out.data = nil
			break
		}
		out.data = rest
		out.at++
	}
	return out
}

// next returns the fields of the next record, valid until the next call, or nil
// at the end or at a fault.
func (r *records) next() [][]byte {
	for len(r.data) > 0 && (r.data[0] == '\n' || r.data[0] == '\r' && len(r.data) > 1 && r.data[1] == '\n') {
		r.data = r.data[bytes.IndexByte(r.data, '\n')+1:]
		r.at++
	}
	if len(r.data) == 0 || r.fault != "" {
		return nil
	}
	r.line = r.at
	r.fields = r.fields[:0]
	for {
		var field []byte
		var end int
		if r.quote != 0 && r.data[0] == r.quote {
			field, end = r.quoted()
			if end < 0 {
				return nil
			}
		} else {
			field, end = r.bare()
		}
		r.fields = append(r.fields, field)
		r.data = r.data[end:]
		if bytes.HasPrefix(r.data, r.delim) {
			r.data = r.data[len(r.delim):]
			if len(r.data) == 0 {
				r.fields = append(r.fields, nil)
				return r.fields
			}
			if r.data[0] != '\n' && r.data[0] != '\r' {
				continue
			}
			r.fields = append(r.fields, nil)
		}
		r.endLine()
		return r.fields
	}
}

// endLine passes over the end of a record.
func (r *records) endLine() {
	switch {
	case bytes.HasPrefix(r.data, []byte("\r\n")):
		r.data = r.data[2:]
		r.crlf++
	case len(r.data) > 0:
		r.data = r.data[1:]
		r.lf++
	}
	r.at++
}

// bare reads a field without quotes: up to the delimiter or the line's end.
func (r *records) bare() (field []byte, end int) {
	line := bytes.IndexByte(r.data, '\n')
	if line < 0 {
		line = len(r.data)
	}
	if line > 0 && r.data[line-1] == '\r' {
		line--
	}
	if i := bytes.Index(r.data[:line], r.delim); i >= 0 {
		line = i
	}
	return r.data[:line], line
}

// quoted reads a field in quotes; end is negative when there is a fault.
func (r *records) quoted() (field []byte, end int) {
	doubled := false
	for i := 1; ; {
		n := bytes.IndexByte(r.data[i:], r.quote)
		if n < 0 {
			r.fault = "a quote is opened and never closed"
			return nil, -1
		}
		i += n + 1
		if i < len(r.data) && r.data[i] == r.quote {
			doubled = true
			i++
			continue
		}
		field = r.data[1 : i-1]
		r.at += bytes.Count(field, []byte{'\n'})
		rest := r.data[i:]
		if len(rest) > 0 && rest[0] != '\n' && rest[0] != '\r' && !bytes.HasPrefix(rest, r.delim) {
			r.fault = "a value goes on after its closing quote"
			return nil, -1
		}
		if doubled {
			q := string(r.quote)
			field = []byte(strings.ReplaceAll(string(field), q+q, q))
		}
		return field, i
	}
}

// guessDelimiter finds the character that cuts most of the first lines into the
// same number of fields, the more the better.
func guessDelimiter(head []byte, c CSV) string {
	best, bestShare, bestFields := ",", 0.0, 1
	for _, candidate := range []string{",", ";", "\t", "|"} {
		c.Delimiter = candidate
		r := newRecords(head[:min(len(head), 256<<10)], c)
		count := map[int]int{}
		total := 0
		for fields := r.next(); fields != nil && total < 500; fields = r.next() {
			count[len(fields)]++
			total++
		}
		for fields, n := range count {
			share := float64(n) / float64(total)
			if fields > 1 && (share > bestShare+1e-9 || share > bestShare-1e-9 && fields > bestFields) {
				best, bestShare, bestFields = candidate, share, fields
			}
		}
	}
	c.Delimiter = best
	if best != "\t" && spaced(head, c) {
		return best + " "
	}
	return best
}

// spaced reports whether every delimiter has a space behind it, which then
// belongs to the delimiter and not to the values.
func spaced(head []byte, c CSV) bool {
	r := newRecords(head, c)
	any := false
	for fields := r.next(); fields != nil; fields = r.next() {
		for _, f := range fields[1:] {
			if len(f) == 0 || f[0] != ' ' {
				return false
			}
			any = true
		}
	}
	return any
}
