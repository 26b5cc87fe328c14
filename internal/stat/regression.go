package stat

import "math"

// meanOf makes a metric of the weighted mean of a loss, passed through after.
func meanOf(loss func(y, p float64) float64, after func(float64) float64) sum {
	return sum{
		width: func(*Scored) int { return 2 },
		add: func(s *Scored, i int, w float64, _ center, acc []float64) {
			acc[0] += w * loss(s.Y[i], s.P[i])
			acc[1] += w
		},
		value: func(_ *Scored, acc []float64) float64 {
			if after != nil {
				return after(acc[0] / acc[1])
			}
			return acc[0] / acc[1]
		},
	}
}

func absolute(y, p float64) float64 { return math.Abs(y - p) }
func squared(y, p float64) float64  { return (y - p) * (y - p) }

// absolutePercent floors the truth at ε, as scikit-learn does: a truth of 0
// makes the metric huge rather than infinite.
func absolutePercent(y, p float64) float64 { return math.Abs(y-p) / max(math.Abs(y), epsilon) }

func squaredLog(y, p float64) float64 {
	d := math.Log1p(y) - math.Log1p(p)
	return d * d
}

// meansOf finds the weighted means of truth and error, about which r2 and
// explained variance sum, so that no digits are lost to a large mean.
func meansOf(s *Scored) center {
	var truth, error, all float64
	for i, y := range s.Y {
		truth += s.weight(i) * y
		error += s.weight(i) * (y - s.P[i])
		all += s.weight(i)
	}
	return center{ratio(truth, all), ratio(error, all)}
}

// r2 is 1 − Σ(y−p)²/Σ(y−ȳ)². Of a constant truth it is 1 when the prediction is
// perfect and 0 otherwise; of fewer than two rows it is NaN.
var r2 = sum{
	width: func(*Scored) int { return 4 },
	about: meansOf,
	add: func(s *Scored, i int, w float64, c center, acc []float64) {
		y := s.Y[i] - c.truth
		acc[0] += w
		acc[1] += w * y
		acc[2] += w * y * y
		acc[3] += w * squared(s.Y[i], s.P[i])
	},
	value: func(s *Scored, acc []float64) float64 {
		if len(s.Y) < 2 {
			return math.NaN()
		}
		return explained(acc[3], acc[2]-acc[1]*acc[1]/acc[0], acc[2])
	},
}

// explainedVariance is 1 − Var(y−p)/Var(y), with the edge rules of r2.
var explainedVariance = sum{
	width: func(*Scored) int { return 5 },
	about: meansOf,
	add: func(s *Scored, i int, w float64, c center, acc []float64) {
		y, e := s.Y[i]-c.truth, s.Y[i]-s.P[i]-c.error
		acc[0] += w
		acc[1] += w * y
		acc[2] += w * y * y
		acc[3] += w * e
		acc[4] += w * e * e
	},
	value: func(_ *Scored, acc []float64) float64 {
		left := acc[4] - acc[3]*acc[3]/acc[0]
		if left <= acc[4]*rounding {
			left = 0
		}
		return explained(left, acc[2]-acc[1]*acc[1]/acc[0], acc[2])
	},
}

// rounding is the share of a sum of squares below which what is left of it after
// subtracting the mean is noise of the arithmetic.
const rounding = 1e-14

// explained is 1 − left/spread. A spread that is rounding of its own scale
// counts as none.
func explained(left, spread, scale float64) float64 {
	switch {
	case spread > scale*rounding:
		return 1 - left/spread
	case left == 0:
		return 1
	}
	return 0
}
