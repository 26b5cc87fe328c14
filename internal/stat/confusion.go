package stat

import "math"

// table is a confusion matrix: cells[truth*k+predicted] is a sum of weights.
type table struct {
	k     int
	cells []float64
}

func (t table) at(truth, predicted int) float64 { return t.cells[truth*t.k+predicted] }

// margins are the weights by true class, by predicted class, and in all.
func (t table) margins() (truth, predicted []float64, all float64) {
	truth, predicted = make([]float64, t.k), make([]float64, t.k)
	for i := range t.k {
		for j := range t.k {
			c := t.at(i, j)
			truth[i] += c
			predicted[j] += c
			all += c
		}
	}
	return truth, predicted, all
}

// confused makes a metric of the confusion matrix.
func confused(value func(t table) float64) sum {
	return sum{
		width: func(s *Scored) int { return s.classes() * s.classes() },
		add: func(s *Scored, i int, w float64, _ center, acc []float64) {
			acc[int(s.Y[i])*s.classes()+s.label(i)] += w
		},
		value: func(s *Scored, acc []float64) float64 { return value(table{s.classes(), acc}) },
	}
}

// ratio is a/b, and 0 for 0/0 as scikit-learn's zero_division="warn".
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// The three scores of one class: hits, its predicted and its true weight.
func precision(hit, predicted, _ float64) float64 { return ratio(hit, predicted) }
func recall(hit, _, truth float64) float64        { return ratio(hit, truth) }
func f1(hit, predicted, truth float64) float64    { return ratio(2*hit, predicted+truth) }

// binaryOf is the score of class 1.
func binaryOf(score func(hit, predicted, truth float64) float64) func(table) float64 {
	return func(t table) float64 {
		truth, predicted, _ := t.margins()
		return score(t.at(1, 1), predicted[1], truth[1])
	}
}

// macro is the plain mean over the classes that are true or predicted somewhere.
func macro(score func(hit, predicted, truth float64) float64) func(table) float64 {
	return func(t table) float64 {
		truth, predicted, _ := t.margins()
		var total, n float64
		for k := range t.k {
			if truth[k]+predicted[k] > 0 {
				total += score(t.at(k, k), predicted[k], truth[k])
				n++
			}
		}
		return ratio(total, n)
	}
}

// supported is the mean over classes weighted by their true weight.
func supported(score func(hit, predicted, truth float64) float64) func(table) float64 {
	return func(t table) float64 {
		truth, predicted, all := t.margins()
		var total float64
		for k := range t.k {
			total += truth[k] * score(t.at(k, k), predicted[k], truth[k])
		}
		return ratio(total, all)
	}
}

// accuracy is the share of rows predicted rightly; for one label a row, it is
// also micro-averaged precision, recall and f1.
func accuracy(t table) float64 {
	var hit, all float64
	for k := range t.k {
		hit += t.at(k, k)
	}
	for _, c := range t.cells {
		all += c
	}
	return hit / all
}

// balancedAccuracy is the mean recall of the classes that have rows.
func balancedAccuracy(t table) float64 {
	truth, _, _ := t.margins()
	var total, n float64
	for k := range t.k {
		if truth[k] > 0 {
			total += t.at(k, k) / truth[k]
			n++
		}
	}
	return total / n
}

// mcc is Matthews' correlation for any number of classes (Gorodkin 2004):
// (c·s − Σ tₖpₖ) / √((s² − Σ pₖ²)(s² − Σ tₖ²)), and 0 when undefined.
func mcc(t table) float64 {
	truth, predicted, all := t.margins()
	var hit, tp, tt, pp float64
	for k := range t.k {
		hit += t.at(k, k)
		tp += truth[k] * predicted[k]
		tt += truth[k] * truth[k]
		pp += predicted[k] * predicted[k]
	}
	return ratio(hit*all-tp, math.Sqrt((all*all-pp)*(all*all-tt)))
}
