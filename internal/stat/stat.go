// Package stat holds the statistics that Slipway decides with: metrics that
// equal scikit-learn's, intervals and paired differences by block, drift
// decided against the reference's own windows, and tests that may be looked at
// at any time. It is pure functions over plain slices: no clock, no files, and
// no randomness without a seed.
//
// Rows of one day share weather, market and calendar, so they are not
// independent. Everything that says how sure it is therefore counts blocks
// (a day, an hour: whatever the caller's block is), never rows.
package stat

import (
	"math"

	"github.com/slipway-ml/slipway"
)

// Task is what a model predicts, in scikit-learn's terms.
type Task string

// The tasks a metric can be for.
const (
	Binary     Task = "binary"     // Y is 0 or 1, P the probability or score of class 1
	Multiclass Task = "multiclass" // Y is a class 0..Classes-1, P the probabilities of all classes
	Regression Task = "regression" // Y and P are numbers
)

// Scored is a set of rows with truth and prediction.
type Scored struct {
	// Y is the truth of each row: 0 or 1, a class 0..Classes-1, or a number.
	Y []float64
	// P is the prediction: one value a row, or with Classes ≥ 2 the class
	// probabilities row after row, rows × Classes values. With Classes ≥ 2 and
	// one value a row, P is the predicted class, which serves the metrics of
	// labels (accuracy, precision, recall, f1, mcc).
	P []float64
	// Classes is the number of classes of a multi-class model, 0 for one score.
	Classes int
	// Weight counts a row as many; nil counts every row once.
	Weight []float64
}

// Task tells the task by the shape: Multiclass with three classes or more,
// otherwise Binary when every Y is 0 or 1, else Regression.
func (s Scored) Task() Task {
	if s.Classes > 2 {
		return Multiclass
	}
	for _, y := range s.Y {
		if y != 0 && y != 1 {
			return Regression
		}
	}
	return Binary
}

func (s *Scored) weight(i int) float64 {
	if s.Weight == nil {
		return 1
	}
	return s.Weight[i]
}

// classes is the side of the confusion matrix: at least 2.
func (s *Scored) classes() int { return max(2, s.Classes) }

// matrix reports whether P has a column for each class.
func (s *Scored) matrix() bool {
	return s.Classes >= 2 && len(s.P) == len(s.Y)*s.Classes && len(s.Y) > 0
}

// label is the predicted class of row i: the first largest probability, the
// class itself, or whether the score is above one half (which is what argmax
// over two probabilities gives).
func (s *Scored) label(i int) int {
	switch {
	case s.matrix():
		row := s.P[i*s.Classes : (i+1)*s.Classes]
		best := 0
		for k, p := range row {
			if p > row[best] {
				best = k
			}
		}
		return best
	case s.Classes >= 2:
		return int(s.P[i])
	case s.P[i] > 0.5:
		return 1
	}
	return 0
}

// oneColumn is s with the probability of class 1 in place of two columns.
func (s Scored) oneColumn() Scored {
	if s.Classes != 2 || !s.matrix() {
		return s
	}
	p := make([]float64, len(s.Y))
	for i := range p {
		p[i] = s.P[2*i+1]
	}
	return Scored{Y: s.Y, P: p, Weight: s.Weight}
}

// against is class k of a multi-class set as a binary set: k against the rest.
func (s *Scored) against(k int) Scored {
	out := Scored{Y: make([]float64, len(s.Y)), P: make([]float64, len(s.Y)), Weight: s.Weight}
	for i, y := range s.Y {
		if int(y) == k {
			out.Y[i] = 1
		}
		out.P[i] = s.P[i*s.Classes+k]
	}
	return out
}

// check says whether m can be computed on s. It fails with Invalid.
func (m Metric) check(s Scored) error {
	n := len(s.Y)
	if n == 0 {
		return slipway.Errorf(slipway.Invalid, "%s: there are no rows", m.Name)
	}
	if len(s.P) != n && !s.matrix() {
		return slipway.Errorf(slipway.Invalid, "%s: %d rows but %d predictions of %d classes", m.Name, n, len(s.P), s.Classes)
	}
	if s.Weight != nil && len(s.Weight) != n {
		return slipway.Errorf(slipway.Invalid, "%s: %d rows but %d weights", m.Name, n, len(s.Weight))
	}
	for i, w := range s.Weight {
		if !(w >= 0) || math.IsInf(w, 0) {
			return slipway.Errorf(slipway.Invalid, "%s: the weight of row %d is %v", m.Name, i, w)
		}
	}
	switch {
	case s.Classes < 0 || s.Classes == 1:
		return slipway.Errorf(slipway.Invalid, "%s: a model of %d classes", m.Name, s.Classes).WithHint("0 classes stand for one score a row")
	case s.Classes > 2 && !m.is(Multiclass), s.Classes == 2 && !m.is(Binary) && !m.is(Multiclass):
		return slipway.Errorf(slipway.Invalid, "%s is not for a model of %d classes", m.Name, s.Classes).
			WithHint("metrics of several classes are log_loss, accuracy, f1_macro, mcc, roc_auc_ovr and others")
	case s.Classes == 0 && !m.is(Binary) && !m.is(Regression):
		return slipway.Errorf(slipway.Invalid, "%s needs a probability for each class", m.Name)
	}
	if m.probability && s.Classes >= 2 && !s.matrix() {
		return slipway.Errorf(slipway.Invalid, "%s: needs a probability for each of the %d classes, not a predicted class", m.Name, s.Classes)
	}
	if err := m.checkTruth(s); err != nil {
		return err
	}
	return m.checkPrediction(s)
}

func (m Metric) checkTruth(s Scored) error {
	top := 1.0
	switch {
	case s.Classes >= 2:
		top = float64(s.Classes - 1)
	case m.is(Regression):
		top = math.Inf(1)
	}
	for i, y := range s.Y {
		if math.IsNaN(y) || math.IsInf(y, 0) {
			return slipway.Errorf(slipway.Invalid, "%s: the truth of row %d is %v", m.Name, i, y)
		}
		if m.is(Regression) {
			continue
		}
		if y < 0 || y > top || y != math.Trunc(y) {
			return slipway.Errorf(slipway.Invalid, "%s: the truth of row %d is %v, not a class of 0..%v", m.Name, i, y, top).
				WithHint("map the labels to class numbers first, or choose a metric of regression")
		}
	}
	return nil
}

func (m Metric) checkPrediction(s Scored) error {
	low, high := math.Inf(-1), math.Inf(1)
	switch {
	case m.unit:
		low, high = 0, 1
	case !m.is(Regression) && s.Classes >= 2 && !s.matrix():
		high = float64(s.Classes - 1)
		low = 0
	case m.Name == "msle":
		low = math.Nextafter(-1, 0)
	}
	for i, p := range s.P {
		if math.IsNaN(p) || math.IsInf(p, 0) || p < low || p > high {
			return slipway.Errorf(slipway.Invalid, "%s: prediction %d is %v, which is outside what the metric takes", m.Name, i, p)
		}
	}
	if m.Name == "msle" {
		for i, y := range s.Y {
			if y <= -1 {
				return slipway.Errorf(slipway.Invalid, "msle: the truth of row %d is %v; it must be above -1", i, y)
			}
		}
	}
	return nil
}
