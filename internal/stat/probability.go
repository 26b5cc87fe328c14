package stat

import "math"

// epsilon is the spacing of float64 at 1, where scikit-learn clips
// probabilities before it takes their logarithm.
const epsilon = 2.220446049250313e-16

// logLoss is −mean log of the probability given to the true class, clipped to
// [ε, 1−ε].
var logLoss = sum{
	width: func(*Scored) int { return 2 },
	add: func(s *Scored, i int, w float64, _ center, acc []float64) {
		var p float64
		switch {
		case s.matrix():
			p = s.P[i*s.Classes+int(s.Y[i])]
		case s.Y[i] == 1:
			p = s.P[i]
		default:
			p = 1 - s.P[i]
		}
		acc[0] -= w * math.Log(min(max(p, epsilon), 1-epsilon))
		acc[1] += w
	},
	value: func(_ *Scored, acc []float64) float64 { return acc[0] / acc[1] },
}

// brier is the mean squared difference of probability and outcome (Brier 1950).
var brier = meanOf(squared, nil)

// eceBins is the number of bins of the calibration error.
const eceBins = 15

// ece is the expected calibration error over 15 bins of equal width.
var ece = eceOf(eceBins)

// ECE is the metric ece over a number of bins of equal width, at least one: the
// mean over rows of |outcome rate − mean probability| of the row's bin (Naeini,
// Cooper and Hauskrecht 2015).
func ECE(bins int) Metric {
	return summed(Metric{Name: "ece", Tasks: []Task{Binary}, High: 1, probability: true, unit: true}, eceOf(max(bins, 1)))
}

func eceOf(bins int) sum {
	return sum{
		width: func(*Scored) int { return 3 * bins },
		add: func(s *Scored, i int, w float64, _ center, acc []float64) {
			b := min(int(s.P[i]*float64(bins)), bins-1)
			acc[3*b] += w
			acc[3*b+1] += w * s.P[i]
			acc[3*b+2] += w * s.Y[i]
		},
		value: func(_ *Scored, acc []float64) float64 {
			var gap, all float64
			for b := 0; b < len(acc); b += 3 {
				gap += math.Abs(acc[b+1] - acc[b+2])
				all += acc[b]
			}
			return gap / all
		},
	}
}

// eceQuantile is the calibration error over 15 bins of equal weight.
func eceQuantile(s Scored) float64 {
	var gap, all float64
	for _, b := range ReliabilityByQuantile(s, eceBins) {
		gap += b.Weight * math.Abs(b.Predicted-b.Observed)
		all += b.Weight
	}
	return gap / all
}
