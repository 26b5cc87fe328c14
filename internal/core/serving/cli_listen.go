package serving

import (
	"context"
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// doors are the addresses on which a Service answers.
type doors struct {
	address, grpc string // grpc is "" when it is off
	http          *web.Server
	stop          func(context.Context) // of gRPC; nil when it is off
	failed        chan error
	end           func(context.Context) error
}

// openDoors listens for HTTP and, unless it is "off", for gRPC: on the port after
// the other one when grpc is "", if nothing else has that.
func openDoors(s *Service, local Local, token, address, grpc string) (*doors, error) {
	l, err := listen(address, "--listen")
	if err != nil {
		return nil, err
	}
	d := &doors{address: l.Addr().String(), failed: make(chan error, 1), end: local.End}
	who := door(token, d.address)
	implied := grpc == ""
	if implied {
		grpc = after(address, l.Addr())
	}
	if grpc != "off" {
		rpc, err := listen(grpc, "--grpc")
		switch {
		case err == nil:
			d.grpc = rpc.Addr().String()
			d.stop = local.GRPC(s, who.Caller, rpc)
		case !implied || !slipway.IsCode(err, slipway.Conflict):
			return nil, errors.Join(err, l.Close())
		}
	}
	srv := &http.Server{Handler: who.Wrap(local.Handler(s), false), ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10, ReadTimeout: 5 * time.Minute, IdleTimeout: 5 * time.Minute}
	d.http = &web.Server{HTTP: srv, Quick: local.Quick}
	go func() { d.failed <- d.http.Serve(l) }()
	return d, nil
}

// after is the address beside another; chosen is where that one listens.
func after(address string, chosen net.Addr) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port == "0" {
		return net.JoinHostPort(host, "0")
	}
	return net.JoinHostPort(host, strconv.Itoa(chosen.(*net.TCPAddr).Port+1))
}

// wait answers until ctx ends, and then until the requests under way are
// answered.
func (d *doors) wait(ctx context.Context) error {
	select {
	case err := <-d.failed:
		return errors.Join(slipway.Errorf(slipway.Unavailable, "the listener ended: %v", err), d.close(ctx))
	case <-ctx.Done():
		return d.close(ctx)
	}
}

func (d *doors) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		if d.stop != nil {
			d.stop(ctx)
		}
	}()
	err := d.http.Shutdown(ctx)
	<-gone
	if d.end != nil {
		err = errors.Join(err, d.end(ctx))
	}
	return err
}

func listen(address, flag string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, slipway.Errorf(slipway.Conflict, "something else listens on %s already", address).WithHint("choose another address with %s HOST:PORT", flag)
	}
	if err != nil {
		return nil, slipway.Errorf(slipway.Invalid, "cannot listen on %s: %v", address, err)
	}
	return l, nil
}

// door lets callers on this machine in, and with a token only those who have it.
func door(token, address string) *web.Door {
	writer := slipway.Principal{Name: "caller", Role: slipway.Writer}
	d := &web.Door{Anyone: writer}
	if host, _, err := net.SplitHostPort(address); err == nil {
		d.Host = []string{host}
	}
	if token == "" {
		return d
	}
	d.Anyone, d.AnyHost = slipway.Principal{}, true
	d.Token = func(_ *http.Request, sent string) (slipway.Principal, error) {
		if subtle.ConstantTimeCompare([]byte(sent), []byte(token)) != 1 {
			return slipway.Principal{}, slipway.Errorf(slipway.Unauthenticated, "the token is not known")
		}
		return writer, nil
	}
	return d
}
