package stat

import (
	"cmp"
	"math"
	"slices"
)

// FalseDiscovery turns p-values into q-values by Benjamini and Hochberg (1995):
// among the tests with q ≤ α, the expected share of false ones is at most α,
// and when nothing is real the chance of any is. NaN is not a test and stays.
func FalseDiscovery(p []float64) []float64 {
	var order []int
	for i, v := range p {
		if !math.IsNaN(v) {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(p[b], p[a]) })
	out := slices.Clone(p)
	least, n := 1.0, float64(len(order))
	for k, i := range order {
		least = min(least, p[i]*(n/(n-float64(k))))
		out[i] = least
	}
	return out
}
