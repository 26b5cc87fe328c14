package gate

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/project"
	"github.com/slipway-ml/slipway/internal/stat"
)

// find is a metric by name, for the task at hand.
func (t *trial) find(name string, bins int) (stat.Metric, error) {
	m, err := stat.Lookup(name)
	if err != nil {
		return m, err
	}
	if name == "ece" && bins > 0 {
		m = stat.ECE(bins)
	}
	if task := stat.Task(t.task()); !m.For(task) {
		return m, slipway.Errorf(slipway.Invalid, "%s is no metric for %s", name, task)
	}
	return m, nil
}

// metric checks one entry of gates.metrics.
func (t *trial) metric(g project.MetricGate) {
	m, err := t.find(g.Metric, g.Bins)
	if err != nil {
		t.add(Check{Name: g.Metric, Kind: KindMetric, Metric: g.Metric, Verdict: slipway.Undecided, Reason: slipway.AsError(err).Message})
		return
	}
	if g.Min != nil || g.Max != nil {
		e, err := stat.Interval(m, t.candidate.scored, t.block, g.CI)
		if g.Min != nil {
			t.add(t.yields(g, t.bounded(m, e, err, ">=", *g.Min)))
		}
		if g.Max != nil {
			t.add(t.yields(g, t.bounded(m, e, err, "<=", *g.Max)))
		}
	}
	if g.VS != "" {
		t.against(m, g)
	}
}

// yields turns the refusal of a limit that is meant for the first version into
// a figure that is only shown: the comparison with the champion decides instead.
func (t *trial) yields(g project.MetricGate, c Check) Check {
	if g.Unless == "champion" && t.champion != nil && c.Verdict != slipway.Pass {
		c.Verdict, c.Reason = Skipped, "the limit is for the first version; what decides is the comparison with the champion"
	}
	return c
}

// bounded holds the bound of an interval against a limit.
func (t *trial) bounded(m stat.Metric, e stat.Estimate, err error, op string, limit float64) Check {
	c := Check{Name: m.Name, Kind: KindMetric, Metric: m.Name, Estimate: &e, Op: op, Limit: &limit}
	if m.Name == "ece" && err == nil {
		c.Curve = stat.Reliability(t.candidate.scored, 10)
	}
	bound := e.Low
	if op == "<=" {
		bound = e.High
	}
	return decide(c, e, err, bound)
}

// decide gives a check its verdict: too little data is undecided, otherwise the
// bound reaches the limit or it does not.
func decide(c Check, e stat.Estimate, err error, bound float64) Check {
	switch {
	case err != nil:
		c.Estimate, c.Verdict, c.Reason = nil, slipway.Undecided, slipway.AsError(err).Message
		return c
	case e.State == stat.TooFew:
		c.Verdict = slipway.Undecided
		c.Reason = fmt.Sprintf("%d blocks are not enough data for an interval, which needs %d of like size", e.Blocks, stat.MinBlocks)
		return c
	case !e.Known():
		c.Verdict, c.Reason = slipway.Undecided, "the metric is not defined on these rows, or not once a block is left out"
		return c
	}
	c.Compared, c.Verdict = &bound, slipway.Pass
	if reaches(bound, c.Op, *c.Limit) {
		return c
	}
	c.Verdict = slipway.Refuse
	if reaches(e.Value, c.Op, *c.Limit) {
		c.Reason = "the value keeps the limit, and the data cannot tell it from one that does not: the bound counts"
	} else {
		c.Reason = "the value itself does not keep the limit"
	}
	return c
}

func reaches(v float64, op string, limit float64) bool {
	if op == "<=" {
		return v <= limit
	}
	return v >= limit
}

// against compares the candidate with the champion on the same rows, by the
// paired difference by block. The estimate is the gain: more is better.
func (t *trial) against(m stat.Metric, g project.MetricGate) {
	name := m.Name + " gain over the champion"
	if t.champion == nil {
		t.add(Check{Name: name, Kind: KindChampion, Metric: m.Name, Verdict: Skipped, Reason: "there is no champion yet"})
		return
	}
	name = m.Name + " gain over " + t.champion.version.ID()
	if t.champion.output == nil {
		t.add(Check{Name: name, Kind: KindChampion, Metric: m.Name, Verdict: slipway.Undecided, Reason: "the champion could not score the rows"})
		return
	}
	e, err := stat.Difference(m, t.candidate.scored, t.champion.scored.P, t.block, g.CI)
	e = m.Gain(e)
	check := Check{Name: name, Kind: KindChampion, Metric: m.Name, Estimate: &e, Op: ">="}
	if g.NonInferior != nil {
		limit := -*g.NonInferior
		c := check
		c.Limit = &limit
		t.add(decide(c, e, err, e.Low))
	}
	if g.MaxDrop != nil {
		limit := -*g.MaxDrop
		c := check
		c.Name, c.Limit, c.Verdict = name+", value", &limit, slipway.Pass
		switch {
		case err != nil:
			c.Estimate, c.Verdict, c.Reason = nil, slipway.Undecided, slipway.AsError(err).Message
		case math.IsNaN(e.Value):
			c.Verdict, c.Reason = slipway.Undecided, "the metric is not defined on these rows"
		default:
			c.Compared = &e.Value
			if e.Value < limit {
				c.Verdict, c.Reason = slipway.Refuse, "it drops by more than the limit"
			}
		}
		t.add(c)
	}
}

