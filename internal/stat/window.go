package stat

import (
	"math"
	"slices"
)

// windowed is how the windows of a reference differ from the rest of it.
type windowed struct {
	values []float64 // statistic of each window, in order of time, overlapping
	count  int       // windows that do not overlap
	step   int       // distance in values of two that do not
	rows   float64   // median rows of a window
}

// windows compares every run of f.Blocks blocks with what the rule compares
// with. Windows with less than half the usual rows are left out, as such a
// current window would be.
func (r DriftRule) windows(f DriftFeature) windowed {
	k, cells := f.Blocks, len(f.Current)
	upTo := make([][]float64, len(f.Reference)+1) // counts of all blocks before
	upTo[0] = make([]float64, cells)
	for i, b := range f.Reference {
		upTo[i+1] = make([]float64, cells)
		for c, n := range b {
			upTo[i+1][c] = upTo[i][c] + n
		}
	}
	between := func(from, to int) []float64 {
		out := make([]float64, cells)
		from, to = max(0, from), min(to, len(f.Reference))
		if from < to {
			for c := range out {
				out[c] = upTo[to][c] - upTo[from][c]
			}
		}
		return out
	}
	gap := r.Gap
	if gap == 0 {
		gap = max(k, len(f.Reference)/12)
	}
	first := 0
	if r.Trail > 0 {
		first = r.Trail
	}
	var rows []float64
	for i := first; i+k <= len(f.Reference); i++ {
		rows = append(rows, total(between(i, i+k)))
	}
	out := windowed{step: k, rows: median(rows)}
	for i := first; i+k <= len(f.Reference); i++ {
		window := between(i, i+k)
		if n := total(window); n == 0 || n < out.rows/2 {
			continue
		}
		rest := between(i-r.Trail, i)
		if r.Trail <= 0 {
			rest = between(0, i-gap)
			for c, n := range between(i+k+gap, len(f.Reference)) {
				rest[c] += n
			}
		}
		if total(rest) > 0 {
			out.values = append(out.values, r.Statistic.Of(rest, window))
		}
	}
	// n overlapping windows of k blocks span n+k−1 blocks.
	if n := len(out.values); n > 0 {
		out.count = (n + k - 1) / k
	}
	return out
}

// independent is what n windows are worth when successive ones correlate:
// n(1−ρ)/(1+ρ), the size of a first-order autoregression, at least 4. ρ is the
// correlation of values one window apart, corrected for its bias of −1/n.
func independent(x []float64, step, n int) float64 {
	if len(x) <= step+1 {
		return float64(n)
	}
	mean, _ := meanAndDeviation(x)
	var both, all float64
	for i, v := range x {
		all += (v - mean) * (v - mean)
		if i >= step {
			both += (v - mean) * (x[i-step] - mean)
		}
	}
	rho := min(max(0, ratio(both, all)+1/float64(n)), 0.9)
	return min(float64(n), max(4, float64(n)*(1-rho)/(1+rho)))
}

func meanAndDeviation(x []float64) (mean, deviation float64) {
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		deviation += (v - mean) * (v - mean)
	}
	return mean, math.Sqrt(deviation / math.Max(1, float64(len(x)-1)))
}

func total(counts []float64) float64 {
	var out float64
	for _, c := range counts {
		out += c
	}
	return out
}

func addAll(blocks [][]float64, cells int) []float64 {
	out := make([]float64, cells)
	for _, b := range blocks {
		for c, n := range b {
			out[c] += n
		}
	}
	return out
}

func median(values []float64) float64 {
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	return Quantile(sorted, 0.5)
}
