package pipeline

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/project"
)

// Assignment is all that a step's process needs.
type Assignment struct {
	Project  string            `json:"project"`
	Run      string            `json:"run"`      // the step's run in tracking
	Pipeline string            `json:"pipeline"` // the run of the pipeline
	Step     string            `json:"step"`
	Attempt  int               `json:"attempt"`
	Argv     []string          `json:"argv"`
	Env      map[string]string `json:"env"` // of slipway.yaml, secrets resolved
	Path     []string          `json:"path"`
	Params   map[string]any    `json:"params"`
	Code     slipway.Digest    `json:"code"` // content.Tree
	Input    []Placement       `json:"input"`
	Output   []project.Output  `json:"output"`
	Window   slipway.Window    `json:"window,omitzero"` // of the request
	Timezone string            `json:"timezone"`
	Timeout  time.Duration     `json:"timeout"` // 0 is none
	Grace    time.Duration     `json:"grace"`
	Lease    time.Duration     `json:"lease"` // from each renewal
	Content  string            `json:"content,omitempty"`
	Scratch  string            `json:"scratch"` // folder of the attempt
	SDK      string            `json:"sdk,omitempty"`
}

// Placement is one input and where it goes in the working folder.
type Placement struct {
	Name    []string       `json:"name"` // names under which the step finds it
	Path    string         `json:"path"`
	Digest  slipway.Digest `json:"digest"`
	Tree    bool           `json:"tree,omitempty"`
	Version int            `json:"version,omitempty"`
	Rows    slipway.Window `json:"rows,omitzero"` // the window that was cut out
	Time    string         `json:"time,omitempty"`
}

