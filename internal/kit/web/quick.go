package web

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Server is a http.Server with a shorter way for small requests that repeat on
// a connection. Package net/http parses every head anew and keeps a goroutine
// beside each handler that waits for the caller to leave; for a prediction of a
// few microseconds both cost more than the prediction. The shorter way compares
// a head with the one before, reads and writes by one call of the system each,
// and watches for the caller only where a handler waits. A connection whose
// request is not plain goes to net/http, and stays there.
type Server struct {
	HTTP *http.Server
	// Quick reports whether requests to a path may go the shorter way: their
	// handlers neither flush, hijack, nor send trailers. nil is none.
	Quick func(path string) bool

	mu      sync.Mutex
	open    map[*quick]bool
	closing atomic.Bool
	done    sync.WaitGroup
	date    atomic.Pointer[dated]
}

// Serve answers on l until Shutdown, and then fails with http.ErrServerClosed.
func (s *Server) Serve(l net.Listener) error {
	h := &handover{Listener: l, next: make(chan accepted), ended: make(chan struct{})}
	go h.accept(s)
	return s.HTTP.Serve(h)
}

// Shutdown takes no further requests and waits for those under way, no longer
// than ctx.
func (s *Server) Shutdown(ctx context.Context) error {
	s.closing.Store(true)
	s.each(func(q *quick) {
		if !q.busy.Load() {
			_ = q.conn.SetReadDeadline(past)
		}
	})
	err := s.HTTP.Shutdown(ctx)
	gone := make(chan struct{})
	go func() { s.done.Wait(); close(gone) }()
	select {
	case <-gone:
		return err
	case <-ctx.Done():
		s.each(func(q *quick) { _ = q.conn.Close() })
		return errors.Join(err, ctx.Err())
	}
}

// Close cuts all connections off.
func (s *Server) Close() error {
	s.closing.Store(true)
	err := s.HTTP.Close()
	s.each(func(q *quick) { _ = q.conn.Close() })
	return err
}

func (s *Server) each(do func(*quick)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for q := range s.open {
		do(q)
	}
}

// past is a deadline that wakes whoever reads.
var past = time.Unix(1, 0)

// handover is the listener that net/http accepts from: connections that the
// shorter way gave up.
type handover struct {
	net.Listener
	next  chan accepted
	ended chan struct{}
	once  sync.Once
}

type accepted struct {
	conn net.Conn
	err  error
}

func (h *handover) accept(s *Server) {
	for {
		c, err := h.Listener.Accept()
		if err == nil {
			s.begin(c, h)
			continue
		}
		select { // net/http decides whether to try again, and when
		case h.next <- accepted{err: err}:
		case <-h.ended:
			return
		}
	}
}

func (h *handover) Accept() (net.Conn, error) {
	select {
	case a := <-h.next:
		return a.conn, a.err
	case <-h.ended:
		return nil, net.ErrClosed
	}
}

func (h *handover) Close() error {
	h.once.Do(func() { close(h.ended) })
	return h.Listener.Close()
}

// give hands a connection to net/http with what was read of it.
func (h *handover) give(c net.Conn, read []byte) {
	_ = c.SetReadDeadline(time.Time{})
	select {
	case h.next <- accepted{conn: &begun{Conn: c, read: read}}:
	case <-h.ended:
		_ = c.Close()
	}
}

// begun is a connection of which some bytes were read.
type begun struct {
	net.Conn
	read []byte
}

func (b *begun) Read(p []byte) (int, error) {
	if len(b.read) == 0 {
		return b.Conn.Read(p)
	}
	n := copy(p, b.read)
	if b.read = b.read[n:]; len(b.read) == 0 {
		b.read = nil
	}
	return n, nil
}

// begin serves a connection in a goroutine of its own.
func (s *Server) begin(c net.Conn, h *handover) {
	q := &quick{s: s, conn: c, buf: make([]byte, 4096)}
	s.mu.Lock()
	if s.open == nil {
		s.open = map[*quick]bool{}
	}
	s.open[q] = true
	s.done.Add(1)
	s.mu.Unlock()
	go func() {
		handed := false
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler {
				slog.Error("a request panicked", "remote", c.RemoteAddr().String(), "panic", p, "stack", string(debug.Stack()))
			}
			s.mu.Lock()
			delete(s.open, q)
			s.mu.Unlock()
			s.done.Done()
			if handed {
				h.give(c, q.buf[:q.end])
			} else {
				_ = c.Close()
			}
		}()
		handed = q.run()
	}()
}

// dated is the Date header of one second.
type dated struct {
	second int64
	text   string
}

func (s *Server) now(t time.Time) string {
	d := s.date.Load()
	if d == nil || d.second != t.Unix() {
		d = &dated{t.Unix(), t.UTC().Format(http.TimeFormat)}
		s.date.Store(d)
	}
	return d.text
}
