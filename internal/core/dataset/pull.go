package dataset

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// Pull fetches versions, with their content and tags, from a remote: of each
// dataset the newest and those pinned, or every one. A version keeps its number
// where that is free here, else it gets the next one.
func (s *Service) Pull(ctx context.Context, project string, t Transport, say func(web.Progress)) (out Moved, err error) {
	r, err := s.openRemote(t.Remote, project)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, r.store.Close()) }()
	out = Moved{Remote: r.address, Versions: []MovedVersion{}}
	names := t.Names
	if len(names) == 0 {
		if names, err = r.names(ctx); err != nil {
			return out, err
		}
	}
	for _, name := range names {
		if err := s.pullOne(ctx, r, name, t, &out, say); err != nil {
			return out, err
		}
	}
	return out, nil
}

func (s *Service) pullOne(ctx context.Context, r *remote, name string, t Transport, out *Moved, say func(web.Progress)) error {
	if err := checkName(name); err != nil {
		return err
	}
	known, err := r.versions(ctx, name)
	if err != nil {
		return err
	}
	if len(known) == 0 {
		return slipway.Errorf(slipway.NotFound, "%s has no dataset %s of project %s", r.address, name, r.project).WithHint("slipway data push %s, where it is", name)
	}
	log, err := s.Log(ctx, r.project, name)
	if err != nil && !slipway.IsCode(err, slipway.NotFound) {
		return err
	}
	numbers := make([]int, 0, len(known))
	for n := range known {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	newest := numbers[len(numbers)-1]
	for _, n := range numbers {
		v := known[n]
		if slices.ContainsFunc(log, v.same) {
			if err := s.repair(ctx, r, v, out, say); err != nil {
				return err
			}
			continue
		}
		if !t.Every && n != newest && !slices.Contains(t.Pinned, v.Tree) {
			continue
		}
		say(web.Progress{Topic: name, Message: fmt.Sprintf("fetching v%d", n), State: "fetch"})
		got, err := r.store.Pull(ctx, v.kept()...)
		total(&out.Content, got)
		if err != nil {
			return err
		}
		v.Project, v.Name, v.Number, v.Origin = r.project, name, n, fmt.Sprintf("%s v%d", r.address, n)
		if err := s.adopt(ctx, &v); err != nil {
			return err
		}
		out.Versions = append(out.Versions, MovedVersion{Name: name, Here: v.Number, Remote: n})
	}
	return s.pullTags(ctx, r, name, out)
}

// repair fetches what is damaged here of a version that is here. Where nothing
// is known to be damaged it costs nothing.
func (s *Service) repair(ctx context.Context, r *remote, v Version, out *Moved, say func(web.Progress)) error {
	bad, err := r.store.Damaged(ctx)
	if err != nil || len(bad) == 0 {
		return err
	}
	say(web.Progress{Topic: v.Name, Message: "repairing", State: "fetch"})
	got, err := r.store.Pull(ctx, v.kept()...)
	total(&out.Content, got)
	return err
}

func (s *Service) pullTags(ctx context.Context, r *remote, name string, out *Moved) error {
	log, err := s.Log(ctx, r.project, name)
	if err != nil {
		return err
	}
	for info, err := range r.bucket.List(ctx, r.prefix("tag", name)) {
		if err != nil {
			return err
		}
		v, err := r.version(ctx, info.Key)
		if err != nil {
			return err
		}
		tag := strings.TrimSuffix(strings.TrimPrefix(info.Key, r.prefix("tag", name)), ".json")
		i := slices.IndexFunc(log, v.same)
		if i < 0 || checkTag(tag) != nil {
			continue // its version was not pulled
		}
		_, err = s.SetTag(ctx, r.project, name, tag, log[i].Number, false)
		switch {
		case err == nil:
			out.Tags = append(out.Tags, name+"@"+tag)
		case slipway.IsCode(err, slipway.Conflict):
			out.Refused = append(out.Refused, fmt.Sprintf("%s@%s means another version here", name, tag))
		default:
			return err
		}
	}
	return nil
}
