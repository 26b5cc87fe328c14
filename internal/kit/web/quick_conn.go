package web

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// Bounds of what goes the shorter way.
const (
	quickHead = 8 << 10
	quickBody = 64 << 10
)

// quick is one connection on the shorter way.
type quick struct {
	s     *Server
	conn  net.Conn
	buf   []byte // what was read and not answered is buf[:end]
	end   int
	busy  atomic.Bool // a request is under way
	after bool        // a request was answered, and none has begun since
	last  *head
	out   []byte
	until time.Time // the deadline for reading that is set
}

// head is a parsed head, but for its Content-Length.
type head struct {
	before, after []byte // of the digits
	request       *http.Request
}

// run answers requests until the connection ends, false, or has to be handed to
// net/http, true.
func (q *quick) run() (handed bool) {
	q.deadline(time.Now(), q.s.HTTP.ReadHeaderTimeout)
	for {
		if q.s.closing.Load() {
			return false
		}
		length, size, ok := q.next()
		if !ok {
			return false
		}
		if size < 0 {
			return true
		}
		if !q.answer(length, size) {
			return false
		}
		q.end = copy(q.buf, q.buf[length+size:q.end])
		q.after = true
		if idle := q.idle(); idle > 0 {
			if now := time.Now(); q.until.Sub(now) < idle-idle/8 { // setting one for every request would cost a timer each
				q.deadline(now, idle)
			}
		}
		q.busy.Store(false)
	}
}

func (q *quick) idle() time.Duration {
	if d := q.s.HTTP.IdleTimeout; d > 0 {
		return d
	}
	return q.s.HTTP.ReadTimeout
}

func (q *quick) deadline(now time.Time, after time.Duration) {
	q.until = time.Time{}
	if after > 0 {
		q.until = now.Add(after)
	}
	_ = q.conn.SetReadDeadline(q.until)
}

// next reads a whole request: a head of length bytes and a body of size. size is
// -1 for one that net/http must read. ok is false when the connection ended.
func (q *quick) next() (length, size int, ok bool) {
	hurried := false
	for {
		if q.after && q.skipLineEnds() {
			q.after = false
		}
		if at := bytes.Index(q.buf[:q.end], []byte("\r\n\r\n")); at >= 0 {
			length = at + 4
			if size = q.parse(q.buf[:length]); size < 0 || length+size <= q.end {
				break
			}
		} else if !q.after && (q.end >= quickHead || q.end >= 5 && string(q.buf[:5]) != "POST " || bareLine(q.buf[:q.end])) {
			return 0, -1, true
		}
		if q.end > 0 {
			q.busy.Store(true)
			if !hurried { // a request that has begun must come soon
				hurried = true
				q.deadline(time.Now(), q.s.HTTP.ReadHeaderTimeout)
			}
		}
		if need := max(q.end+512, length+size); need > len(q.buf) {
			q.buf = append(q.buf, make([]byte, need-len(q.buf))...)
		}
		n, err := q.conn.Read(q.buf[q.end:])
		q.end += n
		if n == 0 && err != nil {
			return 0, 0, false
		}
	}
	q.busy.Store(true)
	if hurried {
		q.deadline(time.Now(), q.idle())
	}
	return length, size, true
}

// skipLineEnds drops the line ends that old callers send behind a body, of the
// first four bytes that come, as net/http does. It is false until those are there.
func (q *quick) skipLineEnds() (done bool) {
	if q.end < 4 {
		return false
	}
	n := 0
	for n < 4 && (q.buf[n] == '\r' || q.buf[n] == '\n') {
		n++
	}
	q.end = copy(q.buf, q.buf[n:q.end])
	return true
}

// bareLine reports whether a line ends without its carriage return, which
// net/http puts up with.
func bareLine(b []byte) bool {
	for at := 0; ; at++ {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			return false
		}
		if at += i; at == 0 || b[at-1] != '\r' {
			return true
		}
	}
}

// parse reads a head and gives the size of the body, -1 where the request is not
// a plain one. The head before is compared first: most callers repeat it.
func (q *quick) parse(b []byte) int {
	if h := q.last; h != nil && bytes.HasPrefix(b, h.before) {
		size, digits := number(b[len(h.before):])
		if digits > 0 && bytes.Equal(b[len(h.before)+digits:], h.after) && size <= quickBody {
			return size
		}
	}
	before, digits, ok := plainHead(b)
	if !ok {
		return -1
	}
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
	if err != nil || r.Method != http.MethodPost || r.ProtoMajor != 1 || r.ProtoMinor != 1 || r.Host == "" || !strings.HasPrefix(r.RequestURI, "/") ||
		r.ContentLength < 0 || r.ContentLength > quickBody || q.s.Quick == nil || !q.s.Quick(r.URL.Path) {
		return -1
	}
	size := int(r.ContentLength)
	r.Header.Del("Content-Length") // ContentLength has it
	r.RemoteAddr, r.Body = q.conn.RemoteAddr().String(), nil
	at := bytes.Clone(b)
	q.last = &head{before: at[:before], after: at[before+digits:], request: r}
	return size
}

func number(b []byte) (n, digits int) {
	for digits < len(b) && digits < 7 && b[digits] >= '0' && b[digits] <= '9' {
		n = 10*n + int(b[digits]-'0')
		digits++
	}
	return n, digits
}

// plainHead finds the digits of the one Content-Length. ok is false for a head
// in which anything is out of the ordinary.
func plainHead(b []byte) (at, digits int, ok bool) {
	lengths, hosts := 0, 0
	for from := 0; from < len(b)-2; {
		end := bytes.IndexByte(b[from:], '\n') + from
		if end <= from || b[end-1] != '\r' {
			return 0, 0, false
		}
		line := b[from : end-1]
		for _, c := range line {
			if c < ' ' || c >= 0x7f {
				return 0, 0, false
			}
		}
		name, value, _ := bytes.Cut(line, []byte{':'})
		switch strings.ToLower(string(name)) {
		case "transfer-encoding", "expect", "upgrade", "trailer", "te":
			return 0, 0, false
		case "connection":
			if !strings.EqualFold(string(bytes.TrimSpace(value)), "keep-alive") {
				return 0, 0, false
			}
		case "host":
			hosts++
		case "content-length":
			lengths++
			digit := bytes.IndexAny(value, "0123456789")
			if digit < 0 {
				return 0, 0, false
			}
			at = from + len(name) + 1 + digit
			if _, digits = number(b[at:]); at+digits != end-1 {
				return 0, 0, false
			}
		}
		from = end + 1
	}
	return at, digits, lengths == 1 && hosts == 1
}

// answer has the handler answer the request at the front of the buffer, and
// reports whether another one may follow.
func (q *quick) answer(length, size int) (more bool) {
	c := &call{q: q, left: q.buf[length : length+size], header: make(http.Header, 6), body: q.out[:0]}
	r := q.last.request.WithContext(c)
	r.Body, r.ContentLength = c, int64(size)
	if size == 0 {
		r.Body = http.NoBody
	}
	q.s.HTTP.Handler.ServeHTTP((*quickReply)(c), r)
	c.end()
	q.out = c.body[:0]
	if cap(q.out) > 1<<20 {
		q.out = nil
	}
	return q.send(c)
}
