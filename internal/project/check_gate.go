package project

import "slices"

func (g *Gates) check(c *checker) {
	c.input("gates.data", &g.Data, true)
	c.positive("gates.block", g.Block)
	if c.project.Model == nil {
		c.fault("gates", "add model: {name, from, task, target}", "gates judge a model, and the file has none")
	} else if c.project.Model.Target == "" {
		c.fault("model", "add target: the column that the model predicts", "gates need the model's target")
	}
	if len(g.Metrics) == 0 && len(g.Slices) == 0 && g.Latency == nil {
		c.fault("gates", "add metrics, slices or latency", "gates judge nothing")
	}
	for i := range g.Metrics {
		g.Metrics[i].check(c, item("gates.metrics", i))
	}
	compared := slices.ContainsFunc(g.Metrics, func(m MetricGate) bool { return m.VS != "" })
	for i, m := range g.Metrics {
		if m.Unless != "" && !compared {
			c.fault(item("gates.metrics", i)+".unless", "add a metric with vs: champion", "nothing would compare a challenger with the champion")
		}
	}
	for i, s := range g.Slices {
		at := item("gates.slices", i)
		c.limits(at, s.Min, s.Max)
		if s.Min == nil && s.Max == nil {
			c.fault(at, "add min or max", "the slice has no limit")
		}
	}
}

func (m *MetricGate) check(c *checker, at string) {
	c.limits(at, m.Min, m.Max)
	against := m.NonInferior != nil || m.MaxDrop != nil
	switch {
	case against && m.VS == "":
		c.fault(at, "add vs: champion", "noninferior and max_drop compare with another version")
	case m.VS != "" && !against:
		c.fault(at, "add noninferior or max_drop", "by how much the metric may be worse than the champion's is missing")
	case m.VS == "" && m.Min == nil && m.Max == nil:
		c.fault(at, "add min, max, or vs: champion", "the metric has no limit")
	}
	if m.Unless != "" && m.Min == nil && m.Max == nil {
		c.fault(at+".unless", "add min or max", "unless belongs to a limit")
	}
	if m.Metric == "ece" && m.Bins == 0 {
		m.Bins = 10
	}
	if m.Bins != 0 && m.Metric != "ece" {
		c.fault(at+".bins", "", "bins belong to the metric ece, not to %s", short(m.Metric))
	}
}

func (c *checker) positive(path string, d Duration) {
	if d == 0 {
		c.fault(path, "write a length such as 1d", "%q is no time at all", leaf(path))
	}
}

func (d Deploy) check(c *checker) {
	var names []string
	for _, e := range d {
		names = append(names, e.Name)
	}
	if len(d) > 0 && c.project.Model == nil {
		c.fault("deploy", "add model: {name, from, task, target}", "deploy releases a model, and the file has none")
	}
	circle := false
	for i := range d {
		e := &d[i]
		at := "deploy." + e.Name
		c.name(at, e.Name)
		if e.From != "" && d.Environment(e.From) == nil {
			c.fault(at+".from", suggest(e.From, names, "environments"), "no environment %q under deploy", short(e.From))
		}
		if e.On != "" && e.From != "" {
			c.fault(at+".on", "keep one of them", "an environment has on or from, not both")
		}
		if !circle && d.circular(e) {
			circle = true
			c.fault(at+".from", "", "environments wait for each other: %s comes from itself", e.Name)
		}
		if e.Rollout != nil {
			e.Rollout.check(c, at+".rollout")
		}
	}
}

func (d Deploy) circular(e *DeployEnvironment) bool {
	at := e
	for range d {
		if at = d.Environment(at.From); at == nil {
			return false
		}
		if at == e {
			return true
		}
	}
	return false
}

func (r *Rollout) check(c *checker, at string) {
	if len(r.Canary) == 0 {
		c.fault(at+".canary", "write [5, 25, 100], or remove the key", "canary is an empty list")
		return
	}
	for i, share := range r.Canary {
		if share < 1 || share > 100 {
			c.fault(item(at+".canary", i), "", "a share of traffic is from 1 to 100 percent, not %d", share)
			return
		}
	}
	if !slices.IsSorted(r.Canary) || len(slices.Compact(slices.Clone(r.Canary))) != len(r.Canary) {
		c.fault(at+".canary", "write [5, 25, 100]", "the shares of traffic must grow")
	} else if r.Canary[len(r.Canary)-1] != 100 {
		c.fault(at+".canary", "end the list with 100", "the rollout never reaches all traffic")
	}
	c.positive(at+".decide.max", r.Decide.Max)
	if least := r.Shadow + Duration(len(r.Canary)-1)*r.Hold; r.Decide.Max < least {
		c.fault(at+".decide", "make max longer, or shadow and hold shorter", "the rollout must end within %s, and its stages take %s", r.Decide.Max, least)
	}
}
