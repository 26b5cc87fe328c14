package dataset

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
)

// Proposal is the text of a contract.
type Proposal struct {
	YAML   string `json:"yaml"`
	Checks int    `json:"checks,omitempty"` // how many it makes
}

// The limits within which Infer believes what it sees.
const (
	enumValues  = 25   // most values of a column that are listed
	enumRows    = 20   // rows a value, on average, below which a list is chance
	steadyShare = 0.12 // how far block means may lie apart for the mean to be bounded
	blocks      = 20
	fewCodes    = 31 // distinct whole numbers up to which they are taken for codes, hours or days
)

// Infer proposes a contract that a version keeps and a person would sign:
// types, presence with some slack, ranges with a margin and rounded, lists of
// values where there are few, and the mean of columns that are steady, which is
// what a changed unit moves.
func (s *Service) Infer(ctx context.Context, project, name string, n int) (Proposal, error) {
	v, err := s.find(ctx, project, name, n)
	if err != nil {
		return Proposal{}, err
	}
	p, err := s.Profile(ctx, project, name, v.Number)
	if err != nil {
		return Proposal{}, err
	}
	if p.Rows == 0 {
		return Proposal{}, slipway.Errorf(slipway.Invalid, "%s has no rows to learn from", v.ID())
	}
	steady, err := s.steady(ctx, v, &p)
	if err != nil {
		return Proposal{}, err
	}
	text := proposal(v, &p, steady)
	c, err := ParseContract([]byte(text), name)
	if err != nil {
		return Proposal{}, in(err, "the proposal of %s", v.ID())
	}
	checks, err := c.compile(&table{name: name, schema: v.Schema, spec: v.Spec, around: &around{}})
	return Proposal{YAML: text, Checks: len(checks)}, err
}

// steady finds the numeric columns whose mean hardly differs between twenty
// blocks of consecutive rows, and bounds within which it may lie.
func (s *Service) steady(ctx context.Context, v Version, p *Profile) (map[string][2]float64, error) {
	var names, list []string
	for _, c := range p.Columns {
		if c.Mean != nil && (c.Type == slipway.Int || c.Type == slipway.Float) && c.Distinct > enumValues && !slices.Contains(v.Spec.Key, c.Name) && !counter(&c, p.Rows) {
			names = append(names, c.Name)
			list = append(list, "CAST(avg("+finite(c.Name, c.Type)+") AS DOUBLE)")
		}
	}
	out := map[string][2]float64{}
	if len(names) == 0 || p.Rows < blocks*enumRows {
		return out, nil
	}
	t, err := s.openVersion(ctx, v)
	if err != nil {
		return nil, err
	}
	defer t.close()
	res, err := s.o.Query.Run(ctx, t.request(fmt.Sprintf(
		"SELECT %s FROM (SELECT *, row_number() OVER () AS slipway_row FROM %s) GROUP BY (slipway_row - 1) * %d // %d",
		strings.Join(list, ", "), t.ref(), blocks, p.Rows)))
	if err != nil {
		return nil, err
	}
	for i, name := range names {
		low, high := math.Inf(1), math.Inf(-1)
		for _, row := range res.Rows {
			if f := float(row[i]); f != nil {
				low, high = min(low, *f), max(high, *f)
			}
		}
		if low > 0 && (high-low)/low < steadyShare {
			margin := max(high-low, 0.05*high)
			out[name] = [2]float64{roundDown(low-2*margin, 3), roundUp(high+2*margin, 3)}
		}
	}
	return out, nil
}

// roundDown and roundUp keep a number of significant digits.
func roundDown(f float64, digits int) float64 { return rounded(f, digits, math.Floor) }
func roundUp(f float64, digits int) float64   { return rounded(f, digits, math.Ceil) }

func rounded(f float64, digits int, way func(float64) float64) float64 {
	if f == 0 || math.IsInf(f, 0) {
		return f
	}
	scale := math.Pow(10, float64(digits-1)-math.Floor(math.Log10(math.Abs(f))))
	out, err := strconv.ParseFloat(strconv.FormatFloat(way(f*scale)/scale, 'g', digits+1, 64), 64)
	if err != nil {
		return f
	}
	return out
}

// proposal writes the contract.
func proposal(v Version, p *Profile, steady map[string][2]float64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Proposed from %s (%d rows) by `slipway data contract infer`. It knows the rows\n# and not what they mean: widen what a new season may change, name the units.\n", v.ID(), p.Rows)
	fmt.Fprintf(&b, "apiVersion: v3.1.0\nkind: DataContract\nid: urn:slipway:%s:%s\nname: %s\nversion: 1.0.0\nstatus: draft\n\nschema:\n  - name: %s\n    logicalType: object\n    physicalType: table\n",
		v.Project, v.Name, text(v.Name), text(v.Name))
	fmt.Fprintf(&b, "    quality:\n      - name: a batch is not cut short\n        metric: rowCount\n        mustBeGreaterThan: %s\n", number(roundDown(float64(p.Rows)/float64(max(v.Files, 1))/2, 1)))
	if v.Files < 2 { // one file does not say how much files differ
		b.WriteString("        severity: warning\n")
	}
	for _, c := range p.Columns {
		low, high, bounded := limits(&c)
		if m, ok := steady[c.Name]; ok && !(bounded && m[0] <= low && m[1] >= high) { // else the range says as much
			fmt.Fprintf(&b, "      - name: %s\n        description: %s\n        type: sql\n        query: %s\n        mustBeBetween: [%s, %s]\n",
				single("the mean of "+c.Name+" stays"), single(fmt.Sprintf("It is %s, and steady from block to block; a changed unit would move it.", short(*c.Mean))),
				single("SELECT avg("+quoted(c.Name)+") FROM {object}"), number(m[0]), number(m[1]))
		}
	}
	if len(v.Spec.Key) > 1 && p.Keys != nil && *p.Keys == p.Rows {
		fmt.Fprintf(&b, "      - name: the key is unique\n        metric: duplicateValues\n        arguments: {properties: [%s]}\n        mustBe: 0\n", texts(v.Spec.Key))
	}
	b.WriteString("    properties:\n")
	for i := range p.Columns {
		writeProperty(&b, v, p, &p.Columns[i])
	}
	return b.String()
}

