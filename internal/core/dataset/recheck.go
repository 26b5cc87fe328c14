package dataset

import (
	"context"
	"encoding/json"
	"io"
	"slices"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// Question is what a client wants checked.
type Question struct {
	Version  int            `json:"version,omitempty" doc:"0 is the newest"`
	Tree     slipway.Digest `json:"tree,omitempty" doc:"files that are no version, instead of a version"`
	Spec     Spec           `json:"spec,omitzero" doc:"how those are read"`
	Contract string         `json:"contract,omitempty" doc:"the contract's YAML; by default the version's own"`
	View     View           `json:"view,omitzero" doc:"only a window or a part of the version's rows"`
}

// Check asks a contract about all rows of a version, or of files that were sent
// and are no version, and writes nothing down. A contract that says no is a
// Report, and fails with Refused.
func (s *Service) Check(ctx context.Context, project, name string, q Question) (*Report, error) {
	last, err := s.find(ctx, project, name, q.Version)
	if err != nil && (q.Tree == "" || !slipway.IsCode(err, slipway.NotFound)) {
		return nil, err
	}
	number := last.Number
	tree, spec, known := last.Tree, last.Spec, last.Schema
	if q.Tree != "" {
		tree, spec, known = q.Tree, q.Spec, nil
	}
	if q.Contract == "" {
		if last.Contract == "" {
			return nil, slipway.Errorf(slipway.Invalid, "%s has no contract", name).WithHint("slipway data contract infer %s proposes one", name)
		}
		if q.Contract, err = s.text(ctx, last.Contract); err != nil {
			return nil, err
		}
	}
	c, err := ParseContract([]byte(q.Contract), name)
	if err != nil {
		return nil, err
	}
	if len(spec.Key) == 0 {
		spec.Key = c.key()
	}
	if spec.Types = c.types(); q.Tree == "" && len(spec.Types) > len(last.Spec.Types) {
		known = nil // the contract reads columns as text that looked like something else
	}
	entries, err := s.o.Content.GetTree(ctx, tree)
	if err != nil {
		return nil, err
	}
	var same slipway.Digest
	if q.Tree == "" { // a version is compared with the one before it, as it was when it came
		if slices.Equal(spec.Key, last.Spec.Key) && q.View.IsZero() {
			same = last.Profile
		}
		if last, err = s.find(ctx, project, name, max(1, last.Number-1)); err != nil || last.Number == number {
			last = Version{Project: project, Name: name}
		}
	}
	return s.answer(ctx, project, name, q.View, entries, spec, known, c, last, same)
}

// answer checks entries, of which same is the profile if there is one, and turns a no into an error.
func (s *Service) answer(ctx context.Context, project, name string, view View, entries content.Tree, spec Spec, known slipway.Schema, c *Contract, last Version, same slipway.Digest) (*Report, error) {
	t, err := s.open(ctx, name, entries, spec, known)
	if err != nil {
		return nil, err
	}
	defer t.close()
	if t.spec.Format == FilesOnly {
		return nil, slipway.Errorf(slipway.Invalid, "the files of %s are no table", name)
	}
	if err := s.narrow(ctx, t, view); err != nil {
		return nil, err
	}
	a, err := s.surround(ctx, project, c, last)
	if err != nil {
		return nil, err
	}
	defer a.close()
	t.around = a
	if same != "" {
		a.same = &Profile{}
		if err := s.recall(ctx, same, a.same); err != nil {
			return nil, err
		}
	}
	checks, err := c.compile(t)
	if err != nil {
		return nil, err
	}
	r, err := s.inspect(ctx, t, checks)
	if err != nil {
		return nil, err
	}
	r.name(entries)
	if r.Verdict != Refused {
		return r, nil
	}
	failed := 0
	for _, f := range r.failed() {
		if f.Severity == Error {
			failed++
		}
	}
	return r, slipway.Errorf(slipway.Refused, "%s broke its contract: %d of %d checks failed", name, failed, len(r.Checks))
}

// text reads a small piece of content.
func (s *Service) text(ctx context.Context, d slipway.Digest) (string, error) {
	r, err := s.o.Content.Open(ctx, d)
	if err != nil {
		return "", err
	}
	defer r.Close()
	raw, err := io.ReadAll(io.LimitReader(r, maxContract+1))
	return string(raw), err
}

// Profile is what the rows of a version look like. It fails with NotFound where
// the files are no table.
func (s *Service) Profile(ctx context.Context, project, name string, n int) (Profile, error) {
	var p Profile
	v, err := s.find(ctx, project, name, n)
	if err != nil {
		return p, err
	}
	if v.Profile == "" {
		return p, slipway.Errorf(slipway.NotFound, "%s holds files and no table, so it has no profile", v.ID())
	}
	return p, s.recall(ctx, v.Profile, &p)
}

// Report is what the contract said when a version was added. It fails with
// NotFound for a version without a contract.
func (s *Service) Report(ctx context.Context, project, name string, n int) (Report, error) {
	var r Report
	v, err := s.find(ctx, project, name, n)
	if err != nil {
		return r, err
	}
	if v.Report == "" {
		return r, slipway.Errorf(slipway.NotFound, "%s was added without a contract", v.ID())
	}
	return r, s.recall(ctx, v.Report, &r)
}

// QuarantineReport is why a batch was refused. It fails with NotFound.
func (s *Service) QuarantineReport(ctx context.Context, project, id string) (Report, error) {
	var r Report
	all, err := s.Quarantine(ctx, project, "")
	if err != nil {
		return r, err
	}
	for _, q := range all {
		if q.ID == id {
			return r, s.recall(ctx, q.Report, &r)
		}
	}
	return r, slipway.Errorf(slipway.NotFound, "there is no batch %s in quarantine", id)
}

// Contract is the contract under which a version was added. It fails with
// NotFound when there was none.
func (s *Service) Contract(ctx context.Context, project, name string, n int) (Proposal, error) {
	v, err := s.find(ctx, project, name, n)
	if err != nil {
		return Proposal{}, err
	}
	if v.Contract == "" {
		return Proposal{}, slipway.Errorf(slipway.NotFound, "%s was added without a contract", v.ID())
	}
	text, err := s.text(ctx, v.Contract)
	return Proposal{YAML: text}, err
}

// job runs fn as a job whose result is what it returns, failed or not.
func job[T any](ctx context.Context, jobs *web.Jobs, kind, project string, fn func(context.Context) (T, error)) (web.Job, error) {
	return jobs.Start(ctx, kind, project, func(ctx context.Context, _ func(web.Progress)) (any, error) { return fn(ctx) }), nil
}

// result reads what a job returned.
func result[T any](j web.Job) (out T, err error) {
	if len(j.Result) > 0 {
		err = json.Unmarshal(j.Result, &out)
	}
	return out, err
}
