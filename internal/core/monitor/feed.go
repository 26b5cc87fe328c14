package monitor

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/stat"
)

// feed is the answered rows of one endpoint in an intake, feature by feature.
type feed struct {
	number        int64
	project, name string
	times         []int64 // UTC microseconds
	values        map[string][]float64
	runs          []byte    // as they are after these rows
	state         feedState // likewise
	seen          time.Time
}

// feedState is what is known of the feeds of an endpoint, as of At.
type feedState struct {
	At      time.Time            `json:"at,omitzero"` // until when they were judged: the last whole hour with rows
	Feature map[string]Freshness `json:"feature,omitempty"`
}

// Freshness says for how long a feature has brought nothing new.
type Freshness struct {
	Feature string        `json:"feature"`
	Age     time.Duration `json:"age"`    // since the last new value, in event time
	Usual   time.Duration `json:"usual"`  // median of the longest ages of the reference's days
	Limit   time.Duration `json:"limit"`  // declared, else the longest age in the reference
	Memory  int           `json:"memory"` // distinct values that take turns
	Verdict Verdict       `json:"verdict"`
	Since   time.Time     `json:"since,omitzero"` // when the feature was found stuck
	Reason  string        `json:"reason,omitempty"`
	Checks  int           `json:"checks,omitempty"` // hours in a row in which statistics called it stuck
}

// stuckChecks is how many hours with rows must call a feature stuck, one after
// the other. A declared limit needs none.
const stuckChecks = 3

func (in *intake) feed(number int64, project, name string) *feed {
	f := in.feeds[number]
	if f == nil {
		f = &feed{number: number, project: project, name: name, values: map[string][]float64{}}
		in.feeds[number] = f
	}
	return f
}

// ahead is how far event time may be before the clock: an event can be foreseen,
// but one wrong year in a request must not stop the feeds' clock for ever.
const ahead = 7 * day

// add appends the inputs of a batch, less the rows beyond a time.
func (f *feed) add(b *slipway.PredictionBatch, limit time.Time) {
	before := len(f.times)
	var rows []int
	for i, t := range b.Time {
		if t.Before(limit) {
			rows, f.times = append(rows, i), append(f.times, t.UnixMicro())
		}
	}
	if b.Input != nil {
		for i := range b.Input.Series {
			s := &b.Input.Series[i]
			v := f.values[s.Name]
			for len(v) < before {
				v = append(v, nan)
			}
			for _, r := range rows {
				v = append(v, code(s, r))
			}
			f.values[s.Name] = v
		}
	}
	for name, v := range f.values {
		for len(v) < len(f.times) {
			v = append(v, nan)
		}
		f.values[name] = v
	}
}

// followFeeds walks through the rows of every endpoint in order of event time
// and judges its feeds at the end of each hour.
func (s *Service) followFeeds(ctx context.Context, in *intake) ([]finding, error) {
	var out []finding
	for _, f := range in.feeds {
		e, err := s.endpointNamed(ctx, f.project, f.name)
		if err != nil {
			return nil, err
		}
		rules, err := s.rules(ctx, place{f.project, f.name})
		if err != nil {
			return nil, err
		}
		ref, err := s.championReference(ctx, in, f, rules.zone)
		if err != nil {
			return nil, err
		}
		found, err := f.follow(e, rules, ref)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

// championReference is the reference of the endpoint's champion, as of the
// rows that are being taken in.
func (s *Service) championReference(ctx context.Context, in *intake, f *feed, zone *time.Location) (*reference, error) {
	var best *SeenRelease
	for k, v := range in.variants {
		if k.endpoint == f.number && v.Role == slipway.Champion && (best == nil || v.Last.After(best.Last)) {
			best = v
		}
	}
	if best == nil {
		known, err := s.variants(ctx, f.number)
		if err != nil {
			return nil, err
		}
		best = championOf(known)
	}
	if best == nil {
		return nil, nil
	}
	return s.reference(ctx, modelKey{f.project, best.Model}, zone)
}

// championOf is the release that answered last as the champion, or nil.
func championOf(all []SeenRelease) *SeenRelease {
	for i := range all {
		if all[i].Role == slipway.Champion {
			return &all[i]
		}
	}
	return nil
}

// watch is the runs of an endpoint's features and what is known of them.
type watch struct {
	rules rules
	ref   *reference
	runs  map[string]*stat.Run
	state map[string]Freshness
	feed  *feed
	found []finding
}

func (f *feed) follow(e endpoint, r rules, ref *reference) ([]finding, error) {
	w := watch{rules: r, ref: ref, feed: f, runs: map[string]*stat.Run{}, state: e.feed.Feature}
	if len(e.runs) > 0 {
		if err := unpackRuns(e.runs, w.runs); err != nil {
			return nil, err
		}
	}
	if w.state == nil {
		w.state = map[string]Freshness{}
	}
	order := make([]int, len(f.times))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(f.times[a], f.times[b]) })
	names := slices.Sorted(keysOf(f.values))
	for _, name := range names {
		if w.runs[name] == nil {
			w.runs[name] = &stat.Run{}
		}
	}
	hour := e.feed.At
	for _, i := range order {
		t := time.UnixMicro(f.times[i]).UTC()
		if now := t.Truncate(time.Hour); hour.IsZero() {
			hour = now
		} else if now.After(hour) {
			if err := w.judge(now); err != nil {
				return nil, err
			}
			hour = now
		}
		for _, name := range names {
			w.runs[name].Observe(f.times[i]/runUnit, f.values[name][i])
		}
		f.seen = t
	}
	if f.seen.Before(e.seen) {
		f.seen = e.seen
	}
	f.state = feedState{At: hour, Feature: w.state}
	var err error
	f.runs, err = packRuns(w.runs)
	return w.found, err
}

