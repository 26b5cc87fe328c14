package content

import (
	"cmp"
	"context"
	"slices"

	"github.com/slipway-ml/slipway"
)

// reached is everything that some roots need.
type reached struct {
	places []place          // records: chunks, recipes, uncut content
	whole  []slipway.Digest // content kept whole
}

// reach follows trees and recipes from roots. It fails with NotFound if
// something is nowhere.
func (s *Store) reach(ctx context.Context, roots []slipway.Digest) (reached, error) {
	if err := s.load(ctx); err != nil {
		return reached{}, err
	}
	w := walk{s: s, ctx: ctx, seen: map[key]struct{}{}}
	for _, d := range roots {
		missing, err := w.visit(d)
		if err != nil {
			return reached{}, err
		}
		if len(missing) > 0 {
			return reached{}, notFound(missing[0])
		}
	}
	return w.reached, nil
}

// walk collects what roots need, each piece once.
type walk struct {
	s    *Store
	ctx  context.Context
	seen map[key]struct{} // digests of places and of whole files
	reached
}

// visit adds one root and what it needs, and returns what could not be found.
func (w *walk) visit(d slipway.Digest) (missing []slipway.Digest, err error) {
	todo := []slipway.Digest{d}
	for len(todo) > 0 {
		d, todo = todo[len(todo)-1], todo[:len(todo)-1]
		k, err := parseKey(d)
		if err != nil {
			return nil, err
		}
		if _, done := w.seen[k]; done {
			continue
		}
		loc, found, err := w.find(k, d)
		if err != nil {
			return nil, err
		}
		if !found {
			missing = append(missing, d)
			continue
		}
		w.seen[k] = struct{}{}
		if loc.pack == nil {
			continue // kept whole
		}
		w.places = append(w.places, loc)
		if loc.kind.recipe() {
			lost, trees, err := w.addChunks(loc)
			if err != nil {
				return nil, err
			}
			missing, todo = append(missing, lost...), append(todo, trees...)
		}
		if loc.kind.tree() {
			// Content may begin like a tree and be none; then it names nothing.
			t, err := w.s.GetTree(w.ctx, d)
			if err != nil && !slipway.IsCode(err, slipway.Invalid) {
				return nil, err
			}
			todo = append(todo, t.Digests()...)
		}
	}
	return missing, nil
}

// find says where content is; a place without a pack means that it is whole.
func (w *walk) find(k key, d slipway.Digest) (place, bool, error) {
	if loc, ok := w.s.lookup(k); ok {
		return w.s.elsewhereIfSuspected(w.ctx, loc), true, nil
	}
	if _, ok := w.s.wholeSize(d); ok {
		w.whole = append(w.whole, d)
		return place{}, true, nil
	}
	loc, err := w.s.locate(w.ctx, k)
	if err == nil || !slipway.IsCode(err, slipway.NotFound) || w.s.o.Remote == nil {
		return loc, err == nil, ignoreNotFound(err)
	}
	if _, err = w.s.o.Remote.Head(w.ctx, remoteWhole(d)); err != nil {
		return place{}, false, ignoreNotFound(err)
	}
	w.whole = append(w.whole, d)
	return place{}, true, nil
}

func ignoreNotFound(err error) error {
	if slipway.IsCode(err, slipway.NotFound) {
		return nil
	}
	return err
}

// addChunks adds the chunks of cut content. A chunk that is a tree in its own
// right is returned, to be followed like any.
func (w *walk) addChunks(loc place) (missing, trees []slipway.Digest, err error) {
	parts, err := w.s.parts(w.ctx, loc)
	if err != nil {
		return nil, nil, err
	}
	for _, p := range parts {
		if _, done := w.seen[p.digest]; done {
			continue
		}
		chunk, err := w.s.locate(w.ctx, p.digest)
		if slipway.IsCode(err, slipway.NotFound) {
			missing = append(missing, p.digest.digest())
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		if chunk.kind.tree() {
			trees = append(trees, p.digest.digest())
			continue
		}
		w.seen[p.digest] = struct{}{}
		w.places = append(w.places, w.s.elsewhereIfSuspected(w.ctx, chunk))
	}
	return missing, trees, nil
}

// inPackOrder sorts places so that packs are read forwards, each once.
func inPackOrder(places []place) []place {
	slices.SortFunc(places, func(x, y place) int {
		return cmp.Or(cmp.Compare(x.pack.id, y.pack.id), cmp.Compare(x.offset, y.offset))
	})
	return places
}
