package monitor

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/slipway-ml/slipway"
)

// MonitorStatus is how an endpoint fares.
type MonitorStatus struct {
	Endpoint string         `json:"endpoint"`
	Seen     time.Time      `json:"seen"` // event time of the latest prediction
	Window   int            `json:"window_days"`
	Variants []SeenRelease  `json:"variants"` // the latest used first
	Drift    DriftStatus    `json:"drift"`
	Quality  *WindowQuality `json:"quality,omitempty"` // of the champion: the declared metric, else the task's first, in the newest complete window
	Labels   LabelStatus    `json:"labels"`
	Feed     []Freshness    `json:"feed"`   // features that stand still
	Alarms   []Alarm        `json:"alarms"` // that fire
}

// DriftStatus counts the verdicts of the newest decided window.
type DriftStatus struct {
	Until    time.Time       `json:"until,omitzero"` // end of the window; zero when none was decided
	Count    map[Verdict]int `json:"count"`
	Drifted  []string        `json:"drifted"`
	Reason   string          `json:"reason,omitempty"` // why nothing is decided
	Declared bool            `json:"declared"`         // whether slipway.yaml asks for drift
}

// LabelStatus is how many labels came, over the newest day that is complete.
type LabelStatus struct {
	Day       time.Time `json:"day,omitzero"`
	Coverage  float64   `json:"coverage"`
	LagMedian float64   `json:"lag_median_s"`
	Lag95     float64   `json:"lag_p95_s"`
}

// Status tells how every endpoint of a project fares.
func (s *Service) Status(ctx context.Context, project string) ([]MonitorStatus, error) {
	endpoints, err := s.endpoints(ctx, project)
	if err != nil {
		return nil, err
	}
	out := []MonitorStatus{}
	for _, e := range endpoints {
		st, err := s.statusOf(ctx, e)
		if err != nil {
			return nil, err
		}
		out = append(out, st)
	}
	return out, nil
}

func (s *Service) statusOf(ctx context.Context, e endpoint) (MonitorStatus, error) {
	r, err := s.rules(ctx, place{e.project, e.name})
	if err != nil {
		return MonitorStatus{}, err
	}
	st := MonitorStatus{Endpoint: e.name, Seen: e.seen, Window: r.blocks, Feed: e.feed.stuck(), Alarms: []Alarm{}}
	if st.Variants, err = s.variants(ctx, e.number); err != nil {
		return st, err
	}
	alarms, err := s.Alarms(ctx, e.project, e.name, 1000)
	if err != nil {
		return st, err
	}
	for _, a := range alarms {
		if a.Firing {
			st.Alarms = append(st.Alarms, a)
		}
	}
	if st.Drift, err = s.driftStatus(ctx, e, r); err != nil {
		return st, err
	}
	champion := championOf(st.Variants)
	if champion == nil {
		return st, nil
	}
	if err := s.qualityStatus(ctx, e, r, champion.Release, &st); err != nil {
		return st, err
	}
	return st, nil
}

func (s *Service) driftStatus(ctx context.Context, e endpoint, r rules) (DriftStatus, error) {
	d := DriftStatus{Count: map[Verdict]int{}, Drifted: []string{}, Declared: r.drift != nil}
	verdicts, err := s.verdictsOf(ctx, e.number, e.decided.Add(-36*time.Hour), e.decided)
	if err != nil || len(verdicts) == 0 {
		return d, err
	}
	last := verdicts[len(verdicts)-1].Day
	d.Until = addDays(last, 1, r.zone)
	for _, v := range verdicts {
		if !v.Day.Equal(last) {
			continue
		}
		d.Count[v.Verdict]++
		switch v.Verdict {
		case Drifted:
			d.Drifted = append(d.Drifted, v.Feature)
		case InsufficientReference, NotEnoughData:
			d.Reason = v.Detail.Reason
		}
	}
	return d, nil
}

func (s *Service) qualityStatus(ctx context.Context, e endpoint, r rules, release string, st *MonitorStatus) error {
	metric := ""
	if r.quality != nil {
		metric = r.quality.Metric
	}
	windows, err := s.windowsOf(ctx, e.number, release, metric, e.matured.Add(-36*time.Hour), e.matured)
	if err != nil {
		return err
	}
	if len(windows) > 0 {
		last := windows[len(windows)-1].To
		i := slices.IndexFunc(windows, func(w WindowQuality) bool { return w.To.Equal(last) })
		for k := i; k < len(windows); k++ {
			if windows[k].Metric == "roc_auc" || windows[k].Metric == "log_loss" && windows[i].Metric != "roc_auc" {
				i = k
			}
		}
		st.Quality = &windows[i]
	}
	days, err := s.daysOf(ctx, e.number, e.matured.Add(-36*time.Hour), e.matured, false)
	for _, q := range days {
		if q.Release == release {
			st.Labels = LabelStatus{q.Day, q.Coverage, q.LagMedian, q.Lag95}
		}
	}
	return err
}

