// Package gate decides whether a model version is good enough, and writes down
// why. It trusts no number that a step reports: it scores the rows that
// gates.data names with the candidate and with the champion itself, decides
// every limit at the bound of an interval by block, and signs the verdict with
// its evidence and with golden rows that the model must reproduce wherever it is
// loaded.
package gate

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/web"
	"github.com/slipway-ml/slipway/internal/project"
)

// Models finds versions and the rows that came with them; the registry does.
type Models interface {
	// Find finds a version by NAME@vN, NAME@ALIAS, or NAME for the newest.
	Find(ctx context.Context, project, text string) (slipway.ModelVersion, error)
	// Input reads the rows that gates.data names, as the version's run wrote
	// them. columns chooses, nil is all; one that is not there is left out.
	Input(ctx context.Context, v slipway.ModelVersion, in project.Input, columns []string) (*slipway.Frame, error)
	// Training reads the rows that a version was trained on. It fails with
	// NotFound when they are not known.
	Training(ctx context.Context, v slipway.ModelVersion, columns []string) (*slipway.Frame, error)
}

// Champions knows what answers in an environment; delivery does.
type Champions interface {
	// Champion is the version of a model that is released in an environment;
	// false when there is none.
	Champion(ctx context.Context, project, model, environment string) (slipway.Ref, bool, error)
}

// Applied is the project as it is in force.
type Applied interface {
	// Project fails with NotFound when nothing was applied.
	Project(ctx context.Context, name string) (*project.Project, error)
}

// Loader opens a version's files; the caller closes the model.
type Loader interface {
	Load(ctx context.Context, project string, model slipway.Digest, registered *slipway.Signature) (predictor.Model, error)
}

// Server answers requests for one version by the handler that production uses.
type Server interface {
	// Serve opens the version behind a handler of the Open Inference Protocol
	// until close is called. path is where its infer requests go.
	Serve(ctx context.Context, v slipway.ModelVersion) (h http.Handler, path string, close func() error, err error)
}

// Parquet writes evidence; query.Engine does.
type Parquet interface {
	WriteParquet(ctx context.Context, f *slipway.Frame, path string) error
}

// Options is what a Service needs. Champions and Server may be nil: then there
// is no champion, and latency is undecided.
type Options struct {
	DB        *db.DB
	Content   *content.Store
	Models    Models
	Champions Champions
	Applied   Applied
	Loader    Loader
	Server    Server
	Parquet   Parquet
	Key       ed25519.PrivateKey // signs certificates
	Jobs      *web.Jobs
	Now       func() time.Time
}

// Service judges model versions.
type Service struct {
	o    Options
	turn chan struct{} // one gate at a time, so that latency is measured alone
}

// New makes a Service.
func New(o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Service{o: o, turn: make(chan struct{}, 1)}
}

// Run judges a version by the project's gates, signs what it found and returns
// it. A version that does not pass is no error. It fails with NotFound when the
// version is not there, and with Invalid when the project has no gates for it.
func (s *Service) Run(ctx context.Context, project, version string, say func(web.Progress)) (Signed, error) {
	v, err := s.o.Models.Find(ctx, project, version)
	if err != nil {
		return Signed{}, err
	}
	p, why, err := s.gates(ctx, v)
	if err != nil {
		return Signed{}, err
	}
	if why != "" {
		return Signed{}, slipway.Errorf(slipway.Invalid, "%s", why).WithHint("declare gates: in slipway.yaml and run `slipway apply`, or let `slipway gate waive` say why none is needed")
	}
	return s.judge(ctx, p, v, "", say)
}

// gates is the applied project, and why no gate judges the version, "" when one
// does.
func (s *Service) gates(ctx context.Context, v slipway.ModelVersion) (p *project.Project, why string, err error) {
	p, err = s.o.Applied.Project(ctx, v.Project)
	switch {
	case slipway.IsCode(err, slipway.NotFound):
		return nil, "no slipway.yaml was applied in " + v.Project, nil
	case err != nil:
		return nil, "", err
	case p.Model == nil || p.Model.Name != v.Name:
		return p, "slipway.yaml does not declare the model " + v.Name, nil
	case p.Gates == nil:
		return p, "slipway.yaml declares no gates", nil
	}
	return p, "", nil
}

// judge runs all checks and signs the certificate.
func (s *Service) judge(ctx context.Context, p *project.Project, v slipway.ModelVersion, cause string, say func(web.Progress)) (Signed, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return Signed{}, ctx.Err()
	}
	t := &trial{service: s, project: p, gates: p.Gates, say: say, candidate: subject{version: v}}
	defer t.close()
	if err := t.run(ctx); err != nil {
		return Signed{}, err
	}
	c := s.certificate(ctx, p, v)
	c.Gated, c.Rows, c.Blocks, c.Block, c.Check = true, len(t.truth.Y), t.blocks, t.blockName, t.checks
	if t.champion != nil {
		c.Champion = t.champion.version.ID()
	}
	c.Data = p.Gates.Data.Text
	var err error
	if c.Spec, err = json.Marshal(p.Gates); err != nil {
		return Signed{}, err
	}
	if c.Evidence, err = t.evidence(ctx); err != nil {
		return Signed{}, err
	}
	if err := s.addGolden(ctx, &c, t); err != nil {
		return Signed{}, err
	}
	c.Verdict, c.Reason = conclude(c.Check)
	return s.sign(ctx, c, cause)
}

// ungated signs golden rows alone: nothing judged the version.
func (s *Service) ungated(ctx context.Context, p *project.Project, v slipway.ModelVersion, why, cause string) (Signed, error) {
	c := s.certificate(ctx, p, v)
	c.Verdict, c.Reason = slipway.Ungated, why
	t := &trial{service: s, project: p, say: func(web.Progress) {}, candidate: subject{version: v}}
	defer t.close()
	if err := t.open(ctx, &t.candidate); err != nil {
		if !slipway.IsCode(err, slipway.Invalid) {
			return Signed{}, err
		}
		t.add(Check{Name: "loads", Kind: KindModel, Verdict: slipway.Refuse, Reason: slipway.AsError(err).Message})
		c.Verdict, c.Reason = slipway.Refuse, "the model cannot be opened: "+slipway.AsError(err).Message
	} else if rows, err := s.o.Models.Training(ctx, v, nil); err == nil {
		t.rows = rows
	}
	c.Check = t.checks
	if t.candidate.model != nil {
		if err := s.addGolden(ctx, &c, t); err != nil {
			return Signed{}, err
		}
		c.Check = t.checks
	}
	return s.sign(ctx, c, cause)
}

// conclude joins the checks: one refusal refuses, and what is not known does
// not pass.
func conclude(checks []Check) (slipway.Verdict, string) {
	verdict, reason := slipway.Pass, ""
	for _, c := range checks {
		switch {
		case c.Verdict == slipway.Refuse && verdict != slipway.Refuse, c.Verdict == slipway.Undecided && verdict == slipway.Pass:
			verdict, reason = c.Verdict, c.Name+": "+c.Reason
		}
	}
	return verdict, reason
}
