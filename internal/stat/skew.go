package stat

import "math"

// skewed widens the interval value ± half, of a mean of n values with the given
// standard error, on the side to which the values are skewed: Johnson's (1978)
// correction of the t-statistic moves the bound by γ·se·(1 + 2t²)/(6√n), t the
// half-width in standard errors. Without it, a few blocks that are much worse
// than the rest make a mean look surer than it is on exactly that side, most of
// all while blocks are few. The other side is not narrowed.
func skewed(e Estimate, half float64, values []float64) Estimate {
	n := float64(len(values))
	e.Low, e.High = e.Value-half, e.Value+half
	if e.Error == 0 || math.IsInf(half, 0) {
		return e
	}
	t := half / e.Error
	shift := skewness(values) * e.Error * (1 + 2*t*t) / (6 * math.Sqrt(n))
	e.Low, e.High = e.Low+min(0, shift), e.High+max(0, shift)
	return e
}

// skewness is Fisher's G₁, the third standardised moment corrected for bias.
func skewness(x []float64) float64 {
	n := float64(len(x))
	mean, sd := meanAndDeviation(x)
	if n < 3 || sd == 0 {
		return 0
	}
	var cubes float64
	for _, v := range x {
		z := (v - mean) / sd
		cubes += z * z * z
	}
	return cubes * n / ((n - 1) * (n - 2))
}
