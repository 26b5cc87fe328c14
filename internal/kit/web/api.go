package web

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/slipway-ml/slipway"
)

// API collects operations and raw handlers onto one mux.
type API struct {
	Mux  *http.ServeMux
	huma huma.API
}

// NewAPI makes an empty API. Its OpenAPI document is served at
// /api/v1/openapi.json.
func NewAPI(version string) *API {
	mux := http.NewServeMux()
	cfg := huma.DefaultConfig("Slipway", version)
	cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath = "/api/v1/openapi", "", ""
	cfg.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	cfg.CreateHooks = nil // no "$schema" in replies: they hold what the operation says and nothing else
	return &API{Mux: mux, huma: humago.New(mux, cfg)}
}

// OpenAPI is the document that describes every operation.
func (a *API) OpenAPI() ([]byte, error) { return json.Marshal(a.huma.OpenAPI()) }

// Handle binds a raw handler: a foreign wire format, an upload, a stream.
// Errors that fn returns are written as JSON, like an operation's.
func (a *API) Handle(pattern string, needs slipway.Role, fn func(http.ResponseWriter, *http.Request) error) {
	a.Mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		err := slipway.Allow(r.Context(), needs, r.PathValue("project"))
		if err == nil {
			err = fn(w, r)
		}
		if err != nil {
			WriteError(w, r, err)
		}
	})
}

// retryAfter is how many seconds a caller waits when something is unavailable.
const retryAfter = "1"

// WriteError answers with the status of err's code and err as JSON. An
// unexpected error goes to the log and reads "internal error".
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	e := slipway.AsError(err)
	if e.Code == slipway.Internal {
		slog.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	w.Header().Set("Content-Type", "application/json")
	if e.Code == slipway.Unavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	w.WriteHeader(e.Code.HTTPStatus())
	_ = json.NewEncoder(w).Encode(e)
}

// WriteJSON answers with v.
func WriteJSON(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(v)
}

// statusError is how an Error travels through huma.
type statusError struct{ cause *slipway.Error }

func (e statusError) Error() string  { return e.cause.Message }
func (e statusError) Unwrap() error  { return e.cause }
func (e statusError) GetStatus() int { return e.cause.Code.HTTPStatus() }

// GetHeaders implements huma.HeadersError.
func (e statusError) GetHeaders() http.Header {
	if e.cause.Code != slipway.Unavailable {
		return nil
	}
	return http.Header{"Retry-After": {retryAfter}}
}

func (e statusError) MarshalJSON() ([]byte, error) { return json.Marshal(e.cause) }

func failure(ctx context.Context, err error) error {
	e := slipway.AsError(err)
	if e.Code == slipway.Internal {
		slog.ErrorContext(ctx, "operation failed", "error", err)
	}
	return statusError{e}
}

// huma's own validation errors become ours: one shape, code invalid, status
// 400, every problem named with its place.
func init() {
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		parts := make([]string, 0, len(errs))
		for _, err := range errs {
			if e := (&slipway.Error{}); errors.As(err, &e) {
				return statusError{e}
			}
			if d := (&huma.ErrorDetail{}); errors.As(err, &d) {
				parts = append(parts, strings.TrimPrefix(d.Location, "body.")+": "+d.Message)
				continue
			}
			parts = append(parts, err.Error())
		}
		code := slipway.CodeOfStatus(status)
		if status == http.StatusUnprocessableEntity {
			code = slipway.Invalid
		}
		if len(parts) > 0 {
			msg = strings.Join(parts, "; ")
		}
		return statusError{slipway.Errorf(code, "%s", msg)}
	}
}

// guard refuses a caller without the role, before the body is read.
func guard(api huma.API, needs slipway.Role) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		if err := slipway.Allow(ctx.Context(), needs, ctx.Param("project")); err != nil {
			e := slipway.AsError(err)
			_ = huma.WriteErr(api, ctx, e.Code.HTTPStatus(), e.Message, e)
			return
		}
		next(ctx)
	}
}
