package gate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/slipway-ml/slipway"
)

// keys are the key columns of the rows: those of the first dataset, by name,
// that has all of its key among them.
func (t *trial) keys() []string {
	for _, name := range slices.Sorted(maps.Keys(t.project.Data)) {
		key := t.project.Data[name].Key
		if len(key) > 0 && len(t.rows.Select(key).Series) == len(key) {
			return key
		}
	}
	return nil
}

// overlap refuses rows that either version was trained on: a model knows them
// by heart, and a metric on them says nothing.
func (t *trial) overlap(ctx context.Context) error {
	if len(t.key) == 0 {
		t.add(Check{Name: "no training rows", Kind: KindData, Verdict: Skipped,
			Reason: "the rows have no key, so nobody can tell whether the model was trained on them; declare data.….key"})
		return nil
	}
	judged := make(map[string]bool, t.rows.Rows)
	for i := range t.rows.Rows {
		judged[keyOf(t.rows, t.key, i)] = true
	}
	subjects := []*subject{&t.candidate}
	if t.champion != nil && t.champion.output != nil {
		subjects = append(subjects, t.champion)
	}
	for _, s := range subjects {
		c := Check{Name: "no training rows of " + s.version.ID(), Kind: KindData, Verdict: slipway.Pass}
		trained, err := t.service.o.Models.Training(ctx, s.version, t.key)
		switch {
		case err != nil && !lasting(err):
			return err
		case err != nil:
			c.Verdict, c.Reason = Skipped, slipway.AsError(err).Message
		case len(trained.Select(t.key).Series) < len(t.key):
			c.Verdict, c.Reason = Skipped, fmt.Sprintf("the training rows have no column %s", strings.Join(t.key, ", "))
		default:
			if n := shared(trained, t.key, judged); n > 0 {
				c.Verdict, c.Reason = slipway.Refuse, fmt.Sprintf("%d of the %d rows were trained on", n, len(judged))
			}
		}
		t.add(c)
	}
	return nil
}

// shared counts the judged keys that are among the training rows.
func shared(trained *slipway.Frame, key []string, judged map[string]bool) int {
	found := map[string]bool{}
	for i := range trained.Rows {
		if k := keyOf(trained, key, i); judged[k] {
			found[k] = true
		}
	}
	return len(found)
}

// keyOf is a row's key as one text.
func keyOf(f *slipway.Frame, key []string, row int) string {
	if len(key) == 1 {
		return f.Column(key[0]).Label(row)
	}
	parts := make([]string, len(key))
	for i, k := range key {
		parts[i] = f.Column(k).Label(row)
	}
	return strings.Join(parts, "\x1f")
}
