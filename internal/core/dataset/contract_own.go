package dataset

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	distance "github.com/slipway-ml/slipway/internal/stat"
)

// distributions are how far two distributions in the same cells lie apart. All
// are sizes of an effect: with many rows every difference is significant.
var distributions = map[string]func(reference, current []float64) float64{
	"psi": distance.PSI, "js": distance.JS, "linf": distance.LInf, "hellinger": distance.Hellinger, "tvd": distance.TVD, "ks": distance.KSOfCounts, "cramerV": distance.CramerV,
	"newValues": func(reference, current []float64) float64 { // percent of rows in cells that were empty
		var fresh, all float64
		for i := range current {
			all += current[i]
			if reference[i] == 0 {
				fresh += current[i]
			}
		}
		if all == 0 {
			return 0
		}
		return 100 * fresh / all
	},
}

const ownMetrics = "shift, freshness, gap, late, rowChange, balance, references, overlap, newValues, psi, js, linf, hellinger, tvd, ks or cramerV"

// custom makes a check of one of our own metrics, written as ODCS wants it:
// {type: custom, engine: slipway, implementation: …}.
func (r rule) custom(k *compiler, c *check, column string) error {
	if r.Engine != "slipway" {
		return slipway.Errorf(slipway.Invalid, "rules of the engine %q cannot be checked here", r.Engine).WithHint("write it as type: sql")
	}
	o, err := r.own()
	if err != nil {
		return err
	}
	c.Kind = o.Metric
	at, a := k.instant(column)
	if between, ok := distributions[o.Metric]; ok {
		return k.distribution(c, column, o, between)
	}
	switch o.Metric {
	case "references", "overlap":
		return k.other(c, column, o)
	case "shift", "balance":
		if column == "" {
			return slipway.Errorf(slipway.Invalid, "%s is a rule of columns", o.Metric)
		}
		c.shift, c.value = true, "median("+quoted(column)+")"
		if o.Metric == "balance" { // percent of the rarest value
			c.shift, c.value = false, "(SELECT 100.0 * min(n) / sum(n) FROM (SELECT count(*) AS n FROM {object} WHERE "+quoted(column)+" IS NOT NULL GROUP BY "+quoted(column)+"))"
		}
	case "rowChange": // percent more or fewer rows than the version before
		c.value, c.whole = "count(*)", true
		c.measure = func(v any) (float64, bool) {
			rows := float(v)
			if a == nil || a.last.Rows == 0 || rows == nil {
				return 0, false
			}
			return 100 * (*rows - float64(a.last.Rows)) / float64(a.last.Rows), true
		}
		c.skip = a == nil || a.last.Rows == 0
		return nil
	case "freshness": // hours between the newest row and now
		c.value = "date_diff('second', max(" + at + "), now()) / 3600.0"
	case "gap": // longest time without a row, in hours
		c.value = "(SELECT max(s) / 3600.0 FROM (SELECT epoch(at) - epoch(lag(at) OVER (ORDER BY at)) AS s FROM (SELECT " + at + " AS at FROM {object})))"
	case "late": // rows of a batch that happened before the end of what was there
		c.predicate, c.shown = "FALSE", at
		if a != nil && a.batch && !a.last.Covers.To.IsZero() {
			end := a.last.Covers.To.Add(-time.Duration(o.Hours * float64(time.Hour)))
			c.predicate = at + " < " + literal(end.UTC().Format(time.RFC3339Nano)) + "::TIMESTAMPTZ"
		}
	default:
		return slipway.Errorf(slipway.Invalid, "%q is not one of Slipway's metrics", o.Metric).WithHint("%s", ownMetrics)
	}
	if k.table == nil {
		return nil
	}
	if at == "" && slices.Contains([]string{"freshness", "gap", "late"}, o.Metric) {
		return slipway.Errorf(slipway.Invalid, "%s needs a time, and the dataset has none", o.Metric)
	}
	c.value = strings.ReplaceAll(c.value, "{object}", k.table.rows())
	return nil
}

// instant is the SQL of a column as an instant, of the table's time without one.
func (k *compiler) instant(column string) (string, *around) {
	if k.table == nil {
		return "", nil
	}
	if column != "" {
		return quoted(column) + "::TIMESTAMPTZ", k.table.around
	}
	return k.table.time(), k.table.around
}