// seat finds the attempt that a token stands for. It fails with Denied when
// there is none, or it is over.
func (s *Service) seat(ctx context.Context, token string) (*taskSeat, error) {
	select {
	case <-s.started:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s.mu.Lock()
	seat := s.leases[tokenHash(token)]
	s.mu.Unlock()
	if seat == nil {
		return nil, slipway.Errorf(slipway.Denied, "this lease is over: the step was cancelled, or another attempt has taken its place")
	}
	select {
	case <-seat.drive.ready:
	case <-seat.drive.done:
		return nil, slipway.Errorf(slipway.Unavailable, "the run is not driven at the moment")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if seat.drive.plan == nil {
		return nil, slipway.Errorf(slipway.Denied, "the run of this lease cannot go on")
	}
	return seat, nil
}

// LeasePrincipal is who holds a step's token: it may log and read in its
// project. It fails with Unauthenticated when the token is not one of a step
// under way.
func (s *Service) LeasePrincipal(ctx context.Context, token string) (slipway.Principal, error) {
	seat, err := s.seat(ctx, token)
	if err != nil {
		return slipway.Principal{}, slipway.Errorf(slipway.Unauthenticated, "the token is unknown")
	}
	return slipway.Principal{Name: "step/" + seat.step, Role: slipway.Writer, Project: seat.drive.run.Project}, nil
}

// assign says what the holder of a token has to do.
func (s *Service) assign(ctx context.Context, token string) (Assignment, error) {
	seat, err := s.seat(ctx, token)
	if err != nil {
		return Assignment{}, err
	}
	d, pl := seat.drive, seat.drive.plan
	d.mu.Lock()
	defer d.mu.Unlock()
	i := d.position(seat.step)
	st := pl.steps[i]
	scratch, err := s.path("scratch", d.run.ID, scratchName(st.Name, seat.attempt))
	if err != nil {
		return Assignment{}, err
	}
	a := Assignment{Project: d.run.Project, Run: seat.task.Run, Pipeline: d.run.ID, Step: st.Name, Attempt: seat.attempt, Argv: st.Run.Argv(),
		Env: map[string]string{}, Params: pl.params(st), Code: pl.revision.Code, Output: st.Out, Window: pl.request.Window, Timezone: pl.project.Timezone,
		Timeout: st.Timeout.D(), Grace: s.o.Grace, Lease: s.o.Lease, Content: s.o.ContentDir, Scratch: scratch}
	if pl.environment.Bin != "" {
		a.Path = []string{pl.environment.Bin}
	}
	if a.SDK, err = s.sdk(); err != nil {
		return Assignment{}, err
	}
	for name, v := range st.Env {
		if secret, ok := strings.CutPrefix(v, "$"); ok {
			if v, ok = s.o.Secret(secret); !ok {
				return Assignment{}, slipway.Errorf(slipway.Invalid, "the secret $%s is not set", secret)
			}
		}
		a.Env[name] = v
	}
	a.Input = d.placements(st)
	return a, nil
}

// placements says where a step's inputs go. The caller holds mu.
func (d *drive) placements(st *project.Step) []Placement {
	pl := d.plan
	var out []Placement
	count := map[string]int{}
	for _, in := range st.In {
		if in.Dataset == "" {
			o := d.tasks[d.position(in.Step)].Output[in.Output]
			names := []string{in.Text, o.Path, in.Step + "." + in.Output}
			slices.Sort(names)
			out = append(out, Placement{Name: slices.Compact(names), Path: strings.TrimSuffix(o.Path, "/"), Digest: o.Digest, Tree: o.Tree})
			continue
		}
		count[in.Dataset]++
		set, rows, v := pl.project.Data[in.Dataset], pl.rows[in.Text], pl.versions[in.Dataset]
		p := Placement{Name: []string{in.Text}, Path: dataFolder(set.Path), Digest: rows.Digest, Tree: rows.Tree, Version: v.Version, Time: set.Time.Expression}
		if count[in.Dataset] == 1 && in.Text != in.Dataset {
			p.Name = append(p.Name, in.Dataset)
		}
		if !rows.Tree {
			p.Path = path.Join(p.Path, in.Dataset+fileNumber(count[in.Dataset])+".parquet")
			if p.Rows = in.Window; !pl.request.Window.IsZero() {
				p.Rows = pl.request.Window
			}
		}
		out = append(out, p)
	}
	return out
}

// dataFolder is the folder in which a dataset's files lie: its path, or what
// stands before a pattern or a file's name.
func dataFolder(at string) string {
	clean := path.Clean(filepath.ToSlash(at))
	for strings.ContainsAny(clean, "*?[") {
		clean = path.Dir(clean)
	}
	if !strings.HasSuffix(at, "/") && path.Ext(clean) != "" && !strings.ContainsAny(at, "*?[") {
		clean = path.Dir(clean)
	}
	return clean
}

// heartbeat renews a lease.
func (s *Service) heartbeat(ctx context.Context, token string) error {
	seat, err := s.seat(ctx, token)
	if err != nil {
		return err
	}
	d := seat.drive
	d.mu.Lock()
	if d.cancelled || seat.task.State != Running || seat.task.Attempt != seat.attempt {
		d.mu.Unlock()
		return slipway.Errorf(slipway.Denied, "this lease is over")
	}
	seat.task.leaseUntil = s.now().Add(s.o.Lease)
	t := *seat.task
	d.mu.Unlock()
	return s.renew(ctx, d.run.ID, t)
}

// complete ends the attempt of a token. Completing again what was completed is
// no error when the token is gone: the first answer was lost on its way.
func (s *Service) complete(ctx context.Context, token string, c completion) error {
	seat, err := s.seat(ctx, token)
	if err != nil {
		return err
	}
	if c.Message == "" {
		if err := s.checkOutput(ctx, seat, c); err != nil {
			return err
		}
	}
	did, err := seat.drive.end(ctx, seat, c)
	if err == nil && !did {
		err = slipway.Errorf(slipway.Denied, "this lease is over")
	}
	return err
}

// checkOutput refuses a success that lacks declared outputs or their content.
func (s *Service) checkOutput(ctx context.Context, seat *taskSeat, c completion) error {
	d := seat.drive
	i := d.position(seat.step)
	for _, o := range d.plan.steps[i].Out {
		got, ok := c.Output[o.Name]
		if !ok {
			return slipway.Errorf(slipway.Invalid, "output %s is missing", o.Name)
		}
		roots := []slipway.Digest{got.Digest}
		if got.Tree {
			tree, err := s.o.Content.GetTree(ctx, got.Digest)
			if err != nil {
				return fmt.Errorf("output %s: %w", o.Name, err)
			}
			roots = append(roots, tree.Digests()...)
		}
		missing, err := s.o.Content.Missing(ctx, roots...)
		if err != nil {
			return err
		}
		if len(missing) > 0 {
			return slipway.Errorf(slipway.Invalid, "the content of output %s was not sent", o.Name)
		}
	}
	return nil
}

// handleOf finds the process of an attempt.
func (s *Service) handleOf(ctx context.Context, run, step string, attempt int) (stopper, error) {
	id, err := s.handle(ctx, run, step, attempt)
	if err != nil || id == "" {
		return nil, errors.Join(err, slipway.Errorf(slipway.NotFound, "no process is known"))
	}
	return s.o.Compute.Adopt(ctx, id)
}

// stopper is the part of a handle that cancelling needs.
type stopper interface {
	Kill(ctx context.Context, grace time.Duration) error
}
