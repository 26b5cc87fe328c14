package project

import (
	"slices"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

func (m *Monitor) check(c *checker) {
	c.positive("monitor.window", m.Window)
	if c.project.Model == nil {
		c.fault("monitor", "add model: {name, from, task, target}", "monitor watches a model, and the file has none")
	}
	if d := m.Drift; d != nil {
		for i, name := range d.Exclude {
			if !d.Features.All && slices.Contains(d.Features.Names, name) {
				c.fault(item("monitor.drift.exclude", i), "keep one of them", "%q is both watched and excluded", short(name))
			}
		}
	}
	if q := m.Quality; q != nil {
		c.limits("monitor.quality", q.Min, q.Max)
		if q.Min == nil && q.Max == nil {
			c.fault("monitor.quality", "add min or max", "the metric has no limit")
		}
	}
	for feature, age := range m.Freshness {
		c.positive("monitor.freshness."+feature, age)
	}
	for i, a := range m.Alerts {
		if (a.Webhook == "") == (a.Slack == "") {
			c.fault(item("monitor.alerts", i), "write {webhook: $NAME} or {slack: $NAME}", "an alert goes to one place")
		}
	}
}

func (r *Retrain) check(c *checker) {
	if len(c.project.Pipeline) == 0 {
		c.fault("retrain", "add the steps that train the model", "retrain runs a pipeline, and the file has none")
	}
	if len(r.On) == 0 {
		c.fault("retrain.on", "add {schedule: \"0 3 1 * *\"}, {data: NAME}, {drift: {}} or commit", "retrain has no trigger")
	}
	for i, t := range r.On {
		t.check(c, item("retrain.on", i))
	}
	if r.Window.Kind == Last {
		c.positive("retrain.window", r.Window.Last)
		c.timed("retrain.window")
	}
}

// timed checks that some input of the pipeline has a time to cut a window by.
func (c *checker) timed(path string) {
	for _, s := range c.project.Pipeline {
		for _, in := range s.In {
			if c.project.Data[in.Dataset].Time.Expression != "" {
				return
			}
		}
	}
	c.fault(path, "add time to the dataset", "no dataset that the pipeline reads has a time to take the last rows by")
}

func (t *Trigger) check(c *checker, at string) {
	monitor := c.project.Monitor
	switch {
	case t.Schedule != "":
		// A zone inside the expression would contradict the project's.
		if strings.Contains(t.Schedule, "TZ=") {
			c.fault(at+".schedule", "set timezone for the whole project", "a schedule names no time zone")
		} else if when, err := cron.ParseStandard(t.Schedule); err != nil {
			c.fault(at+".schedule", `write minute, hour, day, month, weekday: "0 3 1 * *" is 03:00 on the first of each month`, "%q is not a schedule", short(t.Schedule))
		} else if when.Next(time.Unix(0, 0)).IsZero() {
			c.fault(at+".schedule", "", "no day is like %q, so it never starts", short(t.Schedule))
		}
	case t.Drift != nil:
		if monitor == nil || monitor.Drift == nil {
			c.fault(at, "add drift to monitor", "the trigger needs monitor.drift")
		}
	case t.Metric != nil:
		switch {
		case monitor == nil || monitor.Quality == nil:
			c.fault(at, "add quality to monitor", "the trigger needs monitor.quality")
		case monitor.Quality.Metric != t.Metric.Metric:
			c.fault(at, suggest(t.Metric.Metric, []string{monitor.Quality.Metric}, "monitored"), "the monitor does not compute %q", short(t.Metric.Metric))
		}
	case t.Data != "":
		c.dataset(at+".data", t.Data)
	case !t.Commit:
		c.fault(at, "", "the trigger is switched off; remove it")
	}
}
