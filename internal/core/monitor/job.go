package monitor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Tick takes in what was logged and decides what is due at the event time now:
// feeds hour by hour, drift for every day that is over, and quality for every
// day whose labels are complete. It is cheap when nothing is new. What failed
// for one endpoint is tried again by the next tick and holds no other up.
func (s *Service) Tick(ctx context.Context, now time.Time) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	if err := s.ingest(ctx); err != nil {
		return fmt.Errorf("take in the prediction log: %w", err)
	}
	for more := true; more; {
		var err error
		if more, err = s.joinLabels(ctx); err != nil {
			return fmt.Errorf("join labels: %w", err)
		}
	}
	endpoints, err := s.endpoints(ctx, "")
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range endpoints {
		if err := s.decide(ctx, e, now); err != nil {
			errs = append(errs, fmt.Errorf("%s/%s: %w", e.project, e.name, err))
		}
	}
	errs = append(errs, s.pack(ctx, now))
	return errors.Join(errs...)
}

// decision is everything that one turn decides about an endpoint; it is
// written in one transaction.
type decision struct {
	endpoint endpoint // with its new decided and matured
	drift    []FeatureDrift
	days     []DayQuality
	windows  []WindowQuality
	pairs    []Pair
	clean    []time.Time // dirty days that were restated
	found    []finding
}

func (s *Service) decide(ctx context.Context, e endpoint, now time.Time) error {
	if e.seen.IsZero() {
		return nil
	}
	r, err := s.rules(ctx, place{e.project, e.name})
	if err != nil {
		return err
	}
	if r.imported {
		return nil // decided whole when it was imported
	}
	return s.decideBy(ctx, e, r, now, nil)
}

// decideBy decides by some rules. With found nil alarms begin and end; else
// what was found is only gathered there.
func (s *Service) decideBy(ctx context.Context, e endpoint, r rules, now time.Time, found *[]finding) error {
	dirty, err := s.dirtyDays(ctx, e.number)
	if err != nil {
		return err
	}
	today := dayOf(now, r.zone)
	if len(dirty) == 0 && !e.decided.Before(today) && !e.matured.Before(dayOf(now.Add(-r.maturity()), r.zone)) {
		return nil
	}
	all, err := s.variants(ctx, e.number)
	if err != nil {
		return err
	}
	d := decision{endpoint: e}
	if err := s.decideDrift(ctx, &d, r, all, today); err != nil {
		return err
	}
	if err := s.decideQuality(ctx, &d, r, all, dirty, now); err != nil {
		return err
	}
	if len(d.drift)+len(d.days)+len(d.windows)+len(d.clean) == 0 && d.endpoint.decided.Equal(e.decided) && d.endpoint.matured.Equal(e.matured) {
		return nil
	}
	if found != nil {
		*found, d.found = append(*found, d.found...), nil
	}
	return s.commitDecision(ctx, d, now)
}

// furthest is how many days a decision looks back when an endpoint was silent.
const furthest = 400

// due lists the days from the last decided one to the present, at most a year's.
func due(decided, first, until time.Time, zone *time.Location) []time.Time {
	start := decided
	if start.IsZero() {
		start = dayOf(first, zone)
	}
	if limit := addDays(until, -furthest, zone); start.Before(limit) {
		start = limit
	}
	var out []time.Time
	for ; start.Before(until); start = addDays(start, 1, zone) {
		out = append(out, start)
	}
	return out
}

// firstOf is the first event time of any release.
func firstOf(all []SeenRelease) time.Time {
	return slices.MinFunc(all, func(a, b SeenRelease) int { return a.First.Compare(b.First) }).First
}

// during finds the champion of a day: of the releases that answered as one, the
// latest to begin that had begun by the day's end. A release that was champion
// and is not now counts for the days before its successor began.
func (s *Service) during(ctx context.Context, e endpoint, all []SeenRelease, start, end time.Time) (*SeenRelease, error) {
	release, err := s.championOn(ctx, e.number, start, end)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Release == release {
			return &all[i], nil
		}
	}
	return championOf(all), nil
}

