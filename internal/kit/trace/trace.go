// Package trace tells an OpenTelemetry collector where the time of a request
// went. Nothing is recorded, and almost nothing costs, until Start names a
// collector; a caller's traceparent (W3C Trace Context) is continued.
package trace

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"

	"github.com/slipway-ml/slipway"
)

// tracer is nil while nobody wants traces.
var tracer atomic.Pointer[api.Tracer]

// On reports whether traces are recorded.
func On() bool { return tracer.Load() != nil }

// Start sends traces by OTLP over HTTP to a collector, such as
// http://127.0.0.1:4318, until stop, which sends what is left. What address does
// not say comes from the OTEL_EXPORTER_OTLP_… and OTEL_TRACES_SAMPLER variables
// of the environment. It fails with Invalid.
func Start(ctx context.Context, address, version string) (stop func(context.Context) error, err error) {
	var options []otlptracehttp.Option
	if address != "" {
		options = append(options, otlptracehttp.WithEndpointURL(address+"/v1/traces"))
	}
	exporter, err := otlptracehttp.New(ctx, options...)
	if err != nil {
		return nil, slipway.Errorf(slipway.Invalid, "traces cannot be sent: %v", err)
	}
	about, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "slipway"), attribute.String("service.version", version)),
		resource.WithFromEnv(), resource.WithTelemetrySDK())
	if err != nil {
		return nil, slipway.Errorf(slipway.Invalid, "the resource of traces is not understood: %v", err)
	}
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about))
	t := provider.Tracer("github.com/slipway-ml/slipway")
	tracer.Store(&t)
	return func(ctx context.Context) error {
		tracer.CompareAndSwap(&t, nil)
		return provider.Shutdown(ctx)
	}, nil
}

func none(error) {}

// Begin opens a span under that of ctx; end closes it, as failed by an error.
func Begin(ctx context.Context, name string) (_ context.Context, end func(error)) {
	t := tracer.Load()
	if t == nil {
		return ctx, none
	}
	return begin(ctx, *t, name)
}

func begin(ctx context.Context, t api.Tracer, name string, options ...api.SpanStartOption) (context.Context, func(error)) {
	ctx, span := t.Start(ctx, name, options...)
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
}

// Record adds a span that is over.
func Record(ctx context.Context, name string, from, to time.Time) {
	t := tracer.Load()
	if t == nil || from.IsZero() {
		return
	}
	_, span := (*t).Start(ctx, name, api.WithTimestamp(from))
	span.End(api.WithTimestamp(to))
}

// Say adds what is known of a request to its span.
func Say(ctx context.Context, key, value string) {
	if On() {
		api.SpanFromContext(ctx).SetAttributes(attribute.String(key, value))
	}
}

var parent propagation.TraceContext

// Handler opens a span for each POST request to next.
func Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t := tracer.Load()
		if t == nil || r.Method != http.MethodPost {
			next.ServeHTTP(w, r)
			return
		}
		ctx := parent.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := (*t).Start(ctx, "POST "+r.URL.Path, api.WithSpanKind(api.SpanKindServer))
		defer span.End()
		said := &status{ResponseWriter: w}
		next.ServeHTTP(said, r.WithContext(ctx))
		span.SetAttributes(attribute.String("http.request.method", r.Method), attribute.String("url.path", r.URL.Path), attribute.Int("http.response.status_code", said.code()))
		if said.code() >= 500 {
			span.SetStatus(codes.Error, http.StatusText(said.code()))
		}
	})
}

// Call opens a span for a call that came by another protocol; header finds what
// came with it.
func Call(ctx context.Context, name string, header func(string) string) (context.Context, func(error)) {
	t := tracer.Load()
	if t == nil {
		return ctx, none
	}
	return begin(parent.Extract(ctx, carrier(header)), *t, name, api.WithSpanKind(api.SpanKindServer))
}

// carrier is headers that are only read.
type carrier func(string) string

func (c carrier) Get(key string) string { return c(key) }
func (carrier) Set(string, string)      {}
func (carrier) Keys() []string          { return nil }

// status remembers what was answered.
type status struct {
	http.ResponseWriter
	first int
}

func (s *status) WriteHeader(code int) {
	if s.first == 0 {
		s.first = code
	}
	s.ResponseWriter.WriteHeader(code)
}

func (s *status) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *status) code() int {
	if s.first == 0 {
		return http.StatusOK
	}
	return s.first
}
