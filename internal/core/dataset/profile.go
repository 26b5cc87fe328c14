package dataset

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
)

// Profile is what the rows of a version look like, column by column. It is
// found in two passes over the rows: the first counts, and the second, which
// knows the ranges, makes histograms.
type Profile struct {
	Rows    int64           `json:"rows"`
	Keys    *int64          `json:"keys,omitempty"` // distinct values of the key, exactly; nil without a key
	Columns []ColumnProfile `json:"columns"`
	Time    *TimeProfile    `json:"time,omitempty"`
}

// ColumnProfile describes the values of one column. NaN counts as missing.
type ColumnProfile struct {
	Name      string       `json:"name"`
	Type      slipway.Type `json:"type"`
	Missing   int64        `json:"missing"`
	Infinite  int64        `json:"infinite,omitempty"`
	Distinct  int64        `json:"distinct"` // estimated by HyperLogLog, up to a fifth off; exact where there are at most 200
	Min       *float64     `json:"min,omitempty"`
	Max       *float64     `json:"max,omitempty"`
	Mean      *float64     `json:"mean,omitempty"`
	SD        *float64     `json:"sd,omitempty"`
	Quantiles []float64    `json:"quantiles,omitempty"` // at QuantileLevels, by t-digest
	Histogram *Histogram   `json:"histogram,omitempty"`
	Top       []ValueCount `json:"top,omitempty"` // most frequent first, at most 25
	From      *time.Time   `json:"from,omitempty"`
	To        *time.Time   `json:"to,omitempty"`
	Length    *[2]int64    `json:"length,omitempty"`  // shortest and longest text, in characters
	Padded    int64        `json:"padded,omitempty"`  // texts with space at an end
	Numbers   int64        `json:"numbers,omitempty"` // texts that are written like numbers
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
	res, err := s.o.Query.Run(ctx, t.request("SELECT "+strings.Join(a.list, ",\n")+"\nFROM "+from))
	if err != nil {
		return err
	}
	for i, v := range res.Rows[0] {
		a.into[i](v)
	}
	return nil
}

