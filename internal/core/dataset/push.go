package dataset

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// publish writes v under the next free number and returns it.
func (r *remote) publish(ctx context.Context, v Version, known map[int]Version) (int, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return 0, err
	}
	n := 0
	for number := range known {
		n = max(n, number)
	}
	if _, taken := known[v.Number]; !taken && v.Number > n {
		n = v.Number - 1
	}
	for {
		n++
		key := r.prefix("version", v.Name) + fmt.Sprintf("%08d.json", n)
		err := r.bucket.Create(ctx, key, bytes.NewReader(raw), int64(len(raw)))
		if err == nil {
			known[n] = v
			return n, nil
		}
		if !slipway.IsCode(err, slipway.Conflict) {
			return 0, err
		}
		other, err := r.version(ctx, key)
		if err != nil {
			return 0, err
		}
		known[n] = other
		if other.same(v) { // an earlier attempt, whose answer was lost
			return n, nil
		}
	}
}

// Push sends versions, with their content and tags, to a remote. What it has
// already is not sent; a push that broke off goes on where it stopped.
func (s *Service) Push(ctx context.Context, project string, t Transport, say func(web.Progress)) (out Moved, err error) {
	r, err := s.openRemote(t.Remote, project)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, r.store.Close()) }()
	out = Moved{Remote: r.address, Versions: []MovedVersion{}}
	names := t.Names
	if len(names) == 0 {
		all, err := s.List(ctx, project)
		if err != nil {
			return out, err
		}
		for _, v := range all {
			names = append(names, v.Name)
		}
	}
	for _, name := range names {
		if err := s.pushOne(ctx, r, name, &out, say); err != nil {
			return out, err
		}
	}
	return out, nil
}

func (s *Service) pushOne(ctx context.Context, r *remote, name string, out *Moved, say func(web.Progress)) error {
	log, err := s.Log(ctx, r.project, name)
	if err != nil {
		return err
	}
	name = log[0].Name
	known, err := r.versions(ctx, name)
	if err != nil {
		return err
	}
	var roots []slipway.Digest
	var fresh []Version
	for _, v := range slices.Backward(log) {
		if numberOf(known, v) == 0 {
			fresh, roots = append(fresh, v), append(roots, v.kept()...)
		}
	}
	say(web.Progress{Topic: name, Message: "sending " + plural(int64(len(fresh)), "version"), State: "send"})
	sent, err := r.store.Push(ctx, roots...)
	total(&out.Content, sent)
	if err != nil {
		return err
	}
	for _, v := range fresh {
		n, err := r.publish(ctx, v, known)
		if err != nil {
			return err
		}
		out.Versions = append(out.Versions, MovedVersion{Name: name, Here: v.Number, Remote: n})
	}
	return s.pushTags(ctx, r, name, log, out)
}

func numberOf(known map[int]Version, v Version) int {
	for n, k := range known {
		if k.same(v) {
			return n
		}
	}
	return 0
}

func total(sum *content.Transfer, t content.Transfer) {
	sum.Objects, sum.Packs, sum.Whole, sum.Bytes = sum.Objects+t.Objects, sum.Packs+t.Packs, sum.Whole+t.Whole, sum.Bytes+t.Bytes
}

func (s *Service) pushTags(ctx context.Context, r *remote, name string, log []Version, out *Moved) error {
	tags, err := s.Tags(ctx, r.project, name)
	if err != nil {
		return err
	}
	for _, t := range tags {
		i := slices.IndexFunc(log, func(v Version) bool { return v.Number == t.Version })
		if i < 0 {
			continue
		}
		raw, err := json.Marshal(log[i])
		if err != nil {
			return err
		}
		key := r.prefix("tag", name) + t.Tag + ".json"
		err = r.bucket.Create(ctx, key, bytes.NewReader(raw), int64(len(raw)))
		if err == nil {
			out.Tags = append(out.Tags, name+"@"+t.Tag)
			continue
		}
		if !slipway.IsCode(err, slipway.Conflict) {
			return err
		}
		other, err := r.version(ctx, key)
		if err != nil {
			return err
		}
		if !other.same(log[i]) {
			out.Refused = append(out.Refused, fmt.Sprintf("%s@%s means another version in the remote, by %s", name, t.Tag, other.Actor))
		}
	}
	return nil
}
