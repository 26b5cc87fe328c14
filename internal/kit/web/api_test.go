package web

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/slipway-ml/slipway"
)

// Whatever is unavailable says when to come again: operations and raw handlers
// alike, and nothing else does.
func TestRetryAfter(t *testing.T) {
	a := NewAPI("test")
	for _, code := range []slipway.Code{slipway.Unavailable, slipway.NotFound} {
		Op[None, None]{Method: "GET", Path: "/api/v1/op/" + string(code)}.Serve(a, func(context.Context, None) (None, error) {
			return None{}, slipway.Errorf(code, "no")
		})
		a.Handle("GET /raw/"+string(code), "", func(http.ResponseWriter, *http.Request) error { return slipway.Errorf(code, "no") })
	}
	for path, want := range map[string]string{"/api/v1/op/unavailable": "1", "/raw/unavailable": "1", "/api/v1/op/not_found": "", "/raw/not_found": ""} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", path, nil)
		a.Mux.ServeHTTP(w, r.WithContext(slipway.WithPrincipal(r.Context(), slipway.Principal{Name: "ada", Role: slipway.Admin})))
		if got := w.Header().Get("Retry-After"); got != want || (w.Code == http.StatusServiceUnavailable) != (want != "") {
			t.Errorf("%s: %d, Retry-After %q, want %q", path, w.Code, got, want)
		}
	}
}
