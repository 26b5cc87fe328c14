package web

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway"
)

// A caller that sends much more than anybody wants reads why, and is not cut
// off in the middle, whether the handler never looked at the body, gave it up
// after a while, or closed it.
func TestRefusedBodyIsReadAway(t *testing.T) {
	const size = 40 << 20
	refuse := func(read func(w http.ResponseWriter, r *http.Request)) http.Handler {
		door := &Door{Anyone: slipway.Principal{Name: "test", Role: slipway.Writer}}
		return door.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			read(w, r)
			WriteError(w, r, slipway.Errorf(slipway.Invalid, "too large"))
		}), false)
	}
	for name, h := range map[string]http.Handler{
		"not read": refuse(func(http.ResponseWriter, *http.Request) {}),
		"limited": refuse(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 1<<20))
		}),
		"closed": refuse(func(_ http.ResponseWriter, r *http.Request) { _ = r.Body.Close() }),
	} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", chunked ", chunked), func(t *testing.T) {
				srv := httptest.NewServer(h)
				defer srv.Close()
				status, err := sendAll(srv.Listener.Addr().String(), size, chunked)
				if err != nil || !strings.Contains(status, "400") {
					t.Errorf("%q, %v", status, err)
				}
			})
		}
	}
}

// sendAll is a client that writes its whole request before it reads, as most
// do.
func sendAll(address string, size int, chunked bool) (status string, err error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	piece := strings.Repeat(" ", 1<<20)
	head := fmt.Sprintf("Content-Length: %d\r\n\r\n", size)
	before, after, end := "", "", ""
	if chunked {
		head, before, after, end = "Transfer-Encoding: chunked\r\n\r\n", fmt.Sprintf("%x\r\n", len(piece)), "\r\n", "0\r\n\r\n"
	}
	if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"+head); err != nil {
		return "", err
	}
	for range size / len(piece) {
		if _, err := io.WriteString(c, before+piece+after); err != nil {
			return "", err
		}
	}
	if _, err := io.WriteString(c, end); err != nil {
		return "", err
	}
	b, err := io.ReadAll(c)
	return string(b[:min(len(b), 30)]), err
}
