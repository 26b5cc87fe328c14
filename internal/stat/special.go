package stat

import "math"

// GammaQ is the regularised upper incomplete gamma function Q(a, x) = Γ(a, x)/
// Γ(a), for a > 0 and x ≥ 0: the power series of P below x = a+1, Legendre's
// continued fraction of Q above (DLMF 8.11.4 and 8.9.2).
func GammaQ(a, x float64) float64 {
	switch {
	case !(a > 0) || !(x >= 0):
		return math.NaN()
	case x == 0:
		return 1
	case math.IsInf(x, 1):
		return 0
	case x < a+1:
		return 1 - gammaSeries(a, x)
	}
	return gammaFraction(a, x)
}

// GammaP is 1 − GammaQ, computed without cancelling.
func GammaP(a, x float64) float64 {
	if a > 0 && x >= 0 && x < a+1 {
		return gammaSeries(a, x)
	}
	return 1 - GammaQ(a, x)
}

// gammaScale is x^a e^−x / Γ(a). For large a the exponent is written by the
// distance of x from a, so that large terms do not cancel.
func gammaScale(a, x float64) float64 {
	if x == 0 {
		return 0
	}
	if a < 20 {
		lg, _ := math.Lgamma(a)
		return math.Exp(a*math.Log(x) - x - lg)
	}
	// Stirling: Γ(a) = √(2π/a) (a/e)^a e^{δ(a)}, and with u = (x−a)/a the rest
	// is exp(a(log(1+u) − u)).
	u := (x - a) / a
	rest := math.Log(x/a) - u
	if math.Abs(u) < 0.1 {
		rest = log1pMinus(u)
	}
	return math.Sqrt(a/(2*math.Pi)) * math.Exp(a*rest-stirling(a))
}

// log1pMinus is log(1+u) − u by its series, for |u| < 0.1.
func log1pMinus(u float64) float64 {
	term, total := -u*u, -u*u/2
	for k := 3.0; k < 60; k++ {
		term *= -u
		step := term / k
		total += step
		if math.Abs(step) <= 1e-18*math.Abs(total) {
			break
		}
	}
	return total
}

// stirling is the correction δ(a) of Stirling's formula for a ≥ 20 (DLMF 5.11.1).
func stirling(a float64) float64 {
	b := 1 / (a * a)
	return (1.0/12 - b*(1.0/360-b*(1.0/1260-b*(1.0/1680-b/1188)))) / a
}

func gammaSeries(a, x float64) float64 {
	term, total := 1/a, 1/a
	for n := a + 1; ; n++ {
		term *= x / n
		total += term
		if term <= total*1e-17 {
			return min(1, total*gammaScale(a, x))
		}
	}
}

// gammaFraction evaluates the continued fraction by Lentz's method.
func gammaFraction(a, x float64) float64 {
	const tiny = 1e-300
	b := x + 1 - a
	c, d := 1/tiny, 1/b
	h := d
	for i := 1.0; i < 1e6; i++ {
		n := -i * (i - a)
		b += 2
		d = away(n*d+b, tiny)
		c = away(b+n/c, tiny)
		d = 1 / d
		h *= d * c
		if math.Abs(d*c-1) < 1e-16 {
			break
		}
	}
	return gammaScale(a, x) * h
}

// away keeps a denominator from zero.
func away(v, tiny float64) float64 {
	if math.Abs(v) < tiny {
		return tiny
	}
	return v
}

// BetaI is the regularised incomplete beta function I_x(a, b), for a, b > 0 and
// x in [0, 1], by its continued fraction (DLMF 8.17.22) on the side where that
// converges fast.
func BetaI(a, b, x float64) float64 {
	switch {
	case !(a > 0) || !(b > 0) || !(x >= 0) || x > 1:
		return math.NaN()
	case x == 0 || x == 1:
		return x
	case x > (a+1)/(a+b+2):
		return 1 - betaFraction(b, a, 1-x)
	}
	return betaFraction(a, b, x)
}

