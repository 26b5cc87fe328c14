package delivery

import (
	"context"
	"crypto/rand"
	"encoding/hex"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/project"
	"github.com/slipway-ml/slipway/internal/stat"
)

// Request asks for a release.
type Request struct {
	Project     string
	Environment string
	Model       string // name@vN
	Now         bool   // take over at once, without the declared rollout
	Reason      string
}

// Release puts a version into an environment. Before anything answers, the
// version must have a certificate that the environment accepts, and reproduce
// its golden rows. It fails with Refused when it does not, and the refusal is
// recorded.
func (s *Service) Release(ctx context.Context, in Request) (Release, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rollout, err := s.declared(ctx, in)
	if err != nil {
		return Release{}, err
	}
	r, err := s.record(ctx, in)
	if err != nil {
		return r, err
	}
	if err := s.admit(ctx, r); err != nil {
		if !slipway.IsCode(err, slipway.Refused) {
			return r, err
		}
		if cerr := s.change(ctx, &r, change{state: Refused, verb: "release.refused", reason: slipway.AsError(err).Message}); cerr != nil {
			return r, cerr
		}
		return r, err
	}
	err = s.begin(ctx, &r, rollout, in.Now)
	return r, err
}

// declared checks the request against slipway.yaml and returns the rollout that
// is declared for the environment, if any.
func (s *Service) declared(ctx context.Context, in Request) (*project.Rollout, error) {
	if in.Environment == "" {
		return nil, slipway.Errorf(slipway.Invalid, "no environment is named")
	}
	p, err := s.o.Applied.Project(ctx, in.Project)
	if slipway.IsCode(err, slipway.NotFound) {
		return nil, nil // deployed by hand, without a project: at once
	}
	if err != nil {
		return nil, err
	}
	env := p.Deploy.Environment(in.Environment)
	if env == nil {
		if len(p.Deploy) == 0 {
			return nil, nil
		}
		return nil, slipway.Errorf(slipway.NotFound, "slipway.yaml declares no environment %s", in.Environment)
	}
	if env.From != "" {
		passed, err := s.wasReleased(ctx, in.Project, env.From, in.Model)
		if err != nil {
			return nil, err
		}
		if !passed {
			return nil, slipway.Errorf(slipway.Refused, "%s was not released to %s, from where %s takes its versions", in.Model, env.From, env.Name).
				WithHint("slipway deploy %s --to %s", in.Model, env.From)
		}
	}
	return env.Rollout, nil
}

// record writes a release down before anything is tried with it.
func (s *Service) record(ctx context.Context, in Request) (Release, error) {
	name, version := slipway.NewRef(slipway.KindModel, in.Model).Version()
	if version == 0 {
		return Release{}, slipway.Errorf(slipway.Invalid, "%q names no version", in.Model).WithHint("write it as churn@v3")
	}
	if _, err := s.o.Models.Model(ctx, in.Project, name, version); err != nil {
		return Release{}, err
	}
	same, err := s.current(ctx, in.Project, in.Environment)
	if err != nil {
		return Release{}, err
	}
	for _, r := range same {
		if r.Model == in.Model {
			return r, slipway.Errorf(slipway.Conflict, "%s is in %s already (%s)", in.Model, in.Environment, r.State)
		}
	}
	id := make([]byte, 8)
	if _, err := rand.Read(id); err != nil {
		return Release{}, err
	}
	now := s.o.Now()
	r := Release{ID: hex.EncodeToString(id), Project: in.Project, Environment: in.Environment, Endpoint: EndpointName(name, in.Environment),
		Model: in.Model, State: Created, Begun: now, Since: now, Actor: slipway.PrincipalOf(ctx).Name, Reason: in.Reason}
	c, err := s.o.Gate.Certificate(ctx, in.Project, in.Model)
	if err != nil && !slipway.IsCode(err, slipway.NotFound) {
		return r, err
	}
	r.Certificate = c.Digest
	err = s.insert(ctx, &r)
	return r, err
}

// admit refuses a release whose version did not pass, or is not what passed.
func (s *Service) admit(ctx context.Context, r Release) error {
	c, err := s.o.Gate.Certificate(ctx, r.Project, r.Model)
	switch {
	case slipway.IsCode(err, slipway.NotFound):
		if r.Environment == Production {
			return slipway.Errorf(slipway.Refused, "%s has no certificate", r.Model).
				WithHint("`slipway gate run %s` decides; `slipway gate waive` overrules, and is recorded", r.Model)
		}
		return nil
	case err != nil:
		return err
	case r.Environment == Production && !c.Passed() && c.Verdict == string(slipway.Ungated):
		return slipway.Errorf(slipway.Refused, "no gate has judged %s", r.Model).
			WithHint("`slipway gate run %s` does, by the gates in slipway.yaml; `slipway gate waive` lets it through, and is recorded", r.Model)
	case r.Environment == Production && !c.Passed():
		return slipway.Errorf(slipway.Refused, "the gates say %s to %s", c.Verdict, r.Model).
			WithHint("`slipway gate show %s` shows the evidence", r.Model)
	}
	return s.o.Gate.Reproduce(ctx, r.Project, r.Model, c.Digest)
}

