package app

import (
	"context"
	"net"
	"net/http"
	"strconv"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/compat/inference"
	"github.com/slipway-ml/slipway/internal/config"
	"github.com/slipway-ml/slipway/internal/core/serving"
)

// chooseGRPC gives gRPC the port after that of the HTTP endpoints when nobody
// chose one. It is asked before port 0 of those has become a real one.
func (s *server) chooseGRPC() {
	if s.config.Get(config.GRPC) == "" {
		s.config.Default(config.GRPC, portAfter(s.config.Get(config.Inference)))
		s.grpcImplied = true
	}
}

// listenGRPC opens the inference endpoints over gRPC. Nothing is open when the
// setting is "off", nor when something else has the port and nobody asked for
// that one: who does not use gRPC shall not have to care.
func (s *server) listenGRPC() error {
	if s.config.Get(config.GRPC) == "off" || s.inference == nil {
		return nil
	}
	l, door, err := s.listenTCP(config.GRPC)
	if s.grpcImplied && slipway.IsCode(err, slipway.Conflict) {
		s.config.Set(config.GRPC, "off")
		return nil
	}
	if err != nil {
		return err
	}
	s.stopGRPC = inference.ListenGRPC(s.endpoints, version, door.Caller, s.limit, s.watch, l)
	return nil
}

// portAfter is the address beside another one: where gRPC is looked for first.
func portAfter(address string) string {
	host, port, err := net.SplitHostPort(address)
	n, nerr := strconv.Atoi(port)
	if err != nil || nerr != nil {
		return address
	}
	if n > 0 {
		n++
	}
	return net.JoinHostPort(host, strconv.Itoa(n))
}

// endGRPC lets the calls under way end.
func (s *server) endGRPC() {
	if s.stopGRPC != nil {
		ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
		defer cancel()
		s.stopGRPC(ctx)
	}
}

// limiter bounds what callers may ask, as the settings say.
func limiter(cfg *config.Config) *inference.Limiter {
	return inference.NewLimiter(inference.Limits{Rate: cfg.Number(config.Rate), Concurrent: int(cfg.Number(config.Parallel)), PerCaller: int(cfg.Number(config.PerCaller))})
}

// protocols is how a service answers when it has no workspace around it.
func protocols(cfg *config.Config, getenv func(string) string, local serving.Local) serving.Local {
	limit := limiter(cfg)
	var watch *inference.Watch // from Check to End
	var unwatch func(context.Context) error
	local.Check = func() (err error) {
		if err = cfg.Validate(); err == nil {
			watch, unwatch, err = newWatch(context.Background(), cfg, getenv)
		}
		return err
	}
	local.End = func(ctx context.Context) error {
		if unwatch == nil {
			return nil
		}
		return unwatch(ctx)
	}
	local.Quick = inference.Quick
	local.Handler = func(s *serving.Service) http.Handler { return watch.Wrap(inference.Handler(s, version, limit)) }
	local.GRPC = func(s *serving.Service, who func(*http.Request) (slipway.Principal, error), l net.Listener) func(context.Context) {
		return inference.ListenGRPC(s, version, who, limit, watch, l)
	}
	return local
}