// judge decides about every watched feature at an event time.
func (w *watch) judge(now time.Time) error {
	verdicts, err := w.stuck()
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(keysOf(w.runs)) {
		limit, declared := w.rules.freshness[name]
		if !declared && !w.rules.watches(name) {
			if w.state[name].Verdict == Stuck {
				w.turn(Freshness{Feature: name, Verdict: OK}, now)
			}
			continue
		}
		v, judged := verdicts[name]
		state := Freshness{Feature: name, Verdict: OK, Memory: 1, Age: minutes(w.runs[name].Ages()[0])}
		if judged {
			state.Memory, state.Age = v.Memory, minutes(v.Age)
			state.Usual, state.Limit, state.Reason = minutes(v.Typical), minutes(v.Longest), v.Reason
			if v.State != stat.Enough {
				state.Verdict = InsufficientReference
			} else if v.Stuck {
				// The first row after a quiet night may repeat the last one before
				// it: only what goes on for some hours with rows is a stuck feed.
				if state.Checks = w.state[name].Checks + 1; state.Checks >= stuckChecks {
					state.Verdict = Stuck
				}
				state.Reason = fmt.Sprintf("nothing new for %s; days of training had %s, at most %s", hours(state.Age), hours(state.Usual), hours(state.Limit))
			}
		}
		if age := minutes(w.runs[name].Ages()[0]); declared && age > limit.D() && state.Verdict != Stuck {
			state.Memory, state.Age, state.Limit, state.Verdict = 1, age, limit.D(), Stuck
			state.Reason = fmt.Sprintf("the same value for %s; %s is allowed", hours(age), hours(limit.D()))
		}
		w.turn(state, now)
	}
	return nil
}

// turn notes a feature's new state, and a finding where it changed.
func (w *watch) turn(state Freshness, now time.Time) {
	before := w.state[state.Feature]
	state.Since = before.Since
	isStuck, wasStuck := state.Verdict == Stuck, before.Verdict == Stuck
	if isStuck && !wasStuck {
		state.Since = now
	}
	if !isStuck {
		state.Since = time.Time{}
	}
	w.state[state.Feature] = state
	if isStuck == wasStuck {
		return
	}
	f := finding{project: w.feed.project, endpoint: w.feed.name, kind: kindFeed, subject: state.Feature, firing: isStuck, at: now,
		summary: fmt.Sprintf("%s of %s stands still", state.Feature, w.feed.name), detail: state.Reason, data: state}
	w.found = append(w.found, f)
}

// stuck asks the statistics, but only when some age is beyond all of the
// reference: below that nothing can be stuck.
func (w *watch) stuck() (map[string]stat.StuckVerdict, error) {
	if w.ref == nil {
		return nil, nil
	}
	var features []stat.StuckFeature
	beyond := false
	for i := range w.ref.Feature {
		f := &w.ref.Feature[i]
		run := w.runs[f.Name]
		if run == nil || !w.rules.watches(f.Name) {
			continue
		}
		ages := run.Ages()
		for m, longest := range f.longest {
			beyond = beyond || ages[m] > longest
		}
		features = append(features, stat.StuckFeature{Name: f.Name, Reference: f.Run, Current: ages, Block: day.Minutes()})
	}
	if !beyond {
		return nil, nil
	}
	verdicts, err := stat.Stuck(features, 0)
	if err != nil {
		return nil, err
	}
	out := make(map[string]stat.StuckVerdict, len(verdicts))
	for _, v := range verdicts {
		out[v.Feature] = v
	}
	return out, nil
}

func minutes(m float64) time.Duration { return time.Duration(m * float64(time.Minute)) }

// hours writes a length of time as people say it of feeds.
func hours(d time.Duration) string {
	if d < time.Hour {
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	if d >= 2*day {
		return fmt.Sprintf("%.1f days", d.Hours()/24)
	}
	return fmt.Sprintf("%.1f h", d.Hours())
}

func packRuns(runs map[string]*stat.Run) ([]byte, error) {
	out := make(map[string][]byte, len(runs))
	for name, r := range runs {
		b, err := r.MarshalBinary()
		if err != nil {
			return nil, err
		}
		out[name] = b
	}
	return json.Marshal(out)
}

func unpackRuns(b []byte, into map[string]*stat.Run) error {
	var raw map[string][]byte
	if err := json.Unmarshal(b, &raw); err != nil {
		return fmt.Errorf("read the runs of an endpoint: %w", err)
	}
	for name, r := range raw {
		into[name] = &stat.Run{}
		if err := into[name].UnmarshalBinary(r); err != nil {
			return err
		}
	}
	return nil
}
