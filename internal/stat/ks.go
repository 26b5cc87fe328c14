package stat

import (
	"math"
	"slices"
)

// exactCells bounds the work of the exact two-sample test.
const exactCells = 50_000_000

// KS is the two-sample Kolmogorov-Smirnov test of raw values without NaN: the
// largest difference of the empirical distribution functions and its two-sided
// p-value, exact by KSExact while that is affordable, else KSLimit. It is NaN
// without values. Decide by Drift when rows come in blocks.
func KS(a, b []float64) (statistic, p float64) {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	n, m := len(a), len(b)
	if n == 0 || m == 0 {
		return math.NaN(), math.NaN()
	}
	var most int64
	for i, j := 0, 0; i < n && j < m; {
		v := min(a[i], b[j])
		for i < n && a[i] == v {
			i++
		}
		for j < m && b[j] == v {
			j++
		}
		most = max(most, abs(int64(i)*int64(m)-int64(j)*int64(n)))
	}
	statistic = float64(most) / (float64(n) * float64(m))
	if band := float64(min(n, m)) * math.Min(float64(max(n, m)), 2*statistic*float64(max(n, m))+1); band <= exactCells {
		return statistic, ksExact(n, m, most)
	}
	return statistic, KSLimit(statistic, n, m)
}

// KSExact is the probability, for samples of n and m without ties, of a
// statistic at least d: the share of lattice paths from (0,0) to (n,m) that
// leave the band |i/n − j/m| < d (Hodges 1958). SciPy's method="exact".
func KSExact(d float64, n, m int) float64 {
	return ksExact(n, m, int64(math.Round(d*float64(n)*float64(m))))
}

// ksExact takes d·n·m, a whole number. out[j] is the share of the paths to
// (i,j) that have left the band; a path comes to (i,j) from (i−1,j) with
// probability i/(i+j), so nothing overflows and nothing cancels.
func ksExact(n, m int, most int64) float64 {
	if n > m {
		n, m = m, n
	}
	if most <= 0 {
		return 1
	}
	N, M := int64(n), int64(m)
	out := make([]float64, m+1)
	// In row i the band holds the j with |i·m − j·n| < most.
	first, last := int64(0), min((most-1)/N, M)
	for j := last + 1; j <= M; j++ {
		out[j] = 1
	}
	for i := int64(1); i <= N; i++ {
		oldLast := last
		newFirst := max(0, (i*M-most)/N+1)
		if i*M < most {
			newFirst = 0
		}
		last = min((i*M+most-1)/N, M)
		for j := first; j < min(newFirst, M+1); j++ {
			out[j] = 1
		}
		first = newFirst
		for j := first; j <= last; j++ {
			up := 1.0
			if j <= oldLast {
				up = out[j]
			}
			left := 0.0
			if j > 0 {
				left = out[j-1]
			}
			out[j] = (float64(i)*up + float64(j)*left) / float64(i+j)
		}
	}
	return min(1, out[M])
}

// KSLimit is Kolmogorov's limit of the p-value, for large samples.
func KSLimit(d float64, n, m int) float64 {
	a, b := float64(n), float64(m)
	return KolmogorovTail(d * math.Sqrt(a/(a+b)*b))
}

// KSOfCounts is the largest difference of the distribution functions of counts
// in the same ordered cells: the statistic of KS, to within the largest share
// of a cell.
func KSOfCounts(reference, current []float64) float64 {
	var p, q, most float64
	over(reference, current, func(a, b float64) float64 {
		p, q = p+a, q+b
		most = max(most, math.Abs(p-q))
		return 0
	})
	return most
}

func abs(v int64) int64 { return max(v, -v) }
