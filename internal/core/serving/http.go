package serving

import (
	"context"
	"net/http"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// ListEndpoints asks for a project's endpoints.
type ListEndpoints struct {
	Project string `path:"project"`
}

// EndpointList is the answer.
type EndpointList struct {
	Endpoint []EndpointStatus `json:"endpoint"`
}

// ExplainPrediction names a logged prediction.
type ExplainPrediction struct {
	Project string `path:"project"`
	ID      string `path:"id" doc:"as parameters.prediction_id gives it"`
}

// The operations. Predictions themselves have an address and a protocol of
// their own.
var (
	OpEndpoints = web.Op[ListEndpoints, EndpointList]{Method: "GET", Path: "/api/v1/projects/{project}/endpoints",
		Needs: slipway.Reader, Tag: "serving", Summary: "Endpoints with their variants, traffic split, rates, latency by stage, failures and breakers"}
	OpExplain = web.Op[ExplainPrediction, LoggedExplanation]{Method: "GET", Path: "/api/v1/projects/{project}/predictions/{id}/explanation",
		Needs: slipway.Reader, Tag: "serving", Summary: "Why a logged prediction came out as it did: exact SHAP values by the model that answered it"}
)

// Routes binds the operations and /metrics.
func (s *Service) Routes(a *web.API) {
	OpEndpoints.Serve(a, func(_ context.Context, in ListEndpoints) (EndpointList, error) {
		return EndpointList{s.Endpoints(in.Project)}, nil
	})
	OpExplain.Serve(a, func(ctx context.Context, in ExplainPrediction) (LoggedExplanation, error) {
		return s.ExplainLogged(ctx, in.Project, in.ID)
	})
	metrics := s.Metrics()
	a.Handle("GET /metrics", slipway.Reader, func(w http.ResponseWriter, r *http.Request) error {
		metrics.ServeHTTP(w, r)
		return nil
	})
}