func betaFraction(a, b, x float64) float64 {
	const tiny = 1e-300
	c, d := 1.0, 1/away(1-(a+b)*x/(a+1), tiny)
	h := d
	for m := 1.0; m < 1e6; m++ {
		even := m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		d = 1 / away(1+even*d, tiny)
		c = away(1+even/c, tiny)
		h *= d * c
		odd := -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		d = 1 / away(1+odd*d, tiny)
		c = away(1+odd/c, tiny)
		h *= d * c
		if math.Abs(d*c-1) < 1e-16 {
			break
		}
	}
	ab, _ := math.Lgamma(a + b)
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	return math.Exp(ab-la-lb+a*math.Log(x)+b*math.Log1p(-x)) * h / a
}

// ChiSquareTail is P(X > x) of a chi-square with df degrees of freedom.
func ChiSquareTail(x, df float64) float64 { return GammaQ(df/2, x/2) }

// NormalCDF is P(Z ≤ z) of the standard normal.
func NormalCDF(z float64) float64 { return math.Erfc(-z/math.Sqrt2) / 2 }

// NormalQuantile is the z with NormalCDF(z) = p, by Newton's method on the
// logarithm of the tail, which is nearly a parabola and so converges from afar.
func NormalQuantile(p float64) float64 {
	switch {
	case !(p > 0 && p < 1):
		return -math.Sqrt2 * math.Erfcinv(2*p) // ±Inf at 1 and 0, NaN outside
	case p > 0.5:
		return -NormalQuantile(1 - p)
	}
	z := -math.Sqrt(-2 * math.Log(2*p))
	for range 50 {
		tail := NormalCDF(z)
		step := (math.Log(tail) - math.Log(p)) * tail * math.Sqrt(2*math.Pi) * math.Exp(z*z/2)
		z -= step
		if math.Abs(step) <= 1e-15*math.Abs(z) {
			break
		}
	}
	return z
}

// StudentTail is P(T > t) of Student's t with df degrees of freedom, which need
// not be whole.
func StudentTail(t, df float64) float64 {
	if math.IsNaN(t) || !(df > 0) {
		return math.NaN()
	}
	if math.IsInf(t, 0) {
		return (1 - math.Copysign(1, t)) / 2
	}
	tail := BetaI(df/2, 0.5, df/(df+t*t)) / 2
	if t*t < 1 {
		tail = (1 - BetaI(0.5, df/2, t*t/(df+t*t))) / 2
	}
	if t < 0 {
		return 1 - tail
	}
	return tail
}

// StudentQuantile is the t with P(T ≤ t) = p for df degrees of freedom, by
// bisection on the tail, which never fails to converge.
func StudentQuantile(p, df float64) float64 {
	switch {
	case !(p > 0 && p < 1) || !(df > 0):
		return math.NaN()
	case p == 0.5:
		return 0
	case p < 0.5:
		return -StudentQuantile(1-p, df)
	}
	low, high := 0.0, 1.0
	for StudentTail(high, df) > 1-p && high < 1e300 {
		low, high = high, 2*high
	}
	for range 200 {
		mid := low + (high-low)/2
		if mid == low || mid == high {
			break
		}
		if StudentTail(mid, df) > 1-p {
			low = mid
		} else {
			high = mid
		}
	}
	return low + (high-low)/2
}

// KolmogorovTail is P(K > x) of Kolmogorov's limiting distribution,
// 2 Σ (−1)^{k−1} e^{−2k²x²}, and by its theta-function twin for small x.
func KolmogorovTail(x float64) float64 {
	switch {
	case math.IsNaN(x):
		return x
	case x <= 0:
		return 1
	case x < 1:
		v := math.Pi * math.Pi / (8 * x * x)
		var total float64
		for k := 1.0; k < 40; k += 2 {
			total += math.Exp(-k * k * v)
		}
		return 1 - math.Sqrt(2*math.Pi)/x*total
	}
	var total float64
	for k := 1.0; k < 40; k++ {
		term := math.Exp(-2 * k * k * x * x)
		if math.Mod(k, 2) == 0 {
			term = -term
		}
		total += term
	}
	return 2 * total
}
