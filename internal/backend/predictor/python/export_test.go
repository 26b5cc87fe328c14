package python

import "github.com/slipway-ml/slipway/internal/backend/predictor"

// Waiting is how many requests stand in a model's queue.
func Waiting(m predictor.Model) int { return len(m.(*model).pool.queue) }