func (s *Service) decideDrift(ctx context.Context, d *decision, r rules, all []SeenRelease, today time.Time) error {
	days := due(d.endpoint.decided, firstOf(all), today, r.zone)
	if len(days) == 0 {
		return nil
	}
	d.endpoint.decided = today
	if r.drift == nil {
		return s.unwatched(ctx, d, kindDrift, r.watches, today)
	}
	past, err := s.pastVerdicts(ctx, d.endpoint.number, days[0], among+persist)
	if err != nil {
		return err
	}
	if err := s.unwatched(ctx, d, kindDrift, r.watches, today); err != nil {
		return err
	}
	for _, start := range days {
		end := addDays(start, 1, r.zone)
		v, err := s.during(ctx, d.endpoint, all, start, end)
		if err != nil {
			return err
		}
		if v == nil {
			continue
		}
		verdicts, err := s.driftOf(ctx, d.endpoint, r, *v, start)
		if err != nil {
			return err
		}
		for _, f := range verdicts {
			d.drift = append(d.drift, f)
			past[f.Feature] = append([]Verdict{f.Verdict}, past[f.Feature][:min(len(past[f.Feature]), among+persist)]...)
			if firing, clear := persistent(past[f.Feature]); firing || clear {
				d.found = append(d.found, finding{project: d.endpoint.project, endpoint: d.endpoint.name, kind: kindDrift, subject: f.Feature,
					firing: firing, at: end, summary: fmt.Sprintf("%s of %s drifted", f.Feature, d.endpoint.name), detail: f.Detail.Reason, data: f})
			}
		}
	}
	return nil
}

// unwatched ends the alarms of features that slipway.yaml no longer watches.
func (s *Service) unwatched(ctx context.Context, d *decision, k kind, watches func(string) bool, at time.Time) error {
	alarms, err := s.firing(ctx, d.endpoint.project, d.endpoint.name, k)
	for _, a := range alarms {
		if !watches(a.Subject) {
			d.found = append(d.found, finding{project: a.Project, endpoint: a.Endpoint, kind: k, subject: a.Subject, at: at})
		}
	}
	return err
}

func (s *Service) decideQuality(ctx context.Context, d *decision, r rules, all []SeenRelease, dirty []time.Time, now time.Time) error {
	today := dayOf(now, r.zone)
	mature := dayOf(now.Add(-r.maturity()), r.zone) // days before it are mature
	fresh := due(d.endpoint.matured, firstOf(all), mature, r.zone)
	if mature.After(d.endpoint.matured) {
		d.endpoint.matured = mature
	}
	windows := map[time.Time]bool{}
	for _, start := range fresh {
		windows[start] = true
		if !slices.ContainsFunc(dirty, start.Equal) {
			dirty = append(dirty, start) // to be marked as mature
		}
	}
	for _, start := range dirty {
		if !start.Before(today) {
			continue // stays dirty until the day is over
		}
		if err := s.restateDay(ctx, d, r, all, start, start.Before(mature)); err != nil {
			return err
		}
		// A label that came late changes every window that holds its day.
		for i := range r.blocks {
			if last := addDays(start, i, r.zone); last.Before(mature) {
				windows[last] = true
			}
		}
	}
	for _, last := range slices.SortedFunc(keysOf(windows), time.Time.Compare) {
		if err := s.judgeWindow(ctx, d, r, all, last); err != nil {
			return err
		}
	}
	return nil
}

// restateDay computes a day of every release that has rows on it.
func (s *Service) restateDay(ctx context.Context, d *decision, r rules, all []SeenRelease, start time.Time, mature bool) error {
	end := addDays(start, 1, r.zone)
	days := map[string]*scored{}
	for _, v := range all {
		if !v.First.Before(end) || v.Last.Before(start) {
			continue
		}
		q, rows, err := s.restate(ctx, d.endpoint, r, v, start)
		if err != nil {
			return err
		}
		if q.Predictions == 0 {
			continue
		}
		q.Mature = mature
		d.days = append(d.days, q)
		days[v.Release] = rows
	}
	d.pairs = append(d.pairs, pairs(start, days)...)
	d.clean = append(d.clean, start)
	return nil
}

// judgeWindow estimates the window that ends with a day, for every release, and
// lets the champion's decide about the alarm.
func (s *Service) judgeWindow(ctx context.Context, d *decision, r rules, all []SeenRelease, last time.Time) error {
	end := addDays(last, 1, r.zone)
	champion, err := s.during(ctx, d.endpoint, all, last, end)
	if err != nil {
		return err
	}
	for _, v := range all {
		if !v.First.Before(end) || v.Last.Before(last) {
			continue
		}
		windows, err := s.window(ctx, d.endpoint, r, v, last)
		if err != nil {
			return err
		}
		d.windows = append(d.windows, windows...)
		if champion == nil || v.Release != champion.Release {
			continue
		}
		for _, w := range windows {
			if w.Limit == "" || w.Verdict == NotEnoughData {
				continue
			}
			d.found = append(d.found, finding{project: d.endpoint.project, endpoint: d.endpoint.name, kind: kindQuality, subject: w.Metric,
				firing: w.Verdict == Low, at: w.To, summary: fmt.Sprintf("%s of %s is low", w.Metric, d.endpoint.name), detail: w.Reason, data: w})
		}
	}
	return nil
}
