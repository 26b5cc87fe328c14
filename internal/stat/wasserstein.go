package stat

import (
	"math"
	"slices"
)

// Wasserstein is the first Wasserstein distance of two samples without NaN,
// the area between their distribution functions, in the unit of the values. It
// is NaN without values.
func Wasserstein(a, b []float64) float64 {
	if len(a) == 0 || len(b) == 0 {
		return math.NaN()
	}
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	var area float64
	previous := min(a[0], b[0])
	for i, j := 0, 0; i < len(a) || j < len(b); {
		next := math.Inf(1)
		if i < len(a) {
			next = a[i]
		}
		if j < len(b) {
			next = min(next, b[j])
		}
		area += (next - previous) * math.Abs(float64(i)/float64(len(a))-float64(j)/float64(len(b)))
		for i < len(a) && a[i] == next {
			i++
		}
		for j < len(b) && b[j] == next {
			j++
		}
		previous = next
	}
	return area
}

// WassersteinOfCounts is the distance of counts in bins, edges one longer than
// the counts, with values taken as spread evenly inside a bin. What lies beyond
// the outer edges counts as at the edge, so tails are cut there.
func WassersteinOfCounts(edges, reference, current []float64) float64 {
	var area, gap float64
	p, q := shares(reference), shares(current)
	for i := range p {
		wide, next := edges[i+1]-edges[i], gap+p[i]-q[i]
		// The gap runs in a straight line across the bin; where it changes
		// sign, two triangles stand for the trapezoid.
		if gap*next >= 0 {
			area += wide * (math.Abs(gap) + math.Abs(next)) / 2
		} else {
			area += wide * (gap*gap + next*next) / (2 * (math.Abs(gap) + math.Abs(next)))
		}
		gap = next
	}
	return area
}

// spread is the standard deviation of counts in bins, by the bins' middles.
func spread(edges, counts []float64) float64 {
	var mean, squares float64
	for i, p := range shares(counts) {
		mean += p * (edges[i] + edges[i+1]) / 2
	}
	for i, p := range shares(counts) {
		d := (edges[i]+edges[i+1])/2 - mean
		squares += p * d * d
	}
	return math.Sqrt(squares)
}
