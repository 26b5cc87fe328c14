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

// AttributeRows asks why a version answers rows as it does.
type AttributeRows struct {
	Project string `path:"project"`
	Model   string `path:"model" doc:"name@vN"`
	Body    Wish
}

// AttributeVersion asks what moves a version's answers on the whole.
type AttributeVersion struct {
	Project string `path:"project"`
	Model   string `path:"model" doc:"name@vN"`
	Rows    int    `query:"rows" minimum:"0" maximum:"10000" doc:"of the training set that are explained; default 500"`
	Feature string `query:"feature" doc:"also show what this feature was worth in each row"`
	Swarm   int    `query:"swarm" minimum:"0" maximum:"40" doc:"also show what so many of the strongest features were worth in each row"`
}

// The operations. Predictions themselves have an address and a protocol of
// their own.
var (
	OpEndpoints = web.Op[ListEndpoints, EndpointList]{Method: "GET", Path: "/api/v1/projects/{project}/endpoints",
		Needs: slipway.Reader, Tag: "serving", Summary: "Endpoints with their variants, traffic split, rates, latency by stage, failures and breakers"}
	OpExplain = web.Op[ExplainPrediction, LoggedExplanation]{Method: "GET", Path: "/api/v1/projects/{project}/predictions/{id}/explanation",
		Needs: slipway.Reader, Tag: "serving", Summary: "Why a logged prediction came out as it did: exact SHAP values by the model that answered it"}
	OpAttribute = web.Op[AttributeRows, Attribution]{Method: "POST", Path: "/api/v1/projects/{project}/model-versions/{model}/attribution",
		Needs: slipway.Reader, Tag: "serving", Summary: "Why a version answers rows as it does: exact, against a background, with interactions, or by sampling"}
	OpGlobal = web.Op[AttributeVersion, GlobalAttribution]{Method: "GET", Path: "/api/v1/projects/{project}/model-versions/{model}/attribution",
		Needs: slipway.Reader, Tag: "serving", Summary: "Mean |SHAP| of each feature over training rows, and one feature's dependence"}
)

// Routes binds the operations and /metrics.
func (s *Service) Routes(a *web.API) {
	OpEndpoints.Serve(a, func(_ context.Context, in ListEndpoints) (EndpointList, error) {
		return EndpointList{s.Endpoints(in.Project)}, nil
	})
	OpExplain.Serve(a, func(ctx context.Context, in ExplainPrediction) (LoggedExplanation, error) {
		return s.ExplainLogged(ctx, in.Project, in.ID)
	})
	OpAttribute.Serve(a, func(ctx context.Context, in AttributeRows) (Attribution, error) {
		return s.Attribute(ctx, in.Project, in.Model, in.Body)
	})
	OpGlobal.Serve(a, func(ctx context.Context, in AttributeVersion) (GlobalAttribution, error) {
		return s.Global(ctx, in.Project, in.Model, in.Rows, in.Feature, in.Swarm)
	})
	s.gatewayRoutes(a)
	metrics := s.Metrics()
	a.Handle("GET /metrics", slipway.Reader, func(w http.ResponseWriter, r *http.Request) error {
		metrics.ServeHTTP(w, r)
		return nil
	})
}
