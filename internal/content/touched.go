package content

import (
	"context"

	"github.com/slipway-ml/slipway"
)

// Touched lists the files of a tree that need any of the given pieces: content,
// or chunks that content was cut into. A tree that is itself among them, or
// that cannot be read, is one entry, ".".
func (s *Store) Touched(ctx context.Context, tree slipway.Digest, pieces map[slipway.Digest]bool) (paths []string, err error) {
	if pieces[tree] {
		return []string{"."}, nil
	}
	t, err := s.GetTree(ctx, tree)
	if slipway.IsCode(err, slipway.Internal) || slipway.IsCode(err, slipway.NotFound) {
		return []string{"."}, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range t {
		hit := pieces[e.Digest]
		if !hit {
			if hit, err = s.cutFrom(ctx, e.Digest, pieces); err != nil {
				return nil, err
			}
		}
		if hit {
			paths = append(paths, e.Path)
		}
	}
	return paths, nil
}

// cutFrom says whether content was cut into any of the pieces, or cannot be
// found out about.
func (s *Store) cutFrom(ctx context.Context, d slipway.Digest, pieces map[slipway.Digest]bool) (bool, error) {
	k, err := parseKey(d)
	if err != nil {
		return false, err
	}
	loc, ok := s.lookup(k)
	if !ok || !loc.kind.recipe() {
		return false, ctx.Err()
	}
	parts, err := s.parts(ctx, loc)
	if err != nil {
		return true, ctx.Err()
	}
	for _, p := range parts {
		if pieces[p.digest.digest()] {
			return true, nil
		}
	}
	return false, nil
}