// profile looks at all rows of t.
func (s *Service) profile(ctx context.Context, t *table) (*Profile, error) {
	p := &Profile{Columns: make([]ColumnProfile, len(t.schema))}
	first := &scan{}
	first.add("count(*)", func(v any) { p.Rows = v.(int64) })
	if len(t.spec.Key) > 0 {
		first.add("count(DISTINCT "+tuple(t.spec.Key)+")", func(v any) { n := v.(int64); p.Keys = &n })
	}
	tops := make([][]string, len(t.schema))
	for i, c := range t.schema {
		p.Columns[i] = ColumnProfile{Name: c.Name, Type: c.Type}
		first.column(&p.Columns[i], &tops[i])
	}
	if t.spec.Time != "" {
		p.Time = &TimeProfile{Expression: t.spec.Time}
		first.add("min("+t.time()+")", func(v any) { p.Time.From, _ = v.(time.Time) })
		first.add("max("+t.time()+")", func(v any) { p.Time.To, _ = v.(time.Time) })
		first.add("count("+t.time()+")", func(v any) { p.Time.Missing = -v.(int64) })
	}
	if err := s.scan(ctx, t, first, t.ref()); err != nil {
		return nil, err
	}
	for i := range p.Columns {
		c := &p.Columns[i]
		c.Missing += p.Rows // it held minus the values that are there
		c.Distinct = min(c.Distinct, p.Rows-c.Missing)
	}
	if p.Time != nil {
		p.Time.Missing += p.Rows
	} else {
		p.guessTime(t)
	}
	second := &scan{}
	for i := range p.Columns {
		second.bins(&p.Columns[i], tops[i], p.Rows)
	}
	if p.Time != nil && p.Time.To.Sub(p.Time.From) < profileDays*24*time.Hour {
		second.add("to_json(histogram(CAST(("+t.time()+" AT TIME ZONE 'UTC') AS DATE)::VARCHAR))::VARCHAR", func(v any) { p.Time.Days = counts(v, false) })
	}
	return p, s.scan(ctx, t, second, t.ref())
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

// column adds the aggregates of the first pass over a column.
func (a *scan) column(c *ColumnProfile, top *[]string) {
	v := finite(c.Name, c.Type)
	a.add("count("+v+")", func(n any) { c.Missing = -n.(int64) })
	a.add("approx_count_distinct("+v+")", func(n any) { c.Distinct = n.(int64) })
	number := func(sql string, into **float64) {
		a.add("CAST("+sql+" AS DOUBLE)", func(n any) { *into = float(n) })
	}
	switch c.Type {
	case slipway.Int, slipway.Float:
		number("min("+v+")", &c.Min)
		number("max("+v+")", &c.Max)
		number("avg("+v+")", &c.Mean)
		number("stddev_samp(CAST("+v+" AS DOUBLE))", &c.SD)
		a.add("approx_quantile(CAST("+v+" AS DOUBLE), [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99])", func(list any) {
			if text, ok := list.(string); ok {
				_ = json.Unmarshal([]byte(text), &c.Quantiles) // a list of finite numbers, from DuckDB itself
			}
		})
		if c.Type == slipway.Float {
			a.add("count(*) FILTER (WHERE isinf("+quoted(c.Name)+"))", func(n any) { c.Infinite = n.(int64) })
		}
	case slipway.Bool:
		number("avg(CAST("+v+" AS INT))", &c.Mean)
	case slipway.Time, slipway.Date:
		a.add("min("+v+")::TIMESTAMPTZ", func(at any) { c.From = instant(at) })
		a.add("max("+v+")::TIMESTAMPTZ", func(at any) { c.To = instant(at) })
	case slipway.Text:
		a.add("min(length("+v+"))", func(n any) { length(c, 0, n) })
		a.add("max(length("+v+"))", func(n any) { length(c, 1, n) })
		a.add("count(*) FILTER (WHERE "+v+" <> trim("+v+"))", func(n any) { c.Padded = n.(int64) })
		a.add("count(TRY_CAST("+v+" AS DOUBLE))", func(n any) { c.Numbers = n.(int64) })
		a.add("approx_top_k("+v+", 25)", func(list any) {
			if text, ok := list.(string); ok {
				_ = json.Unmarshal([]byte(text), top)
			}
		})
	}
}

// bins adds the aggregates of the second pass over a column: a histogram, and
// the counts of values where there are few or some are frequent.
func (a *scan) bins(c *ColumnProfile, top []string, rows int64) {
	v := finite(c.Name, c.Type)
	few := c.Distinct > 0 && c.Distinct <= fewValues
	switch {
	case (few && c.Type != slipway.Binary && c.Type != slipway.Time) || c.Type == slipway.Bool:
		a.add("to_json(histogram(CAST("+v+" AS VARCHAR)))::VARCHAR", func(m any) {
			all := counts(m, true)
			c.Distinct = int64(len(all))
			c.Top = all[:min(len(all), profileTop)]
		})
	case c.Type == slipway.Text && len(top) > 0 && c.Distinct*10 < (rows-c.Missing)*9:
		list := make([]string, len(top))
		for i, value := range top {
			list[i] = literal(value)
		}
		a.add("to_json(histogram(CASE WHEN "+v+" IN ("+strings.Join(list, ", ")+") THEN "+v+" END))::VARCHAR", func(m any) {
			all := counts(m, true)
			if len(all) > 0 && all[0].Count > 1 {
				c.Top = all[:min(len(all), profileTop)]
			}
		})
	}
	if c.Min == nil || c.Max == nil {
		return
	}
	h := &Histogram{Low: *c.Min, High: *c.Max, Counts: make([]int64, profileBins)}
	c.Histogram = h
	width := (h.High - h.Low) / profileBins
	if width <= 0 || math.IsInf(width, 0) {
		h.Counts = []int64{rows - c.Missing}
		return
	}
	bin := "CASE WHEN " + v + " IS NOT NULL THEN least(31, CAST(floor((CAST(" + v + " AS DOUBLE) - CAST(" + exact(h.Low) + " AS DOUBLE)) / CAST(" + exact(width) + " AS DOUBLE)) AS INT)) END"
	a.add("to_json(histogram("+bin+"))::VARCHAR", func(m any) {
		for _, one := range counts(m, false) {
			if i, ok := index(one.Value); ok {
				h.Counts[i] += one.Count
			}
		}
	})
}
