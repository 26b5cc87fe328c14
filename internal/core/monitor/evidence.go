package monitor

import (
	"context"
	"slices"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/stat"
)

// Comparison is how a challenger or shadow did beside the champion.
type Comparison struct {
	Loss     []Loss      `json:"loss"`     // of complete days whose labels are mature, oldest first
	Failure  []stat.Arms `json:"failure"`  // failed requests of complete days: challenger against champion, oldest first
	Requests int64       `json:"requests"` // that the challenger answered or scored
	Failed   int64       `json:"failed"`   // of them
	P99      float64     `json:"p99_ms"`   // of the challenger's times, within 5 %; 0 without requests
}

// Loss is the mean log-loss (squared error of a regression) of both versions
// on the requests of one day that both scored and whose truth is known.
type Loss struct {
	Start      time.Time `json:"start"`
	Rows       int64     `json:"rows"`
	Champion   float64   `json:"champion"`
	Challenger float64   `json:"challenger"`
}

// Compare tells how a challenger release did beside the champion release since
// an event time. Days count that began at that time or later and are over. An
// endpoint or release of which nothing was logged has an empty comparison.
func (s *Service) Compare(ctx context.Context, project, endpointName, champion, challenger string, since time.Time) (Comparison, error) {
	var out Comparison
	e, err := s.endpointNamed(ctx, project, endpointName)
	if slipway.IsCode(err, slipway.NotFound) {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	r, err := s.rules(ctx, place{project, endpointName})
	if err != nil {
		return out, err
	}
	// The hour in which the stage began counts: losing it could hide an error.
	sum, err := s.count(ctx, e.number, challenger, since.Add(-time.Hour+time.Microsecond), endOfTime)
	if err != nil {
		return out, err
	}
	out.Requests, out.Failed = sum.rows, sum.failed
	if p := sum.latency.quantile(0.99); p == p {
		out.P99 = p
	}
	if out.Failure, err = s.failures(ctx, e.number, champion, challenger, since, dayOf(s.o.Now(), r.zone), r.zone); err != nil {
		return out, err
	}
	out.Loss, err = s.losses(ctx, e.number, champion, challenger, since)
	return out, err
}

// endOfTime is later than any event.
var endOfTime = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// failures counts failed requests of both releases by complete day.
func (s *Service) failures(ctx context.Context, endpoint int64, champion, challenger string, since, today time.Time, zone *time.Location) ([]stat.Arms, error) {
	hours, err := s.failuresByHour(ctx, endpoint, champion, challenger, since, today)
	if err != nil {
		return nil, err
	}
	var out []stat.Arms
	var last time.Time
	for _, h := range hours {
		start := dayOf(h.hour, zone)
		if start.Before(since) {
			continue // the day under way when the stage began
		}
		if len(out) == 0 || !start.Equal(last) {
			out, last = append(out, stat.Arms{}), start
		}
		a := &out[len(out)-1]
		if h.release == challenger {
			a.Hits, a.Rows = a.Hits+h.failed, a.Rows+h.rows
		} else {
			a.OtherHits, a.OtherRows = a.OtherHits+h.failed, a.OtherRows+h.rows
		}
	}
	return out, nil
}

// Drifted is how many features drifted in each of the last windows: the least
// over them. The windows are the latest that were decided, a day apart, at the
// endpoint of the project's model in production.
func (s *Service) Drifted(ctx context.Context, project string, windows int) (features int, err error) {
	e, err := s.production(ctx, project)
	if slipway.IsCode(err, slipway.NotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	windows = max(1, windows)
	past, err := s.pastVerdicts(ctx, e.number, e.decided, windows)
	if err != nil {
		return 0, err
	}
	count := make([]int, windows)
	for _, verdicts := range past {
		for i := range min(windows, len(verdicts)) {
			if verdicts[i] == Drifted {
				count[i]++
			}
		}
	}
	return slices.Min(count), nil
}

// Metric is the newest value of a metric over a whole window, of the champion
// in production; ok is false while too few labels have come.
func (s *Service) Metric(ctx context.Context, project, metric string) (value float64, ok bool, err error) {
	e, err := s.production(ctx, project)
	if err == nil {
		var w WindowQuality
		w, err = s.MetricOf(ctx, project, e.name, metric)
		value, ok = w.Estimate.Value, w.Verdict == OK || w.Verdict == Low
	}
	if slipway.IsCode(err, slipway.NotFound) {
		return 0, false, nil
	}
	return value, ok && err == nil, err
}

// production is the endpoint of the project's model. It fails with NotFound
// when the project has no model or nothing was logged of it.
func (s *Service) production(ctx context.Context, project string) (endpoint, error) {
	p, err := s.o.Applied.Project(ctx, project)
	if err != nil {
		return endpoint{}, err
	}
	if p.Model == nil {
		return endpoint{}, slipway.Errorf(slipway.NotFound, "the project %s makes no model", project)
	}
	return s.endpointNamed(ctx, project, p.Model.Name)
}

// MetricOf is the newest estimate of a metric of an endpoint's champion, over
// monitor.window and with its interval by day. It fails with NotFound while no
// window is complete.
func (s *Service) MetricOf(ctx context.Context, project, endpointName, metric string) (WindowQuality, error) {
	e, err := s.endpointNamed(ctx, project, endpointName)
	if err != nil {
		return WindowQuality{}, err
	}
	all, err := s.variants(ctx, e.number)
	if err != nil {
		return WindowQuality{}, err
	}
	champion := championOf(all)
	if champion == nil {
		return WindowQuality{}, slipway.Errorf(slipway.NotFound, "no champion answered for %s yet", endpointName)
	}
	found, err := s.windowsOf(ctx, e.number, champion.Release, metric, time.Time{}, endOfTime)
	if err != nil {
		return WindowQuality{}, err
	}
	if len(found) == 0 {
		return WindowQuality{}, slipway.Errorf(slipway.NotFound, "%s of %s is not known yet: no window has all its labels", metric, endpointName)
	}
	return found[len(found)-1], nil
}