// other makes a check against the rows of another version: references must be
// found there, overlaps must not.
func (k *compiler) other(c *check, column string, o own) error {
	here := o.Columns
	if column != "" {
		here = []string{column}
	}
	if len(here) == 0 {
		return slipway.Errorf(slipway.Invalid, "%s of a table needs columns", o.Metric)
	}
	if o.Dataset == "" && o.Metric == "references" {
		return slipway.Errorf(slipway.Invalid, "references needs a dataset")
	}
	there := slices.Clone(here)
	if o.Column != "" {
		there = []string{o.Column}
	}
	if len(there) != len(here) {
		return slipway.Errorf(slipway.Invalid, "column names one column, and there are %d", len(here))
	}
	c.Column, c.value = strings.Join(here, ", "), "0"
	if k.table == nil {
		return nil
	}
	t := k.table.around.tables[o.target()]
	if t == nil {
		c.skip = true // there is no version yet to compare with
		return nil
	}
	var known, same []string
	for i := range here {
		if t.schema.Index(there[i]) < 0 {
			return slipway.Errorf(slipway.Invalid, "%s has no column %s", o.Dataset, there[i])
		}
		known = append(known, quoted(there[i])+" IS NOT NULL")
		same = append(same, "slipway_row."+quoted(here[i])+" IS NOT NULL")
	}
	var mine, theirs []string
	for i := range here {
		mine = append(mine, "CAST(slipway_row."+quoted(here[i])+" AS VARCHAR)")
		theirs = append(theirs, "CAST("+quoted(there[i])+" AS VARCHAR)")
	}
	row, is := strings.Join(mine, ", "), " IN "
	if len(mine) > 1 {
		row = "(" + row + ")"
	}
	if o.Metric == "references" {
		is = " NOT IN "
	}
	c.condition = strings.Join(same, " AND ") + " AND " + row + is + "(SELECT " + strings.Join(theirs, ", ") + " FROM " + quoted(t.source.Name) + " WHERE " + strings.Join(known, " AND ") + ")"
	c.value = "(SELECT count(*) FROM " + k.table.rows() + " AS slipway_row WHERE " + c.condition + ")"
	c.columns = here
	return nil
}

// distribution makes a check of how far a column lies from its distribution in
// another version: numbers in the bins of that version's histogram and beyond
// them, texts in its frequent values and the others.
func (k *compiler) distribution(c *check, column string, o own, between func(reference, current []float64) float64) error {
	if column == "" {
		return slipway.Errorf(slipway.Invalid, "%s is a rule of columns", o.Metric)
	}
	c.value = "count(*)"
	if k.table == nil {
		return nil
	}
	name := column
	if o.Column != "" {
		name = o.Column
	}
	p := k.table.around.profiles[o.target()]
	if p == nil {
		c.skip = true
		return nil
	}
	was := p.Column(name)
	if was == nil {
		return slipway.Errorf(slipway.Invalid, "the version that %s compares with has no column %s", o.Metric, name)
	}
	var cells []string
	reference := map[string]float64{}
	v := quoted(column)
	switch h := was.Histogram; {
	case h != nil && len(h.Counts) > 1 && was.Distinct > fewCodes:
		n := len(h.Counts)
		width := (h.High - h.Low) / float64(n)
		for i, count := range h.Counts {
			cells = append(cells, strconv.Itoa(i))
			reference[strconv.Itoa(i)] = float64(count)
		}
		cells = append(cells, "-1", strconv.Itoa(n))
		c.value = fmt.Sprintf("to_json(histogram(CASE WHEN %[1]s IS NULL OR isnan(%[1]s) THEN NULL WHEN %[1]s < %[2]s THEN -1 WHEN %[1]s > %[3]s THEN %[4]d ELSE least(%[5]d, CAST(floor((%[1]s - %[2]s) / %[6]s) AS INT)) END))::VARCHAR",
			"CAST("+v+" AS DOUBLE)", "CAST("+exact(h.Low)+" AS DOUBLE)", "CAST("+exact(h.High)+" AS DOUBLE)", n, n-1, "CAST("+exact(width)+" AS DOUBLE)")
	case len(was.Top) > 0:
		rest := float64(p.Rows - was.Missing)
		var list []string
		for _, one := range was.Top {
			cells = append(cells, one.Value)
			reference[one.Value] = float64(one.Count)
			rest -= float64(one.Count)
			list = append(list, literal(one.Value))
		}
		cells = append(cells, otherCell)
		reference[otherCell] = max(0, rest)
		text := "CAST(" + v + " AS VARCHAR)"
		c.value = "to_json(histogram(CASE WHEN " + text + " IN (" + strings.Join(list, ", ") + ") THEN " + text + " WHEN " + v + " IS NOT NULL THEN " + literal(otherCell) + " END))::VARCHAR"
	default:
		return slipway.Errorf(slipway.Invalid, "%s cannot be compared: it has neither frequent values nor a range in that version", column)
	}
	c.measure = func(v any) (float64, bool) {
		now := decodeCounts(v)
		p, q := make([]float64, len(cells)), make([]float64, len(cells))
		for i, cell := range cells {
			p[i], q[i] = reference[cell], now[cell]
		}
		return between(p, q), len(now) > 0
	}
	return nil
}

// otherCell stands for all values that were not frequent.
const otherCell = "(others)"
