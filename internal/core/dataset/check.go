package dataset

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-ml/slipway"
)

// Report is what the checks of a contract found in some rows.
type Report struct {
	Dataset  string         `json:"dataset"`
	Contract slipway.Digest `json:"contract"`
	Rows     int64          `json:"rows"` // that were checked
	Files    []string       `json:"files"`
	Verdict  Verdict        `json:"verdict"`
	Checks   []Finding      `json:"checks"` // in the order of the contract
}

// Finding is what one check found.
type Finding struct {
	Kind        string    `json:"kind"` // nullValues, range, sql, …
	Column      string    `json:"column,omitempty"`
	Name        string    `json:"name,omitempty"`
	Description string    `json:"description,omitempty"`
	Severity    Severity  `json:"severity"`
	Expect      string    `json:"expect"`          // "less than 4 %"
	Value       *float64  `json:"value,omitempty"` // what was measured; nil when there was nothing to measure
	Rows        int64     `json:"rows,omitempty"`  // that fail
	Pass        bool      `json:"pass"`
	Sample      []Failing `json:"sample,omitempty"` // the first few failing rows
}

// Failing is a row that fails a check.
type Failing struct {
	Row   int64          `json:"row,omitempty"` // its number among the rows that were checked, from 1
	Key   map[string]any `json:"key,omitempty"`
	Value any            `json:"value"`
	Times int64          `json:"times,omitempty"` // how often a repeated value occurs
}

// Title says what a check is about.
func (f Finding) Title() string {
	title := f.Name
	if title == "" {
		title = f.Kind
	}
	if f.Column != "" {
		title = f.Column + ": " + title
	}
	return title
}

// failed lists the findings that say no, errors first.
func (r *Report) failed() []Finding {
	var out []Finding
	for _, f := range r.Checks {
		if !f.Pass {
			out = append(out, f)
		}
	}
	rank := map[Severity]int{Error: 0, Warning: 1, Info: 2}
	slices.SortStableFunc(out, func(a, b Finding) int { return cmp.Compare(rank[a.Severity], rank[b.Severity]) })
	return out
}

// sampleRows is how many failing rows a finding shows.
const sampleRows = 5

// inspect answers every check in one pass over t, and a second one for the rows
// that fail. What t.around holds is what they are compared with.
func (s *Service) inspect(ctx context.Context, t *table, checks []check) (*Report, error) {
	r := &Report{Dataset: t.name, Verdict: Passed}
	counts := make([]float64, len(checks))
	known := make([]bool, len(checks))
	pass := &scan{}
	pass.add("count(*)", func(v any) { r.Rows = v.(int64) })
	grouped := t.group(pass, checks)
	for i := range checks {
		c := &checks[i]
		if c.skip {
			continue
		}
		sql := c.sql()
		if n, ok := t.repeats(c); ok {
			sql = fmt.Sprint(n)
		}
		if g, ok := grouped[c.alone]; ok && c.predicate != "" && c.alone != "" {
			sql = "(SELECT CAST(coalesce(sum(slipway_n) FILTER (WHERE " + c.predicate + "), 0) AS BIGINT) FROM " + g + ")"
		}
		pass.add(sql, func(v any) {
			if c.measure != nil {
				counts[i], known[i] = c.measure(v)
			} else if f := float(v); f != nil {
				counts[i], known[i] = *f, true
			}
		})
	}
	if err := s.scan(ctx, t, pass, t.rows()); err != nil {
		return nil, s.blame(ctx, t, checks, err)
	}
	for i := range checks {
		checks[i].judge(counts[i], known[i], r.Rows, t.around.before())
	}
	if err := s.samples(ctx, t, checks); err != nil {
		return nil, err
	}
	for _, c := range checks {
		r.Checks = append(r.Checks, c.Finding)
	}
	r.decide()
	return r, nil
}

// groupValues is up to how many different texts of a column its checks are asked
// of the texts instead of the rows.
const groupValues = 50_000

