package dataset

import (
	"context"
	"encoding/json"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/blob"
	"github.com/slipway-ml/slipway/internal/content"
)

// A remote holds content as package content lays it out, and beside it
//
//	version/<project>/<dataset>/<number>.json   a Version
//	tag/<project>/<dataset>/<tag>.json          a Version that has the tag
//
// Each is created and never changed. Who pushes takes the next free number with
// a write that fails where somebody was faster, and then tries the one after: of
// two who push at once neither loses anything. Content arrives before the
// version that refers to it.

// Transport asks for a push or a pull.
type Transport struct {
	Remote string           `json:"remote,omitempty" doc:"address; empty is SLIPWAY_REMOTE"`
	Names  []string         `json:"names,omitempty" doc:"datasets; empty is all of the project"`
	Pinned []slipway.Digest `json:"pinned,omitempty" doc:"trees of versions to pull beside the newest"`
	Every  bool             `json:"every,omitempty" doc:"pull every version, not only the newest and those pinned"`
}

// Moved is what a push or a pull did.
type Moved struct {
	Remote   string           `json:"remote"`
	Content  content.Transfer `json:"content"`
	Versions []MovedVersion   `json:"versions"`
	Tags     []string         `json:"tags,omitempty"`    // name@tag that were taken over
	Refused  []string         `json:"refused,omitempty"` // tags that mean another version there: a sentence each
}

// MovedVersion is a version under its numbers here and in the remote.
type MovedVersion struct {
	Name   string `json:"name"`
	Here   int    `json:"here"`
	Remote int    `json:"remote"`
}

// same reports whether two versions are one, whatever their numbers.
func (v Version) same(o Version) bool {
	return v.Tree == o.Tree && v.Actor == o.Actor && v.Created.UnixMicro() == o.Created.UnixMicro()
}

// kept is what a version refers to.
func (v Version) kept() []slipway.Digest {
	return slices.DeleteFunc([]slipway.Digest{v.Tree, v.Contract, v.Report, v.Profile}, func(d slipway.Digest) bool { return d == "" })
}

// remote is an opened remote.
type remote struct {
	address string // without keys
	project string
	bucket  blob.Bucket
	store   *content.Store
}

func (s *Service) openRemote(address, project string) (*remote, error) {
	if address == "" {
		address = s.o.Remote
	}
	if address == "" || s.o.Bucket == nil {
		return nil, slipway.Errorf(slipway.Invalid, "no remote is known").
			WithHint("set SLIPWAY_REMOTE to s3://HOST/BUCKET/PREFIX or a folder, or say --remote")
	}
	b, err := s.o.Bucket(address)
	if err != nil {
		return nil, err
	}
	store, err := content.Open(s.o.ContentDir, content.Options{Remote: b})
	if err != nil {
		return nil, err
	}
	return &remote{address: withoutKeys(address), project: project, bucket: b, store: store}, nil
}

func withoutKeys(address string) string {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		u.User, u.RawQuery = nil, ""
		return u.String()
	}
	return address
}

func (r *remote) prefix(kind, name string) string {
	return kind + "/" + r.project + "/" + name + "/"
}

// versions reads the versions of a dataset that the remote has, by their numbers.
func (r *remote) versions(ctx context.Context, name string) (map[int]Version, error) {
	out := map[int]Version{}
	for info, err := range r.bucket.List(ctx, r.prefix("version", name)) {
		if err != nil {
			return nil, err
		}
		n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(info.Key, r.prefix("version", name)), ".json"))
		if err != nil {
			continue
		}
		v, err := r.version(ctx, info.Key)
		if err != nil {
			return nil, err
		}
		out[n] = v
	}
	return out, nil
}

func (r *remote) version(ctx context.Context, key string) (v Version, err error) {
	in, err := r.bucket.Get(ctx, key, 0, -1)
	if err != nil {
		return v, err
	}
	defer in.Close()
	raw, err := io.ReadAll(io.LimitReader(in, 64<<20))
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return v, slipway.Errorf(slipway.Invalid, "%s in %s is no version: %v", key, r.address, err)
	}
	return v, nil
}

// names lists the datasets that the remote has of the project.
func (r *remote) names(ctx context.Context) ([]string, error) {
	var out []string
	top := "version/" + r.project + "/"
	for info, err := range r.bucket.List(ctx, top) {
		if err != nil {
			return nil, err
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(info.Key, top), "/")
		if len(out) == 0 || out[len(out)-1] != name {
			out = append(out, name)
		}
	}
	return out, nil
}
