package delivery

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/project"
)

// The breaker cuts a variant off when this many of its last requests failed.
var breaker = slipway.Breaker{Failures: 10, Of: 100, Deadline: time.Second}

// Sign signs a manifest.
func Sign(m slipway.Manifest, key ed25519.PrivateKey) (slipway.Manifest, error) {
	m.Signature = nil
	b, err := json.Marshal(m)
	if err != nil {
		return m, err
	}
	m.Signature = ed25519.Sign(key, b)
	return m, nil
}

// Verify checks a manifest's signature. It fails with Refused.
func Verify(m slipway.Manifest, key ed25519.PublicKey) error {
	signature := m.Signature
	m.Signature = nil
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if !ed25519.Verify(key, b, signature) {
		return slipway.Errorf(slipway.Refused, "manifest %d is not signed by this workspace", m.Number)
	}
	return nil
}

// publish writes what is in force now as a new manifest and hands it to
// serving. The caller holds mu.
func (s *Service) publish(ctx context.Context) error {
	live, err := s.live(ctx)
	if err != nil {
		return err
	}
	endpoints, err := s.endpoints(ctx, live)
	if err != nil {
		return err
	}
	m, err := s.insertManifest(ctx, endpoints)
	if err != nil {
		return err
	}
	return s.o.Serving.Publish(ctx, m)
}

// Restore hands serving the newest manifest: after a start, and after a crash
// between the change of a release and its manifest.
func (s *Service) Restore(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	live, err := s.live(ctx)
	if err != nil || len(live) == 0 {
		return err
	}
	return s.publish(ctx)
}

// endpoints groups live releases, ordered by project, environment and age, into
// endpoints.
func (s *Service) endpoints(ctx context.Context, live []Release) ([]slipway.Endpoint, error) {
	var out []slipway.Endpoint
	at := map[string]int{}
	for _, r := range live {
		variant, err := s.variant(ctx, r)
		if err != nil {
			return nil, err
		}
		key := r.Project + "\x00" + r.Endpoint
		i, ok := at[key]
		if !ok {
			e, err := s.endpoint(ctx, r)
			if err != nil {
				return nil, err
			}
			i = len(out)
			at[key], out = i, append(out, e)
		}
		if variant.Role != slipway.Champion {
			out[i].Salt = r.ID
		}
		out[i].Variant = append(out[i].Variant, variant)
	}
	return out, nil
}

// endpoint is the part of an endpoint that its variants share.
func (s *Service) endpoint(ctx context.Context, r Release) (slipway.Endpoint, error) {
	e := slipway.Endpoint{Project: r.Project, Name: r.Endpoint, Salt: r.ID, Breaker: breaker}
	p, err := s.o.Applied.Project(ctx, r.Project)
	if slipway.IsCode(err, slipway.NotFound) {
		return e, nil // a model that was deployed by hand, without a project
	}
	if err != nil {
		return e, err
	}
	if d := served(p); d != nil {
		e.Key, e.Time = d.Key, d.Time.Expression
	}
	if env := p.Deploy.Environment(r.Environment); env != nil && env.Rollout != nil {
		e.Unit = env.Rollout.Unit
	}
	return e, nil
}

// served is the dataset whose rows the model answers for: the project's only
// one, or the first that an earlier step reads.
func served(p *project.Project) *project.Dataset {
	for _, step := range p.Pipeline {
		for _, in := range step.In {
			if d, ok := p.Data[in.Dataset]; ok {
				return &d
			}
		}
	}
	return nil
}

func (s *Service) variant(ctx context.Context, r Release) (slipway.Variant, error) {
	name, version := r.modelRef().Version()
	m, err := s.o.Models.Model(ctx, r.Project, name, version)
	if err != nil {
		return slipway.Variant{}, err
	}
	v := slipway.Variant{Release: r.ID, Role: slipway.Champion, Model: r.Model, Content: m.Content, Signature: m.Signature, Range: m.Range}
	switch r.State {
	case Shadowing:
		v.Role = slipway.Shadow
	case Canary:
		v.Role, v.Weight = slipway.Challenger, r.Weight
	}
	return v, nil
}

// Champion is the version of a model that answers in an environment; false when
// none does.
func (s *Service) Champion(ctx context.Context, project, model, environment string) (slipway.Ref, bool, error) {
	current, err := s.current(ctx, project, environment)
	if err != nil {
		return slipway.Ref{}, false, err
	}
	for _, r := range current {
		if name, _ := r.modelRef().Version(); r.State == Active && name == model {
			return r.modelRef(), true, nil
		}
	}
	return slipway.Ref{}, false, nil
}

// InUse says where a version is live, "" when nowhere.
func (s *Service) InUse(ctx context.Context, project string, version slipway.Ref) (string, error) {
	found, err := s.releases(ctx, `project = ? AND model = ? AND state IN ('active', 'canary', 'shadow') ORDER BY created`, project, version.ID)
	if err != nil || len(found) == 0 {
		return "", err
	}
	return "it is " + string(found[0].State) + " in " + found[0].Environment, nil
}
