package dataset

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/slipway-ml/slipway"
)

// check is one question of a contract as SQL. One of predicate, value and
// distinct is set.
type check struct {
	Finding
	compare   operator
	predicate string                    // what a failing row meets
	value     string                    // an aggregate over all rows
	distinct  []string                  // columns whose combination may not come twice
	shift     bool                      // how many times the median moved since the last version
	percent   bool                      // the share of failing rows is compared
	shown     string                    // SQL of the value that a failing row shows; "" is all of the key
	own       bool                      // SQL that somebody wrote
	alone     string                    // the one column that predicate is about, as it is in the files
	condition string                    // what a failing row, slipway_row, meets, where a subquery counts them
	columns   []string                  // what such a row shows
	whole     bool                      // it is about all rows, not about a batch
	skip      bool                      // there is nothing yet to compare with: it passes
	measure   func(any) (float64, bool) // of what value gave
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
		t.view = k.view(c.object)
	}
	if key := c.key(); len(key) > 1 {
		k.add(check{Finding: Finding{Kind: "duplicateValues", Column: strings.Join(key, ", "), Severity: Error}, distinct: key})
	}
	for _, p := range c.object.Properties {
		if t != nil && t.schema.Index(p.Name) < 0 {
			continue
		}
		if err := k.property(p, len(c.key()) == 1); err != nil {
			return nil, in(err, "the contract's property %s", p.Name)
		}
	}
	for i, r := range c.object.Quality {
		if err := k.rule(r, "", "", ""); err != nil {
			return nil, in(err, "the contract's rule %s", named(r, i))
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
	first := len(k.checks)
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
	for i := first; i < len(k.checks) && v == quoted(p.Name); i++ {
		if k.checks[i].predicate != "" {
			k.checks[i].alone = p.Name
		}
	}
	for i, r := range p.Quality {
		if err := k.rule(r, p.Name, v, of); err != nil {
			return in(err, "rule %s", named(r, i))
		}
	}
	return nil
}

// casts are the SQL types that text may turn out to be.
var casts = map[slipway.Type]string{slipway.Int: "BIGINT", slipway.Float: "DOUBLE", slipway.Bool: "BOOLEAN", slipway.Date: "DATE",
	slipway.Time: "TIMESTAMPTZ", slipway.Text: "VARCHAR", "": "VARCHAR"}

// mistyped reports whether values of a column have to be cast to be what the
// contract wants.
func mistyped(want, is slipway.Type) bool {
	isNumber := func(t slipway.Type) bool { return t == slipway.Int || t == slipway.Float }
	isInstant := func(t slipway.Type) bool { return t == slipway.Time || t == slipway.Date }
	alike := want == is || isNumber(want) && isNumber(is) || isInstant(want) && isInstant(is)
	return want != "" && want != slipway.Text && !alike
}

// raw is the name under which the view keeps a mistyped column as it is.
func raw(column string) string { return "slipway_raw_" + column }

// view is the rows as the contract sees them, so that its SQL can be asked even
// of a batch whose columns are gone or of another type: what is not there, or
// cannot be cast, is missing. It is "" where the rows are that already.
func (k *compiler) view(o object) string {
	var replaced, added []string
	for _, p := range o.Properties {
		want, i := logicalTypes[p.LogicalType], k.table.schema.Index(p.Name)
		switch {
		case i < 0:
			added = append(added, "CAST(NULL AS "+casts[want]+") AS "+quoted(p.Name))
		case mistyped(want, k.table.schema[i].Type):
			replaced = append(replaced, "TRY_CAST(CAST("+quoted(p.Name)+" AS VARCHAR) AS "+casts[want]+") AS "+quoted(p.Name))
			added = append(added, quoted(p.Name)+" AS "+quoted(raw(p.Name)))
		}
	}
	if len(added) == 0 {
		return ""
	}
	list := "*"
	if len(replaced) > 0 {
		list += " REPLACE (" + strings.Join(replaced, ", ") + ")"
	}
	return "(SELECT " + list + ", " + strings.Join(added, ", ") + " FROM " + k.table.ref() + ")"
}

// typed is a column's value. Values that are not of the type that the contract
// wants fail a check of their own and count as missing in others.
func (k *compiler) typed(p property, want, is slipway.Type) string {
	v := quoted(p.Name)
	f := Finding{Kind: "type", Column: p.Name, Severity: Error, Name: "values are of type " + string(want)}
	if is == slipway.Float {
		v = "CASE WHEN isnan(" + v + ") THEN NULL ELSE " + v + " END"
	}
	switch {
	case mistyped(want, is):
		v = quoted(p.Name)
		k.add(check{Finding: f, predicate: quoted(raw(p.Name)) + " IS NOT NULL AND " + v + " IS NULL", shown: quoted(raw(p.Name))})
	case want == slipway.Int && is == slipway.Float:
		k.add(check{Finding: f, predicate: "(" + v + ") <> trunc(" + v + ")", shown: v})
	}
	return v
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
