package inference

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/trace"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// TestAccessLog: a line for each request, by both protocols, that says who asked
// what and what became of it.
func TestAccessLog(t *testing.T) {
	_, s := start(t, delay())
	var log bytes.Buffer
	watch := NewWatch(&log)
	h := watch.Wrap(Handler(s, "test", nil))
	for _, body := range []string{`{"inputs":[` + row + `]}`, `{"inputs":[]}`} {
		r := httptest.NewRequest("POST", "/v2/models/delay/infer", strings.NewReader(body))
		r.Header.Set("X-Request-Id", "seven")
		h.ServeHTTP(httptest.NewRecorder(), r.WithContext(slipway.WithPrincipal(r.Context(), slipway.Principal{Name: "ann", Role: slipway.Writer})))
	}
	c, _ := startWatched(t, s, nil, watch)
	if _, err := c.ModelInfer(metadata.AppendToOutgoingContext(t.Context(), "x-request-id", "eight"), rpcRow()); err != nil {
		t.Fatal(err)
	}
	var got []line
	for from := json.NewDecoder(&log); ; {
		var l line
		if err := from.Decode(&l); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		got = append(got, l)
	}
	if len(got) != 3 || got[0].Status != "200" || got[1].Status != "400" || got[2].Status != "OK" {
		t.Fatalf("%+v", got)
	}
	for i, want := range []line{{Path: "/v2/models/delay/infer", Caller: "ann", RequestID: "seven"}, {Path: "/v2/models/delay/infer", Caller: "ann", RequestID: "seven"},
		{Path: "/inference.GRPCInferenceService/ModelInfer", Protocol: "gRPC", RequestID: "eight", Caller: got[2].Caller}} {
		g := got[i]
		if g.Path != want.Path || g.Caller != want.Caller || g.RequestID != want.RequestID || g.Remote == "" || g.Time.IsZero() || i < 2 && g.Bytes == 0 {
			t.Errorf("%+v", g)
		}
	}
}

// spans is a collector that keeps what it is sent.
type spans struct {
	mu  sync.Mutex
	all []*otlp.Span
}

func (s *spans) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in collector.ExportTraceServiceRequest
	raw, err := io.ReadAll(r.Body)
	if err == nil {
		err = proto.Unmarshal(raw, &in)
	}
	if err != nil || r.URL.Path != "/v1/traces" {
		http.Error(w, fmt.Sprint(r.URL.Path, err), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, resource := range in.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			s.all = append(s.all, scope.Spans...)
		}
	}
}

// TestTraces: a caller's trace goes on through what is done for it.
func TestTraces(t *testing.T) {
	_, s := start(t, delay())
	got := &spans{}
	to := httptest.NewServer(got)
	defer to.Close()
	stop, err := trace.Start(t.Context(), to.URL, "test")
	if err != nil {
		t.Fatal(err)
	}
	const traced, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	door := &web.Door{Anyone: slipway.Principal{Name: "local", Role: slipway.Writer}}
	srv := httptest.NewServer(door.Wrap(NewWatch(nil).Wrap(Handler(s, "test", nil)), false))
	defer srv.Close()
	r, _ := http.NewRequest("POST", srv.URL+"/v2/models/delay/infer", strings.NewReader(`{"parameters":{"explain":true},"inputs":[`+row+`]}`))
	r.Header.Set("Traceparent", "00-"+traced+"-"+parent+"-01")
	resp, err := http.DefaultClient.Do(r)
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	_ = resp.Body.Close()
	c, _ := startWatched(t, s, nil, NewWatch(nil))
	if _, err := c.ModelInfer(metadata.AppendToOutgoingContext(t.Context(), "traceparent", "00-"+traced+"-"+parent+"-01"), rpcRow()); err != nil {
		t.Fatal(err)
	}
	if err := stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	name, under := map[string]string{parent: "caller"}, map[string]int{}
	for _, span := range got.all {
		name[fmt.Sprintf("%x", span.SpanId)] = span.Name
	}
	for _, span := range got.all {
		if fmt.Sprintf("%x", span.TraceId) != traced {
			t.Errorf("%s is in the trace %x", span.Name, span.TraceId)
		}
		under[name[fmt.Sprintf("%x", span.ParentSpanId)]+" > "+span.Name]++
	}
	const rest, rpc = "POST /v2/models/delay/infer", "/inference.GRPCInferenceService/ModelInfer"
	want := []string{"caller > " + rpc, "caller > " + rest, rpc + " > log", rpc + " > predict", rest + " > explain", rest + " > log", rest + " > parse", rest + " > predict"}
	slices.Sort(want)
	if have := slices.Sorted(maps.Keys(under)); !slices.Equal(have, want) {
		t.Errorf("spans %q, want %q", have, want)
	}
	if trace.On() {
		t.Error("traces are on after their end")
	}
}
