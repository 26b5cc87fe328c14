package tracking

import (
	"context"
	"time"
)

// mergesPerTick bounds the work of one Tick; what is left waits for the next.
const mergesPerTick = 256

// Tick merges the tails and small chunks of series that have gathered many.
func (s *Service) Tick(ctx context.Context, _ time.Time) error {
	ids, err := s.looseSeries(ctx, mergesPerTick)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := s.mergeSeries(ctx, id); err != nil {
			return err
		}
	}
	return nil
}
