package inference

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/compat/inference/oip"
	"github.com/slipway-ml/slipway/internal/core/serving"
)

// Caller finds who sends a request, from its headers. It fails with
// Unauthenticated and Denied.
type Caller = func(*http.Request) (slipway.Principal, error)

// GRPC answers the Open Inference Protocol over gRPC. It keeps the rules of
// Handler: reading needs the role reader, predicting the role writer. l bounds
// predictions; nil bounds nothing. watch looks on; nil is nobody.
func GRPC(s *serving.Service, version string, who Caller, l *Limiter, watch *Watch) *grpc.Server {
	h := &rpc{s: s, version: version, who: who, limit: l, watch: watch}
	srv := grpc.NewServer(
		grpc.ForceServerCodecV2(codec{encoding.GetCodecV2(proto.Name)}),
		grpc.MaxRecvMsgSize(MaxBody), grpc.MaxSendMsgSize(1<<30), grpc.MaxHeaderListSize(64<<10),
		grpc.NumStreamWorkers(uint32(4*runtime.NumCPU())), grpc.SharedWriteBuffer(true), grpc.WaitForHandlers(true),
		// Windows of a fixed size spare a ping with nearly every request, by which
		// gRPC would otherwise estimate them.
		grpc.InitialWindowSize(1<<20), grpc.InitialConnWindowSize(4<<20),
		grpc.ConnectionTimeout(10*time.Second), grpc.MaxConcurrentStreams(1024),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.UnaryInterceptor(h.guard))
	desc := oip.GRPCInferenceService_ServiceDesc
	desc.Methods = append([]grpc.MethodDesc(nil), desc.Methods...)
	for i := range desc.Methods {
		if desc.Methods[i].MethodName == "ModelInfer" {
			desc.Methods[i].Handler = inferRPC
		}
	}
	srv.RegisterService(&desc, h)
	return srv
}

// codec gives ModelInfer its messages as bytes, and all others as they are.
type codec struct{ encoding.CodecV2 }

// wireCall is a ModelInferRequest as it came; done gives it back.
type wireCall struct{ body mem.Buffer }

// wireReply is a ModelInferResponse as it goes.
type wireReply struct{ body *[]byte }

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	if call, ok := v.(*wireCall); ok {
		call.body = data.MaterializeToBuffer(mem.DefaultBufferPool())
		return nil
	}
	return c.CodecV2.Unmarshal(data, v)
}

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if reply, ok := v.(*wireReply); ok {
		return mem.BufferSlice{mem.NewBuffer(reply.body, mem.DefaultBufferPool())}, nil
	}
	return c.CodecV2.Marshal(v)
}

// rpc is the service of gRPC.
type rpc struct {
	oip.UnimplementedGRPCInferenceServiceServer
	s       *serving.Service
	version string
	who     Caller
	limit   *Limiter
	watch   *Watch
}

