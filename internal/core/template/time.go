package template

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/query"
)

var plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Words in the names of columns.
var (
	timeHints  = []string{"time", "timestamp", "date", "datetime", "day", "when", "at", "ts", "dt", "dteday", "period", "moment", "observed", "created", "recorded", "month", "year", "week", "epoch", "stamp", "zeit", "datum", "fecha"}
	laterHints = []string{"birth", "dob", "born", "end", "due", "until", "expiry", "expires", "closed", "resolved", "updated", "modified", "last", "delivered", "returned"}
	orderHints = []string{"date", "time", "timestamp", "day", "period", "week", "month", "year", "hour", "step", "tick", "seq", "sequence", "order", "t"}
	hourNames  = []string{"hr", "hour", "h", "hours", "stunde"}
)

// wordsOf splits a name: startDate, start_date and "Start Date" are start and
// date.
func wordsOf(name string) []string {
	var out []string
	var word []rune
	flush := func() {
		if len(word) > 0 {
			out = append(out, strings.ToLower(string(word)))
			word = nil
		}
	}
	var before rune
	for _, r := range name {
		if !unicode.IsLetter(r) || unicode.IsUpper(r) && unicode.IsLower(before) {
			flush()
		}
		if unicode.IsLetter(r) {
			word = append(word, r)
		}
		before = r
	}
	flush()
	return out
}

func hints(name string, words []string) bool {
	return slices.ContainsFunc(wordsOf(name), func(w string) bool { return slices.Contains(words, w) })
}

// proposeTime finds when the rows happened: a column of times, a date with an
// hour beside it, columns by which the rows are ordered, or nothing.
func (l *Look) proposeTime() Time {
	best, score := (*Column)(nil), 0
	for i := range l.Column {
		c := &l.Column[i]
		if !c.dated() || c.Distinct < 3 || float64(c.Present) < 0.99*float64(l.Rows) {
			continue
		}
		s := 1
		if hints(c.Name, timeHints) {
			s += 2
		}
		if hints(c.Name, laterHints) {
			s -= 3
		}
		if s > score {
			best, score = c, s
		}
	}
	if best != nil {
		return l.timeOf(best)
	}
	return l.proposeOrder()
}

// timeOf is the time that a column tells, with the hour beside it if there is
// one.
func (l *Look) timeOf(c *Column) Time {
	if !c.clock() {
		for _, h := range l.Column {
			if h.Type == slipway.Int && slices.Contains(hourNames, strings.ToLower(h.Name)) && h.Min >= 0 && h.Max <= 23 && h.Present == l.Rows {
				return Time{
					Expression: c.sql() + " + " + bare(h.Name) + " * INTERVAL 1 HOUR", Column: l.free("event_time"), Part: []string{c.Name, h.Name}, Clock: true, Formats: c.Formats,
					Code: c.python() + " + pd.to_timedelta(raw[" + quote(h.Name) + `], unit="h")`,
				}
			}
		}
	}
	t := Time{Expression: c.sql(), Column: c.Name, Part: []string{c.Name}, Clock: c.clock(), Formats: c.Formats, Code: c.python()}
	if c.Type != slipway.Date && c.Type != slipway.Time {
		t.Column = l.free("event_time")
	}
	return t
}

// free is a name that no column has.
func (l *Look) free(name string) string {
	for l.Find(name) != nil {
		name += "_"
	}
	return name
}

// proposeOrder finds columns that count without a clock: one that never falls
// from row to row, and one that rises within it. A file may be sorted by
// anything, so only names that speak of time count.
func (l *Look) proposeOrder() Time {
	for i, c := range l.Column {
		if !c.Type.Numeric() || !hints(c.Name, orderHints) || c.Distinct < 20 || c.Present < l.Rows || !rising(l.Sample.Series[i].Float, nil) {
			continue
		}
		order := []string{c.Name}
		for j, d := range l.Column {
			if j != i && d.Type.Numeric() && hints(d.Name, orderHints) && d.Present == l.Rows && rising(l.Sample.Series[j].Float, l.Sample.Series[i].Float) {
				order = append(order, d.Name)
				break
			}
		}
		return Time{Order: order, Part: []string{c.Name}}
	}
	return Time{}
}

