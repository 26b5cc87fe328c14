package tracking

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// where gathers conditions and their arguments. Names in the text come from
// this program alone; everything a user wrote is an argument.
type where struct {
	parts  []string
	args   []any
	source []source // conditions of a filter that an index answers
}

// source is a SELECT of the numbers of the runs that meet a condition.
type source struct {
	sql  string
	args []any
}

func (w *where) from(sql string, args ...any) { w.source = append(w.source, source{sql, args}) }

func (w *where) add(sql string, args ...any) {
	w.parts = append(w.parts, sql)
	w.args = append(w.args, args...)
}

func (w *where) sql() string {
	if len(w.parts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.parts, " AND ")
}

func (w *where) stage(table string, v View) {
	switch v {
	case "", ActiveOnly:
		w.add(table + `.stage = 'active'`)
	case DeletedOnly:
		w.add(table + `.stage = 'deleted'`)
	}
}

// compare is the comparison of a column with what a condition says.
func compare(c Condition, column string) (string, []any) {
	if c.Op == "IN" || c.Op == "NOT IN" {
		in, n := list(len(c.Text))
		return column + ` ` + c.Op + ` ` + in, pad(c.Text, n)
	}
	return c.SQL(column)
}

// pair adds a condition on the params or tags in a table of owner, key, value.
func (w *where) pair(table, owner, id string, c Condition) {
	exists := `EXISTS (SELECT 1 FROM ` + table + ` x WHERE x.` + owner + ` = ` + id + ` AND x.key = ?`
	switch c.Op {
	case "IS NULL":
		w.add(`NOT `+exists+`)`, c.Key)
	case "IS NOT NULL":
		w.add(exists+`)`, c.Key)
	default:
		sql, args := compare(c, "x.value")
		w.add(exists+` AND `+sql+`)`, append([]any{c.Key}, args...)...)
	}
}

// attribute adds a condition on a column. A time is asked for in milliseconds
// and kept in microseconds; 0 is no time, which nothing compares with.
func (w *where) attribute(column string, c Condition, isTime bool) {
	if len(c.Text) > 0 {
		sql, args := compare(c, column)
		w.add(sql, args...)
		return
	}
	if !isTime {
		w.add(column+` `+c.Op+` ?`, c.Number)
		return
	}
	micros := c.Number * 1000
	if math.Abs(micros) >= 1<<62 {
		micros = math.Copysign(1<<62, micros)
	}
	w.add(column+` <> 0 AND `+column+` `+c.Op+` ?`, int64(micros))
}

// maxNumber is the largest number that a metric holds: what compares greater is
// NaN.
const maxNumber = `1.7976931348623157e308`

// metric adds a condition on the latest value of a metric. NaN meets none.
func (w *where) metric(c Condition) {
	w.add(`EXISTS (SELECT 1 FROM metric_series x WHERE x.run = r.id AND x.key = ? AND x.model = '' AND x.dataset = '' AND x.digest = ''
		AND x.last_value `+c.Op+` ? AND x.last_value <= `+maxNumber+`)`, c.Key, c.Number)
}

// cost is small for a condition that is cheap to try and likely to fail.
func cost(c Condition) int {
	switch {
	case c.Of == OfAttribute && c.Key != "artifact_uri":
		return 0
	case c.Op == "=" && c.Of != OfMetric:
		return 1
	case c.Of == OfMetric:
		return 2
	}
	return 3
}

var runColumn = map[string]string{"run_id": "r.uuid", "run_name": "r.name", "user_id": "r.actor", "status": "r.status",
	"start_time": "r.started", "end_time": "r.ended",
	"artifact_uri": "(SELECT e.artifact || '/' || r.uuid || '/artifacts' FROM experiment e WHERE e.id = r.experiment)"}

// runs adds the conditions of a filter on runs.
func (w *where) runs(filter string) error {
	conditions, err := runGrammar.Parse(filter)
	if err != nil {
		return err
	}
	// The databases try conditions in this order, so what rules out most runs
	// for least comes first.
	slices.SortStableFunc(conditions, func(a, b Condition) int { return cmp.Compare(cost(a), cost(b)) })
	for _, c := range conditions {
		switch c.Of {
		case OfMetric:
			w.metric(c)
			if c.Op != "!=" {
				w.from(`SELECT x.run FROM metric_series x WHERE x.key = ? AND x.model = '' AND x.last_value `+c.Op+` ? AND x.last_value <= `+maxNumber, c.Key, c.Number)
			}
		case OfParam, OfTag:
			w.pair("run_"+string(c.Of), "run", "r.id", c)
			if c.Op == "=" {
				w.from(`SELECT x.run FROM run_`+string(c.Of)+` x WHERE x.key = ? AND substr(x.value, 1, 64) = ? AND x.value = ?`, c.Key, cut(c.Text[0], 64), c.Text[0])
			}
		case OfDataset:
			column := map[string]string{"name": "d.name", "digest": "d.digest", "context": "i.context"}[c.Key]
			sql, args := compare(c, column)
			w.add(`EXISTS (SELECT 1 FROM run_input i JOIN run_dataset d ON d.id = i.dataset WHERE i.run = r.id AND `+sql+`)`, args...)
		default:
			w.attribute(runColumn[c.Key], c, true)
			if c.Key == "run_name" && c.Op == "=" {
				w.from(`SELECT x.id AS run FROM run x WHERE x.name = ?`, c.Text[0])
			}
		}
	}
	return nil
}
