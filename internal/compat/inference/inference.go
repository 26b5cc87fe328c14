// Package inference speaks the protocols that callers of models already know
// and hands their rows to package serving: the Open Inference Protocol v2 over
// REST (kserve/open-inference-protocol, inference_rest.md), and the /invocations
// of MLflow and SageMaker.
package inference

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/serving"
	"github.com/slipway-ml/slipway/internal/kit/trace"
)

// MaxBody is the largest request body, in bytes; a longer one is refused with
// status 413.
const MaxBody = 64 << 20

// Handler answers on an address of its own. Reading needs the role reader,
// predicting the role writer, in the endpoint's project. version is Slipway's.
// l bounds predictions; nil bounds nothing.
func Handler(s *serving.Service, version string, l *Limiter) http.Handler {
	return &handler{s: s, version: version, metrics: s.Metrics(), limit: l}
}

// Quick tells web.Server which paths are predictions: many small requests of one
// caller, answered in one piece.
func Quick(path string) bool {
	return strings.HasPrefix(path, "/v2/models/") || strings.HasPrefix(path, "/v1/models/") || path == "/invocations"
}

type handler struct {
	s       *serving.Service
	version string
	metrics http.Handler
	limit   *Limiter
}

// tooLarge is the one failure whose status the table of codes does not have.
var tooLarge = slipway.Errorf(slipway.Invalid, "the body is larger than %d MB", MaxBody>>20).WithHint("send the rows in several requests, or use `slipway predict --data`")

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if id := r.Header.Get("X-Request-Id"); id != "" {
		w.Header().Set("X-Request-Id", id)
	}
	if err := h.route(w, r); err != nil {
		fail(w, r, err)
	}
}

// fail writes an error as the protocol has it: one text.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	e := slipway.AsError(err)
	status := e.Code.HTTPStatus()
	var own *slipway.Error
	var passing *busyError
	switch {
	case errors.As(err, &passing):
		status = http.StatusTooManyRequests
		w.Header().Set("Retry-After", strconv.Itoa(int(passing.after/time.Second)))
	case err == tooLarge:
		status = http.StatusRequestEntityTooLarge
		w.Header().Set("Connection", "close")
	case errors.Is(err, errMethod):
		status = http.StatusMethodNotAllowed
	case errors.Is(err, errMedia):
		status = http.StatusUnsupportedMediaType
	case e.Code == slipway.Internal && !errors.As(err, &own):
		slog.ErrorContext(r.Context(), "request failed", "path", r.URL.Path, "error", err)
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	text := e.Message
	if e.Hint != "" {
		text += ": " + e.Hint
	}
	writeJSON(w, status, map[string]string{"error": text})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller may be gone
}

var (
	errMethod = slipway.Errorf(slipway.Invalid, "this address takes another method")
	errMedia  = slipway.Errorf(slipway.Invalid, "the content type is not understood").WithHint("send application/json or text/csv, in UTF-8")
)

// route finds the operation of a path. It is written out, since it stands
// before every prediction.
func (h *handler) route(w http.ResponseWriter, r *http.Request) error {
	path := r.URL.Path
	rest, isModel := strings.CutPrefix(path, "/v2/models/")
	if isModel {
		return h.model(w, r, rest)
	}
	if rest, ok := strings.CutPrefix(path, "/v1/models/"); ok {
		return h.v1(w, r, rest)
	}
	if rest, ok := strings.CutPrefix(path, "/v2/repository/models/"); ok {
		if strings.Contains(r.URL.RawPath, "%") {
			rest = strings.TrimPrefix(r.URL.EscapedPath(), "/v2/repository/models/")
		}
		return h.repositoryModel(w, r, rest)
	}
	switch path {
	case "/invocations":
		if r.Method != http.MethodPost {
			return errMethod
		}
		return h.invocations(w, r)
	case "/v2/repository/index":
		if r.Method != http.MethodPost {
			return errMethod
		}
	default:
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			return errMethod
		}
	}
	switch path {
	case "/v2", "/v2/", "/":
		writeJSON(w, http.StatusOK, map[string]any{"name": "slipway", "version": h.version, "extensions": extensions})
	case "/v2/health/live", "/health", "/ping":
		if path == "/ping" && h.s.Ready() != nil {
			return h.s.Ready()
		}
		writeJSON(w, http.StatusOK, map[string]bool{"live": true})
	case "/v2/health/ready":
		if err := h.s.Ready(); err != nil {
			return err
		}
		writeJSON(w, http.StatusOK, map[string]bool{"ready": true})
	case "/v1/models":
		h.v1List(w, r)
	case "/version":
		_, err := io.WriteString(w, h.version)
		return err
	case "/v2/repository/index":
		return h.index(w, r)
	case "/metrics":
		if err := slipway.Allow(r.Context(), slipway.Reader, ""); err != nil {
			return err
		}
		h.metrics.ServeHTTP(w, r)
	default:
		return slipway.Errorf(slipway.NotFound, "there is nothing at %s", path).WithHint("predictions are at POST /v2/models/NAME/infer")
	}
	return nil
}

