package stat

import "math"

// ChiSquare is Pearson's test that two rows of counts have one distribution
// (homogeneity, SciPy's chi2_contingency without correction): the statistic,
// its degrees of freedom and the p-value. A category new in current is
// compared with what both rows together expect, so it is no certain alarm.
// Cells empty in both are left out; the p-value is 1 with fewer than two
// cells or an empty row. Rows must be independent for the p-value to hold,
// which rows of one block are not: decide by Drift.
func ChiSquare(reference, current []float64) (statistic, df, p float64) {
	var n, m float64
	for i := range reference {
		n += reference[i]
		m += current[i]
	}
	if n == 0 || m == 0 {
		return 0, 0, 1
	}
	df = -1
	for i, a := range reference {
		b := current[i]
		if a+b == 0 {
			continue
		}
		df++
		d := a - (a+b)*n/(n+m)
		statistic += d * d * (n + m) * (n + m) / ((a + b) * n * m)
	}
	if df < 1 {
		return 0, 0, 1
	}
	return statistic, df, ChiSquareTail(statistic, df)
}

// CramerV is the effect size √(χ²/N) of ChiSquare with two rows, between 0 and
// 1 whatever the number of rows.
func CramerV(reference, current []float64) float64 {
	statistic, _, _ := ChiSquare(reference, current)
	var total float64
	for i := range reference {
		total += reference[i] + current[i]
	}
	return math.Sqrt(ratio(statistic, total))
}
