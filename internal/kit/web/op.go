// Package web declares an operation once: the server serves it, the command
// line and the interface call it, and OpenAPI describes it. It also keeps the
// door: who is asking, from which host, and what they may do.
package web

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/slipway-ml/slipway"
)

// Op is one operation. Fields of In tagged `path`, `query` or `header` travel
// there; a field named Body travels as JSON. Out is the JSON reply.
//
//	var OpRun = web.Op[GetRun, Run]{Method: "GET", Path: "/api/v1/runs/{id}", Needs: slipway.Reader}
type Op[In, Out any] struct {
	Method, Path string
	Summary      string       // one sentence for the API reference
	Tag          string       // the capability
	Needs        slipway.Role // checked before the handler, in the project of the path's {project}
	MaxBody      int64        // bytes; 0 means 8 MiB
}

// MaxBody is the largest JSON body an operation takes unless it says otherwise.
const MaxBody = 8 << 20

// Serve binds op to fn.
func (op Op[In, Out]) Serve(a *API, fn func(context.Context, In) (Out, error)) {
	limit := op.MaxBody
	if limit == 0 {
		limit = MaxBody
	}
	huma.Register(a.huma, huma.Operation{
		OperationID: operationID(op.Method, op.Path), Method: op.Method, Path: op.Path,
		Summary: op.Summary, Tags: []string{op.Tag}, DefaultStatus: http.StatusOK,
		MaxBodyBytes: limit, Middlewares: huma.Middlewares{guard(a.huma, op.Needs)},
	}, func(ctx context.Context, in *In) (*reply[Out], error) {
		out, err := fn(ctx, *in)
		if err != nil {
			return nil, failure(ctx, err)
		}
		return &reply[Out]{Body: out}, nil
	})
}

// Call sends in to the server behind c and returns its reply. Errors carry the
// code that the server gave; a server that cannot be reached is Unavailable.
func (op Op[In, Out]) Call(ctx context.Context, c Client, in In) (Out, error) {
	var out Out
	req, err := op.request(ctx, c, in)
	if err != nil {
		return out, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return out, slipway.Errorf(slipway.Unavailable, "the server's answer to %s %s broke off", op.Method, req.URL.Path)
	}
	return out, nil
}

// request writes in onto an HTTP request.
func (op Op[In, Out]) request(ctx context.Context, c Client, in In) (*http.Request, error) {
	path, query, header, body := encodeInput(op.Path, in)
	var payload []byte
	if body != nil {
		var err error
		if payload, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	if enc := query.Encode(); enc != "" {
		path += "?" + enc
	}
	req, err := http.NewRequestWithContext(ctx, op.Method, c.URL+path, bytes.NewReader(payload))
	if err != nil {
		return nil, err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// None is the input or the reply of an operation that has none.
type None struct{}

type reply[Out any] struct{ Body Out }

// operationID makes a name such as get-projects-runs from a method and path.
func operationID(method, path string) string {
	words := []string{strings.ToLower(method)}
	for part := range strings.SplitSeq(strings.TrimPrefix(path, "/api/v1/"), "/") {
		part = strings.Trim(part, "{}")
		if part != "" {
			words = append(words, part)
		}
	}
	return strings.Join(words, "-")
}

// bodyOf finds the Body field of an input struct.
func bodyOf(v reflect.Value) (any, bool) {
	if v.Kind() != reflect.Struct {
		return nil, false
	}
	f := v.FieldByName("Body")
	if !f.IsValid() {
		return nil, false
	}
	return f.Interface(), true
}