// stuck lists the features that stand still, the longest first.
func (f feedState) stuck() []Freshness {
	out := []Freshness{}
	for _, x := range f.Feature {
		if x.Verdict == Stuck {
			out = append(out, x)
		}
	}
	slices.SortFunc(out, func(a, b Freshness) int { return int(b.Age - a.Age) })
	return out
}

// HeatMap is the drift of every feature in every window, a row a feature.
type HeatMap struct {
	Endpoint string       `json:"endpoint"`
	Window   int          `json:"window_days"`
	Days     []time.Time  `json:"days"` // the windows' last days, oldest first
	Features []HeatMapRow `json:"features"`
}

// HeatMapRow is one feature; Cells has an entry a day, null where nothing was
// decided.
type HeatMapRow struct {
	Feature string      `json:"feature"`
	Cells   []*HeatCell `json:"cells"`
}

// HeatCell is one verdict.
type HeatCell struct {
	Verdict Verdict  `json:"verdict"`
	Value   *float64 `json:"value"` // of the statistic
	Limit   *float64 `json:"limit"` // above which it would have been drift for the feature alone
	Typical *float64 `json:"typical"`
	Release string   `json:"release"`
}

// Heat gathers the drift verdicts of an endpoint between two times.
func (s *Service) Heat(ctx context.Context, project, name string, from, to time.Time) (HeatMap, error) {
	e, err := s.endpointNamed(ctx, project, name)
	if err != nil {
		return HeatMap{}, err
	}
	r, err := s.rules(ctx, place{project, name})
	if err != nil {
		return HeatMap{}, err
	}
	from, to = bounds(e, from, to)
	verdicts, err := s.verdictsOf(ctx, e.number, from, to)
	if err != nil {
		return HeatMap{}, err
	}
	h := HeatMap{Endpoint: name, Window: r.blocks, Days: []time.Time{}, Features: []HeatMapRow{}}
	row := map[string]int{}
	for _, v := range verdicts {
		if len(h.Days) == 0 || !h.Days[len(h.Days)-1].Equal(v.Day) {
			h.Days = append(h.Days, v.Day)
		}
		k, known := row[v.Feature]
		if !known {
			k, row[v.Feature] = len(h.Features), len(h.Features)
			h.Features = append(h.Features, HeatMapRow{Feature: v.Feature})
		}
		cells := h.Features[k].Cells
		for len(cells) < len(h.Days)-1 {
			cells = append(cells, nil)
		}
		h.Features[k].Cells = append(cells, &HeatCell{v.Verdict, known64(v.Detail.Value), known64(v.Detail.Limit), known64(v.Detail.Typical), v.Release})
	}
	for k := range h.Features {
		for len(h.Features[k].Cells) < len(h.Days) {
			h.Features[k].Cells = append(h.Features[k].Cells, nil)
		}
	}
	return h, nil
}

// bounds fills in open ends of a time: the 90 days before the latest
// prediction.
func bounds(e endpoint, from, to time.Time) (time.Time, time.Time) {
	if to.IsZero() {
		to = e.seen.Add(day)
	}
	if from.IsZero() {
		from = to.Add(-91 * day)
	}
	return from, to
}

