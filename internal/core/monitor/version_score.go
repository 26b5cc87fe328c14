package monitor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/stat"
)

// scoreRows is how many requests are scored in one call: enough to be fast, few
// enough for the deadline of a model in Python.
const scoreRows = 4096

// compareDay adds the rows of one day, which is block number of the intervals.
func (s *Service) compareDay(ctx context.Context, c *comparing, start time.Time, number int) error {
	parts, err := s.parts(ctx, c.endpoint.number, "", start)
	if err != nil || len(parts) == 0 {
		return err
	}
	labels, err := s.labelsOf(ctx, c.endpoint.number, start)
	if err != nil {
		return err
	}
	for _, p := range parts {
		f, err := s.load(ctx, p)
		if err != nil {
			return err
		}
		model := c.models[p.release]
		ref, err := s.reference(ctx, modelKey{c.endpoint.project, model}, c.rules.zone)
		if err != nil {
			return err
		}
		var sig slipway.Signature
		if ref != nil {
			sig = ref.Signature
		}
		if err := c.add(ctx, f, answers{model: model, signature: sig, start: start, block: number}, labels); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// answers is whose a partition's rows are.
type answers struct {
	model     string
	signature slipway.Signature
	start     time.Time // of the day
	block     int
}

// add takes a partition's answers to callers, and scores those with a label.
func (c *comparing) add(ctx context.Context, f *slipway.Frame, a answers, labels map[string]labelled) error {
	answered := c.answered(f)
	if len(answered) == 0 {
		return nil
	}
	outputs, err := c.outputs(f, &a)
	if err != nil {
		return err
	}
	var rows []int
	var y []float64
	total, id := 0, f.Column(colID)
	for _, i := range answered {
		if !complete(outputs, i) {
			continue // serving calls this a failure too
		}
		total++
		if l, known := labels[id.Text[i]]; known {
			if v, ok := truth(l.value, c.signature); ok && (c.signature.Task != slipway.Multiclass || int(v) < len(outputs)) {
				rows, y = append(rows, i), append(y, v)
			}
		}
	}
	p := c.period(a.start)
	p.Answers += total
	if len(rows) == 0 {
		return nil
	}
	other := outputs
	at := rows
	if a.model != c.out.With { // what the version itself answered needs no second opinion
		if other, err = c.score(ctx, f, rows, a.model); err != nil {
			return err
		}
		at = nil
	}
	for k, i := range rows {
		o := k
		if at != nil {
			o = i
		}
		if !complete(other, o) {
			return slipway.Errorf(slipway.Invalid, "%s has no answer to the request %s, which %s answered", c.out.With, id.Text[i], a.model)
		}
		c.y, c.block = append(c.y, y[k]), append(c.block, a.block)
		for j := range outputs {
			c.served, c.answer = append(c.served, outputs[j].Float[i]), append(c.answer, other[j].Float[o])
		}
	}
	p.Rows += len(rows)
	known := map[string]int{}
	for k, m := range p.Served {
		known[m.Model] = k
	}
	p.Served = count(p.Served, known, a.model, len(rows))
	return nil
}

// answered lists the rows that callers got an answer to, in the time asked for.
func (c *comparing) answered(f *slipway.Frame) []int {
	at, failure, role := f.Column(colTime), f.Column(colFailure), f.Column(colRole)
	from, to := float64(c.from.UnixMicro()), float64(c.to.UnixMicro())
	var out []int
	for i := range f.Rows {
		if failure.Text[i] == "" && role.Text[i] != string(slipway.Shadow) && at.Float[i] >= from && at.Float[i] < to {
			out = append(out, i)
		}
	}
	return out
}

// period finds or begins the period of a day.
func (c *comparing) period(day time.Time) *PeriodComparison {
	start, end := periodOf(day, c.out.By, c.rules.zone)
	if n := len(c.out.Periods); n == 0 || !c.out.Periods[n-1].Start.Equal(start) {
		c.out.Periods = append(c.out.Periods, PeriodComparison{Start: start, End: end, Served: []ServedModel{}, first: len(c.y)})
	}
	return &c.out.Periods[len(c.out.Periods)-1]
}

// outputs finds the logged numbers to compare, in the order of the other
// version's. It fails with Invalid when that version answers another question.
func (c *comparing) outputs(f *slipway.Frame, a *answers) ([]*slipway.Series, error) {
	found := outputsOf(f, &a.signature)
	if len(found) == 0 {
		return nil, slipway.Errorf(slipway.Invalid, "%s answers without a number, so there is nothing to measure", a.model)
	}
	sig := &c.signature
	if sig.Task == "" {
		sig.Task = a.signature.Task
	}
	if sig.Task != a.signature.Task {
		return nil, slipway.Errorf(slipway.Invalid, "%s is a model of %s, and %s, which answered, of %s", c.out.With, sig.Task, a.model, a.signature.Task)
	}
	if len(sig.Classes) == 0 {
		sig.Classes = a.signature.Classes
	}
	if !sameClasses(*sig, a.signature) {
		return nil, slipway.Errorf(slipway.Invalid, "%s knows the classes %s, and %s, which answered, %s", c.out.With,
			strings.Join(sig.Classes, ", "), a.model, strings.Join(a.signature.Classes, ", "))
	}
	if sig.Task == slipway.Multiclass {
		c.output = sig.Classes
		ordered := make([]*slipway.Series, len(sig.Classes))
		for i, class := range sig.Classes {
			if ordered[i] = f.Column(outputPrefix + class); ordered[i] == nil || ordered[i].Text != nil {
				return nil, slipway.Errorf(slipway.Invalid, "%s gave no probability of the class %s", a.model, class)
			}
		}
		found = ordered
	} else if len(found) != 1 {
		return nil, slipway.Errorf(slipway.Invalid, "%s gives %d numbers a row; versions are compared by one", a.model, len(found))
	} else if c.output == nil {
		c.output = []string{strings.TrimPrefix(found[0].Name, outputPrefix)}
	}
	return found, c.choose()
}

// sameClasses reports whether labels mean the same to both; who does not know
// its classes agrees.
func sameClasses(a, b slipway.Signature) bool {
	if len(a.Classes) == 0 || len(b.Classes) == 0 || a.Task == slipway.Regression {
		return true
	}
	if a.Task == slipway.Multiclass { // columns are matched by name
		return slices.Equal(slices.Sorted(slices.Values(a.Classes)), slices.Sorted(slices.Values(b.Classes)))
	}
	return slices.EqualFunc(a.Classes, b.Classes, func(x, y string) bool { return x == y || sameNumber(x, y) })
}

// choose settles the metrics once the task is known: those asked for, else the
// declared one and the first two of the task.
func (c *comparing) choose() error {
	if c.metric != nil {
		return nil
	}
	task := stat.Task(c.signature.Task)
	for _, name := range c.asked {
		m, err := stat.Lookup(name)
		if err != nil {
			return err
		}
		if !m.For(task) {
			return slipway.Errorf(slipway.Invalid, "%s is no metric of a %s model", name, task).
				WithHint("this one is measured by %s, for example", strings.Join(defaults[c.signature.Task], ", "))
		}
		c.metric = append(c.metric, m)
	}
	if len(c.asked) > 0 {
		return nil
	}
	for _, m := range c.rules.metricsOf(c.signature.Task) {
		declared := c.rules.quality != nil && c.rules.quality.Metric == m.Name
		if declared || slices.Contains(defaults[c.signature.Task][:2], m.Name) {
			c.metric = append(c.metric, m)
		}
	}
	return nil
}

// score has the other version answer logged requests.
func (c *comparing) score(ctx context.Context, f *slipway.Frame, rows []int, model string) ([]*slipway.Series, error) {
	input := &slipway.Frame{Rows: f.Rows}
	for _, column := range c.signature.Input {
		s := f.Column(inputPrefix + column.Name)
		if s == nil {
			return nil, slipway.Errorf(slipway.Invalid, "%s takes %s, which the requests that %s answered do not have", c.out.With, column.Name, model).
				WithHint("versions can be compared on requests that hold the inputs of both; --from and --to choose others")
		}
		input.Series = append(input.Series, *s)
	}
	if len(c.signature.Input) == 0 { // the model does not say what it takes
		for _, s := range f.Series {
			if strings.HasPrefix(s.Name, inputPrefix) {
				input.Series = append(input.Series, s)
			}
		}
	}
	for i := range input.Series {
		input.Series[i].Name = strings.TrimPrefix(input.Series[i].Name, inputPrefix)
	}
	out := make([]*slipway.Series, len(c.output))
	for i, name := range c.output {
		out[i] = &slipway.Series{Name: name}
	}
	for batch := range slices.Chunk(rows, scoreRows) {
		answer, err := c.other.Predict(ctx, input.Take(batch))
		if err != nil {
			return nil, c.refused(err, model)
		}
		if err := c.collect(out, answer, len(batch)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// refused says whose requests the other version did not take.
func (c *comparing) refused(err error, model string) error {
	var e *slipway.Error
	if !errors.As(err, &e) {
		return err
	}
	return slipway.Errorf(e.Code, "%s cannot answer the requests that %s answered: %s", c.out.With, model, e.Message).WithHint("%s", e.Hint)
}

// collect appends a batch's answers by name; one number needs none.
func (c *comparing) collect(out []*slipway.Series, answer *slipway.Frame, rows int) error {
	for i, s := range out {
		var from *slipway.Series
		switch {
		case c.signature.Task == slipway.Multiclass:
			from = answer.Column(s.Name)
		case len(answer.Series) == 1 || c.signature.Task == slipway.Regression && len(answer.Series) > 0:
			from = &answer.Series[i]
		}
		if from == nil || from.Text != nil || len(from.Float) != rows {
			return slipway.Errorf(slipway.Invalid, "%s does not give %s as a number", c.out.With, s.Name)
		}
		s.Float = append(s.Float, from.Float...)
	}
	return nil
}