// begin starts the declared rollout, or takes over at once where there is
// nothing to roll out from. A challenger that is still on its way makes room.
func (s *Service) begin(ctx context.Context, r *Release, rollout *project.Rollout, now bool) error {
	current, err := s.current(ctx, r.Project, r.Environment)
	if err != nil {
		return err
	}
	champion := false
	for i := range current {
		other := &current[i]
		champion = champion || other.State == Active
		if other.inRollout() {
			err := s.change(ctx, other, change{state: Kept, verb: "release.retired", reason: "a newer version, " + r.Model + ", came before it was decided"})
			if err != nil {
				return err
			}
		}
	}
	switch {
	case !champion || rollout == nil || now:
		return s.activate(ctx, r, "the first version here, or released to take over at once")
	case rollout.Shadow > 0:
		return s.stage(ctx, r, Shadowing, 0, 0, "the rollout begins in shadow")
	}
	return s.toStage(ctx, r, *rollout, 0, "the rollout begins")
}

// toStage moves a release to canary stage i; the stage of 100 % makes it the
// champion.
func (s *Service) toStage(ctx context.Context, r *Release, rollout project.Rollout, i int, reason string) error {
	if i >= len(rollout.Canary) || rollout.Canary[i] >= 100 {
		return s.activate(ctx, r, reason)
	}
	return s.stage(ctx, r, Canary, i, rollout.Canary[i], reason)
}

func (s *Service) stage(ctx context.Context, r *Release, state State, i, weight int, reason string) error {
	err := s.change(ctx, r, change{state: state, stage: i, weight: weight, verb: "rollout.stage", reason: reason, evidence: r.Evidence})
	if err != nil {
		return err
	}
	return s.publish(ctx)
}

// activate makes r the champion and retires the one before, in one transaction
// and one manifest.
func (s *Service) activate(ctx context.Context, r *Release, reason string) error {
	if err := s.swap(ctx, r, reason); err != nil {
		return err
	}
	return s.publish(ctx)
}

// withdraw takes a release out of its rollout.
func (s *Service) withdraw(ctx context.Context, r *Release, state State, reason string) error {
	verb := "release.rolled_back"
	if state == Kept {
		verb = "release.retired"
	}
	if err := s.change(ctx, r, change{state: state, verb: verb, reason: reason, evidence: r.Evidence}); err != nil {
		return err
	}
	return s.publish(ctx)
}

// Rollback takes out what is being rolled out, or else brings the champion
// before the present one back, as one swap. It fails with NotFound when there
// is nothing to take out or to go back to.
func (s *Service) Rollback(ctx context.Context, in InEnvironment) (Release, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	reason := in.Body.Reason
	if reason == "" {
		reason = "by hand"
	}
	current, err := s.current(ctx, in.Project, in.Environment)
	if err != nil {
		return Release{}, err
	}
	if in.Body.To == "" {
		for i := range current {
			if current[i].inRollout() {
				err := s.withdraw(ctx, &current[i], RolledBack, reason)
				return current[i], err
			}
		}
	}
	if in.Body.Rollout {
		return Release{}, slipway.Errorf(slipway.NotFound, "nothing is being rolled out in %s", in.Environment)
	}
	back, err := s.earlier(ctx, in.Project, in.Environment, in.Body.To)
	if err != nil {
		return Release{}, err
	}
	if err := s.admit(ctx, back); err != nil {
		return back, err
	}
	err = s.rollbackTo(ctx, &back, reason)
	return back, err
}

// Tripped takes out a release that the breaker cut off. It is what serving
// calls; the traffic has gone back to the champion already.
func (s *Service) Tripped(ctx context.Context, project, release, reason string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(ctx, project, release)
	if err != nil {
		return err
	}
	reason = "the breaker cut it off: " + reason
	if r.inRollout() {
		return s.withdraw(ctx, &r, RolledBack, reason)
	}
	if r.State != Active {
		return nil
	}
	back, err := s.earlier(ctx, project, r.Environment, "")
	if slipway.IsCode(err, slipway.NotFound) {
		return nil // nothing to go back to: the alarm is all there is
	}
	if err != nil {
		return err
	}
	return s.rollbackTo(ctx, &back, reason)
}

// Promote moves a rollout to its next stage, or to the end, on a person's word.
func (s *Service) Promote(ctx context.Context, project, environment, reason string) (Release, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if reason == "" {
		return Release{}, slipway.Errorf(slipway.Invalid, "promoting against the declared pace needs a reason").WithHint("add --reason")
	}
	current, err := s.current(ctx, project, environment)
	if err != nil {
		return Release{}, err
	}
	for i := range current {
		if current[i].inRollout() {
			err := s.activate(ctx, &current[i], "promoted by "+slipway.PrincipalOf(ctx).Name+": "+reason)
			return current[i], err
		}
	}
	return Release{}, slipway.Errorf(slipway.NotFound, "nothing is being rolled out in %s", environment)
}

// follow acts upon a decision about a release.
func (s *Service) follow(ctx context.Context, r *Release, rollout project.Rollout, d Decision) error {
	r.Evidence = &d
	switch {
	case d.Next == stat.Rollback:
		return s.withdraw(ctx, r, RolledBack, d.Reason)
	case d.Next == keep:
		return s.withdraw(ctx, r, Kept, d.Reason)
	case d.Next == stat.Promote && r.State == Shadowing:
		return s.toStage(ctx, r, rollout, 0, d.Reason)
	case d.Next == stat.Promote:
		return s.toStage(ctx, r, rollout, r.Stage+1, d.Reason)
	}
	return s.saveEvidence(ctx, *r)
}
