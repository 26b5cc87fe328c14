package inference

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/serving"
)

// Trial serves one version by the handler that production uses, so that a gate
// measures what callers will meet: parsing, the model, the log, the reply.
type Trial struct {
	Loader serving.Loader
}

// Serve opens the version until close is called. path is where its infer
// requests go; whoever calls h is a writer.
func (t Trial) Serve(ctx context.Context, v slipway.ModelVersion) (h http.Handler, path string, close func() error, err error) {
	dir, err := os.MkdirTemp("", "slipway-trial-")
	if err != nil {
		return nil, "", nil, slipway.Errorf(slipway.Unavailable, "no folder for the prediction log: %v", err)
	}
	s, err := serving.New(ctx, serving.Options{Dir: dir, Loader: t.Loader})
	if err != nil {
		return nil, "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	close = func() error { return errors.Join(s.Close(), os.RemoveAll(dir)) }
	m := slipway.Manifest{Number: 1, Endpoint: []slipway.Endpoint{{Project: v.Project, Name: v.Name,
		Variant: []slipway.Variant{{Release: "trial", Role: slipway.Champion, Model: v.ID(), Content: v.Content, Signature: v.Signature}}}}}
	if err := s.Publish(ctx, m); err != nil {
		return nil, "", nil, errors.Join(err, close())
	}
	inner := Handler(s, "trial", nil)
	h = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(w, r.WithContext(slipway.WithPrincipal(r.Context(), slipway.Principal{Name: "gate", Role: slipway.Writer, Project: v.Project})))
	})
	return h, "/v2/models/" + url.PathEscape(v.Name) + "/infer", close, nil
}
