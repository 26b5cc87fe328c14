// Package mlflow speaks the MLflow REST API, so that unmodified clients log to
// Slipway. It holds the wire format only: the rules are in core/tracking, and
// those of the model registry in core/registry.
//
// Paths are served under /api/2.0 and /ajax-api/2.0 (3.0 for what came with
// MLflow 3). They name no project, so every handler leaves the check of the
// principal to the service, which knows whose run it is.
package mlflow

import (
	"context"
	"net/http"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/tracking"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// Version is the MLflow release whose API is spoken; clients ask for it.
const Version = "3.17.0"

// Options is what a Server translates for.
type Options struct {
	Tracking *tracking.Service
	Registry *Registry // nil answers ENDPOINT_NOT_FOUND
}

// Server is the MLflow API.
type Server struct{ o Options }

// New makes a Server.
func New(o Options) *Server { return &Server{o} }

// call is one request, with its body read.
type call struct {
	*http.Request
	body []byte
}

// endpoint answers a call with what is written as JSON; []byte is JSON already.
type endpoint func(ctx context.Context, c *call) (any, error)

// route is one row of the table: a method, a path below /api/2.0/mlflow/, and
// what answers.
type route struct {
	method, path string
	fn           endpoint
}

// Routes adds the API.
func (s *Server) Routes(a *web.API) {
	routes := append(s.trackingRoutes(), s.modelRoutes()...)
	if s.o.Registry != nil {
		routes = append(append(routes, s.registryRoutes()...), s.webhookRoutes()...)
	}
	for _, r := range routes {
		for _, root := range []string{"/api/2.0/mlflow/", "/ajax-api/2.0/mlflow/"} {
			a.Handle(r.method+" "+root+r.path, "", answer(r.fn))
		}
	}
	for _, root := range []string{"/api", "/ajax-api"} {
		a.Handle("GET "+root+"/3.0/mlflow/server-info", "", answer(serverInfo))
		for _, version := range []string{"/2.0", "/3.0"} {
			a.Handle(root+version+"/", "", func(w http.ResponseWriter, r *http.Request) error {
				writeError(w, r, &slipway.Error{Code: endpointNotFound, Message: "No endpoint " + r.Method + " " + r.URL.Path})
				return nil
			})
		}
	}
	s.artifactRoutes(a)
	plain := func(text string) func(http.ResponseWriter, *http.Request) error {
		return func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, err := w.Write([]byte(text))
			return err
		}
	}
	a.Handle("GET /health", "", plain("OK"))
	a.Handle("GET /version", "", plain(Version))
}

// serverInfo tells a client what it may ask for.
func serverInfo(context.Context, *call) (any, error) {
	return map[string]any{"store_type": "SqlStore", "workspaces_enabled": false, "trace_archival_enabled": false,
		"multipart_uploads_enabled": true, "multipart_downloads_enabled": false,
		"presigned_upload_run_id_supported": false, "presigned_upload_model_id_supported": false,
		"features_enabled": map[string]bool{"gateway": false}}, nil
}
