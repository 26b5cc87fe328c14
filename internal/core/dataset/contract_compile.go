package dataset

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/slipway-ml/slipway"
)

// check is one question of a contract as SQL. One of predicate, value and
// distinct is set, or shift.
type check struct {
	Finding
	compare   operator
	predicate string   // what a failing row meets
	value     string   // an aggregate over all rows
	distinct  []string // columns whose combination may not come twice
	shift     bool     // how many times the median moved since the last version
	percent   bool     // the share of failing rows is compared
	shown     string   // SQL of the value that a failing row shows; "" is all of the key
	own       bool     // SQL that somebody wrote
}

// compiler turns a contract into checks for a table.
type compiler struct {
	table  *table // nil: only whether the contract makes sense is asked
	checks []check
}

// compile makes the checks of a contract. t may be nil, which finds mistakes in
// the contract alone. It fails with Invalid.
func (c *Contract) compile(t *table) ([]check, error) {
	k := &compiler{table: t}
	if t != nil {
		k.columns(c.object)
	}
	if key := c.key(); len(key) > 1 {
		k.add(check{Finding: Finding{Kind: "duplicateValues", Column: strings.Join(key, ", "), Severity: Error}, distinct: key})
	}
	for _, p := range c.object.Properties {
		if t != nil && t.schema.Index(p.Name) < 0 {
			continue
		}
		if err := k.property(p, len(c.key()) == 1); err != nil {
			return nil, fmt.Errorf("the contract's property %s: %w", p.Name, err)
		}
	}
	for i, r := range c.object.Quality {
		if err := k.rule(r, "", "", ""); err != nil {
			return nil, fmt.Errorf("the contract's rule %s: %w", named(r, i), err)
		}
	}
	return k.checks, nil
}

func named(r rule, i int) string {
	if r.Name != "" {
		return r.Name
	}
	return fmt.Sprintf("quality[%d]", i)
}

func (k *compiler) add(c check) {
	if c.compare.ok == nil {
		c.compare = none
	}
	c.Expect = c.compare.text
	if c.percent {
		c.Expect += " %"
	}
	k.checks = append(k.checks, c)
}

// columns compares the columns that there are with those in the contract.
func (k *compiler) columns(o object) {
	var missing, extra []string
	known := map[string]bool{}
	for _, p := range o.Properties {
		known[p.Name] = true
		if k.table.schema.Index(p.Name) < 0 {
			missing = append(missing, p.Name)
		}
	}
	for _, c := range k.table.schema {
		if !known[c.Name] {
			extra = append(extra, c.Name)
		}
	}
	for _, name := range missing {
		k.add(check{Finding: Finding{Kind: "column", Column: name, Severity: Error, Name: "the column is there"}, value: "1"})
	}
	if len(extra) > 0 && len(o.Properties) > 0 {
		k.add(check{Finding: Finding{Kind: "column", Severity: Warning, Name: "columns that the contract does not know: " + some(extra, 6)}, value: fmt.Sprint(len(extra))})
	}
}

// property makes the checks of one column.
func (k *compiler) property(p property, keyed bool) error {
	want := logicalTypes[p.LogicalType]
	v, is := quoted(p.Name), want
	if k.table != nil {
		is = k.table.schema[k.table.schema.Index(p.Name)].Type
		v = k.typed(p, want, is)
	}
	of := want
	if of == "" {
		of = is
	}
	if of == "" { // nothing is known of the column yet
		of = slipway.Text
	}
	base := Finding{Column: p.Name, Severity: Error}
	with := func(kind string) Finding { f := base; f.Kind = kind; return f }
	if p.Required {
		k.add(check{Finding: with("nullValues"), predicate: v + " IS NULL", shown: "NULL"})
	}
	if p.Unique || p.PrimaryKey && keyed {
		k.add(check{Finding: with("duplicateValues"), distinct: []string{p.Name}})
	}
	if err := k.options(p.Options, v, of, with); err != nil {
		return err
	}
	for i, r := range p.Quality {
		if err := k.rule(r, p.Name, v, of); err != nil {
			return fmt.Errorf("rule %s: %w", named(r, i), err)
		}
	}
	return nil
}

// casts are the SQL types that text may turn out to be.
var casts = map[slipway.Type]string{slipway.Int: "BIGINT", slipway.Float: "DOUBLE", slipway.Bool: "BOOLEAN", slipway.Date: "DATE", slipway.Time: "TIMESTAMPTZ"}

