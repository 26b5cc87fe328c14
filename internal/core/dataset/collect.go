package dataset

import (
	"context"
	"errors"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
)

// Collection is what garbage collection was asked to do.
type Collection struct {
	Remove   bool `json:"remove,omitempty" doc:"without it nothing is removed, only counted"`
	Hours    int  `json:"hours,omitempty" minimum:"0" doc:"spare what is younger; 0 is 24"`
	Thorough bool `json:"thorough,omitempty" doc:"rewrite a pack for the sake of a single piece in it"`
}

// Collect removes content that nothing refers to: no version, run, model,
// certificate or prediction of any project. It fails with Conflict while another
// collection runs.
func (s *Service) Collect(ctx context.Context, c Collection) (content.GCReport, error) {
	return s.o.Content.GC(ctx, s.o.Roots(ctx), content.GCOptions{DryRun: !c.Remove, Thorough: c.Thorough, Grace: time.Duration(c.Hours) * time.Hour})
}

// Checked is what a check of the store found.
type Checked struct {
	content.Report
	Missing  []slipway.Digest `json:"missing,omitempty"` // referred to, and nowhere to be found
	Versions []Broken         `json:"versions,omitempty"`
}

// Broken is a version that damage has reached.
type Broken struct {
	Project string   `json:"project"`
	Version string   `json:"version"` // name@vN
	Files   []string `json:"files"`   // of it that cannot be read
}

// Sound reports whether nothing is wrong.
func (c Checked) Sound() bool { return len(c.Damage)+len(c.Missing) == 0 }

// Fsck reads everything that is stored and checks it, and names the versions
// that damage has reached. What is damaged or missing is noted, so that adding or
// pulling the same again repairs it; nothing else is changed.
func (s *Service) Fsck(ctx context.Context) (out Checked, err error) {
	if out.Report, err = s.o.Content.Verify(ctx); err != nil {
		return out, err
	}
	known, err := s.o.Content.GC(ctx, s.o.Roots(ctx), content.GCOptions{DryRun: true})
	var told *slipway.Error
	switch {
	case err == nil:
		out.Missing = known.Missing
		s.o.Content.Suspect(known.Missing...) // so that it is fetched or sent again
	case slipway.IsCode(err, slipway.Conflict): // one is running, and says so itself
	case errors.As(err, &told) && told.Code == slipway.Internal && len(out.Damage) > 0: // a tree is damaged, as is known already
	default:
		return out, err
	}
	if out.Sound() {
		return out, nil
	}
	bad := map[slipway.Digest]bool{}
	for _, d := range out.Damage {
		if d.Digest != "" {
			bad[d.Digest] = true
		}
	}
	for _, d := range out.Missing {
		bad[d] = true
	}
	versions, err := s.every(ctx)
	if err != nil {
		return out, err
	}
	for _, v := range versions {
		files, err := s.o.Content.Touched(ctx, v.Tree, bad)
		if err != nil {
			return out, err
		}
		if len(files) > 0 {
			out.Versions = append(out.Versions, Broken{v.Project, v.ID(), files})
		}
	}
	return out, nil
}

// Remove forgets a version. It fails with Conflict while something was made from
// it, unless force is said, and always while it has a tag. Its content goes with
// the next garbage collection, where nothing else refers to it.
func (s *Service) Remove(ctx context.Context, project, name string, n int, reason string, force bool) (Version, error) {
	v, err := s.find(ctx, project, name, n)
	if err != nil {
		return v, err
	}
	if reason == "" {
		return v, slipway.Errorf(slipway.Invalid, "say why %s is removed", v.ID()).WithHint("-m REASON; it stands in the log for ever")
	}
	if s.o.Used != nil && !force {
		used, err := s.o.Used(ctx, project, v.Ref())
		if err != nil {
			return v, err
		}
		if len(used) > 0 {
			names := make([]string, len(used))
			for i, u := range used {
				names[i] = u.String()
			}
			return v, slipway.Errorf(slipway.Conflict, "%s is what %s was made from", v.ID(), some(names, 5)).
				WithHint("--force removes it nevertheless: they can then not be made again")
		}
	}
	return v, s.remove(ctx, v, reason)
}

// Rename gives a dataset another name; the old one goes on meaning it, so that
// runs and pins that say it keep their sense.
func (s *Service) Rename(ctx context.Context, project, from, to string) (Version, error) {
	if err := checkName(to); err != nil {
		return Version{}, err
	}
	if err := s.rename(ctx, project, from, to); err != nil {
		return Version{}, err
	}
	return s.find(ctx, project, to, 0)
}
