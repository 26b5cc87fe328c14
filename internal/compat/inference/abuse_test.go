package inference

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
)

// TestAbuse sends what no client sends. Every request is refused, and the
// server goes on answering.
func TestAbuse(t *testing.T) {
	srv, s := start(t, delay())
	c, rpc := startRPC(t, s)
	url := srv.URL + "/v2/models/delay/infer"
	good := `{"inputs":[` + row + `]}`
	for name, body := range map[string]string{
		"deep lists":         `{"inputs":[{"name":"hour","shape":[1],"datatype":"INT64","data":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}]}`,
		"deep objects":       strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000),
		"deep and unknown":   `{"inputs":[],"x":` + strings.Repeat("[", 1_000_000) + `}`,
		"many dimensions":    `{"inputs":[{"name":"hour","shape":[` + strings.TrimSuffix(strings.Repeat("1,", 100_000), ",") + `],"datatype":"INT64","data":` + strings.Repeat("[", 100_000) + `1]}]}`,
		"a shape that wraps": `{"inputs":[{"name":"hour","shape":[4294967296,4294967296],"datatype":"INT64","data":[1]}]}`,
		"overflow":           strings.Replace(good, "150.5", "1e999", 1),
		"a number of 1 MB":   strings.Replace(good, "150.5", strings.Repeat("9", 1<<20), 1),
		"half":               good[:len(good)/2],
		"no JSON":            "\x00\x01\x02",
		"a lone surrogate":   strings.Replace(good, "DL", `\ud800`, 1)[1:],
	} {
		if status, got := send(t, "POST", url, "application/json", body); status != 400 {
			t.Errorf("%s: %d %.200s", name, status, got)
		}
	}
	for name, request := range map[string]string{
		"huge headers":   "POST /v2/models/delay/infer HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 2<<20) + "\r\n\r\n",
		"a negative end": "POST /v2/models/delay/infer HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
		"two lengths":    "POST /v2/models/delay/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
		"bad chunks":     "POST /v2/models/delay/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	} {
		if got := dialogue(t, srv.Listener.Addr().String(), []byte(request)); !strings.HasPrefix(got, "HTTP/1.1 4") && got != "" {
			t.Errorf("%s: %.200s", name, got)
		}
	}
	slow, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close() // while it dawdles, others are answered
	_, _ = io.WriteString(slow, "POST /v2/models/delay/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
	if status, got := send(t, "POST", url, "application/json", good); status != 200 {
		t.Errorf("after all that: %d %s", status, got)
	}

	whole, err := proto.Marshal(rawRow())
	if err != nil {
		t.Fatal(err)
	}
	preface := []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	for name, b := range map[string][]byte{
		"no HTTP/2":        []byte("GET / HTTP/1.1\r\n\r\n"),
		"a preface alone":  preface,
		"a frame too long": append(bytes.Clone(preface), 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1),
		"noise":            append(bytes.Clone(preface), bytes.Repeat([]byte{0x5a}, 1000)...),
		"half a message":   append(bytes.Clone(preface), append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(whole))), whole[:20]...)...),
	} {
		_ = dialogue(t, rpc, b)
		if _, err := c.ModelInfer(t.Context(), rawRow()); err != nil {
			t.Errorf("after %s: %v", name, err)
		}
	}
}

// dialogue sends bytes, hangs up its side and gives what came back.
func dialogue(t *testing.T, address string, b []byte) string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = conn.Write(b)
	_ = conn.(*net.TCPConn).CloseWrite()
	got, _ := io.ReadAll(io.LimitReader(conn, 4096))
	return string(got)
}