// known64 is a pointer to a number that JSON can hold, else nil.
func known64(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// QualityHistory is how good the releases of an endpoint were over time.
type QualityHistory struct {
	Endpoint string          `json:"endpoint"`
	Days     []DayQuality    `json:"days"`
	Windows  []WindowQuality `json:"windows"`
}

// QualityOf gathers days and windows; all adds what was said before a
// restatement.
func (s *Service) QualityOf(ctx context.Context, project, name, metric string, from, to time.Time, all bool) (QualityHistory, error) {
	e, err := s.endpointNamed(ctx, project, name)
	if err != nil {
		return QualityHistory{}, err
	}
	from, to = bounds(e, from, to)
	q := QualityHistory{Endpoint: name}
	if q.Days, err = s.daysOf(ctx, e.number, from, to, all); err != nil {
		return q, err
	}
	q.Windows, err = s.windowsOf(ctx, e.number, "", metric, from, to)
	q.Days, q.Windows = orEmpty(q.Days), orEmpty(q.Windows)
	return q, err
}

// orEmpty makes JSON say [] rather than null.
func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// HourTraffic is what every release did by hour.
type HourTraffic struct {
	Release string    `json:"release"`
	Hour    time.Time `json:"hour"`
	Rows    int64     `json:"rows"`
	Failed  int64     `json:"failed"`
}

// TrafficOf gathers the hours of an endpoint.
func (s *Service) TrafficOf(ctx context.Context, project, name string, from, to time.Time) ([]HourTraffic, error) {
	e, err := s.endpointNamed(ctx, project, name)
	if err != nil {
		return nil, err
	}
	if to.IsZero() {
		to = e.seen.Add(time.Hour)
	}
	if from.IsZero() {
		from = to.Add(-7 * day)
	}
	hours, err := s.trafficOf(ctx, e.number, from, to)
	out := make([]HourTraffic, len(hours))
	for i, h := range hours {
		out[i] = HourTraffic{h.release, h.hour, h.rows, h.failed}
	}
	return out, err
}

// FeatureDetail is one feature of an endpoint beside its reference.
type FeatureDetail struct {
	Endpoint string         `json:"endpoint"`
	Feature  string         `json:"feature"`
	Release  string         `json:"release"`
	Model    string         `json:"model"`
	From     time.Time      `json:"from"`
	To       time.Time      `json:"to"`
	Rows     int64          `json:"rows"`
	Bins     []FeatureBin   `json:"bins"`
	Drift    []FeatureDrift `json:"drift"` // verdicts of the windows that end in the time
	Feed     *Freshness     `json:"feed,omitempty"`
}

// FeatureBin is a range of numbers, a category, or what is neither.
type FeatureBin struct {
	Label     string   `json:"label"`         // a category; "null", "below", "above", "other", "unseen"
	Low       *float64 `json:"low,omitempty"` // of a range of numbers
	High      *float64 `json:"high,omitempty"`
	Reference float64  `json:"reference"` // share of the training rows
	Current   float64  `json:"current"`   // share of the predictions
}

// FeatureOf compares a feature between two times (the last window when they are
// zero) with the training rows of the release that answered then.
func (s *Service) FeatureOf(ctx context.Context, project, name, featureName string, from, to time.Time) (FeatureDetail, error) {
	e, err := s.endpointNamed(ctx, project, name)
	if err != nil {
		return FeatureDetail{}, err
	}
	r, err := s.rules(ctx, place{project, name})
	if err != nil {
		return FeatureDetail{}, err
	}
	if to.IsZero() {
		to = e.seen.Add(time.Hour)
	}
	if from.IsZero() {
		from = to.Add(-time.Duration(r.blocks) * day)
	}
	all, err := s.variants(ctx, e.number)
	if err != nil {
		return FeatureDetail{}, err
	}
	v, err := s.during(ctx, e, all, from, to)
	if err != nil {
		return FeatureDetail{}, err
	}
	if v == nil {
		return FeatureDetail{}, slipway.Errorf(slipway.NotFound, "no champion answered for %s yet", name)
	}
	ref, err := s.reference(ctx, modelKey{project, v.Model}, r.zone)
	if err != nil {
		return FeatureDetail{}, err
	}
	f := ref.find(featureName)
	if f == nil {
		return FeatureDetail{}, slipway.Errorf(slipway.NotFound, "the training rows of %s have no feature %s", v.Model, featureName)
	}
	sum, err := s.count(ctx, e.number, v.Release, from, to)
	if err != nil {
		return FeatureDetail{}, err
	}
	d := FeatureDetail{Endpoint: name, Feature: featureName, Release: v.Release, Model: v.Model, From: from, To: to, Rows: sum.rows, Drift: []FeatureDrift{}}
	fine := make([]int64, f.width())
	if i := ref.index[featureName]; i < len(sum.features) && len(sum.features[i]) == len(fine) {
		fine = sum.features[i]
	}
	d.Bins = f.bins(fine)
	verdicts, err := s.verdictsOf(ctx, e.number, from.Add(-90*day), to)
	for _, x := range verdicts {
		if x.Feature == featureName {
			d.Drift = append(d.Drift, x)
		}
	}
	if x, known := e.feed.Feature[featureName]; known {
		d.Feed = &x
	}
	return d, err
}
