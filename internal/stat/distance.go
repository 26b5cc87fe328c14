package stat

import "math"

// floorShare is the least share of a cell that PSI and KL count with, so that
// a cell empty on one side is a large but finite difference.
const floorShare = 1e-4

// shares divides counts by their sum; all 0 when there are none.
func shares(counts []float64) []float64 {
	var total float64
	for _, c := range counts {
		total += c
	}
	out := make([]float64, len(counts))
	for i, c := range counts {
		out[i] = ratio(c, total)
	}
	return out
}

// over sums term over the cells of two distributions of counts or shares.
func over(reference, current []float64, term func(p, q float64) float64) float64 {
	p, q := shares(reference), shares(current)
	var total float64
	for i := range p {
		total += term(p[i], q[i])
	}
	return total
}

// PSI is the population stability index Σ (q−p) ln(q/p) of counts in the same
// cells, p the reference and q the current shares. Shares below 1e-4 count as
// 1e-4. Without drift its mean is about (cells−1)(1/n + 1/m), so a fixed
// threshold on small windows alarms always; Drift compares instead.
func PSI(reference, current []float64) float64 {
	return over(reference, current, func(p, q float64) float64 {
		p, q = max(p, floorShare), max(q, floorShare)
		return (q - p) * math.Log(q/p)
	})
}

// KL is the Kullback-Leibler divergence Σ q ln(q/p) in nats of the current
// shares q from the reference shares p. Reference shares below 1e-4 count as
// 1e-4, which can leave it slightly below 0; it is then 0.
func KL(reference, current []float64) float64 {
	return max(0, over(reference, current, func(p, q float64) float64 {
		if q == 0 {
			return 0
		}
		return q * math.Log(q/max(p, floorShare))
	}))
}

// JS is the Jensen-Shannon distance with logarithms of base 2: the square root
// of the mean divergence of both from their middle, between 0 and 1 (Endres and
// Schindelin 2003). NannyML and SciPy's base=2 use this scale.
func JS(reference, current []float64) float64 {
	return min(1, JSNats(reference, current)/math.Sqrt(math.Ln2))
}

// JSNats is the Jensen-Shannon distance with natural logarithms, between 0 and
// √ln 2 = 0.83: the scale of Evidently and of SciPy's default.
func JSNats(reference, current []float64) float64 {
	part := func(p, middle float64) float64 {
		if p == 0 {
			return 0
		}
		return p * math.Log(p/middle)
	}
	return math.Sqrt(max(0, over(reference, current, func(p, q float64) float64 {
		return (part(p, (p+q)/2) + part(q, (p+q)/2)) / 2
	})))
}

// Hellinger is √(1 − Σ √(pq)), between 0 and 1, written as a sum of squares so
// that near distributions keep their digits.
func Hellinger(reference, current []float64) float64 {
	return math.Sqrt(over(reference, current, func(p, q float64) float64 {
		d := math.Sqrt(p) - math.Sqrt(q)
		return d * d / 2
	}))
}

// TVD is the total variation distance Σ|p−q|/2: the share of rows that would
// have to move.
func TVD(reference, current []float64) float64 {
	return over(reference, current, func(p, q float64) float64 { return math.Abs(p-q) / 2 })
}

// LInf is the largest difference of a share, max|p−q|.
func LInf(reference, current []float64) float64 {
	var most float64
	over(reference, current, func(p, q float64) float64 {
		most = max(most, math.Abs(p-q))
		return 0
	})
	return most
}
