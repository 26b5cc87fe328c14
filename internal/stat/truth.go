package stat

import (
	"math"
	"slices"
	"strconv"

	"github.com/slipway-ml/slipway"
)

// Truth is the target of rows, all known, as metrics take it.
type Truth struct {
	Task    Task
	Y       []float64 // the number, or the place of the class in Classes
	Classes []string  // nil for numbers
}

// NewTruth reads a target without missing values. classes are a model's, in the
// order of its answers; without them numbers and names stand in their own. It
// fails with Invalid where the target does not fit the task or the classes.
func NewTruth(target *slipway.Series, task Task, classes []string) (Truth, error) {
	t := Truth{Task: task}
	if task == Regression {
		if target.Text != nil {
			return t, slipway.Errorf(slipway.Invalid, "the target %q is text, and the model predicts a number", target.Name)
		}
		t.Y = target.Float
		return t, nil
	}
	labels := make([]string, target.Len())
	for i := range labels {
		labels[i] = target.Label(i)
	}
	if t.Classes = classes; len(classes) == 0 {
		t.Classes = distinct(labels, target.Text == nil)
		if task == Binary && target.Text == nil {
			t.Classes = []string{"0", "1"}
		}
	}
	place := map[string]float64{}
	for i, c := range t.Classes {
		place[c] = float64(i)
	}
	y := make([]float64, len(labels))
	for i, l := range labels {
		v, ok := place[l]
		if !ok {
			return t, slipway.Errorf(slipway.Invalid, "the target %q is %q in row %d, which is none of the model's classes %.200v", target.Name, l, i+1, t.Classes)
		}
		y[i] = v
	}
	t.Y = y
	if task == Binary && len(t.Classes) != 2 {
		return t, slipway.Errorf(slipway.Invalid, "the target %q has %d classes, and the model tells two apart", target.Name, len(t.Classes))
	}
	return t, nil
}

func distinct(labels []string, numbers bool) []string {
	out := slices.Compact(slices.Sorted(slices.Values(labels)))
	if numbers {
		slices.SortFunc(out, func(a, b string) int {
			x, _ := strconv.ParseFloat(a, 64) // Label wrote them
			y, _ := strconv.ParseFloat(b, 64)
			return int(math.Copysign(1, x-y))
		})
	}
	return out
}

// Scored lays a model's answers to the same rows out as metrics want them: one
// column, or one for each class. It fails with Invalid when one is no number,
// or none of the target's classes.
func (t Truth) Scored(answer *slipway.Frame) (Scored, error) {
	columns, rows := answer.Series, answer.Rows
	out := Scored{Y: t.Y}
	if t.Task == Multiclass {
		out.Classes = len(t.Classes)
	}
	if len(columns) == 1 {
		p, err := t.numbers(&columns[0])
		out.P = p
		return out, err
	}
	if out.Classes != len(columns) {
		return out, slipway.Errorf(slipway.Invalid, "the model gives %d columns for %d classes", len(columns), len(t.Classes))
	}
	out.P = make([]float64, rows*len(columns))
	for k := range columns {
		p, err := t.numbers(&columns[k])
		if err != nil {
			return out, err
		}
		at := slices.Index(t.Classes, columns[k].Name)
		if at < 0 {
			at = k
		}
		for i, v := range p {
			out.P[i*len(columns)+at] = v
		}
	}
	return out, nil
}

// numbers are the values of an answer's column; labels become the places of
// their classes.
func (t Truth) numbers(s *slipway.Series) ([]float64, error) {
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
		at := slices.Index(t.Classes, l)
		if at < 0 || s.Missing(i) {
			return nil, slipway.Errorf(slipway.Invalid, "the model answers %q to row %d, which is none of the classes %.200v", l, i+1, t.Classes)
		}
		out[i] = float64(at)
	}
	return out, nil
}
