package dataset

import (
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-ml/slipway"
)

// emptySide is a side without files in SQL: no rows, with the columns of the schema.
func emptySide(schema slipway.Schema) string {
	list := make([]string, len(schema))
	for i, c := range schema {
		list[i] = "CAST(NULL AS " + casts[c.Type] + ") AS " + quoted(c.Name)
	}
	return "(SELECT " + strings.Join(list, ", ") + " LIMIT 0)"
}

func (t *table) fromSide() string {
	if t.source.Files == nil {
		return emptySide(t.schema)
	}
	return quoted(t.source.Name)
}

// comparable is a column of one side as it is hashed and compared: as text where
// the two sides have it in different types.
func (p *sides) comparable(c, v string) string {
	i, j := p.was.schema.Index(c), p.now.schema.Index(c)
	if i >= 0 && j >= 0 && p.was.schema[i].Type != p.now.schema[j].Type {
		return "CAST(" + v + " AS VARCHAR)"
	}
	return v
}

// differs is the condition that two values of a column are not alike.
func (p *sides) differs(c, x, y string) string {
	x, y = p.comparable(c, x), p.comparable(c, y)
	i := p.now.schema.Index(c)
	if t := p.now.schema[i].Type; p.ask.Tolerance > 0 && (t == slipway.Float || t == slipway.Int) && x == quoted("old."+c) {
		within := fmt.Sprintf("abs(%[1]s - %[2]s) <= %[3]s * greatest(1, abs(%[1]s), abs(%[2]s))", "CAST("+x+" AS DOUBLE)", "CAST("+y+" AS DOUBLE)", "CAST("+exact(p.ask.Tolerance)+" AS DOUBLE)")
		return "(" + x + " IS DISTINCT FROM " + y + " AND (" + within + ") IS NOT TRUE)"
	}
	return x + " IS DISTINCT FROM " + y
}

// hash is one number for the values of a row: 64 bits, so that a changed row goes
// unseen with a chance of 1 in 2^64.
func (p *sides) hash(columns []string) string {
	if len(columns) == 0 {
		return "CAST(0 AS UBIGINT)"
	}
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = p.comparable(c, quoted(c))
	}
	return "hash(" + strings.Join(list, ", ") + ")"
}

// byKey selects the rows that differ: a full join of keys and hashes finds which
// do, a second pass fetches their values.
func (p *sides) byKey() string {
	var keys, on, whole, onWas, onNow []string
	for i, k := range p.key {
		id := fmt.Sprintf("slipway_k%d", i)
		keys = append(keys, p.comparable(k, quoted(k))+" AS "+id)
		on = append(on, "a."+id+" IS NOT DISTINCT FROM b."+id)
		whole = append(whole, "coalesce(a."+id+", b."+id+") AS "+id)
		onWas = append(onWas, "d."+id+" IS NOT DISTINCT FROM "+p.comparable(k, "a."+quoted(k)))
		onNow = append(onNow, "d."+id+" IS NOT DISTINCT FROM "+p.comparable(k, "b."+quoted(k)))
	}
	side := func(t *table) string {
		return "(SELECT " + strings.Join(keys, ", ") + ", " + p.hash(p.shared) + " AS h FROM " + t.fromSide() + ")"
	}
	list := []string{"CASE WHEN d.added THEN 'added' WHEN d.removed THEN 'removed' ELSE 'changed' END AS slipway_change", "1 AS slipway_rows"}
	for i, k := range p.key {
		list = append(list, fmt.Sprintf("d.slipway_k%d AS %s", i, quoted(k)))
	}
	list = append(list, p.values("a", "b")...)
	sql := "WITH d AS MATERIALIZED (SELECT " + strings.Join(whole, ", ") + ", a.h IS NULL AS added, b.h IS NULL AS removed\nFROM " + side(p.was) +
		" a FULL OUTER JOIN " + side(p.now) + " b ON " + strings.Join(on, " AND ") + "\nWHERE a.h IS DISTINCT FROM b.h)\nSELECT " + strings.Join(list, ", ") +
		"\nFROM d LEFT JOIN " + p.was.fromSide() + " a ON " + strings.Join(onWas, " AND ") +
		"\nLEFT JOIN " + p.now.fromSide() + " b ON " + strings.Join(onNow, " AND ")
	if p.ask.Tolerance <= 0 || len(p.shared) == 0 {
		return sql
	}
	// Hashes are exact; what they call changed may be within the tolerance.
	changed := make([]string, len(p.shared))
	for i, c := range p.shared {
		changed[i] = p.differs(c, quoted("old."+c), quoted("new."+c))
	}
	return "SELECT * FROM (" + sql + ") WHERE slipway_change <> 'changed' OR " + strings.Join(changed, " OR ")
}

// values are the columns of both sides, told apart by what stands before their
// names.
func (p *sides) values(a, b string) (out []string) {
	for _, c := range p.was.schema {
		if !slices.Contains(p.key, c.Name) {
			out = append(out, a+"."+quoted(c.Name)+" AS "+quoted("old."+c.Name))
		}
	}
	for _, c := range p.now.schema {
		if !slices.Contains(p.key, c.Name) {
			out = append(out, b+"."+quoted(c.Name)+" AS "+quoted("new."+c.Name))
		}
	}
	return out
}

// byRow selects rows of which one side has more than the other.
func (p *sides) byRow() string {
	h := p.hash(p.shared)
	list := []string{"CASE WHEN d.n > 0 THEN 'added' ELSE 'removed' END AS slipway_change", "CAST(abs(d.n) AS BIGINT) AS slipway_rows"}
	list = append(list, p.values("a", "b")...)
	one := func(t *table, sign string) string {
		return "(SELECT DISTINCT ON (slipway_h) * FROM (SELECT *, " + h + " AS slipway_h FROM " + t.fromSide() + ") WHERE slipway_h IN (SELECT h FROM d WHERE n " + sign + " 0))"
	}
	return "WITH d AS MATERIALIZED (SELECT h, sum(n) AS n FROM (SELECT " + h + " AS h, -1 AS n FROM " + p.was.fromSide() +
		" UNION ALL SELECT " + h + " AS h, 1 AS n FROM " + p.now.fromSide() + ") GROUP BY h HAVING sum(n) <> 0)\nSELECT " + strings.Join(list, ", ") +
		"\nFROM d LEFT JOIN " + one(p.was, "<") + " a ON d.h = a.slipway_h LEFT JOIN " + one(p.now, ">") + " b ON d.h = b.slipway_h"
}