// group makes a table of values and their counts of every text column that is
// known to have few of them and has checks of its own: a pattern is then matched
// a value, not a row.
func (t *table) group(pass *scan, checks []check) map[string]string {
	out := map[string]string{}
	p := t.around.before()
	if t.around != nil && t.around.same != nil {
		p = t.around.same
	}
	for _, c := range checks {
		if c.alone == "" || c.predicate == "" || c.skip || out[c.alone] != "" {
			continue
		}
		i := t.schema.Index(c.alone)
		if i < 0 || t.schema[i].Type != slipway.Text || p == nil {
			continue
		}
		if known := p.Column(c.alone); known == nil || known.Type != slipway.Text || known.Distinct > groupValues {
			continue
		}
		name := fmt.Sprintf("slipway_values%d", len(out))
		out[c.alone] = name
		pass.with = append(pass.with, name+" AS MATERIALIZED (SELECT "+quoted(c.alone)+", count(*) AS slipway_n FROM "+t.rows()+" GROUP BY "+quoted(c.alone)+")")
	}
	return out
}

// repeats is how many rows repeat the key, where the profile of the same rows
// has counted them.
func (t *table) repeats(c *check) (int64, bool) {
	if len(c.distinct) == 0 || t.around == nil || t.around.same == nil || t.around.same.Keys == nil || !slices.Equal(c.distinct, t.spec.Key) || t.view != "" {
		return 0, false
	}
	p := t.around.same
	if len(c.distinct) > 1 {
		return p.Rows - *p.Keys, true
	}
	k := p.Column(c.distinct[0])
	if k == nil {
		return 0, false
	}
	return p.Rows - k.Missing - *p.Keys, true
}

// before is the profile of the version before, nil when there is none.
func (a *around) before() *Profile {
	if a == nil {
		return nil
	}
	return a.profile
}

// decide sums the findings up.
func (r *Report) decide() {
	r.Verdict = Passed
	for _, f := range r.Checks {
		switch {
		case f.Pass || f.Severity == Info:
		case f.Severity == Error:
			r.Verdict = Refused
			return
		default:
			r.Verdict = Warned
		}
	}
}

// sql is a check as one expression of the pass.
func (c *check) sql() string {
	switch {
	case c.measure != nil:
		return c.value
	case c.predicate != "":
		return "count(*) FILTER (WHERE " + c.predicate + ")"
	case len(c.distinct) > 1:
		return "count(*) - count(DISTINCT " + tuple(c.distinct) + ")"
	case len(c.distinct) == 1:
		v := quoted(c.distinct[0])
		return "count(" + v + ") - count(DISTINCT " + v + ")"
	}
	return "CAST(" + c.value + " AS DOUBLE)"
}

// judge compares what was measured. What could not be measured, such as the
// mean of no values, fails, except a shift from nothing.
func (c *check) judge(v float64, known bool, rows int64, last *Profile) {
	if c.skip {
		c.Pass = true
		return
	}
	if c.predicate != "" || c.condition != "" || len(c.distinct) > 0 {
		c.Rows = int64(v)
	}
	if c.percent && rows > 0 {
		v = 100 * v / float64(rows)
	}
	if c.shift {
		before := last.median(c.Column)
		if before == nil || *before == 0 {
			c.Pass = true
			return
		}
		known = known && v / *before > 0
		v = v / *before
		if v < 1 {
			v = 1 / v
		}
	}
	if !known {
		return
	}
	c.Value, c.Pass = &v, c.compare.ok(v)
}

func (p *Profile) median(column string) *float64 {
	if p == nil {
		return nil
	}
	c := p.Column(column)
	if c == nil || len(c.Quantiles) != len(QuantileLevels) {
		return nil
	}
	return &c.Quantiles[3]
}

