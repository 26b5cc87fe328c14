package app

import (
	"context"
	"iter"
	"path/filepath"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/blob"
	"github.com/slipway-ml/slipway/internal/backend/blob/local"
	"github.com/slipway-ml/slipway/internal/backend/blob/s3"
	"github.com/slipway-ml/slipway/internal/core/audit"
)

// roots is the content that any capability refers to: what garbage collection
// keeps.
func (s *server) roots(ctx context.Context) iter.Seq2[slipway.Digest, error] {
	return func(yield func(slipway.Digest, error) bool) {
		for _, c := range s.capabilities {
			if c.roots == nil {
				continue
			}
			for d, err := range c.roots(ctx) {
				if d == "" && err == nil {
					continue
				}
				if !yield(d, err) {
					return
				}
			}
		}
	}
}

// listed makes a sequence of a list.
func listed(list func(context.Context) ([]slipway.Digest, error)) func(context.Context) iter.Seq2[slipway.Digest, error] {
	return func(ctx context.Context) iter.Seq2[slipway.Digest, error] {
		return func(yield func(slipway.Digest, error) bool) {
			all, err := list(ctx)
			if err != nil {
				yield("", err)
				return
			}
			for _, d := range all {
				if !yield(d, nil) {
					return
				}
			}
		}
	}
}

// used asks the lineage what was made from a version of data.
func used(log **audit.Service) func(context.Context, string, slipway.Ref) ([]slipway.Ref, error) {
	return func(ctx context.Context, project string, ref slipway.Ref) ([]slipway.Ref, error) {
		t, err := (*log).Trace(ctx, project, ref, audit.Forward)
		if slipway.IsCode(err, slipway.NotFound) {
			return nil, nil
		}
		var out []slipway.Ref
		for _, n := range t.Node {
			if n.Ref != ref {
				out = append(out, n.Ref)
			}
		}
		return out, err
	}
}

// bucket opens the remote that an address names: an S3 bucket or a folder.
func bucket(address string) (blob.Bucket, error) {
	if strings.HasPrefix(address, "s3://") {
		c, err := s3.ParseURL(address)
		if err != nil {
			return nil, err
		}
		return s3.Open(c)
	}
	folder := strings.TrimPrefix(address, "file://")
	if !filepath.IsAbs(folder) {
		return nil, slipway.Errorf(slipway.Invalid, "the remote is neither an s3:// address nor an absolute folder")
	}
	return local.Open(folder)
}