// typed is a column's value in the type that the contract wants. Values that
// are of another type fail a check of their own and count as missing in others.
func (k *compiler) typed(p property, want, is slipway.Type) string {
	v := quoted(p.Name)
	if is == slipway.Float {
		v = "CASE WHEN isnan(" + v + ") THEN NULL ELSE " + v + " END"
	}
	instants := (want == slipway.Time || want == slipway.Date) && (is == slipway.Time || is == slipway.Date)
	if want == "" || want == is || instants || want == slipway.Text || want == slipway.Float && is == slipway.Int {
		return v
	}
	f := Finding{Kind: "type", Column: p.Name, Severity: Error, Name: "values are of type " + string(want)}
	if want == slipway.Int && is == slipway.Float {
		k.add(check{Finding: f, predicate: "(" + v + ") <> trunc(" + v + ")", shown: v})
		return v
	}
	cast := "TRY_CAST(CAST(" + quoted(p.Name) + " AS VARCHAR) AS " + casts[want] + ")"
	k.add(check{Finding: f, predicate: quoted(p.Name) + " IS NOT NULL AND " + cast + " IS NULL", shown: quoted(p.Name)})
	return cast
}

// options makes the checks of logicalTypeOptions.
func (k *compiler) options(o options, v string, t slipway.Type, with func(string) Finding) error {
	var failing, expect []string
	limit := func(at any, compare, text string) error {
		if at == nil || at == false || isTrue(at) {
			return nil
		}
		condition, err := bound("("+v+")", t, at, compare)
		failing, expect = append(failing, condition), append(expect, text+" "+fmt.Sprint(at))
		return err
	}
	low, high := "<", ">"
	if isTrue(o.ExclusiveMinimum) {
		low = "<="
	}
	if isTrue(o.ExclusiveMaximum) {
		high = ">="
	}
	err := errors.Join(limit(o.Minimum, low, "at least"), limit(o.Maximum, high, "at most"),
		limit(o.ExclusiveMinimum, "<=", "above"), limit(o.ExclusiveMaximum, ">=", "below"))
	if err != nil {
		return err
	}
	if len(failing) > 0 {
		f := with("range")
		f.Name = strings.Join(expect, ", ")
		k.add(check{Finding: f, predicate: strings.Join(failing, " OR "), shown: v})
	}
	text := "CAST(" + v + " AS VARCHAR)"
	if o.Pattern != "" {
		if _, err := regexp.Compile(o.Pattern); err != nil {
			return slipway.Errorf(slipway.Invalid, "the pattern %q cannot be read: %v", o.Pattern, err)
		}
		f := with("pattern")
		f.Name = "matches " + o.Pattern
		k.add(check{Finding: f, predicate: "NOT regexp_matches(" + text + ", " + literal(o.Pattern) + ")", shown: v})
	}
	if o.MinLength != nil || o.MaxLength != nil {
		var parts []string
		if o.MinLength != nil {
			parts = append(parts, fmt.Sprintf("length(%s) < %d", text, *o.MinLength))
		}
		if o.MaxLength != nil {
			parts = append(parts, fmt.Sprintf("length(%s) > %d", text, *o.MaxLength))
		}
		k.add(check{Finding: with("length"), predicate: strings.Join(parts, " OR "), shown: v})
	}
	if o.MultipleOf != nil {
		condition, err := bound("("+v+")", slipway.Float, o.MultipleOf, "%")
		if err != nil {
			return err
		}
		k.add(check{Finding: with("multipleOf"), predicate: "(" + condition + ") <> 0", shown: v})
	}
	return nil
}

// rule makes the check of one entry under quality; column is "" for a table's.
func (k *compiler) rule(r rule, column, v string, t slipway.Type) error {
	severity, err := r.severity()
	if err != nil {
		return err
	}
	c := check{Finding: Finding{Name: r.Name, Description: r.Description, Column: column, Severity: severity, Kind: r.Metric}, shown: v}
	if c.Kind == "" {
		c.Kind = r.Rule
	}
	if r.Type == "text" {
		return nil // meant for people
	}
	if c.compare, err = r.operator(); err != nil {
		return err
	}
	switch r.Unit {
	case "", "rows":
	case "percent", "%":
		c.percent = true
	default:
		return slipway.Errorf(slipway.Invalid, "%q is not a unit", r.Unit).WithHint("rows or percent")
	}
	switch r.Type {
	case "sql":
		table := ""
		if k.table != nil {
			table = k.table.ref()
		}
		c.Kind, c.own = "sql", true
		c.predicate, c.value, err = r.sql(table, column)
	case "custom":
		err = r.custom(k, &c, column)
	case "", "library":
		err = r.library(&c, column, v, t)
	default:
		err = slipway.Errorf(slipway.Invalid, "%q is not a type of rules", r.Type).WithHint("library, sql, custom or text")
	}
	if err != nil {
		return err
	}
	k.add(c)
	return nil
}

