package gate

import (
	"context"
	"os"
	"path/filepath"
	"slices"

	"github.com/slipway-ml/slipway"
)

// evidence keeps the scored rows: key, time, target, slice columns, and the
// answers of both versions side by side.
func (t *trial) evidence(ctx context.Context) (map[string]Digest, error) {
	if t.candidate.output == nil || t.service.o.Parquet == nil {
		return nil, nil
	}
	names := slices.Clone(t.key)
	if at := t.project.EventTime(t.rows); at != nil {
		names = append(names, at.Name)
	}
	names = append(names, t.project.Model.Target)
	for _, g := range t.gates.Slices {
		names = append(names, g.By...)
	}
	var once []string
	for _, n := range names {
		if !slices.Contains(once, n) {
			once = append(once, n)
		}
	}
	f := t.rows.Select(once)
	side := func(who string, out *slipway.Frame) {
		for _, s := range out.Series {
			s.Name = who + " " + s.Name
			f.Series = append(f.Series, s)
		}
	}
	side("candidate", t.candidate.output)
	if t.champion != nil && t.champion.output != nil {
		side("champion", t.champion.output)
	}
	dir, err := os.MkdirTemp("", "slipway-gate-*")
	if err != nil {
		return nil, slipway.Errorf(slipway.Unavailable, "%v", err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "scores.parquet")
	if err := t.service.o.Parquet.WriteParquet(ctx, f, path); err != nil {
		return nil, err
	}
	digest, size, err := t.service.o.Content.PutFile(ctx, path)
	return map[string]Digest{"scores": {digest, f.Rows, size}}, err
}
