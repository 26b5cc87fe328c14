package monitor

// find is the feature of a reference by name, or nil.
func (ref *reference) find(name string) *feature {
	if ref == nil {
		return nil
	}
	i, known := ref.index[name]
	if !known {
		return nil
	}
	return &ref.Feature[i]
}

// drawnBins is about how many bins a histogram of a number has.
const drawnBins = 32

// bins lays fine counts out for a chart: ranges of nearly equal mass in the
// reference, or the most frequent categories; then what is outside them.
func (f *feature) bins(fine []int64) []FeatureBin {
	var before, now float64
	for i := range fine {
		before, now = before+float64(f.Total[i]), now+float64(fine[i])
	}
	share := func(n int64, of float64) float64 {
		if of == 0 {
			return 0
		}
		return float64(n) / of
	}
	bin := func(label string, from, to int) FeatureBin {
		b := FeatureBin{Label: label}
		for i := from; i < to; i++ {
			b.Reference += share(f.Total[i], before)
			b.Current += share(fine[i], now)
		}
		return b
	}
	var out []FeatureBin
	if !f.numeric() {
		k := len(f.Vocabulary.Top)
		shown := min(k, categoryCells)
		for i := range shown {
			out = append(out, bin(f.Vocabulary.Top[i], i, i+1))
		}
		rest := bin("other", shown, k+1)
		return append(out, rest, bin("unseen", k+1, k+2), bin("null", k+2, k+3))
	}
	k := len(f.Edges) - 1
	out = append(out, bin("below", k+2, k+3))
	step := max(1, (k+drawnBins-1)/drawnBins)
	for i := 0; i < k; i += step {
		end := min(i+step, k)
		b := bin("", i, end)
		low, high := f.Edges[i], f.Edges[end]
		b.Low, b.High = &low, &high
		out = append(out, b)
	}
	return append(out, bin("above", k+3, k+4), bin("null", k, k+2))
}
