package stat

import "math"

// ReliabilityBin is one point of a calibration curve.
type ReliabilityBin struct {
	Low       float64 `json:"low"`       // smallest probability the bin takes (equal width) or holds (quantile)
	High      float64 `json:"high"`      // largest
	Predicted float64 `json:"predicted"` // mean probability of its rows
	Observed  float64 `json:"observed"`  // share of class 1 among its rows
	Rows      int     `json:"rows"`
	Weight    float64 `json:"weight"` // sum of the rows' weights; Rows without weights
}

// Reliability is the calibration curve over bins of equal width, [k/n, (k+1)/n)
// with the last closed; bins without weight are left out. s is binary with
// probabilities in P.
func Reliability(s Scored, bins int) []ReliabilityBin {
	s = s.oneColumn()
	all := make([]ReliabilityBin, bins)
	for b := range all {
		all[b].Low, all[b].High = float64(b)/float64(bins), float64(b+1)/float64(bins)
	}
	for i, p := range s.P {
		all[min(int(p*float64(bins)), bins-1)].add(p, s.Y[i], s.weight(i))
	}
	return settled(all)
}

// ReliabilityByQuantile is the calibration curve over bins of equal weight:
// rows in order of probability go to bin ⌊n·(weight before + half their own)/
// total⌋. Rows with one probability stay in one bin, so bins may be fewer.
func ReliabilityByQuantile(s Scored, bins int) []ReliabilityBin {
	s = s.oneColumn()
	order := descending(s.P)
	all := make([]ReliabilityBin, bins)
	for b := range all {
		all[b].Low, all[b].High = math.Inf(1), math.Inf(-1)
	}
	var total, before float64
	for i := range s.Y {
		total += s.weight(i)
	}
	for i := len(order) - 1; i >= 0; {
		p, last, tied := s.P[order[i]], i, 0.0
		for ; i >= 0 && s.P[order[i]] == p; i-- {
			tied += s.weight(order[i])
		}
		b := min(int(float64(bins)*(before+tied/2)/total), bins-1)
		for ; last > i; last-- {
			all[b].add(p, s.Y[order[last]], s.weight(order[last]))
		}
		all[b].Low, all[b].High = min(all[b].Low, p), max(all[b].High, p)
		before += tied
	}
	return settled(all)
}

func (b *ReliabilityBin) add(p, y, w float64) {
	b.Predicted += w * p
	b.Observed += w * y
	b.Weight += w
	b.Rows++
}

// settled turns the sums of bins into means and drops the empty ones.
func settled(bins []ReliabilityBin) []ReliabilityBin {
	out := bins[:0]
	for _, b := range bins {
		if b.Weight > 0 {
			b.Predicted /= b.Weight
			b.Observed /= b.Weight
			out = append(out, b)
		}
	}
	return out
}
