package project

import "time"

// day is the unit of most defaults.
const day = Duration(24 * time.Hour)

func (g *Gates) setDefaults()        { g.Block, g.MinRows, g.OnFail = day, 1, "refuse" }
func (g *MetricGate) setDefaults()   { g.CI = 0.95 }
func (g *SliceGate) setDefaults()    { g.MinRows = 100 }
func (g *LatencyGate) setDefaults()  { g.RPS, g.Repeats = 100, 3 }
func (m *Monitor) setDefaults()      { m.Window = 7 * day }
func (m *Drift) setDefaults()        { m.Features, m.Method = Features{All: true}, "auto" }
func (q *Quality) setDefaults()      { q.Labels = newLabels() }
func (l *Labels) setDefaults()       { *l = *newLabels() }
func (t *DriftTrigger) setDefaults() { t.Features, t.Windows = 1, 1 }
func (d *Decide) setDefaults()       { *d = *newDecide() }
func (r *Rollout) setDefaults()      { r.Canary, r.Decide = []int{100}, newDecide() }
func (r *Retrain) setDefaults()      { r.Window, r.Start = TrainWindow{Kind: Expanding}, "cold" }

func newLabels() *Labels { return &Labels{MaxAge: day, MinCoverage: 0.5} }
func newDecide() *Decide { return &Decide{Max: 28 * day, Undecided: "keep"} }

// What is planned and not built is refused by name, with what to do instead.

func (*Dataset) reserved() map[string]string {
	const hint = "write it under source: {postgres: $NAME, query: SELECT …}, or name files with path"
	return map[string]string{"sql": hint, "command": hint, "source": hint}
}

func (*Step) reserved() map[string]string {
	return map[string]string{
		"when":    "decide inside the command",
		"foreach": "write one step for each",
		"matrix":  "write one step for each",
	}
}

func (*Gates) reserved() map[string]string {
	return map[string]string{"fairness": "a slice by the group's column bounds the metric in every group"}
}

func (*Alert) reserved() map[string]string {
	return map[string]string{"email": "use a webhook"}
}
