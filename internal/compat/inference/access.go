package inference

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/trace"
)

// Watch is who looks on while requests are answered. A nil Watch is nobody.
type Watch struct {
	access io.Writer
	lines  sync.Mutex
}

// NewWatch writes a line of JSON for each request to access, where it is not nil.
// Traces are package trace's, and go by themselves.
func NewWatch(access io.Writer) *Watch { return &Watch{access: access} }

// line is one request in the access log.
type line struct {
	Time      time.Time `json:"time"`
	Protocol  string    `json:"protocol"`
	Method    string    `json:"method"`
	Path      string    `json:"path"`
	Status    string    `json:"status"`
	Bytes     int       `json:"bytes,omitempty"` // of the reply
	Millis    float64   `json:"ms"`
	Caller    string    `json:"caller,omitempty"`
	Remote    string    `json:"remote"`
	RequestID string    `json:"request_id,omitempty"`
	Agent     string    `json:"user_agent,omitempty"`
}

func (w *Watch) write(l line, began time.Time) {
	l.Time, l.Millis = began.UTC(), float64(time.Since(began).Microseconds())/1e3
	raw, err := json.Marshal(l)
	if err != nil {
		return
	}
	w.lines.Lock()
	defer w.lines.Unlock()
	_, _ = w.access.Write(append(raw, '\n')) // a log that cannot be written stops no prediction
}

// Wrap has h watched.
func (w *Watch) Wrap(h http.Handler) http.Handler {
	if w == nil {
		return h
	}
	if w.access != nil {
		next := h
		h = http.HandlerFunc(func(to http.ResponseWriter, r *http.Request) {
			began, said := time.Now(), &counted{ResponseWriter: to, status: http.StatusOK}
			defer func() {
				w.write(line{Protocol: r.Proto, Method: r.Method, Path: r.URL.Path, Status: strconv.Itoa(said.status), Bytes: said.bytes, Caller: slipway.PrincipalOf(r.Context()).Name,
					Remote: r.RemoteAddr, RequestID: r.Header.Get("X-Request-Id"), Agent: r.Header.Get("User-Agent")}, began)
			}()
			next.ServeHTTP(said, r)
		})
	}
	return trace.Handler(h)
}

// call has a gRPC call watched until end.
func (w *Watch) call(ctx context.Context, method string) (_ context.Context, end func(caller string, err error)) {
	header := func(name string) string {
		if v := metadata.ValueFromIncomingContext(ctx, name); len(v) > 0 {
			return v[0]
		}
		return ""
	}
	began := time.Now()
	traced, done := trace.Call(ctx, method, header)
	return traced, func(caller string, err error) {
		done(err)
		if w.access == nil {
			return
		}
		l := line{Protocol: "gRPC", Method: "POST", Path: method, Status: status.Code(err).String(), Caller: caller, RequestID: header("x-request-id"), Agent: header("user-agent")}
		if from, ok := peer.FromContext(ctx); ok {
			l.Remote = from.Addr.String()
		}
		w.write(l, began)
	}
}

// counted remembers what was answered.
type counted struct {
	http.ResponseWriter
	status, bytes int
}

func (c *counted) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.bytes += n
	return n, err
}

func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }
