package dataset

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/query"
)

// Profile is what the rows of a version look like, column by column. It is
// found in one pass over the rows, after a look at the bounds of the numbers.
type Profile struct {
	Rows    int64           `json:"rows"`
	Keys    *int64          `json:"keys,omitempty"` // distinct values of the key, exactly; nil without a key
	Columns []ColumnProfile `json:"columns"`
	Time    *TimeProfile    `json:"time,omitempty"`
	// Correlation is Pearson's between pairs of numeric columns, strongest first,
	// from a sample of the rows.
	Correlation []query.Correlation `json:"correlation,omitempty"`
}

// ColumnProfile describes the values of one column. NaN counts as missing.
type ColumnProfile struct {
	Name      string       `json:"name"`
	Type      slipway.Type `json:"type"`
	Missing   int64        `json:"missing"`
	Infinite  int64        `json:"infinite,omitempty"`
	Distinct  int64        `json:"distinct"`
	Estimated bool         `json:"estimated,omitempty"` // Distinct is by HyperLogLog, with a standard error of 1.6 %
	Min       *float64     `json:"min,omitempty"`
	Max       *float64     `json:"max,omitempty"`
	Mean      *float64     `json:"mean,omitempty"`
	SD        *float64     `json:"sd,omitempty"`
	Quantiles []float64    `json:"quantiles,omitempty"` // at QuantileLevels; see query.NumberSummary
	Histogram *Histogram   `json:"histogram,omitempty"`
	Top       []ValueCount `json:"top,omitempty"` // most frequent first, at most 25
	From      *time.Time   `json:"from,omitempty"`
	To        *time.Time   `json:"to,omitempty"`
	Length    *[2]int64    `json:"length,omitempty"`   // shortest and longest text, in characters
	Padded    int64        `json:"padded,omitempty"`   // texts with space at an end
	Numbers   int64        `json:"numbers,omitempty"`  // texts that are written like numbers
	Personal  string       `json:"personal,omitempty"` // why it may be about persons: email, phone, card, iban, ssn, ip, or by its name
}

// QuantileLevels are the levels of ColumnProfile.Quantiles.
var QuantileLevels = []float64{0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99}

// Histogram counts values in equal bins from Low to High, which is in the last.
type Histogram struct {
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	Counts []int64 `json:"counts"`
}

// ValueCount is a value and how often it occurs.
type ValueCount struct {
	Value string `json:"value"`
	Count int64  `json:"count"`
}

// TimeProfile says how the rows lie in event time.
type TimeProfile struct {
	Expression string       `json:"expression"`
	From       time.Time    `json:"from"`
	To         time.Time    `json:"to"` // of the last row
	Missing    int64        `json:"missing"`
	Days       []ValueCount `json:"days"` // rows a day (UTC, 2013-01-31), in order; days without rows are left out
}

// The sizes of a profile.
const (
	profileBins  = 32
	profileTop   = 25
	fewValues    = 200    // up to here all values are counted
	profileDays  = 36_600 // a century; beyond it the days are left out
	maxTopLength = 120    // characters of a value that are kept
)

// Column finds a column by name, or nil.
func (p *Profile) Column(name string) *ColumnProfile {
	i := slices.IndexFunc(p.Columns, func(c ColumnProfile) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &p.Columns[i]
}

// scan is one SELECT of aggregates and where each of them goes.
type scan struct {
	with []string // tables that the aggregates may name
	list []string
	into []func(any)
}

func (a *scan) add(sql string, into func(any)) {
	a.list = append(a.list, sql)
	a.into = append(a.into, into)
}

// run asks for all aggregates of a in one pass over t.
func (s *Service) scan(ctx context.Context, t *table, a *scan, from string) error {
	if len(a.list) == 0 {
		return nil
	}
	with := ""
	if len(a.with) > 0 {
		with = "WITH " + strings.Join(a.with, ",\n") + "\n"
	}
	res, err := s.o.Query.Run(ctx, t.request(with+"SELECT "+strings.Join(a.list, ",\n")+"\nFROM "+from))
	if err != nil {
		return err
	}
	for i, v := range res.Rows[0] {
		a.into[i](v)
	}
	return nil
}

// profile looks at all rows of t, once.
func (s *Service) profile(ctx context.Context, t *table) (*Profile, error) {
	at, likely := t.time(), ""
	if at == "" {
		if likely = t.likelyTime(); likely != "" {
			at = "CAST(" + likely + " AS TIMESTAMPTZ)"
		}
	}
	list := "*"
	if at != "" {
		list += ", " + at + " AS " + timeColumn
	}
	sum, err := s.o.Query.Summarize(ctx, query.SummaryRequest{Request: t.request("SELECT " + list + " FROM " + t.ref()),
		Levels: QuantileLevels, Bins: profileBins, Top: fewValues, Days: timeColumn})
	if err != nil {
		return nil, err
	}
	p := &Profile{Rows: sum.Rows, Columns: make([]ColumnProfile, len(t.schema)), Correlation: sum.Correlation}
	for i := range p.Columns {
		p.Columns[i] = columnProfile(&sum.Columns[i], sum.Rows)
	}
	if p.Keys, err = s.countKeys(ctx, t, sum); err != nil {
		return nil, err
	}
	switch {
	case t.spec.Time == "" && !p.guessTime(t):
	case likely != "" && t.spec.Time != likely:
		return s.profile(ctx, t) // another column is the time than seemed likely
	default:
		p.Time = timeProfile(t.spec.Time, sum)
	}
	return p, nil
}

// timeColumn is the name under which the time of a row is profiled.
const timeColumn = "slipway_time"

// likelyTime is the first column of times, where nobody said what the time is.
func (t *table) likelyTime() string {
	i := slices.IndexFunc(t.schema, func(c slipway.Column) bool { return c.Type == slipway.Time || c.Type == slipway.Date })
	if i < 0 || len(t.spec.Order) > 0 {
		return ""
	}
	return quoted(t.schema[i].Name)
}

func timeProfile(expression string, sum *query.Summary) *TimeProfile {
	out := &TimeProfile{Expression: expression}
	for _, c := range sum.Columns {
		if c.Name != timeColumn {
			continue
		}
		out.Missing = c.Missing
		if c.From != nil {
			out.From, out.To = *c.From, *c.To
		}
		out.Days = valueCounts(c.Days)
	}
	return out
}

// countKeys counts different keys exactly. The summary knows it of a column that
// rises from row to row and of one with few values; others take a query.
func (s *Service) countKeys(ctx context.Context, t *table, sum *query.Summary) (*int64, error) {
	if len(t.spec.Key) == 0 {
		return nil, nil
	}
	if i := t.schema.Index(t.spec.Key[0]); len(t.spec.Key) == 1 && !sum.Columns[i].Estimated {
		return &sum.Columns[i].Distinct, nil
	}
	res, err := s.o.Query.Run(ctx, t.request("SELECT count(DISTINCT "+tuple(t.spec.Key)+") FROM "+t.ref()))
	if err != nil {
		return nil, err
	}
	n, _ := res.Rows[0][0].(int64)
	return &n, nil
}

// columnProfile is a column's summary as it is kept with a version.
func columnProfile(c *query.ColumnSummary, rows int64) ColumnProfile {
	out := ColumnProfile{Name: c.Name, Type: c.Type, Missing: c.Missing, Infinite: c.Infinite, Distinct: c.Distinct, Estimated: c.Estimated,
		From: c.From, To: c.To, Personal: personal(c)}
	if n := c.Number; n != nil && c.Type != slipway.Bool {
		out.Min, out.Max, out.Mean, out.SD, out.Quantiles = &n.Min, &n.Max, &n.Mean, &n.SD, n.Quantiles
		out.Histogram = &Histogram{Low: n.Min, High: n.Max, Counts: n.Bins}
		if n.Bins == nil {
			out.Histogram.Counts = []int64{rows - c.Missing}
		}
	} else if n != nil {
		out.Mean = &n.Mean
	}
	if x := c.Text; x != nil && c.Type == slipway.Text {
		out.Length, out.Padded, out.Numbers = &[2]int64{x.Shortest, x.Longest}, x.Padded, x.Numbers
	}
	few := c.Distinct <= fewValues && c.Type != slipway.Time
	if few || c.Type == slipway.Text && len(c.Top) > 0 && c.Top[0].Count > 1 {
		out.Top = valueCounts(c.Top[:min(len(c.Top), profileTop)])
	}
	return out
}

// personalNames are words of column names that tell of persons.
var personalNames = regexp.MustCompile(`(?i)(^|_|-)(e-?mail|phone|mobile|ssn|passport|iban|first_?name|last_?name|surname|full_?name|street|address|birth(day|date|_date)?|dob|ip_?addr(ess)?)($|_|-)`)

// personal is why a column may hold personal data: the kind of its values, or
// its name.
func personal(c *query.ColumnSummary) string {
	if c.LooksLike != "" {
		return c.LooksLike
	}
	if personalNames.MatchString(c.Name) {
		return "by its name"
	}
	return ""
}

func valueCounts(list []query.ValueCount) []ValueCount {
	out := make([]ValueCount, len(list))
	for i, v := range list {
		out[i] = ValueCount{shorten(v.Value), v.Count}
	}
	return out
}

// tuple is one or several columns as one value.
func tuple(columns []string) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = quoted(c)
	}
	if len(names) == 1 {
		return names[0]
	}
	return "row(" + strings.Join(names, ", ") + ")"
}

// finite is a column's value as SQL, missing where it is NaN or infinite.
func finite(name string, t slipway.Type) string {
	if t == slipway.Float {
		return "CASE WHEN isfinite(" + quoted(name) + ") THEN " + quoted(name) + " END"
	}
	return quoted(name)
}
