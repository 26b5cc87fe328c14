package web

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// told answers with what it was asked, so that two servers can be compared.
func told(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if strings.HasSuffix(r.URL.Path, "/none") {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("X-Said", r.Header.Get("X-Say"))
	fmt.Fprintf(w, "%s %s %s %s %d %v %q %q", r.Method, r.URL.Path, r.URL.RawQuery, r.Host, r.ContentLength, err, r.Header.Get("Content-Type"), body)
}

func serveQuick(t *testing.T, h http.Handler) (address string, s *Server) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s = &Server{HTTP: &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}, Quick: func(path string) bool { return strings.HasPrefix(path, "/quick") }}
	over := make(chan error, 1)
	go func() { over <- s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		if err := <-over; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return l.Addr().String(), s
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

func post(path, more, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %d\r\n\r\n%s", path, more, len(body), body)
}

// TestQuickIsHTTP holds the shorter way to what net/http answers to the same
// bytes, on one connection.
func TestQuickIsHTTP(t *testing.T) {
	quickly, _ := serveQuick(t, http.HandlerFunc(told))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	usual := &http.Server{Handler: http.HandlerFunc(told)}
	go func() { _ = usual.Serve(l) }()
	t.Cleanup(func() { _ = usual.Close() })
	one := post("/quick/a?b=c", "X-Say: hello\r\n", "abc")
	for name, c := range map[string]struct {
		send    string
		replies int
	}{
		"again and again":     {one + one + one, 3},
		"other lengths":       {one + post("/quick/a?b=c", "X-Say: hello\r\n", "abcdefghijkl") + post("/quick/a?b=c", "X-Say: hello\r\n", ""), 3},
		"other heads":         {one + post("/quick/b", "Content-Type: text/csv\r\nX-Say: there\r\n", "1,2\n"), 2},
		"another path":        {one + post("/slow", "", "abc") + one, 3},
		"a reading":           {one + "GET /quick HTTP/1.1\r\nHost: localhost\r\n\r\n" + one, 3},
		"chunks":              {one + "POST /quick HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + one, 3},
		"a large body":        {post("/quick", "", strings.Repeat("x", 300_000)) + one, 2},
		"no content":          {post("/quick/none", "", "abc") + one, 2},
		"two lengths":         {one + "POST /quick HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 2},
		"a length of letters": {one + "POST /quick HTTP/1.1\r\nHost: localhost\r\nContent-Length: x3\r\n\r\nabc", 2},
		"no host":             {one + "POST /quick HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 2},
		"two hosts":           {one + "POST /quick HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 3\r\n\r\nabc", 2},
		"folded":              {one + "POST /quick HTTP/1.1\r\nHost: a\r\nX-Say: a\r\n b\r\nContent-Length: 3\r\n\r\nabc", 2},
		"HTTP/1.0":            {"POST /quick HTTP/1.0\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 1},
		"the last one":        {one + post("/quick", "Connection: close\r\n", "abc"), 2},
		"nonsense":            {one + "POST !!\r\n\r\n", 2},
		"bare line ends":      {"POST /quick HTTP/1.1\nHost: a\nContent-Length: 3\n\nabc", 1},
		"smuggled":            {one + "POST /quick HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 2},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(replies(t, l.Addr().String(), c.send, c.replies), replies(t, quickly, c.send, c.replies)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func replies(t *testing.T, address, send string, n int) (out []string) {
	conn := dial(t, address)
	go func() { // in pieces, so that a request comes in several
		for len(send) > 0 {
			n := min(len(send), 61+len(send)/5)
			if _, err := io.WriteString(conn, send[:n]); err != nil {
				return
			}
			send = send[n:]
		}
	}()
	r := bufio.NewReader(conn)
	for range n {
		resp, err := http.ReadResponse(r, &http.Request{Method: "POST"})
		if err != nil {
			return append(out, "no reply")
		}
		body, _ := io.ReadAll(resp.Body)
		out = append(out, fmt.Sprintf("%d %v %q %q %t %s", resp.StatusCode, resp.Close, resp.Header.Get("X-Said"), resp.Header.Get("Content-Type"), resp.Header.Get("Date") != "", body))
	}
	return out
}

// TestQuickSeesWhoLeaves: a handler that waits learns that its caller has gone,
// and one that does not wait costs nothing; what the caller sent meanwhile stays.
func TestQuickSeesWhoLeaves(t *testing.T) {
	began, left := make(chan bool, 1), make(chan error, 1)
	address, _ := serveQuick(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/quick/wait" {
			began <- true
			<-r.Context().Done()
			left <- context.Cause(r.Context())
			return
		}
		select {
		case <-r.Context().Done():
		case <-time.After(20 * time.Millisecond):
		}
		told(w, r)
	}))
	c := dial(t, address)
	_, _ = io.WriteString(c, post("/quick/wait", "", "abc"))
	<-began
	_ = c.Close()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the context ended with %v", err)
	}
	two := post("/quick", "", "abc")
	if got := replies(t, address, two+two, 2); len(got) != 2 || got[0] != got[1] {
		t.Errorf("two requests behind each other got %q", got)
	}
}

// TestQuickShutdown: requests under way are answered, idle connections end.
func TestQuickShutdown(t *testing.T) {
	began, end := make(chan bool), make(chan bool)
	address, s := serveQuick(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/quick/wait" {
			began <- true
			<-end
		}
		told(w, r)
	}))
	idle, busy := dial(t, address), dial(t, address)
	_, _ = io.WriteString(idle, post("/quick", "", "abc"))
	idleReader := bufio.NewReader(idle)
	resp, err := http.ReadResponse(idleReader, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_, _ = io.WriteString(busy, post("/quick/wait", "", "abc"))
	<-began
	over := make(chan error, 1)
	go func() { over <- s.Shutdown(t.Context()) }()
	if _, err := idleReader.ReadByte(); err != io.EOF {
		t.Errorf("the idle connection ended with %v", err)
	}
	close(end)
	resp, err = http.ReadResponse(bufio.NewReader(busy), nil)
	if err != nil || resp.StatusCode != 200 || !resp.Close {
		t.Errorf("the request under way got %v %v", resp, err)
	}
	if err := <-over; err != nil {
		t.Error(err)
	}
}

// TestQuickPanic: a panic ends its connection and no other.
func TestQuickPanic(t *testing.T) {
	address, _ := serveQuick(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/quick/panic" {
			panic(http.ErrAbortHandler)
		}
		told(w, r)
	}))
	if got := replies(t, address, post("/quick/panic", "", "abc"), 1); got[0] != "no reply" {
		t.Errorf("got %q", got)
	}
	if got := replies(t, address, post("/quick", "", "abc"), 1); got[0] == "no reply" {
		t.Errorf("got %q", got)
	}
}
