package app

import (
	"context"
	"io"
	"os"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/compat/inference"
	"github.com/slipway-ml/slipway/internal/config"
	"github.com/slipway-ml/slipway/internal/kit/trace"
)

// newWatch is who looks on while predictions are made, as the settings say: nil is
// nobody. end sends and closes what is left.
func newWatch(ctx context.Context, cfg *config.Config, getenv func(string) string) (w *inference.Watch, end func(context.Context) error, err error) {
	end = func(context.Context) error { return nil }
	var access io.Writer
	switch to := cfg.Get(config.AccessLog); to {
	case "off", "":
	case "stderr":
		access = os.Stderr
	default:
		f, err := os.OpenFile(to, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, end, slipway.Errorf(slipway.Invalid, "the access log cannot be opened: %v", err).WithHint("SLIPWAY_ACCESS_LOG is off, stderr or a file")
		}
		access, end = f, func(context.Context) error { return f.Close() }
	}
	collector := cfg.Get(config.Traces)
	traced := collector != "off" && (collector != "" || getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != "")
	if traced {
		stop, err := trace.Start(ctx, collector, version)
		if err != nil {
			_ = end(ctx)
			return nil, end, err
		}
		close := end
		end = func(ctx context.Context) error {
			_ = stop(ctx) // a collector that is away keeps nobody from ending
			return close(ctx)
		}
	}
	if access == nil && !traced {
		return nil, end, nil
	}
	return inference.NewWatch(access), end, nil
}
