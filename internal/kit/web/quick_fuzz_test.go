package web

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"
)

// FuzzQuick sends any bytes behind a plain request: the shorter way must see in
// them the requests that net/http sees, in that order and no others. A request
// that was cut short may stay without the reply that net/http has for it.
func FuzzQuick(f *testing.F) {
	one := post("/quick/a?b=c", "X-Say: hello\r\n", "abc")
	for _, more := range []string{
		one, post("/quick", "Connection: close\r\n", "abc") + one, "GET /quick HTTP/1.1\r\nHost: a\r\n\r\n" + one,
		"POST /quick HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + one,
		"POST /quick HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + one,
		"POST /quick HTTP/1.1\r\nHost: a\r\nContent-Length: 03\r\n\r\nabc" + one, "POST /quick HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabc" + one,
		"POST /quick HTTP/1.1\nHost: a\nContent-Length: 3\n\nabc" + one, "POST /quick HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc" + one,
		"POST /quick/a?b=c HTTP/1.1\r\nHost: localhost\r\nX-Say: hello\r\nContent-Length: 99999999999\r\n\r\nabc", one[:40],
	} {
		f.Add([]byte(more))
	}
	start := func(serve func(net.Listener) error, end func() error) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			f.Fatal(err)
		}
		go func() { _ = serve(l) }()
		f.Cleanup(func() { _ = end() })
		return l.Addr().String()
	}
	usual := &http.Server{Handler: http.HandlerFunc(told), ReadHeaderTimeout: 5 * time.Second}
	quickly := &Server{HTTP: &http.Server{Handler: http.HandlerFunc(told), ReadHeaderTimeout: 5 * time.Second}, Quick: func(string) bool { return true }}
	plain, quick := start(usual.Serve, usual.Close), start(quickly.Serve, quickly.Close)
	f.Fuzz(func(t *testing.T, more []byte) {
		if len(more) > 4096 {
			return
		}
		send := append([]byte(one), more...)
		want, got := everyReply(t, plain, send), everyReply(t, quick, send)
		if len(got) == 0 || len(got) > len(want) || !slices.Equal(got, want[:len(got)]) {
			t.Errorf("net/http answers\n%q\nand the shorter way\n%q", want, got)
		}
	})
}

// everyReply sends bytes, ends its side, and reads replies until the other ends.
func everyReply(t *testing.T, address string, send []byte) (out []string) {
	conn := dial(t, address).(*net.TCPConn)
	defer conn.Close()
	go func() {
		_, _ = conn.Write(send)
		_ = conn.CloseWrite()
	}()
	r := bufio.NewReader(conn)
	for {
		resp, err := http.ReadResponse(r, &http.Request{Method: "POST"})
		if err != nil {
			return out
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return out
		}
		out = append(out, fmt.Sprintf("%d %s", resp.StatusCode, body))
	}
}