var odcsTypes = map[slipway.Type]string{slipway.Bool: "boolean", slipway.Int: "integer", slipway.Float: "number", slipway.Text: "string",
	slipway.Time: "timestamp", slipway.Date: "date", slipway.Binary: "string"}

func writeProperty(b *strings.Builder, v Version, p *Profile, c *ColumnProfile) {
	fmt.Fprintf(b, "      - name: %s\n        logicalType: %s\n", text(c.Name), odcsTypes[c.Type])
	if c.Missing == 0 {
		b.WriteString("        required: true\n")
	}
	if slices.Equal(v.Spec.Key, []string{c.Name}) && p.Keys != nil && *p.Keys == p.Rows-c.Missing {
		b.WriteString("        unique: true\n        primaryKey: true\n        primaryKeyPosition: 1\n")
	} else if c.Type == slipway.Int && counter(c, p.Rows) && !c.Estimated && c.Distinct == p.Rows {
		b.WriteString("        unique: true\n") // it numbers the rows
	}
	if c.Personal != "" {
		fmt.Fprintf(b, "        classification: personal # %s\n", c.Personal)
	}
	if low, high, ok := limits(c); ok && !counter(c, p.Rows) {
		fmt.Fprintf(b, "        logicalTypeOptions: {minimum: %s, maximum: %s}\n", number(low), number(high))
	} else if c.From != nil && c.From.After(time.Unix(0, 0)) && c.Type == slipway.Time {
		fmt.Fprintf(b, "        logicalTypeOptions: {minimum: %q}\n", c.From.UTC().AddDate(-1, 0, 0).Format("2006-01-02T00:00:00Z"))
	}
	var rules []string
	if c.Missing > 0 && c.Missing < p.Rows {
		percent := 100 * float64(c.Missing) / float64(p.Rows)
		if limit := math.Ceil(percent*1.5 + 1); limit < 95 {
			rules = append(rules, fmt.Sprintf("          - {metric: nullValues, mustBeLessThan: %s, unit: percent}\n", number(limit)))
		}
	}
	if values := enum(c, p.Rows); len(values) > 0 {
		rules = append(rules, fmt.Sprintf("          - metric: invalidValues\n            arguments:\n              validValues: [%s]\n            mustBe: 0\n", texts(values)))
	}
	if len(rules) > 0 {
		b.WriteString("        quality:\n" + strings.Join(rules, ""))
	}
}

// counter reports whether a column seems to number the rows: the next batch goes
// on where this one ends.
func counter(c *ColumnProfile, rows int64) bool {
	return c.Type == slipway.Int && c.Distinct > fewCodes && c.Distinct*4 > rows*3
}

// limits is a range with a margin of a tenth, or of half where the column has
// outliers, rounded outwards. It does not cross zero: what was never negative
// stays so.
func limits(c *ColumnProfile) (low, high float64, ok bool) {
	if c.Min == nil || c.Max == nil || c.Distinct < 2 || len(c.Quantiles) != len(QuantileLevels) {
		return 0, 0, false
	}
	if c.Type == slipway.Int && c.Distinct <= fewCodes {
		return *c.Min, *c.Max, true // codes, such as 1 to 4 for the seasons
	}
	spread := *c.Max - *c.Min
	margin := spread / 10
	if c.Quantiles[6]-c.Quantiles[0] < spread/3 {
		margin = spread / 2
	}
	low, high = roundDown(*c.Min-margin, 2), roundUp(*c.Max+margin, 2)
	if c.Type == slipway.Int {
		low, high = math.Floor(low), math.Ceil(high)
	}
	if *c.Min >= 0 && low < 0 {
		low = 0
	}
	if *c.Max <= 0 && high > 0 {
		high = 0
	}
	switch top := *c.Max; {
	case *c.Min >= 0 && top <= 1 && top > 0.5 && c.Type == slipway.Float:
		low, high = 0, 1 // a share
	case *c.Min >= 0 && (top == 100 || top == 360):
		high = top // percent, degrees
	}
	return low, high, true
}

// enum is the values of a text column, where there are few and each is seen
// often enough that a new one is news.
func enum(c *ColumnProfile, rows int64) []string {
	if c.Type != slipway.Text || c.Distinct == 0 || c.Distinct > enumValues || int64(len(c.Top)) < c.Distinct || (rows-c.Missing)/c.Distinct < enumRows {
		return nil
	}
	var out []string
	for _, v := range c.Top {
		if strings.HasSuffix(v.Value, "…") {
			return nil
		}
		out = append(out, v.Value)
	}
	slices.Sort(out)
	return out
}

// text quotes a text for YAML where it needs that.
func text(s string) string {
	plain := goodName.MatchString(s) && strings.ContainsAny(s[:1], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		plain = false
	}
	if plain {
		return s
	}
	return strconv.Quote(s)
}

// single quotes a text that holds double quotes for YAML.
func single(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func texts(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = text(s)
	}
	return strings.Join(out, ", ")
}

func short(f float64) string { return strconv.FormatFloat(f, 'g', 4, 64) }
