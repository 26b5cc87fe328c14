package project

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

func (m *MetricTrigger) unmarshal(d *decoder, path string, n ast.Node) {
	const form = `one metric with its limit, such as {roc_auc: "<0.62"}`
	entries := d.mapping(path, n)
	if !isMap(n) || len(entries) != 1 {
		d.fault(n, path, "", "%q wants %s", leaf(path), form)
		return
	}
	v := d.resolve(path, entries[0].value)
	if v == nil {
		return
	}
	s, ok := plain(v)
	if !ok {
		d.fault(v, path, fmt.Sprintf(`write "<%s" or ">%s", with the quotes`, v.GetToken().Value, v.GetToken().Value), "a limit says on which side the trigger fires")
		return
	}
	rest := strings.TrimLeft(s, "<>=")
	limit, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
	op := strings.TrimSpace(s[:len(s)-len(rest)])
	if err != nil || !slices.Contains([]string{"<", "<=", ">", ">="}, op) || limit != limit || limit-limit != 0 {
		d.fault(v, path, `write "<0.62", "<=0.62", ">0.62" or ">=0.62"`, "%q is not a limit", short(s))
		return
	}
	*m = MetricTrigger{Metric: entries[0].key, Op: op, Value: limit}
}

func (w *TrainWindow) unmarshal(d *decoder, path string, n ast.Node) {
	if s, ok := plain(n); ok {
		switch s {
		case Expanding, Fixed:
			w.Kind = s
		case "adaptive", "sample":
			d.fault(n, path, "choose expanding, fixed or {last: 90d}", "the window %q is not available yet", s)
		default:
			hint := suggest(s, []string{Expanding, Fixed}, "choose one")
			if _, err := ParseDuration(s); err == nil {
				hint = fmt.Sprintf("did you mean {last: %s}?", s)
			}
			d.fault(n, path, hint, "%q is expanding, fixed or {last: 90d}, not %q", leaf(path), short(s))
		}
		return
	}
	entries := d.mapping(path, n)
	if len(entries) != 1 || entries[0].key != Last {
		d.fault(n, path, "", "%q wants expanding, fixed or {last: 90d}, not %s", leaf(path), describe(n))
		return
	}
	w.Kind = Last
	d.decode(join(path, Last), entries[0].value, valueOf(&w.Last), rule{})
	if w.Last == 0 && len(d.faults) == 0 {
		d.fault(entries[0].value, path, "write {last: 90d}", "a window of no length holds no rows")
	}
}

func (t *Trigger) unmarshal(d *decoder, path string, n ast.Node) {
	if s, ok := plain(n); ok {
		if t.Commit = s == "commit"; !t.Commit {
			hint, known := triggers[s]
			if !known {
				hint = suggest(s, []string{"schedule", "drift", "metric", "data", "commit"}, "choose one")
			}
			d.fault(n, path, hint, "%q is not a trigger", short(s))
		}
		return
	}
	if !isMap(n) {
		d.want(n, path, "triggers such as {schedule: ...} or commit")
		return
	}
	entries := d.mapping(path, n)
	if len(entries) != 1 {
		d.fault(n, path, "give each its own item in the list", "a trigger has one key")
		return
	}
	type fields Trigger
	d.decode(path, n, valueOf((*fields)(t)), rule{})
}

// triggers is how each trigger is written that is not a word alone.
var triggers = map[string]string{
	"schedule": `write {schedule: "0 3 1 * *"}`,
	"drift":    "write {drift: {features: 1, windows: 1}}",
	"metric":   `write {metric: {roc_auc: "<0.62"}}`,
	"data":     "write {data: NAME}",
}
