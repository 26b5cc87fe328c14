package dataset

import (
	"fmt"
	"strings"

	"github.com/slipway-ml/slipway"
)

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
			table = k.table.rows()
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
		return nil
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
		return nil
	default:
		return slipway.Errorf(slipway.Invalid, "%q is not a metric", c.Kind).WithHint("nullValues, missingValues, invalidValues, duplicateValues or rowCount")
	}
	if c.predicate != "" && v == quoted(column) {
		c.alone = column
	}
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
