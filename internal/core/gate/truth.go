package gate

import (
	"math"
	"slices"
	"strconv"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/stat"
)

// task is what the candidate predicts: its signature says, else slipway.yaml.
func (t *trial) task() slipway.Task {
	if task := t.candidate.model.Signature().Task; task != "" {
		return task
	}
	return slipway.Task(t.project.Model.Task)
}

// truth keeps the rows whose target is known, and reads the target as metrics
// want it: a number, or the place of its class. It fails with Invalid where the
// target is not there or does not fit the task.
func (t *trial) truth(rows *slipway.Frame) error {
	name := t.project.Model.Target
	target := rows.Column(name)
	if target == nil {
		return slipway.Errorf(slipway.Invalid, "%s has no column %q, the target", t.gates.Data.Text, name)
	}
	var known []int
	for i := range rows.Rows {
		if !target.Missing(i) {
			known = append(known, i)
		}
	}
	t.rows = rows
	if len(known) < rows.Rows {
		t.rows = rows.Take(known)
		target = t.rows.Column(name)
	}
	t.key = t.keys()
	if t.task() == slipway.Regression {
		if target.Text != nil {
			return slipway.Errorf(slipway.Invalid, "the target %q is text, and the model predicts a number", name)
		}
		t.y = target.Float
		return nil
	}
	return t.classify(target)
}

// classify numbers the classes of a target. A model that names its classes
// gives their order; otherwise numbers and names stand in their own.
func (t *trial) classify(target *slipway.Series) error {
	labels := make([]string, t.rows.Rows)
	for i := range labels {
		labels[i] = label(target, i)
	}
	t.classes = t.candidate.model.Signature().Classes
	if len(t.classes) == 0 {
		t.classes = distinct(labels, target.Text == nil)
		if t.task() == slipway.BinaryTask && target.Text == nil {
			t.classes = []string{"0", "1"}
		}
	}
	place := map[string]float64{}
	for i, c := range t.classes {
		place[c] = float64(i)
	}
	t.y = make([]float64, len(labels))
	for i, l := range labels {
		v, ok := place[l]
		if !ok {
			return slipway.Errorf(slipway.Invalid, "the target %q is %q in row %d, which is none of the model's classes %.200v", target.Name, l, i+1, t.classes)
		}
		t.y[i] = v
	}
	if t.task() == slipway.BinaryTask && len(t.classes) != 2 {
		return slipway.Errorf(slipway.Invalid, "the target %q has %d classes, and the model tells two apart", target.Name, len(t.classes))
	}
	return nil
}

// label is a value as the name of a class.
func label(s *slipway.Series, i int) string {
	if s.Text != nil {
		return s.Text[i]
	}
	return strconv.FormatFloat(s.Float[i], 'g', -1, 64)
}

func distinct(labels []string, numbers bool) []string {
	out := slices.Compact(slices.Sorted(slices.Values(labels)))
	if numbers {
		slices.SortFunc(out, func(a, b string) int {
			x, _ := strconv.ParseFloat(a, 64) // label wrote them
			y, _ := strconv.ParseFloat(b, 64)
			return int(math.Copysign(1, x-y))
		})
	}
	return out
}

// shape lays a model's answers out as the metrics want them. It fails with
// Invalid when one is no number, or none of the target's classes.
func (t *trial) shape(s *subject) error {
	columns, rows := s.output.Series, s.output.Rows
	out := stat.Scored{Y: t.y}
	if task := t.task(); task == slipway.Multiclass {
		out.Classes = len(t.classes)
	}
	if len(columns) == 1 {
		p, err := t.numbers(&columns[0])
		out.P = p
		s.scored = out
		return err
	}
	if out.Classes != len(columns) {
		return slipway.Errorf(slipway.Invalid, "the model gives %d columns for %d classes", len(columns), len(t.classes))
	}
	out.P = make([]float64, rows*len(columns))
	for k := range columns {
		p, err := t.numbers(&columns[k])
		if err != nil {
			return err
		}
		at := slices.Index(t.classes, columns[k].Name)
		if at < 0 {
			at = k
		}
		for i, v := range p {
			out.P[i*len(columns)+at] = v
		}
	}
	s.scored = out
	return nil
}

// numbers are the values of an answer's column; labels become the places of
// their classes.
func (t *trial) numbers(s *slipway.Series) ([]float64, error) {
	if s.Text == nil {
		for i, v := range s.Float {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, slipway.Errorf(slipway.Invalid, "the model answers %v to row %d", v, i+1)
			}
		}
		return s.Float, nil
	}
	out := make([]float64, len(s.Text))
	for i, l := range s.Text {
		at := slices.Index(t.classes, l)
		if at < 0 || s.Missing(i) {
			return nil, slipway.Errorf(slipway.Invalid, "the model answers %q to row %d, which is none of the classes %.200v", l, i+1, t.classes)
		}
		out[i] = float64(at)
	}
	return out, nil
}