// rising reports whether values do not fall from row to row, but for one row in
// two thousand: a clock was set back, or a day stands in the wrong place. within,
// when given, has only rows that share its value compared, and there they must
// rise.
func rising(values, within []float64) bool {
	falls := 0
	for i := 1; i < len(values); i++ {
		if within == nil && !(values[i] >= values[i-1]) || within != nil && within[i] == within[i-1] && !(values[i] > values[i-1]) {
			falls++
		}
	}
	return falls*2000 <= len(values)
}

// readTime understands what the user said about the time.
func (l *Look) readTime(text string) (Time, error) {
	if text == None {
		return Time{}, nil
	}
	if list, ok := strings.CutPrefix(text, "order:"); ok {
		var out Time
		for name := range strings.SplitSeq(list, ",") {
			name = strings.TrimSpace(name)
			if l.Find(name) == nil {
				return out, l.noColumn(name)
			}
			out.Order = append(out.Order, name)
		}
		out.Part = out.Order[:1]
		return out, nil
	}
	if c := l.Find(text); c != nil {
		if !c.dated() {
			return Time{}, slipway.Errorf(slipway.Invalid, "the column %s holds no dates that could be read", text).
				WithHint("say order:%s if the rows are only ordered by it, or give an SQL expression", text)
		}
		return l.timeOf(c), nil
	}
	for _, t := range l.pairs() {
		if t.Expression == text {
			return t, nil
		}
	}
	if plainName.MatchString(text) {
		return Time{}, l.noColumn(text)
	}
	return Time{}, slipway.Errorf(slipway.Invalid, "no Python code can be written for the time %q", text).
		WithHint("name a column; slipway.yaml takes any SQL expression afterwards, and prepare.py is yours to change")
}

// pairs are the times that consist of a date and an hour.
func (l *Look) pairs() []Time {
	var out []Time
	for i := range l.Column {
		if c := &l.Column[i]; c.dated() {
			out = append(out, l.timeOf(c))
		}
	}
	return out
}

func (l *Look) noColumn(name string) error {
	return slipway.Errorf(slipway.Invalid, "there is no column %q", name).WithHint("the columns are %s", brief(l.Names(), 20))
}

// measure finds out which time the rows cover. It fails with Invalid when rows
// have no time.
func (l *Look) measure(ctx context.Context, t *Time, zone string) error {
	t.Zone = zone
	if t.Expression == "" {
		return nil
	}
	expression := t.sql()
	res, err := l.engine.Run(ctx, query.Request{
		Tables: []query.Table{l.Table}, Timezone: zone,
		SQL: fmt.Sprintf("SELECT min(e), max(e), count(e) FROM (SELECT CAST((%s) AS TIMESTAMPTZ) AS e FROM t)", expression),
	})
	if err != nil {
		return fmt.Errorf("read the time %s: %w", t.Expression, err)
	}
	from, ok := res.Rows[0][0].(time.Time)
	to, ok2 := res.Rows[0][1].(time.Time)
	if n := int64(float(res.Rows[0][2])); !ok || !ok2 || float64(n) < dateShare*float64(l.Rows) {
		return slipway.Errorf(slipway.Invalid, "%d of %d rows have no time in %s", l.Rows-n, l.Rows, t.Expression).WithHint("say --time none, or name another column")
	}
	t.From, t.To, t.Days = from.Format(time.RFC3339), to.Format(time.RFC3339), to.Sub(from).Hours()/24
	return nil
}

// sql is the time for a query: a column that is meant by its name is quoted.
func (t Time) sql() string {
	if len(t.Part) == 1 && t.Expression == t.Part[0] {
		return identifier(t.Expression)
	}
	return t.Expression
}

// order is what the rows are ordered by in SQL, "" for nothing.
func (t Time) order() string {
	if t.Expression != "" {
		return "CAST((" + t.sql() + ") AS TIMESTAMPTZ)"
	}
	quoted := make([]string, len(t.Order))
	for i, c := range t.Order {
		quoted[i] = identifier(c)
	}
	return strings.Join(quoted, ", ")
}

// block is the length of time within which rows are not independent: a day
// where the test rows cover enough of them, else an hour.
func (t Time) block() string {
	switch {
	case t.Days*testShare >= 20 || !t.Clock:
		return "1d"
	case t.Days*testShare*24 >= 20:
		return "1h"
	}
	return "1m"
}

// brief lists names, and how many more there are.
func brief(names []string, most int) string {
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