// guard finds the caller of a call that is not ModelInfer, and turns errors
// into those of gRPC.
func (h *rpc) guard(ctx context.Context, in any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (out any, err error) {
	defer func() {
		if p := recover(); p != nil {
			slog.ErrorContext(ctx, "a gRPC call panicked", "method", info.FullMethod, "panic", p, "stack", string(debug.Stack()))
			out, err = nil, status.Error(codes.Internal, "the call failed")
		}
	}()
	if h.watch == nil {
		out, _, err = h.admit(ctx, in, info, next)
		return out, err
	}
	ctx, end := h.watch.call(ctx, info.FullMethod)
	out, p, err := h.admit(ctx, in, info, next)
	end(p.Name, err)
	return out, err
}

func (h *rpc) admit(ctx context.Context, in any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (out any, p slipway.Principal, err error) {
	p, err = h.caller(ctx)
	if err == nil {
		out, err = next(slipway.WithPrincipal(ctx, p), in)
	}
	if err != nil {
		return nil, p, rpcError(ctx, info.FullMethod, err)
	}
	return out, p, nil
}

func (h *rpc) caller(ctx context.Context) (slipway.Principal, error) {
	r := &http.Request{}
	if sent := metadata.ValueFromIncomingContext(ctx, "authorization"); len(sent) > 0 {
		r.Header = http.Header{"Authorization": sent[:1]}
	}
	return h.who(r.WithContext(ctx))
}

// rpcCodes are the codes of gRPC for ours.
var rpcCodes = map[slipway.Code]codes.Code{
	slipway.Invalid: codes.InvalidArgument, slipway.Refused: codes.FailedPrecondition, slipway.Unauthenticated: codes.Unauthenticated,
	slipway.Denied: codes.PermissionDenied, slipway.NotFound: codes.NotFound, slipway.Conflict: codes.FailedPrecondition,
	slipway.Unavailable: codes.Unavailable, slipway.Interrupted: codes.Canceled,
}

func rpcError(ctx context.Context, method string, err error) error {
	if _, ok := status.FromError(err); ok {
		return err
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, "the deadline passed")
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, "the caller has gone")
	}
	e := slipway.AsError(err)
	code, ok := rpcCodes[e.Code]
	if !ok {
		code = codes.Internal
	}
	var own *slipway.Error
	if e.Code == slipway.Internal && !errors.As(err, &own) {
		slog.ErrorContext(ctx, "gRPC call failed", "method", method, "error", err)
	}
	if errors.Is(err, serving.ErrLimit) {
		code = codes.ResourceExhausted
	}
	text := e.Message
	if e.Hint != "" {
		text += ": " + e.Hint
	}
	return status.Error(code, text)
}

// inferRPC is the handler of ModelInfer.
func inferRPC(srv any, ctx context.Context, decode func(any) error, guard grpc.UnaryServerInterceptor) (any, error) {
	call := &wireCall{}
	if err := decode(call); err != nil {
		return nil, err
	}
	defer call.body.Free()
	return guard(ctx, call, &inferInfo, func(ctx context.Context, _ any) (any, error) {
		return srv.(*rpc).infer(ctx, call.body.ReadOnlyData())
	})
}

var inferInfo = grpc.UnaryServerInfo{FullMethod: oip.GRPCInferenceService_ModelInfer_FullMethodName}

var wireRequests = sync.Pool{New: func() any { return &wireRequest{} }}

func (h *rpc) infer(ctx context.Context, body []byte) (_ any, err error) {
	start := time.Now()
	w := wireRequests.Get().(*wireRequest)
	defer func() { w.reset(); wireRequests.Put(w) }()
	if err := w.read(body); err != nil {
		return nil, err
	}
	e, err := h.find(ctx, w.model, w.version, slipway.Writer)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	address := ""
	if from, ok := peer.FromContext(ctx); ok {
		address = from.Addr.String()
	}
	leave, err := h.limit.enter(slipway.PrincipalOf(ctx), address)
	if err != nil {
		return nil, err
	}
	defer leave()
	p := newParser(nil, e.Layout())
	defer p.free()
	req, err := p.wire(w)
	if err != nil {
		return nil, err
	}
	req.Header = func(name string) string {
		if v := metadata.ValueFromIncomingContext(ctx, strings.ToLower(name)); len(v) > 0 {
			return v[0]
		}
		return ""
	}
	req.Parse = time.Since(start)
	a, err := e.Answer(ctx, req)
	if err != nil {
		return nil, err
	}
	start = time.Now()
	out := mem.DefaultBufferPool().Get(1024)
	reply, err := appendWire((*out)[:0], w.model, p, &a, len(w.raw) > 0)
	if err != nil {
		mem.DefaultBufferPool().Put(out)
		return nil, err
	}
	if cap(reply) != cap(*out) { // it outgrew its buffer, which goes back
		mem.DefaultBufferPool().Put(out)
		out = &reply
	} else {
		*out = reply
	}
	a.Wrote(time.Since(start))
	return &wireReply{out}, nil
}

// find finds an endpoint for a caller who needs a role in its project.
func (h *rpc) find(ctx context.Context, name, version string, need slipway.Role) (serving.Handle, error) {
	e, err := h.s.Find(name, version)
	if err != nil {
		return e, err
	}
	if err := slipway.Allow(ctx, need, e.Project()); err != nil {
		e.Close()
		return serving.Handle{}, err
	}
	return e, nil
}