// extensions are what the server knows beyond the protocol.
var extensions = []string{"binary_tensor_data", "model_repository", "explain"}

// model answers below /v2/models/.
func (h *handler) model(w http.ResponseWriter, r *http.Request, rest string) error {
	if strings.Contains(r.URL.RawPath, "%2F") || strings.Contains(r.URL.RawPath, "%2f") {
		rest = strings.TrimPrefix(r.URL.EscapedPath(), "/v2/models/") // project%2Fname
	}
	name, rest, _ := strings.Cut(rest, "/")
	if unescaped, err := url.PathUnescape(name); err == nil {
		name = unescaped
	}
	version := ""
	if after, ok := strings.CutPrefix(rest, "versions/"); ok {
		version, rest, _ = strings.Cut(after, "/")
	}
	e, err := h.s.Find(name, version)
	if err != nil {
		return err
	}
	defer e.Close()
	need := slipway.Reader
	if rest == "infer" || rest == "explain" {
		need = slipway.Writer
	}
	if err := slipway.Allow(r.Context(), need, e.Project()); err != nil {
		return err
	}
	if (need == slipway.Writer) != (r.Method == http.MethodPost) {
		return errMethod
	}
	switch rest {
	case "infer":
		return h.infer(w, r, e, name)
	case "explain":
		return h.explain(w, r, e, name)
	case "ready":
		writeJSON(w, http.StatusOK, map[string]any{"name": name, "ready": true})
	case "":
		writeJSON(w, http.StatusOK, metadataOf(e, name))
	default:
		return slipway.Errorf(slipway.NotFound, "there is nothing at %s", r.URL.Path).WithHint("predictions are at POST /v2/models/%s/infer", name)
	}
	return nil
}

func (h *handler) infer(w http.ResponseWriter, r *http.Request, e serving.Handle, name string) error {
	return h.answer(w, r, e, name, e.Answer)
}

func (h *handler) explain(w http.ResponseWriter, r *http.Request, e serving.Handle, name string) error {
	return h.answer(w, r, e, name, e.Explain)
}

func (h *handler) answer(w http.ResponseWriter, r *http.Request, e serving.Handle, name string,
	call func(context.Context, *serving.Request) (serving.Answer, error)) error {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	defer freeBody(body)
	// Counted from here: a client that sends slowly takes nobody's place.
	leave, err := h.limit.enter(slipway.PrincipalOf(r.Context()), r.RemoteAddr)
	if err != nil {
		return err
	}
	defer leave()
	start := time.Now()
	p := newParser(*body, e.Layout())
	defer p.free()
	req, err := p.read(r)
	if err != nil {
		return err
	}
	req.Header = r.Header.Get
	req.Parse = time.Since(start)
	trace.Record(r.Context(), "parse", start, start.Add(req.Parse))
	a, err := call(r.Context(), req)
	if err != nil {
		return err
	}
	start = time.Now()
	out := bodies.Get().(*[]byte)
	defer freeBody(out)
	var tail []byte
	if *out, tail, err = appendReply((*out)[:0], name, p, &a); err != nil {
		return err
	}
	w.Header()["Content-Type"] = jsonType
	if tail != nil {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set(headerLength, strconv.Itoa(len(*out)))
		*out = append(*out, tail...)
	}
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(*out))}
	_, _ = w.Write(*out) // the caller may be gone; the prediction is logged
	a.Wrote(time.Since(start))
	return nil
}

// read reads an infer request of one of its forms.
func (p *parser) read(r *http.Request) (*serving.Request, error) {
	if n := r.Header.Get(headerLength); n != "" {
		if err := p.split(n); err != nil {
			return nil, err
		}
		if len(p.b) == 0 {
			return p.alone()
		}
	}
	return p.infer()
}

var jsonType = []string{"application/json"}
