package web

import (
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"

	"github.com/slipway-ml/slipway"
)

// handlerTransport answers requests by calling a handler. The reply streams
// through a pipe, so that events and large bodies flow as over a socket.
type handlerTransport struct {
	handler   http.Handler
	principal slipway.Principal
}

// RoundTrip implements http.RoundTripper.
func (t handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	pr, pw := io.Pipe()
	w := &pipeWriter{header: http.Header{}, body: pw, ready: make(chan struct{})}
	req := r.Clone(slipway.WithPrincipal(r.Context(), t.principal))
	req.RequestURI, req.RemoteAddr = r.URL.RequestURI(), inProcess
	if req.Body == nil {
		req.Body = http.NoBody
	}
	if req.Host == "" {
		req.Host = r.URL.Host
	}
	go func() {
		defer func() {
			if v := recover(); v != nil {
				slog.Error("request panicked", "path", req.URL.Path, "error", v, "stack", string(debug.Stack()))
				w.WriteHeader(http.StatusInternalServerError)
				_ = pw.CloseWithError(slipway.Errorf(slipway.Internal, "internal error"))
				return
			}
			w.WriteHeader(http.StatusOK)
			_ = pw.Close()
		}()
		t.handler.ServeHTTP(w, req)
	}()
	select {
	case <-w.ready:
	case <-r.Context().Done():
		_ = pr.CloseWithError(r.Context().Err())
		return nil, r.Context().Err()
	}
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: pr, ContentLength: -1, Request: r,
	}, nil
}

// inProcess is the remote address of a request that crossed no socket.
const inProcess = "in-process"

// pipeWriter is an http.ResponseWriter whose reader is in the same process.
type pipeWriter struct {
	header http.Header
	body   *io.PipeWriter
	once   sync.Once
	ready  chan struct{}
	status int
}

func (w *pipeWriter) Header() http.Header { return w.header }

func (w *pipeWriter) WriteHeader(status int) {
	w.once.Do(func() {
		w.status = status
		close(w.ready)
	})
}

func (w *pipeWriter) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

// Flush implements http.Flusher; a pipe holds nothing back.
func (w *pipeWriter) Flush() { w.WriteHeader(http.StatusOK) }
