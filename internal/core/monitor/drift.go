package monitor

import (
	"context"
	"fmt"
	"time"

	"github.com/slipway-ml/slipway/internal/stat"
)

// An alarm needs persist of the last windows to have drifted, and ends when as
// many in a row have not. Windows slide by a day, so neighbours share most of
// their rows; the days make sure that one odd day raises nothing.
const (
	persist = 2
	among   = 3
)

// fullShare is the share of every day's requests that a release must have seen
// for its window to be judged: on the days of a canary it sees few, and days of
// the week that weigh differently would be drift.
const fullShare = 0.9

// FeatureDrift is the verdict on one feature in one window.
type FeatureDrift struct {
	Day     time.Time         `json:"day"` // the window's last day
	Feature string            `json:"feature"`
	Release string            `json:"release"`
	Verdict Verdict           `json:"verdict"`
	Rows    int64             `json:"rows"`
	Detail  stat.DriftVerdict `json:"detail"`
}

// driftOf decides every watched feature of a release for the window that ends
// with the day last.
func (s *Service) driftOf(ctx context.Context, e endpoint, r rules, v SeenRelease, last time.Time) ([]FeatureDrift, error) {
	ref, err := s.reference(ctx, modelKey{e.project, v.Model}, r.zone)
	if err != nil || ref == nil || len(ref.Feature) == 0 {
		return nil, err
	}
	from := addDays(last, 1-r.blocks, r.zone)
	if v.First.After(from.Add(day)) {
		return ref.tooYoung(r, v.Release, last), nil
	}
	var days []time.Time
	for i := range r.blocks + 1 {
		days = append(days, addDays(from, i, r.zone))
	}
	if seen, err := s.share(ctx, e.number, v.Release, days); err != nil || seen < fullShare {
		return ref.tooYoung(r, v.Release, last), err
	}
	sum, err := s.count(ctx, e.number, v.Release, from, addDays(last, 1, r.zone))
	if err != nil {
		return nil, err
	}
	if sum.rows == 0 {
		return nil, nil // a silent endpoint leaves no trail of empty verdicts
	}
	return ref.drift(r, sum, v.Release, last)
}

// tooYoung is the verdicts on a release that did not see the whole window: days
// of the week that are missing, or weigh less, would be drift.
func (ref *reference) tooYoung(r rules, release string, last time.Time) []FeatureDrift {
	var out []FeatureDrift
	for i := range ref.Feature {
		if name := ref.Feature[i].Name; r.watches(name) {
			out = append(out, FeatureDrift{Day: last, Feature: name, Release: release, Verdict: NotEnoughData,
				Detail: stat.DriftVerdict{Feature: name, Statistic: statistic(r.drift.Method), Value: nan, Typical: nan, Limit: nan, Largest: nan,
					PValue: nan, QValue: nan, State: stat.InsufficientRows, Reason: fmt.Sprintf("the release has not seen %d whole days of requests yet", r.blocks)}})
		}
	}
	return out
}

// drift compares counts of a window with the reference.
func (ref *reference) drift(r rules, sum *tally, release string, last time.Time) ([]FeatureDrift, error) {
	groups := map[string][]stat.DriftFeature{} // by statistic
	rows := int64(0)
	if sum != nil {
		rows = sum.rows
	}
	for i := range ref.Feature {
		f := &ref.Feature[i]
		if !r.watches(f.Name) {
			continue
		}
		fine := make([]int64, f.width())
		if sum != nil && i < len(sum.features) && len(sum.features[i]) == len(fine) {
			fine = sum.features[i]
		}
		name := statistic(r.drift.Method)
		groups[name] = append(groups[name], stat.DriftFeature{Name: f.Name, Reference: f.Day, Current: f.cells(fine), Blocks: r.blocks})
	}
	var out []FeatureDrift
	for name, features := range groups {
		how, err := stat.LookupDrift(name)
		if err != nil {
			return nil, err
		}
		verdicts, err := stat.Drift(features, stat.DriftRule{Statistic: how})
		if err != nil {
			return nil, fmt.Errorf("drift of the window until %s: %w", last.Format(time.DateOnly), err)
		}
		for _, v := range verdicts {
			out = append(out, FeatureDrift{Day: last, Feature: v.Feature, Release: release, Verdict: verdictOf(v), Rows: rows, Detail: v})
		}
	}
	return out, nil
}

// statistic is the one that a method names; auto is the Jensen-Shannon
// distance, which serves numbers and categories alike and is bounded.
func statistic(method string) string {
	if method == "" || method == "auto" {
		return "js"
	}
	return method
}

func verdictOf(v stat.DriftVerdict) Verdict {
	switch {
	case v.State == stat.InsufficientReference:
		return InsufficientReference
	case v.State != stat.Enough:
		return NotEnoughData
	case v.Drifted:
		return Drifted
	}
	return OK
}

// persistent turns a feature's verdicts, the latest first, into what its alarm
// does: begin, end, or neither.
func persistent(latest []Verdict) (firing, clear bool) {
	drifted, calm := 0, 0
	for i, v := range latest {
		if i < among && v == Drifted {
			drifted++
		}
	}
	for _, v := range latest {
		if v == Drifted {
			break
		}
		calm++
	}
	return drifted >= persist && len(latest) > 0 && latest[0] == Drifted, calm >= persist
}

// count adds up what a release did from one time to another, in whole hours.
func (s *Service) count(ctx context.Context, endpoint int64, release string, from, to time.Time) (*tally, error) {
	bodies, err := s.counts(ctx, endpoint, release, from, to)
	if err != nil {
		return nil, err
	}
	sum := &tally{latency: histogram{}}
	for _, b := range bodies {
		t, err := unpackTally(b)
		if err != nil {
			return nil, err
		}
		sum.merge(t)
	}
	return sum, nil
}
