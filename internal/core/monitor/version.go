package monitor

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/kit/web"
	"github.com/slipway-ml/slipway/internal/stat"
)

// Models opens registered model versions.
type Models interface {
	// Open opens NAME@vN, NAME@ALIAS, or NAME for the newest, and says which
	// version that is, as name@vN. It fails with NotFound, and with Denied when
	// opening would execute code and the caller is no operator.
	Open(ctx context.Context, project, model string) (id string, m predictor.Model, err error)
}

// CompareVersion asks what an endpoint's answers were worth against what
// another version would have answered.
type CompareVersion struct {
	Endpoint string
	With     string   // as Models.Open takes it
	By       string   // "month", "week" (from Monday) or "day"; "" is month
	Metric   []string // "" for the declared metric and the task's first two
	From, To string   // a day in the project's time zone or a time by RFC 3339; open when ""
}

// VersionComparison is what an endpoint's answers were worth, and what another
// version would have answered to the same requests: had it stayed, or come
// sooner.
type VersionComparison struct {
	Endpoint string             `json:"endpoint"`
	With     string             `json:"with"` // name@vN
	By       string             `json:"by"`
	Zone     string             `json:"zone"` // by which days and months are cut
	Periods  []PeriodComparison `json:"periods"`
	Total    PeriodComparison   `json:"total"` // all rows pooled
}

// PeriodComparison is one month, week or day.
type PeriodComparison struct {
	Start   time.Time          `json:"start"` // of the period; the window may begin or end inside
	End     time.Time          `json:"end"`
	Answers int                `json:"answers"` // that callers got, without failures
	Rows    int                `json:"rows"`    // of them with a known label: what is compared
	Served  []ServedModel      `json:"served"`  // who answered these rows, the first first
	Metrics []MetricComparison `json:"metrics"`
	first   int                // its first row
}

// ServedModel is a version that answered.
type ServedModel struct {
	Model string `json:"model"`
	Rows  int    `json:"rows"`
}

// MetricComparison is a metric of what was served and of the other version on
// the same rows, with 95 % intervals by day. Gain is their paired difference,
// signed so that more is better for what was served.
type MetricComparison struct {
	Metric  string        `json:"metric"`
	Served  stat.Estimate `json:"served"`
	Other   stat.Estimate `json:"other"`
	Gain    stat.Estimate `json:"gain"`
	Verdict Worth         `json:"verdict"`
}

// Worth is whether what was served was better than the other version.
type Worth string

// The worths.
const (
	Better    Worth = "better"    // the whole interval of the gain is above 0
	Worse     Worth = "worse"     // the whole interval is below 0
	Undecided Worth = "undecided" // it holds 0, or too few days have labels
	Same      Worth = "same"      // every answer was that of the other version
)

// comparing is a comparison under way. Rows come in order of days, so those of
// a period stand together.
type comparing struct {
	rules     rules
	endpoint  endpoint
	metric    []stat.Metric
	asked     []string
	from, to  time.Time
	models    map[string]string // by release
	other     predictor.Model
	signature slipway.Signature // of the other version; what it leaves open comes from the first answers
	output    []string          // names of the columns compared
	y         []float64
	served    []float64 // one value a row, or one a class
	answer    []float64 // what the other version says, likewise
	block     []int
	out       VersionComparison
}

// CompareVersion scores the logged requests of an endpoint with another version
// and compares the answers that callers got, whichever variant gave them, with
// its answers, on the rows whose label is known. say hears of progress, in days.
// It fails with NotFound when the endpoint, the version or any answer in that
// time is unknown, and with Invalid when the version does not take the inputs
// that were logged or answers another question.
func (s *Service) CompareVersion(ctx context.Context, project string, in CompareVersion, say func(web.Progress)) (VersionComparison, error) {
	c, err := s.comparing(ctx, project, in)
	if err != nil {
		return VersionComparison{}, err
	}
	return s.compareVersion(ctx, c, in.With, say)
}

// comparing checks a request.
func (s *Service) comparing(ctx context.Context, project string, in CompareVersion) (*comparing, error) {
	c := &comparing{asked: in.Metric, models: map[string]string{}, out: VersionComparison{Endpoint: in.Endpoint, By: cmp.Or(in.By, "month"), Periods: []PeriodComparison{}}}
	if !slices.Contains([]string{"month", "week", "day"}, c.out.By) {
		return nil, slipway.Errorf(slipway.Invalid, "%.100q is no period", in.By).WithHint("write month, week or day")
	}
	if in.With == "" {
		return nil, slipway.Errorf(slipway.Invalid, "nothing to compare with was named").WithHint("name a version, as --with model@v1")
	}
	for _, name := range in.Metric {
		if _, err := stat.Lookup(name); err != nil {
			return nil, err
		}
	}
	var err error
	if c.endpoint, err = s.endpointNamed(ctx, project, in.Endpoint); err != nil {
		return nil, err
	}
	if c.rules, err = s.rules(ctx, place{project, in.Endpoint}); err != nil {
		return nil, err
	}
	c.out.Zone = c.rules.zone.String()
	if c.from, err = dayIn(in.From, c.rules.zone); err != nil {
		return nil, err
	}
	if c.to, err = dayIn(in.To, c.rules.zone); err != nil {
		return nil, err
	}
	all, err := s.variants(ctx, c.endpoint.number)
	if err != nil {
		return nil, err
	}
	var first, last time.Time // of what was logged: no day beyond it is looked at
	for _, v := range all {
		c.models[v.Release] = v.Model
		if first.IsZero() || v.First.Before(first) {
			first = v.First
		}
		if end := v.Last.Add(time.Microsecond); end.After(last) {
			last = end
		}
	}
	if c.from.Before(first) {
		c.from = first
	}
	if c.to.IsZero() || c.to.After(last) {
		c.to = last
	}
	return c, nil
}

