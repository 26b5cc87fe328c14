package template

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/query"
)

// Ways in which people write dates, as strptime reads them. A column may mix
// them, as long as it is clear whether the day or the month comes first.
var (
	anyFirst   = []string{"%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d-%b-%Y", "%d %b %Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y", "%Y%m%d"}
	dayFirst   = []string{"%d.%m.%Y", "%d/%m/%Y", "%d-%m-%Y", "%d.%m.%y", "%d/%m/%y"}
	monthFirst = []string{"%m/%d/%Y", "%m-%d-%Y", "%m.%d.%Y", "%m/%d/%y"}
	clocks     = []string{" %H:%M:%S", " %H:%M", "T%H:%M:%S"}
)

// dateShare is the share of values that must be dates for a column of text to
// be a column of dates.
const dateShare = 0.95

// unix stands in Column.Formats for a number of seconds, or of milliseconds,
// since 1970.
const (
	unixSeconds      = "unix seconds"
	unixMilliseconds = "unix milliseconds"
)

func withClocks(formats ...[]string) []string {
	var out []string
	for _, f := range slices.Concat(formats...) {
		out = append(out, f)
		for _, c := range clocks {
			out = append(out, f+c)
		}
	}
	return out
}

// dates finds the columns of text and of whole numbers that hold dates.
func (l *Look) dates(ctx context.Context) error {
	orders := [][]string{withClocks(anyFirst, dayFirst), withClocks(anyFirst, monthFirst)}
	var list []string
	var asked []*Column
	for i := range l.Column {
		c := &l.Column[i]
		if format, ok := l.Table.CSV.Time[c.Name]; ok {
			c.Formats = []string{format}
		}
		switch {
		case c.Type == slipway.Int && hints(c.Name, timeHints) && c.Min > 1e9 && c.Max < 4e9:
			c.Formats = []string{unixSeconds}
		case c.Type == slipway.Int && hints(c.Name, timeHints) && c.Min > 1e12 && c.Max < 4e12:
			c.Formats = []string{unixMilliseconds}
		case c.Type == slipway.Text && c.Length >= 6 && c.Length <= 24 && c.Distinct > 2, c.Type == slipway.Int && c.Min >= 19000101 && c.Max <= 21001231:
			asked = append(asked, c)
			list = append(list, "count("+identifier(c.Name)+")")
			for _, order := range orders {
				list = append(list, fmt.Sprintf("count(CASE WHEN regexp_matches(%[1]s::VARCHAR, '[0-9].*[0-9]') THEN try_strptime(trim(%[1]s::VARCHAR), %[2]s) END)", identifier(c.Name), texts(order)))
			}
		}
	}
	if len(list) == 0 {
		return nil
	}
	res, err := l.engine.Run(ctx, query.Request{Tables: []query.Table{l.Table}, SQL: "SELECT " + strings.Join(list, ", ") + l.some(300, asked...)})
	if err != nil {
		return err
	}
	const each = 3
	for i, c := range asked {
		row := res.Rows[0][each*i:]
		best := 0
		if float(row[2]) > float(row[1]) {
			best = 1
		}
		if float(row[0]) == 0 || float(row[1+best]) < dateShare*float(row[0]) {
			continue
		}
		if err := l.useFormats(ctx, c, orders[best]); err != nil {
			return err
		}
	}
	return nil
}

// some is the FROM of a query that reads at most so many rows, spread over the file:
// to try many formats on every row would take minutes.
func (l *Look) some(rows int64, columns ...*Column) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = identifier(c.Name)
	}
	return fmt.Sprintf(" FROM (SELECT %s, row_number() OVER () AS slipway_row FROM t) WHERE slipway_row %% %d = 0", strings.Join(names, ", "), l.Rows/rows+1)
}

// useFormats notes the formats that a column needs, the most frequent first, if
// they read nearly all of its rows.
func (l *Look) useFormats(ctx context.Context, c *Column, formats []string) error {
	list := make([]string, len(formats))
	for i, f := range formats {
		list[i] = fmt.Sprintf("count(try_strptime(trim(%s::VARCHAR), %s))", identifier(c.Name), literal(f))
	}
	res, err := l.engine.Run(ctx, query.Request{Tables: []query.Table{l.Table}, SQL: "SELECT " + strings.Join(list, ", ") + l.some(3000, c)})
	if err != nil {
		return err
	}
	count := map[string]float64{}
	var used []string
	for i, f := range formats {
		if count[f] = float(res.Rows[0][i]); count[f] > 0 {
			used = append(used, f)
		}
	}
	slices.SortStableFunc(used, func(a, b string) int { return int(count[b] - count[a]) })
	all, err := l.engine.Run(ctx, query.Request{
		Tables: []query.Table{l.Table}, SQL: fmt.Sprintf("SELECT count(try_strptime(trim(%s::VARCHAR), %s)) FROM t", identifier(c.Name), texts(used)),
	})
	if err != nil {
		return err
	}
	if float(all.Rows[0][0]) >= dateShare*float64(c.Present) {
		c.Formats = used
	}
	return nil
}

// dated reports whether a column holds dates or times.
func (c *Column) dated() bool {
	return c.Type == slipway.Date || c.Type == slipway.Time || len(c.Formats) > 0
}

// clock reports whether its values have a time of day.
func (c *Column) clock() bool {
	return c.Type == slipway.Time || slices.ContainsFunc(c.Formats, func(f string) bool {
		return strings.Contains(f, "%H") || strings.Contains(f, "%I") || strings.HasPrefix(f, "unix")
	})
}

// sql is the column as a date or a time.
func (c *Column) sql() string {
	name := bare(c.Name)
	switch {
	case c.Type == slipway.Date || c.Type == slipway.Time:
		return name
	case slices.Equal(c.Formats, []string{unixSeconds}):
		return "to_timestamp(" + name + ")"
	case slices.Equal(c.Formats, []string{unixMilliseconds}):
		return "to_timestamp(" + name + " / 1000)"
	case c.Type == slipway.Int:
		return "try_strptime(" + name + "::VARCHAR, " + texts(c.Formats) + ")"
	}
	return "try_strptime(trim(" + name + "), " + texts(c.Formats) + ")"
}

// python is the same in the code of prepare.py.
func (c *Column) python() string {
	raw := "raw[" + quote(c.Name) + "]"
	switch {
	case slices.Equal(c.Formats, []string{unixSeconds}):
		return "pd.to_datetime(" + raw + `, unit="s", utc=True)`
	case slices.Equal(c.Formats, []string{unixMilliseconds}):
		return "pd.to_datetime(" + raw + `, unit="ms", utc=True)`
	}
	out := "instants(" + raw
	for _, f := range c.Formats {
		out += ", " + quote(f)
	}
	return out + ")"
}

func texts(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = literal(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// bare writes a column's name in SQL, without quotes where it needs none.
func bare(name string) string {
	if plainName.MatchString(name) {
		return name
	}
	return identifier(name)
}
