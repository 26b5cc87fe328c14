package serving

import (
	"context"
	"net/http"
	"strconv"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// AskManifest asks for the manifest, when it is newer than one.
type AskManifest struct {
	After int64 `query:"after" doc:"number of the manifest that the caller has"`
}

// PublishedManifest is what a gateway serves and how it knows that this is so.
type PublishedManifest struct {
	Manifest *slipway.Manifest `json:"manifest,omitempty" doc:"absent when there is none after the one that was named"`
	Key      []byte            `json:"key,omitempty" doc:"Ed25519 public key that it is signed with"`
}

// ReportTrip tells of a breaker that opened in a gateway.
type ReportTrip struct {
	Gateway string `path:"gateway"`
	Body    Trip
}

// The operations by which gateways in other processes follow this workspace.
var (
	OpManifest = web.Op[AskManifest, PublishedManifest]{Method: "GET", Path: "/api/v1/gateways/manifest", Needs: slipway.Reader, Tag: "serving",
		Summary: "The manifest that gateways serve"}
	OpTrip = web.Op[ReportTrip, web.None]{Method: "POST", Path: "/api/v1/gateways/{gateway}/trips", Needs: slipway.Operator, Tag: "serving",
		Summary: "A gateway cut a variant off"}
)

// gatewayRoutes binds them, and the way in for segments of prediction logs.
func (s *Service) gatewayRoutes(a *web.API) {
	OpManifest.Serve(a, func(_ context.Context, in AskManifest) (PublishedManifest, error) {
		m := s.Manifest()
		if m.Number <= in.After {
			return PublishedManifest{Key: s.o.Key}, nil
		}
		return PublishedManifest{&m, s.o.Key}, nil
	})
	OpTrip.Serve(a, func(ctx context.Context, in ReportTrip) (web.None, error) {
		s.tell(in.Body)
		return web.None{}, nil
	})
	a.Handle("PUT /api/v1/gateways/{gateway}/segments/{number}", slipway.Writer, func(w http.ResponseWriter, r *http.Request) error {
		n, err := strconv.ParseInt(r.PathValue("number"), 10, 64)
		if err != nil {
			return slipway.Errorf(slipway.Invalid, "%q is no number of a segment", r.PathValue("number"))
		}
		if err := s.Receive(r.Context(), r.PathValue("gateway"), n, r.Body); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
}