func (h *rpc) ServerLive(context.Context, *oip.ServerLiveRequest) (*oip.ServerLiveResponse, error) {
	return &oip.ServerLiveResponse{Live: true}, nil
}

func (h *rpc) ServerReady(context.Context, *oip.ServerReadyRequest) (*oip.ServerReadyResponse, error) {
	return &oip.ServerReadyResponse{Ready: h.s.Ready() == nil}, nil
}

// ModelReady says false of an endpoint that is not ready or not there.
func (h *rpc) ModelReady(ctx context.Context, in *oip.ModelReadyRequest) (*oip.ModelReadyResponse, error) {
	e, err := h.find(ctx, in.GetName(), in.GetVersion(), slipway.Reader)
	if slipway.IsCode(err, slipway.Unavailable) || slipway.IsCode(err, slipway.NotFound) {
		return &oip.ModelReadyResponse{}, nil
	}
	if err != nil {
		return nil, err
	}
	e.Close()
	return &oip.ModelReadyResponse{Ready: true}, nil
}

func (h *rpc) ServerMetadata(context.Context, *oip.ServerMetadataRequest) (*oip.ServerMetadataResponse, error) {
	return &oip.ServerMetadataResponse{Name: "slipway", Version: h.version, Extensions: extensions}, nil
}

func (h *rpc) ModelMetadata(ctx context.Context, in *oip.ModelMetadataRequest) (*oip.ModelMetadataResponse, error) {
	e, err := h.find(ctx, in.GetName(), in.GetVersion(), slipway.Reader)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	m := metadataOf(e, in.GetName())
	return &oip.ModelMetadataResponse{Name: m.Name, Versions: m.Versions, Platform: m.Platform,
		Inputs: tensorMessages(m.Inputs), Outputs: tensorMessages(m.Outputs)}, nil
}

func tensorMessages(list []tensorMetadata) (out []*oip.ModelMetadataResponse_TensorMetadata) {
	for _, t := range list {
		m := &oip.ModelMetadataResponse_TensorMetadata{Name: t.Name, Datatype: t.Datatype}
		for _, n := range t.Shape {
			m.Shape = append(m.Shape, int64(n))
		}
		out = append(out, m)
	}
	return out
}

func (h *rpc) RepositoryIndex(ctx context.Context, in *oip.RepositoryIndexRequest) (*oip.RepositoryIndexResponse, error) {
	out := &oip.RepositoryIndexResponse{}
	for _, r := range repository(ctx, h.s, in.GetReady()) {
		out.Models = append(out.Models, &oip.RepositoryIndexResponse_ModelIndex{Name: r.Name, Version: r.Version, State: r.State, Reason: r.Reason})
	}
	return out, nil
}

func (h *rpc) RepositoryModelLoad(ctx context.Context, in *oip.RepositoryModelLoadRequest) (*oip.RepositoryModelLoadResponse, error) {
	return &oip.RepositoryModelLoadResponse{}, control(ctx, h.s, in.GetModelName(), true)
}

func (h *rpc) RepositoryModelUnload(ctx context.Context, in *oip.RepositoryModelUnloadRequest) (*oip.RepositoryModelUnloadResponse, error) {
	return &oip.RepositoryModelUnloadResponse{}, control(ctx, h.s, in.GetModelName(), false)
}

// ListenGRPC answers on l until stop is called, which waits for the calls under
// way, and no longer than its ctx.
func ListenGRPC(s *serving.Service, version string, who Caller, limit *Limiter, watch *Watch, l net.Listener) (stop func(ctx context.Context)) {
	srv := GRPC(s, version, who, limit, watch)
	go func() { _ = srv.Serve(l) }()
	return func(ctx context.Context) {
		gone := make(chan struct{})
		go func() { srv.GracefulStop(); close(gone) }()
		select {
		case <-gone:
		case <-ctx.Done():
			srv.Stop()
			<-gone
		}
	}
}