// dayIn reads the start of a day in a time zone, or a time.
func dayIn(text string, zone *time.Location) (time.Time, error) {
	if t, err := time.ParseInLocation(time.DateOnly, text, zone); err == nil {
		return t.UTC(), nil
	}
	return parseDay(text)
}

// periodOf is the month, week or day that holds a day.
func periodOf(day time.Time, by string, zone *time.Location) (start, end time.Time) {
	at := day.In(zone)
	y, m, d := at.Date()
	months, days := 0, 1
	switch by {
	case "month":
		d, months, days = 1, 1, 0
	case "week":
		d, days = d-(int(at.Weekday())+6)%7, 7
	}
	return time.Date(y, m, d, 0, 0, 0, 0, zone).UTC(), time.Date(y, m+time.Month(months), d+days, 0, 0, 0, 0, zone).UTC()
}

func (s *Service) compareVersion(ctx context.Context, c *comparing, with string, say func(web.Progress)) (VersionComparison, error) {
	var err error
	if c.out.With, c.other, err = s.o.Models.Open(ctx, c.endpoint.project, with); err != nil {
		return c.out, err
	}
	defer c.other.Close()
	c.signature = c.other.Signature()
	var days []time.Time
	for start := dayOf(c.from, c.rules.zone); start.Before(c.to); start = addDays(start, 1, c.rules.zone) {
		days = append(days, start)
	}
	for i, start := range days {
		if err := s.compareDay(ctx, c, start, i); err != nil {
			return c.out, err
		}
		say(web.Progress{Done: int64(i + 1), Total: int64(len(days)), Unit: "day"})
	}
	if len(c.out.Periods) == 0 {
		return c.out, slipway.Errorf(slipway.NotFound, "%s answered nothing in that time", c.out.Endpoint).
			WithHint("`slipway monitor` says when its last prediction was")
	}
	return c.out, c.conclude(ctx)
}

// conclude estimates every period, and all together.
func (c *comparing) conclude(ctx context.Context) error {
	t := &c.out.Total
	served := map[string]int{}
	for i := range c.out.Periods {
		p := &c.out.Periods[i]
		var err error
		if p.Metrics, err = c.estimate(p.first, p.first+p.Rows); err != nil {
			return err
		}
		t.Answers, t.Rows, t.End = t.Answers+p.Answers, t.Rows+p.Rows, p.End
		for _, m := range p.Served {
			t.Served = count(t.Served, served, m.Model, m.Rows)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	t.Start, t.Served = c.out.Periods[0].Start, orEmpty(t.Served)
	var err error
	t.Metrics, err = c.estimate(0, len(c.y))
	return err
}

// count adds rows to a model's.
func count(all []ServedModel, at map[string]int, model string, rows int) []ServedModel {
	k, known := at[model]
	if !known {
		k, at[model] = len(all), len(all)
		all = append(all, ServedModel{Model: model})
	}
	all[k].Rows += rows
	return all
}

// estimate compares the rows from one to another.
func (c *comparing) estimate(from, to int) ([]MetricComparison, error) {
	const level = 0.95
	width := max(1, len(c.output))
	rows := stat.Scored{Y: c.y[from:to], P: c.served[from*width : to*width]}
	if c.signature.Task == slipway.Multiclass {
		rows.Classes = width
	}
	other := rows
	other.P = c.answer[from*width : to*width]
	block, same := c.block[from:to], slices.Equal(rows.P, other.P)
	out := []MetricComparison{}
	for _, m := range c.metric {
		unknown := stat.Estimate{Value: nan, Low: nan, High: nan, Error: nan, Level: level, State: stat.TooFew}
		x := MetricComparison{Metric: m.Name, Served: unknown, Other: unknown, Gain: unknown, Verdict: Undecided}
		if to > from {
			var err error
			if x.Served, err = stat.Interval(m, rows, block, level); err != nil {
				return nil, err
			}
			if x.Other, err = stat.Interval(m, other, block, level); err != nil {
				return nil, err
			}
			if x.Gain, err = stat.Difference(m, rows, other.P, block, level); err != nil {
				return nil, err
			}
			x.Gain = m.Gain(x.Gain)
			x.Gain.Value, x.Gain.Low, x.Gain.High = x.Gain.Value+0, x.Gain.Low+0, x.Gain.High+0 // no −0, which the turned sign makes
			switch decision := stat.Decide(x.Gain, 0); {
			case same:
				x.Verdict = Same
			case decision == stat.Promote:
				x.Verdict = Better
			case decision == stat.Rollback:
				x.Verdict = Worse
			}
		}
		out = append(out, x)
	}
	return out, nil
}
