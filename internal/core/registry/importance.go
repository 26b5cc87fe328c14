package registry

import (
	"cmp"
	"context"
	"slices"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
)

// Importance lists how much each feature of a version mattered in training, the
// largest gain first. It is empty, not nil, for a model whose file does not tell:
// a pickle is not opened for this, since that would execute it.
func (s *Service) Importance(ctx context.Context, v slipway.ModelVersion) ([]predictor.Importance, error) {
	none := []predictor.Importance{}
	if v.State == slipway.ModelDeleted {
		return none, slipway.Errorf(slipway.NotFound, "%s was deleted, and its files with it", v.ID())
	}
	m, err := s.o.Loader.Read(ctx, v.Content, &v.Signature)
	if m == nil || err != nil {
		return none, err
	}
	w, ok := m.(predictor.Weigher)
	if !ok {
		return none, m.Close()
	}
	out := w.Importance()
	slices.SortStableFunc(out, func(a, b predictor.Importance) int { return cmp.Compare(b.Gain, a.Gain) })
	return out, m.Close()
}
