package template

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/query"
)

// profile counts every column in one pass over the file.
func (l *Look) profile(ctx context.Context) error {
	list := []string{"count(*)"}
	for _, c := range l.Column {
		name := identifier(c.Name)
		number := "NULL::DOUBLE"
		switch {
		case c.Type.Numeric():
			number = name + "::DOUBLE"
		case c.Type == slipway.Time || c.Type == slipway.Date:
			number = "epoch_us(" + name + "::TIMESTAMPTZ)::DOUBLE"
		}
		length := "0"
		if c.Type == slipway.Text {
			length = "coalesce(avg(length(" + name + ")), 0)"
		}
		finite := "(CASE WHEN isfinite(" + number + ") THEN " + number + " END)"
		list = append(list, "count("+name+")", "approx_count_distinct("+name+")", "min("+finite+")", "max("+finite+")", "avg("+finite+")", "stddev_pop("+finite+")", length)
	}
	const each = 7
	res, err := l.engine.Run(ctx, query.Request{Tables: []query.Table{l.Table}, SQL: "SELECT " + strings.Join(list, ", ") + " FROM t"})
	if err != nil {
		return err
	}
	row := res.Rows[0]
	l.Rows = int64(float(row[0]))
	for i := range l.Column {
		c, v := &l.Column[i], row[1+each*i:]
		c.Present, c.Distinct = int64(float(v[0])), int64(float(v[1]))
		c.Min, c.Max, c.Mean, c.SD, c.Length = float(v[2]), float(v[3]), float(v[4]), float(v[5]), float(v[6])
	}
	if err := l.countFew(ctx); err != nil {
		return err
	}
	return l.dates(ctx)
}

// countFew counts the values of columns that have few of them exactly.
func (l *Look) countFew(ctx context.Context) error {
	var few []*Column
	var list []string
	for i := range l.Column {
		if c := &l.Column[i]; c.Distinct <= 2*maxClasses {
			few, list = append(few, c), append(list, "count(DISTINCT "+identifier(c.Name)+")")
		}
	}
	if len(few) == 0 {
		return nil
	}
	res, err := l.engine.Run(ctx, query.Request{Tables: []query.Table{l.Table}, SQL: "SELECT " + strings.Join(list, ", ") + " FROM t"})
	if err != nil {
		return err
	}
	for i, c := range few {
		c.Distinct = int64(float(res.Rows[0][i]))
	}
	return nil
}

// float reads a number of a result; what is missing is 0.
func float(v any) float64 {
	switch n := v.(type) {
	case int64:
		return float64(n)
	case float64:
		return n
	case string: // a number wider than our types
		f, err := strconv.ParseFloat(n, 64)
		if err == nil {
			return f
		}
	}
	return 0
}

// unique lists those of the columns whose values are all different and all
// there.
func (l *Look) unique(ctx context.Context) ([]string, error) {
	var names, list []string
	for _, c := range l.Column {
		// The count of distinct values is approximate by a tenth and more.
		if c.Present == l.Rows && float64(c.Distinct) > 0.7*float64(l.Rows) && (c.Type == slipway.Int || c.Type == slipway.Text) {
			names, list = append(names, c.Name), append(list, "count(DISTINCT "+identifier(c.Name)+")")
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	res, err := l.engine.Run(ctx, query.Request{Tables: []query.Table{l.Table}, SQL: "SELECT " + strings.Join(list, ", ") + " FROM t"})
	if err != nil {
		return nil, err
	}
	var out []string
	for i, name := range names {
		if int64(float(res.Rows[0][i])) == l.Rows {
			out = append(out, name)
		}
	}
	return out, nil
}

// value is one value of a column and how often it occurs.
type value struct {
	Text  string
	Count int64
}

// values lists the most frequent values of a column as text, and how many rows
// they are together.
func (l *Look) values(ctx context.Context, column string, most int) (out []value, covered int64, err error) {
	name := identifier(column)
	res, err := l.engine.Run(ctx, query.Request{Tables: []query.Table{l.Table}, Limit: most,
		SQL: fmt.Sprintf("SELECT %s::VARCHAR AS v, count(*) FROM t WHERE %s IS NOT NULL GROUP BY v ORDER BY 2 DESC, 1 LIMIT %d", name, name, most)})
	if err != nil {
		return nil, 0, err
	}
	for _, row := range res.Rows {
		n := int64(float(row[1]))
		out = append(out, value{fmt.Sprint(row[0]), n})
		covered += n
	}
	return out, covered, nil
}

// lateClasses counts how many classes of a target the last part of the rows
// holds, and the first, when rows are put in the order of an SQL expression.
func (l *Look) lateClasses(ctx context.Context, target, order string) (early, late int, err error) {
	sql := fmt.Sprintf("SELECT count(DISTINCT y) FILTER (r <= %[3]g), count(DISTINCT y) FILTER (r > %[3]g) FROM (SELECT %[1]s AS y, percent_rank() OVER (ORDER BY %[2]s) AS r FROM t WHERE %[1]s IS NOT NULL)",
		identifier(target), order, 1-testShare)
	res, err := l.engine.Run(ctx, query.Request{Tables: []query.Table{l.Table}, SQL: sql})
	if err != nil {
		return 0, 0, err
	}
	return int(float(res.Rows[0][0])), int(float(res.Rows[0][1])), nil
}