// blame finds the rule whose own SQL is what the pass failed of.
func (s *Service) blame(ctx context.Context, t *table, checks []check, err error) error {
	if !slipway.IsCode(err, slipway.Invalid) {
		return err
	}
	for _, c := range checks {
		if !c.own {
			continue
		}
		if _, own := s.o.Query.Run(ctx, t.request("SELECT "+c.sql()+" FROM "+t.rows()+" LIMIT 0")); own != nil {
			return in(own, "the contract's rule %q", c.Title())
		}
	}
	return err
}

// samples fetches the first failing rows of every check that fails, with their
// keys, in one more pass, and repeated values in one query each.
func (s *Service) samples(ctx context.Context, t *table, checks []check) error {
	pass := &scan{}
	key := make([]string, len(t.spec.Key))
	for i, k := range t.spec.Key {
		key[i] = literal(k) + ": " + quoted(k)
	}
	for i := range checks {
		c := &checks[i]
		if c.Pass || c.Rows == 0 {
			continue
		}
		if len(c.distinct) > 0 {
			if err := s.repeated(ctx, t, c); err != nil {
				return err
			}
			continue
		}
		if c.condition != "" {
			if err := s.unmatched(ctx, t, c); err != nil {
				return err
			}
			continue
		}
		fields := []string{"'row': slipway_row"}
		if len(key) > 0 {
			fields = append(fields, "'key': {"+strings.Join(key, ", ")+"}")
		}
		if c.shown != "" {
			fields = append(fields, "'value': CAST("+c.shown+" AS VARCHAR)")
		}
		pass.add(fmt.Sprintf("to_json(arg_min({%s}, slipway_row, %d) FILTER (WHERE %s))::VARCHAR", strings.Join(fields, ", "), sampleRows, c.predicate), func(v any) {
			if text, ok := v.(string); ok {
				_ = json.Unmarshal([]byte(text), &c.Sample) // JSON that DuckDB wrote
			}
		})
	}
	return s.scan(ctx, t, pass, "(SELECT *, row_number() OVER () AS slipway_row FROM "+t.rows()+")")
}

func (s *Service) repeated(ctx context.Context, t *table, c *check) error {
	names := make([]string, len(c.distinct))
	for i, n := range c.distinct {
		names[i] = quoted(n)
	}
	columns := strings.Join(names, ", ")
	res, err := s.o.Query.Run(ctx, t.request(fmt.Sprintf("SELECT %s, count(*) AS n FROM %s WHERE %s IS NOT NULL GROUP BY %s HAVING count(*) > 1 ORDER BY n DESC, %s LIMIT %d",
		columns, t.rows(), names[0], columns, columns, sampleRows)))
	if err != nil {
		return err
	}
	for _, row := range res.Rows {
		f := Failing{Key: map[string]any{}}
		for i, n := range c.distinct {
			f.Key[n] = row[i]
		}
		f.Value, _ = row[0].(string)
		f.Times, _ = row[len(row)-1].(int64)
		c.Sample = append(c.Sample, f)
	}
	return nil
}

// unmatched fetches the first rows that fail a check against other rows.
func (s *Service) unmatched(ctx context.Context, t *table, c *check) error {
	var names []string
	for _, n := range append(slices.Clone(t.spec.Key), c.columns...) {
		names = append(names, "CAST(slipway_row."+quoted(n)+" AS VARCHAR)")
	}
	res, err := s.o.Query.Run(ctx, t.request(fmt.Sprintf("SELECT %s FROM %s AS slipway_row WHERE %s LIMIT %d", strings.Join(names, ", "), t.rows(), c.condition, sampleRows)))
	if err != nil {
		return err
	}
	for _, row := range res.Rows {
		f := Failing{}
		for i, k := range t.spec.Key {
			if f.Key == nil {
				f.Key = map[string]any{}
			}
			f.Key[k] = row[i]
		}
		var values []string
		for _, v := range row[len(t.spec.Key):] {
			values = append(values, fmt.Sprint(v))
		}
		f.Value = strings.Join(values, ", ")
		c.Sample = append(c.Sample, f)
	}
	return nil
}