// library makes a check of one of ODCS's metrics.
func (r rule) library(c *check, column, v string, t slipway.Type) error {
	if column == "" && c.Kind != "rowCount" && c.Kind != "duplicateValues" {
		return slipway.Errorf(slipway.Invalid, "%q is not a metric of tables", c.Kind).WithHint("rowCount, or duplicateValues with properties")
	}
	switch c.Kind {
	case "rowCount":
		c.value = "count(*)"
	case "nullValues":
		c.predicate, c.shown = v+" IS NULL", "NULL"
	case "missingValues":
		c.predicate = "(" + v + " IS NULL OR CAST(" + v + " AS VARCHAR) IN (" + list(r.Arguments.MissingValues) + "))"
	case "invalidValues":
		switch {
		case len(r.Arguments.ValidValues) > 0 && (t == slipway.Int || t == slipway.Float):
			c.predicate = "NOT list_contains(CAST([" + list(r.Arguments.ValidValues) + "] AS DOUBLE[]), CAST(" + v + " AS DOUBLE))"
		case len(r.Arguments.ValidValues) > 0:
			c.predicate = "CAST(" + v + " AS VARCHAR) NOT IN (" + list(r.Arguments.ValidValues) + ")"
		case r.Arguments.Pattern != "":
			c.predicate = "NOT regexp_matches(CAST(" + v + " AS VARCHAR), " + literal(r.Arguments.Pattern) + ")"
		default:
			return slipway.Errorf(slipway.Invalid, "invalidValues needs arguments: validValues or pattern")
		}
	case "duplicateValues":
		if c.distinct = r.Arguments.Properties; len(c.distinct) == 0 {
			if column == "" {
				return slipway.Errorf(slipway.Invalid, "duplicateValues of a table needs arguments: properties")
			}
			c.distinct = []string{column}
		}
	default:
		return slipway.Errorf(slipway.Invalid, "%q is not a metric", c.Kind).WithHint("nullValues, missingValues, invalidValues, duplicateValues or rowCount")
	}
	return nil
}

// custom makes a check of one of our own metrics, written as ODCS wants it:
// {type: custom, engine: slipway, implementation: …}.
func (r rule) custom(k *compiler, c *check, column string) error {
	if r.Engine != "slipway" {
		return slipway.Errorf(slipway.Invalid, "rules of the engine %q cannot be checked here", r.Engine).WithHint("write it as type: sql")
	}
	c.Kind = strings.TrimSpace(r.Implementation)
	at := ""
	if k.table != nil {
		if at = k.table.time(); column != "" {
			at = quoted(column) + "::TIMESTAMPTZ"
		}
	}
	switch c.Kind {
	case "shift":
		if column == "" {
			return slipway.Errorf(slipway.Invalid, "shift is a rule of columns")
		}
		c.shift, c.value = true, "median("+quoted(column)+")"
		return nil
	case "freshness": // hours between the newest row and now
		c.value = "date_diff('second', max(" + at + "), now()) / 3600.0"
	case "gap": // longest time without a row, in hours
		c.value = "(SELECT max(s) / 3600.0 FROM (SELECT epoch(at) - epoch(lag(at) OVER (ORDER BY at)) AS s FROM (SELECT " + at + " AS at FROM {object})))"
	default:
		return slipway.Errorf(slipway.Invalid, "%q is not one of Slipway's metrics", c.Kind).WithHint("shift, freshness or gap")
	}
	if k.table == nil {
		return nil
	}
	if at == "" {
		return slipway.Errorf(slipway.Invalid, "%s needs a time, and the dataset has none", c.Kind)
	}
	c.value = strings.ReplaceAll(c.value, "{object}", k.table.ref())
	return nil
}

// list writes values in SQL as texts.
func list(values []any) string {
	out := make([]string, len(values))
	for i, v := range values {
		if v == nil {
			out[i] = "NULL"
			continue
		}
		out[i] = literal(fmt.Sprint(v))
	}
	return strings.Join(out, ", ")
}
