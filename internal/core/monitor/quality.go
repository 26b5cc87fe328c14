package monitor

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/stat"
)

// Values is metrics by name; one that is undefined is null in JSON.
type Values map[string]float64

// MarshalJSON writes what is not finite as null.
func (v Values) MarshalJSON() ([]byte, error) {
	out := make(map[string]*float64, len(v))
	for name, x := range v {
		if !math.IsNaN(x) && !math.IsInf(x, 0) {
			out[name] = &x
		} else {
			out[name] = nil
		}
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads null as NaN.
func (v *Values) UnmarshalJSON(b []byte) error {
	var in map[string]*float64
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	*v = Values{}
	for name, x := range in {
		(*v)[name] = nan
		if x != nil {
			(*v)[name] = *x
		}
	}
	return nil
}

// DayQuality is how good one release was on one day, as far as labels tell.
type DayQuality struct {
	Release     string    `json:"release"`
	Model       string    `json:"model"`
	Role        string    `json:"role"`
	Day         time.Time `json:"day"`     // start, by the project's time zone
	Version     int       `json:"version"` // grows when a day that was complete is restated
	Mature      bool      `json:"mature"`  // no label is awaited any more
	Predictions int       `json:"predictions"`
	Failed      int       `json:"failed"`
	Labelled    int       `json:"labelled"`
	Invalid     int       `json:"invalid,omitempty"` // labels that the model cannot have predicted
	Coverage    float64   `json:"coverage"`          // share of predictions with a label
	LagMedian   float64   `json:"lag_median_s"`      // of labels behind predictions, seconds; 0 without labels
	Lag95       float64   `json:"lag_p95_s"`
	Metric      Values    `json:"metric"`
}

// WindowQuality is a metric over a window of days, with its interval by day.
type WindowQuality struct {
	Release  string        `json:"release"`
	Model    string        `json:"model"`
	Role     string        `json:"role"`
	From     time.Time     `json:"from"`
	To       time.Time     `json:"to"`
	Metric   string        `json:"metric"`
	Estimate stat.Estimate `json:"estimate"`
	Coverage float64       `json:"coverage"`
	Limit    string        `json:"limit,omitempty"` // as declared: "≥ 0.62"
	Verdict  Verdict       `json:"verdict"`
	Reason   string        `json:"reason"`
}

// defaults are the metrics that are computed besides the declared one.
var defaults = map[slipway.Task][]string{
	slipway.BinaryTask: {"roc_auc", "log_loss", "brier"},
	slipway.Multiclass: {"log_loss", "accuracy"},
	slipway.Regression: {"mae", "rmse"},
}

// metricsOf lists the metrics to compute for a task, the declared one first.
func (r *rules) metricsOf(task slipway.Task) []stat.Metric {
	names := slices.Clone(defaults[task])
	if r.quality != nil && !slices.Contains(names, r.quality.Metric) {
		names = append([]string{r.quality.Metric}, names...)
	}
	var out []stat.Metric
	for _, name := range names {
		// A metric of another task (f1 of a regression) is not computed.
		if m, err := stat.Lookup(name); err == nil && m.For(stat.Task(task)) {
			out = append(out, m)
		}
	}
	return out
}

// restate computes a day of one release anew.
func (s *Service) restate(ctx context.Context, e endpoint, r rules, v SeenRelease, start time.Time) (DayQuality, *scored, error) {
	d, err := s.scoredOf(ctx, e, v, r.zone, start)
	if err != nil {
		return DayQuality{}, nil, err
	}
	q := DayQuality{Release: v.Release, Model: v.Model, Role: string(v.Role), Day: start,
		Predictions: len(d.id) + d.failed, Failed: d.failed, Invalid: d.invalid, Metric: Values{}}
	var all stat.Scored
	d.into(&all, nil, 0)
	q.Labelled = len(all.Y)
	if q.Predictions > 0 {
		q.Coverage = float64(q.Labelled) / float64(q.Predictions)
	}
	if len(d.lag) > 0 {
		lag := slices.Sorted(slices.Values(d.lag))
		q.LagMedian, q.Lag95 = stat.Quantile(lag, 0.5), stat.Quantile(lag, 0.95)
	}
	if q.Labelled == 0 {
		return q, d, nil
	}
	for _, m := range r.metricsOf(d.task) {
		if value, err := m.Of(all); err == nil {
			q.Metric[m.Name] = value
		}
	}
	return q, d, nil
}

// window estimates the metrics of a release over the days that end with last.
func (s *Service) window(ctx context.Context, e endpoint, r rules, v SeenRelease, last time.Time) ([]WindowQuality, error) {
	var all stat.Scored
	var block []int
	var task slipway.Task
	rows := 0
	from := addDays(last, 1-r.blocks, r.zone)
	for i := range r.blocks {
		d, err := s.scoredOf(ctx, e, v, r.zone, addDays(from, i, r.zone))
		if err != nil {
			return nil, err
		}
		if len(d.id) > 0 {
			task = d.task
		}
		rows += len(d.id) + d.failed
		block = d.into(&all, block, i)
	}
	if rows == 0 {
		return nil, nil
	}
	var out []WindowQuality
	for _, m := range r.metricsOf(task) {
		w := WindowQuality{Release: v.Release, Model: v.Model, Role: string(v.Role), From: from, To: addDays(last, 1, r.zone),
			Metric: m.Name, Coverage: float64(len(all.Y)) / float64(rows)}
		if len(all.Y) == 0 {
			w.Estimate = stat.Estimate{Value: nan, Low: nan, High: nan, Error: nan, State: stat.TooFew}
		} else {
			var err error
			if w.Estimate, err = stat.Interval(m, all, block, 0.95); err != nil {
				continue // the outputs are not what the metric takes, such as scores outside [0, 1]
			}
		}
		r.judge(&w)
		out = append(out, w)
	}
	return out, nil
}

// judge decides about one metric: low only when the whole interval, by day, is
// beyond the limit. A day's value wanders far for no reason.
func (r *rules) judge(w *WindowQuality) {
	w.Verdict = OK
	if w.Estimate.State != stat.Enough {
		w.Verdict, w.Reason = NotEnoughData, string(w.Estimate.State)
	}
	q := r.quality
	if q == nil || q.Metric != w.Metric {
		return
	}
	if q.Min != nil {
		w.Limit = fmt.Sprintf("≥ %g", *q.Min)
	}
	if q.Max != nil {
		w.Limit = fmt.Sprintf("≤ %g", *q.Max)
	}
	if w.Verdict != OK {
		return
	}
	least := 0.5
	if q.Labels != nil {
		least = q.Labels.MinCoverage
	}
	interval := fmt.Sprintf("%s %.4g (%.4g to %.4g by day)", w.Metric, w.Estimate.Value, w.Estimate.Low, w.Estimate.High)
	switch {
	case w.Coverage < least:
		w.Verdict, w.Reason = NotEnoughData, fmt.Sprintf("%.0f %% of the predictions have a label, %.0f %% are needed", 100*w.Coverage, 100*least)
	case q.Min != nil && w.Estimate.High < *q.Min:
		w.Verdict, w.Reason = Low, fmt.Sprintf("%s is below %g", interval, *q.Min)
	case q.Max != nil && w.Estimate.Low > *q.Max:
		w.Verdict, w.Reason = Low, fmt.Sprintf("%s is above %g", interval, *q.Max)
	default:
		w.Reason = interval
	}
}

// Pair is the mean losses of two releases on the same requests of one day.
type Pair struct {
	Champion, Challenger string
	Day                  time.Time
	Rows                 int64
	ChampionLoss         float64
	ChallengerLoss       float64
}

// pairs compares every release that answered as champion with every other that
// scored the same requests.
func pairs(day time.Time, days map[string]*scored) []Pair {
	var out []Pair
	for _, champion := range slices.Sorted(keysOf(days)) {
		a := days[champion]
		at := map[string]int{}
		for i, id := range a.id {
			if a.champion[i] && a.y[i] == a.y[i] {
				at[id] = i
			}
		}
		if len(at) == 0 {
			continue
		}
		for _, challenger := range slices.Sorted(keysOf(days)) {
			b := days[challenger]
			if challenger == champion || b.task != a.task || b.classes != a.classes {
				continue
			}
			p := Pair{Champion: champion, Challenger: challenger, Day: day}
			for i, id := range b.id {
				if k, both := at[id]; both && b.y[i] == b.y[i] {
					p.Rows++
					p.ChampionLoss += a.loss(k)
					p.ChallengerLoss += b.loss(i)
				}
			}
			if p.Rows > 0 {
				p.ChampionLoss /= float64(p.Rows)
				p.ChallengerLoss /= float64(p.Rows)
				out = append(out, p)
			}
		}
	}
	return out
}
