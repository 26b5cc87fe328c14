package stat

import (
	"math"

	"github.com/slipway-ml/slipway"
)

// SampleRatio tests whether units fell on arms in the intended shares, and may
// be asked at any time: the p-value is 1/Λ, at most 1, with Λ the likelihood of
// a Dirichlet mixture about the shares over that of the shares (Lindon and
// Malek 2022). The chance that it ever falls below α without a mismatch is at
// most α. To keep that over looks, the least p-value so far counts.
//
// counts are units that were assigned (users, sessions), each once, since the
// requests of one unit all fall on one arm. It fails with Invalid.
func SampleRatio(counts []int64, shares []float64) (p float64, err error) {
	if len(counts) != len(shares) || len(counts) < 2 {
		return 0, slipway.Errorf(slipway.Invalid, "%d counts and %d shares of arms", len(counts), len(shares))
	}
	var sum, n float64
	for i, s := range shares {
		if !(s > 0) || math.IsInf(s, 0) || counts[i] < 0 {
			return 0, slipway.Errorf(slipway.Invalid, "arm %d has the share %v and %d units", i, s, counts[i])
		}
		sum += s
		n += float64(counts[i])
	}
	// The mixture is worth this many units: mismatches of a few points stand out.
	const weight = 100
	lgamma := func(x float64) float64 { v, _ := math.Lgamma(x); return v }
	log := lgamma(weight) - lgamma(weight+n)
	for i, c := range counts {
		share := shares[i] / sum
		log += lgamma(weight*share+float64(c)) - lgamma(weight*share) - float64(c)*math.Log(share)
	}
	return math.Exp(min(0, -log)), nil
}
