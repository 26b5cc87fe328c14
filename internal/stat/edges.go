package stat

import (
	"math"
	"slices"
)

// FineBins is how many bins a reference keeps for a number by default: a KS
// statistic from them is right to 1/256.
const FineBins = 256

// Edges cuts values into at most n bins of equal mass and returns the edges,
// one more than the bins: the first is the least value, the last the largest.
// Bin i holds edges[i] ≤ v < edges[i+1], the last one also its upper edge
// (NumPy's histogram). A value that repeats over more than a bin's mass gets a
// bin of its own. NaN and infinities are left out; of no values Edges is nil,
// of one distinct value a single bin around it.
func Edges(values []float64, n int) []float64 {
	sorted := make([]float64, 0, len(values))
	for _, v := range values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			sorted = append(sorted, v)
		}
	}
	if len(sorted) == 0 || n < 1 {
		return nil
	}
	slices.Sort(sorted)
	top := sorted[len(sorted)-1]
	edges := []float64{sorted[0]}
	for k := 1; k < n; k++ {
		v := sorted[k*len(sorted)/n]
		last := edges[len(edges)-1]
		if v == last {
			// The value fills this bin: it ends where the next number begins.
			v = math.Nextafter(v, math.Inf(1))
		}
		if v > last && v <= top {
			edges = append(edges, v)
		}
	}
	if edges[len(edges)-1] == top {
		// The largest value has its bin: [top, top].
		return append(edges, top)
	}
	return append(edges, top)
}
