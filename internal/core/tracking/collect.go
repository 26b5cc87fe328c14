package tracking

import (
	"context"
	"time"

	"github.com/slipway-ml/slipway"
)

// DefaultGrace is how long what was deleted can be restored before a collection
// takes it.
const DefaultGrace = 7 * 24 * time.Hour

// Collected counts what a collection removed for good, or would.
type Collected struct {
	Before      time.Time `json:"before"` // what was deleted before this moment
	Experiments int64     `json:"experiments"`
	Runs        int64     `json:"runs"`
	Models      int64     `json:"models"` // logged models
	Files       int64     `json:"files"`
	Bytes       int64     `json:"bytes"` // of the files; what nothing else refers to, content collection frees
	Removed     bool      `json:"removed"`
}

// collectPage is how many rows of a kind are looked at in one read.
const collectPage = 500

// Collect removes what was deleted before a moment, for good: runs with their
// histories, logged models, and experiments that have no run left, whose names
// are then free. Without remove it only counts. Each run goes in a transaction
// of its own that looks once more whether it is still deleted, so it may run
// beside writers and beside somebody who restores. A pipeline's run that has
// not ended stays, and so does the experiment 0, which clients use unasked.
func (s *Service) Collect(ctx context.Context, before time.Time, remove bool, say func(done int64)) (Collected, error) {
	out := Collected{Before: before, Removed: remove}
	if err := slipway.Allow(ctx, slipway.Operator, ""); err != nil {
		return out, err
	}
	if err := s.collectRuns(ctx, &out, say); err != nil {
		return out, err
	}
	if err := s.collectModels(ctx, &out); err != nil {
		return out, err
	}
	return out, s.collectExperiments(ctx, &out)
}
