package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// call is one request: its context, its body and its reply.
type call struct {
	q      *quick
	left   []byte // of the body
	header http.Header
	status int
	body   []byte // of the reply, after room for its head

	mu      sync.Mutex
	done    chan struct{}
	err     error
	watched chan struct{} // closed when nobody reads the connection any more
	extra   [1]byte
	read    int
}

func (c *call) Read(p []byte) (int, error) {
	if len(c.left) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.left)
	c.left = c.left[n:]
	return n, nil
}

func (c *call) Close() error { c.left = nil; return nil }

func (c *call) Deadline() (time.Time, bool) { return time.Time{}, false }

func (c *call) Value(key any) any {
	switch key {
	case http.ServerContextKey:
		return c.q.s.HTTP
	case http.LocalAddrContextKey:
		return c.q.conn.LocalAddr()
	}
	return nil
}

func (c *call) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Done begins to watch the connection: whoever asks for it means to wait.
func (c *call) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.err != nil {
			close(c.done)
		} else {
			_ = c.q.conn.SetReadDeadline(time.Time{})
			c.watched = make(chan struct{})
			go c.watch()
		}
	}
	return c.done
}

func (c *call) watch() {
	defer close(c.watched)
	n, err := c.q.conn.Read(c.extra[:])
	c.read = n
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.cancel()
	}
}

func (c *call) cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = context.Canceled
	if c.done != nil {
		close(c.done)
	}
}

// end ends the context, and takes what was read of the request after this one.
func (c *call) end() {
	c.cancel()
	if c.watched == nil {
		return
	}
	_ = c.q.conn.SetReadDeadline(past)
	<-c.watched
	c.q.deadline(time.Now(), c.q.idle())
	if c.read > 0 {
		q := c.q
		q.buf = append(q.buf[:q.end], c.extra[0])
		q.end++
		q.buf = q.buf[:cap(q.buf)]
	}
}

// quickReply is a call as its handler writes to it.
type quickReply call

func (w *quickReply) Header() http.Header { return w.header }

func (w *quickReply) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
}

func (w *quickReply) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	w.body = append(w.body, p...)
	return len(p), nil
}

func (w *quickReply) WriteString(p string) (int, error) {
	w.WriteHeader(http.StatusOK)
	w.body = append(w.body, p...)
	return len(p), nil
}

var heads = sync.Pool{New: func() any { b := make([]byte, 0, 2048); return &b }}

// oneLine keeps a value from beginning a header of its own.
var oneLine = strings.NewReplacer("\r", " ", "\n", " ")

// send writes the reply.
func (q *quick) send(c *call) (more bool) {
	more = !q.s.closing.Load() && c.header.Get("Connection") != "close"
	if c.status == 0 {
		c.status = http.StatusOK
	}
	if c.header["Content-Type"] == nil && len(c.body) > 0 {
		c.header.Set("Content-Type", http.DetectContentType(c.body))
	}
	out := heads.Get().(*[]byte)
	defer heads.Put(out)
	b := append((*out)[:0], "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(c.status), 10)
	b = append(append(append(b, ' '), http.StatusText(c.status)...), "\r\nDate: "...)
	b = append(append(b, q.s.now(time.Now())...), "\r\n"...)
	for name, values := range c.header {
		if name == "Content-Length" || name == "Connection" || name == "Date" {
			continue
		}
		for _, v := range values {
			if strings.ContainsAny(v, "\r\n") {
				v = oneLine.Replace(v)
			}
			b = append(append(append(append(b, name...), ": "...), v...), "\r\n"...)
		}
	}
	if !more {
		b = append(b, "Connection: close\r\n"...)
	}
	if c.status != http.StatusNoContent && c.status != http.StatusNotModified {
		b = append(b, "Content-Length: "...)
		b = append(strconv.AppendInt(b, int64(len(c.body)), 10), "\r\n"...)
	} else {
		c.body = nil
	}
	b = append(b, "\r\n"...)
	if len(c.body) <= 16<<10 {
		b = append(b, c.body...)
		c.body = nil
	}
	if d := q.s.HTTP.WriteTimeout; d > 0 {
		_ = q.conn.SetWriteDeadline(time.Now().Add(d))
	}
	_, err := q.conn.Write(b)
	if err == nil && len(c.body) > 0 {
		_, err = q.conn.Write(c.body)
	}
	if cap(b) <= 64<<10 {
		*out = b[:0]
	}
	return more && err == nil
}
