package gate

import (
	"context"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

type (
	// RunGates asks for a verdict on a version.
	RunGates struct {
		Project string `path:"project"`
		Body    struct {
			Model string `json:"model,omitempty" doc:"name@v3, name@alias, or name for the newest; the project's model when left out"`
		}
	}
	// ListCertificates asks for the certificates of a project.
	ListCertificates struct {
		Project string `path:"project"`
		Limit   int    `query:"limit" maximum:"1000"`
	}
	// NamedCertificate names a certificate by its digest, or by its version.
	NamedCertificate struct {
		Project     string `path:"project"`
		Certificate string `path:"certificate" doc:"digest or the beginning of one, name@v3, name@alias or name"`
	}
	// WaiveGates lets a version through.
	WaiveGates struct {
		Project string `path:"project"`
		Body    struct {
			Model  string `json:"model" doc:"name@v3 or name@alias"`
			Reason string `json:"reason"`
		}
	}
)

const gatePath = "/api/v1/projects/{project}/"

// Operations on gates.
var (
	OpRun          = web.Op[RunGates, web.Job]{Method: "POST", Path: gatePath + "gate-runs", Needs: slipway.Operator, Tag: "gate", Summary: "Judge a version by the project's gates, as a job whose result is the certificate"}
	OpCertificates = web.Op[ListCertificates, []Entry]{Method: "GET", Path: gatePath + "certificates", Needs: slipway.Reader, Tag: "gate", Summary: "Certificates, newest first"}
	OpCertificate  = web.Op[NamedCertificate, Signed]{Method: "GET", Path: gatePath + "certificates/{certificate}", Needs: slipway.Reader, Tag: "gate", Summary: "A certificate, verified"}
	OpWaive        = web.Op[WaiveGates, Waiver]{Method: "POST", Path: gatePath + "waivers", Needs: slipway.Operator, Tag: "gate", Summary: "Let a version through that no gate passed, in your name"}
)

// Routes adds the operations.
func (s *Service) Routes(a *web.API) {
	OpRun.Serve(a, s.start)
	OpCertificates.Serve(a, func(ctx context.Context, in ListCertificates) ([]Entry, error) {
		return s.List(ctx, in.Project, in.Limit)
	})
	OpCertificate.Serve(a, func(ctx context.Context, in NamedCertificate) (Signed, error) {
		return s.Certificate(ctx, in.Project, in.Certificate)
	})
	OpWaive.Serve(a, func(ctx context.Context, in WaiveGates) (Waiver, error) {
		return s.Waive(ctx, in.Project, in.Body.Model, in.Body.Reason)
	})
}

func (s *Service) start(ctx context.Context, in RunGates) (web.Job, error) {
	model := in.Body.Model
	if model == "" {
		p, err := s.o.Applied.Project(ctx, in.Project)
		if err != nil {
			return web.Job{}, err
		}
		if p.Model == nil {
			return web.Job{}, slipway.Errorf(slipway.Invalid, "slipway.yaml declares no model").WithHint("name one: slipway gate run NAME@vN")
		}
		model = p.Model.Name
	}
	if _, err := s.o.Models.Find(ctx, in.Project, model); err != nil {
		return web.Job{}, err
	}
	return s.o.Jobs.Start(ctx, "gate.run", in.Project, func(ctx context.Context, say func(web.Progress)) (any, error) {
		return s.Run(ctx, in.Project, model, say)
	}), nil
}
