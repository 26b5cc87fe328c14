package inference

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/serving"
)

func TestLimiterCountsCallersApart(t *testing.T) {
	now := time.Unix(1e9, 0)
	l := NewLimiter(Limits{Rate: 2, Burst: 3})
	l.now = func() time.Time { return now }
	ask := func(name, address string) bool {
		leave, err := l.enter(slipway.Principal{Name: name}, address)
		if err != nil {
			if !errors.Is(err, serving.ErrLimit) || !slipway.IsCode(err, slipway.Unavailable) {
				t.Errorf("%v", err)
			}
			return false
		}
		leave()
		return true
	}
	for i := range 3 {
		if !ask("a", "10.0.0.1:1") {
			t.Errorf("request %d of a burst of 3 was refused", i+1)
		}
	}
	if ask("a", "10.0.0.1:9") {
		t.Error("another port made another caller")
	}
	if !ask("b", "10.0.0.1:1") || !ask("a", "10.0.0.2:1") {
		t.Error("others pay for one caller")
	}
	now = now.Add(500 * time.Millisecond)
	if !ask("a", "10.0.0.1:1") || ask("a", "10.0.0.1:1") {
		t.Error("half a second is worth one request")
	}
	now = now.Add(time.Hour)
	ask("c", "10.0.0.3:1")
	if len(l.caller) != 1 {
		t.Errorf("%d callers are remembered", len(l.caller))
	}
}

func TestLimiterBoundsConcurrency(t *testing.T) {
	l := NewLimiter(Limits{Concurrent: 3, PerCaller: 2})
	enter := func(name string) (func(), error) { return l.enter(slipway.Principal{Name: name}, "") }
	a, _ := enter("a")
	if _, err := enter("a"); err != nil {
		t.Fatal(err)
	}
	if _, err := enter("a"); err == nil {
		t.Error("a third request of one caller was let in")
	}
	if _, err := enter("b"); err != nil {
		t.Error(err)
	}
	if _, err := enter("c"); err == nil {
		t.Error("a fourth request was let in")
	}
	a()
	if _, err := enter("c"); err != nil {
		t.Error(err)
	}
}

// TestOverload answers what is too much with 429 and the time to come again,
// and goes on answering.
func TestOverload(t *testing.T) {
	srv, s := start(t, delay())
	l := NewLimiter(Limits{Rate: 0.001, Burst: 2})
	limited := Handler(s, "test", l)
	srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		limited.ServeHTTP(w, r.WithContext(slipway.WithPrincipal(r.Context(), slipway.Principal{Name: "test", Role: slipway.Writer})))
	})
	body := `{"inputs":[` + row + `]}`
	for i, path := range []string{"/v2/models/delay/infer", "/invocations"} {
		if status, got := send(t, "POST", srv.URL+path, "application/json", map[int]string{0: body, 1: `{"dataframe_records":[{"air_time":1,"carrier":"DL","hour":7,"gate":20}]}`}[i]); status != 200 {
			t.Fatalf("%d %s", status, got)
		}
	}
	resp, err := http.Post(srv.URL+"/v1/models/delay:predict", "application/json", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
	if status, got := send(t, "GET", srv.URL+"/v2/health/ready", "", ""); status != 200 {
		t.Errorf("health is counted: %d %s", status, got)
	}
	c, _ := startRPC(t, s, NewLimiter(Limits{Rate: 0.001, Burst: 1}))
	if _, err := c.ModelInfer(t.Context(), rpcRow()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ModelInfer(t.Context(), rpcRow()); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("%v", err)
	}
}
