package gate

import (
	"context"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/project"
)

// Standing is what a release needs to know of a version.
type Standing struct {
	Certificate slipway.Digest  `json:"certificate"`
	Verdict     slipway.Verdict `json:"verdict"`
	Reason      string          `json:"reason,omitempty"`
	Source      slipway.Source  `json:"source"`
	Waiver      *Waiver         `json:"waiver,omitempty"`
}

// Staging says whether the version may be released where nobody depends on it:
// unless a gate refused it. It fails with Refused.
func (s Standing) Staging() error {
	if s.Verdict == slipway.Pass || s.Verdict == slipway.Ungated || s.Waiver != nil {
		return nil
	}
	return slipway.Errorf(slipway.Refused, "its gate says %s: %s", s.Verdict, s.Reason).WithHint("`slipway gate show %s` has the evidence", s.Certificate.Short())
}

// Production says whether the version may answer for real: when its gate passed
// it, when somebody waived that, or when a run of a project without gates made
// it. It fails with Refused.
func (s Standing) Production() error {
	if s.Verdict == slipway.Ungated && s.Source == slipway.FromClient && s.Waiver == nil {
		return slipway.Errorf(slipway.Refused, "no gate judged it, and it came from a client").
			WithHint("`slipway gate run` judges it; `slipway gate waive --reason` lets it through in your name")
	}
	return s.Staging()
}

// Standing reads what is known of a version. It fails with NotFound when the
// version has no certificate.
func (s *Service) Standing(ctx context.Context, project string, version slipway.Ref) (Standing, error) {
	name, n := version.Version()
	e, err := s.newest(ctx, project, name, n)
	if err != nil {
		return Standing{}, err
	}
	w, err := s.waiver(ctx, project, name, n)
	return Standing{e.Digest, e.Verdict, e.Reason, e.source, w}, err
}

// Certificate reads a certificate by its digest or the beginning of it, or the
// newest one of a version by NAME@vN, NAME@ALIAS or NAME. What it returns was
// verified against this workspace's key. It fails with NotFound.
func (s *Service) Certificate(ctx context.Context, project, text string) (Signed, error) {
	text = strings.TrimPrefix(text, string(slipway.KindCertificate)+":")
	e, err := s.entry(ctx, project, text)
	if err != nil {
		return Signed{}, err
	}
	out, err := s.read(ctx, e.Digest)
	if err != nil {
		return out, err
	}
	name, n := slipway.NewRef(slipway.KindModel, e.Model).Version()
	out.Waiver, err = s.waiver(ctx, project, name, n)
	return out, err
}

func (s *Service) entry(ctx context.Context, project, text string) (Entry, error) {
	if len(text) >= 6 && strings.Trim(text, "0123456789abcdef") == "" {
		if e, err := s.byDigest(ctx, project, text); !slipway.IsCode(err, slipway.NotFound) {
			return e, err
		}
	}
	v, err := s.o.Models.Find(ctx, project, text)
	if err != nil {
		return Entry{}, err
	}
	return s.newest(ctx, project, v.Name, v.Version)
}

// Waive lets a version through that no gate passed, in the name of whoever
// asks. It fails with Refused for one that gates refused, where slipway.yaml
// says that they are not to be released at all (on_fail: refuse), and with
// Conflict for one that passed or was waived.
func (s *Service) Waive(ctx context.Context, name, version, reason string) (Waiver, error) {
	if strings.TrimSpace(reason) == "" || len(reason) > 2000 {
		return Waiver{}, slipway.Errorf(slipway.Invalid, "a waiver needs a reason of at most 2,000 characters").WithHint("--reason \"…\"")
	}
	v, err := s.o.Models.Find(ctx, name, version)
	if err != nil {
		return Waiver{}, err
	}
	e, err := s.newest(ctx, name, v.Name, v.Version)
	if err != nil {
		return Waiver{}, err
	}
	if e.Verdict == slipway.Pass {
		return Waiver{}, slipway.Errorf(slipway.Conflict, "%s passed its gate; there is nothing to waive", v.ID())
	}
	if e.Verdict == slipway.Refuse {
		p, _, err := s.gates(ctx, v)
		if err != nil {
			return Waiver{}, err
		}
		if !waivable(p) {
			return Waiver{}, slipway.Errorf(slipway.Refused, "%s was refused: %s", v.ID(), e.Reason).
				WithHint("slipway.yaml says gates.on_fail: refuse; with on_fail: register a refused version can be waived")
		}
	}
	return s.insertWaiver(ctx, v, reason)
}

func waivable(p *project.Project) bool {
	return p != nil && p.Gates != nil && p.Gates.OnFail == "register"
}