// sliceLevel is the share of false refusals that is accepted among the groups
// of a slice gate when all of them keep the limit.
const sliceLevel = 0.05

// slices checks one entry of gates.slices: a limit in every group of rows. With
// many groups some value falls below any limit by chance, so a group refuses
// when its value is beyond the limit and the chance of that, corrected over the
// groups (Benjamini and Hochberg), is small. Other groups beyond the limit are
// shown.
func (t *trial) slices(g project.SliceGate) {
	title := g.Metric + " by " + strings.Join(g.By, ", ")
	m, err := t.find(g.Metric, 0)
	if err == nil && len(t.rows.Select(g.By).Series) < len(g.By) {
		err = slipway.Errorf(slipway.Invalid, "the rows have no column %s", strings.Join(g.By, ", "))
	}
	if err != nil {
		t.add(Check{Name: title, Kind: KindSlice, Metric: g.Metric, Verdict: slipway.Undecided, Reason: slipway.AsError(err).Message})
		return
	}
	for _, limit := range []struct {
		op string
		at *float64
	}{{">=", g.Min}, {"<=", g.Max}} {
		if limit.at != nil {
			t.checks = append(t.checks, t.groups(m, g, limit.op, *limit.at)...)
		}
	}
}

// groups judges every group of a slice gate, the largest first.
func (t *trial) groups(m stat.Metric, g project.SliceGate, op string, limit float64) []Check {
	rows := map[string][]int{}
	for i := range t.rows.Rows {
		k := keyOf(t.rows, g.By, i)
		rows[k] = append(rows[k], i)
	}
	names := slices.SortedFunc(maps.Keys(rows), func(a, b string) int {
		if d := len(rows[b]) - len(rows[a]); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	checks := make([]Check, len(names))
	chance := make([]float64, len(names))
	for i, k := range names {
		checks[i], chance[i] = t.group(m, g, rows[k], op, limit)
	}
	for i, q := range stat.FalseDiscovery(chance) {
		if math.IsNaN(q) || checks[i].Verdict != Shown {
			continue
		}
		checks[i].QValue = &q
		if q <= sliceLevel {
			checks[i].Verdict, checks[i].Reason = slipway.Refuse, "it is beyond the limit, and not by chance"
		}
	}
	return checks
}

// group measures one group. The second value is the chance of a value like its
// own when the truth is at the limit, NaN for a group that is not judged.
func (t *trial) group(m stat.Metric, g project.SliceGate, rows []int, op string, limit float64) (Check, float64) {
	c := Check{Kind: KindSlice, Metric: m.Name, Slice: map[string]string{}, Op: op, Limit: &limit}
	var parts []string
	for _, by := range g.By {
		s := t.rows.Column(by)
		value := s.Label(rows[0])
		if s.Missing(rows[0]) {
			value = "(missing)"
		}
		c.Slice[by] = value
		parts = append(parts, by+"="+value)
	}
	c.Name = m.Name + " of " + strings.Join(parts, ", ")
	scored, block := take(t.candidate.scored, rows), make([]int, len(rows))
	for i, r := range rows {
		block[i] = t.block[r]
	}
	e, err := stat.Interval(m, scored, block, 0.95)
	if err != nil {
		c.Verdict, c.Reason = slipway.Undecided, slipway.AsError(err).Message
		return c, math.NaN()
	}
	c.Estimate = &e
	switch {
	case len(rows) < g.MinRows:
		c.Verdict, c.Reason = Shown, fmt.Sprintf("%d rows are fewer than min_rows, %d", len(rows), g.MinRows)
		return c, math.NaN()
	case math.IsNaN(e.Value):
		c.Verdict, c.Reason = slipway.Undecided, "the metric is not defined on this group"
		return c, math.NaN()
	}
	c.Compared, c.Verdict = &e.Value, slipway.Pass
	if e.Known() && e.Error > 0 {
		distance := (limit - e.Value) / e.Error
		if op == "<=" {
			distance = -distance
		}
		chance := stat.StudentTail(distance, float64(e.Blocks-1))
		if !reaches(e.Value, op, limit) {
			c.Verdict, c.Reason = Shown, "it is beyond the limit, and may be so by chance"
		}
		return c, chance
	}
	if !reaches(e.Value, op, limit) {
		c.Verdict, c.Reason = slipway.Undecided, "it is beyond the limit, and there is not enough data to say whether by chance"
	}
	return c, math.NaN()
}

// take is the rows at the positions given.
func take(s stat.Scored, rows []int) stat.Scored {
	width := 1
	if len(s.Y) > 0 {
		width = len(s.P) / len(s.Y)
	}
	out := stat.Scored{Classes: s.Classes, Y: make([]float64, len(rows)), P: make([]float64, 0, len(rows)*width)}
	for i, r := range rows {
		out.Y[i] = s.Y[r]
		out.P = append(out.P, s.P[r*width:(r+1)*width]...)
	}
	return out
}
