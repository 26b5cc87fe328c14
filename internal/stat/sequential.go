package stat

import (
	"math"

	"github.com/slipway-ml/slipway"
)

// mixture is the standard deviation, in standard deviations of a block, of the
// effects that the always-valid intervals are tuned to find: it sets for how
// many blocks they are narrowest (about 14 to 60), not whether they hold.
const mixture = 1.0

// AlwaysBlocks is how many blocks an always-valid test needs before it says
// anything: few skewed blocks are what deceives it most.
const AlwaysBlocks = 7

// alwaysWidth is how many standard errors an interval reaches on either side of
// a mean of n values of unknown variance so that it holds at all n at once. The
// t-statistic of a normal sample has a mixture likelihood ratio that is a
// martingale (Lai 1976; Rouder and others 2009; Wang and Ramdas 2024),
//
//	Λ = r^−½ · ((1 + t²/(νr)) / (1 + t²/ν))^{−n/2},  r = 1 + nτ², ν = n−1,
//
// which exceeds 1/α at any time with a chance of at most α (Ville). Solved for
// t. The estimated variance is thus part of the test: this is the small-sample
// correction. Infinite while no t would suffice.
func alwaysWidth(level, n float64) float64 {
	r := 1 + n*mixture*mixture
	q := math.Pow(math.Sqrt(r)/(1-level), 2/n)
	if n <= 1 || q >= r {
		return math.Inf(1)
	}
	return math.Sqrt((n - 1) * (q - 1) / (1 - q/r))
}

// AlwaysMean is the mean of one value a block, such as the difference of two
// models' losses on the block's rows, with an interval that may be looked at
// after every block: the chance that it ever leaves the true mean out is at
// most 1−level for independent, normal blocks. Simulated at 0.95 over 200 looks
// it is 2 % there, 4 % for mildly skewed blocks, 6 % for exponential ones, 7 %
// when successive blocks correlate by 0.3 and 11 % by 0.5: such want longer
// blocks. Blocks must be complete and stand in order of time; every
// block counts alike. When successive blocks resemble each other the standard
// error grows by √((1+ρ)/(1−ρ)), ρ their correlation. Fewer than
// AlwaysBlocks are TooFew. It fails with Invalid for values that are not finite.
func AlwaysMean(values []float64, level float64) (Estimate, error) {
	if !(level > 0 && level < 1) {
		return Estimate{}, slipway.Errorf(slipway.Invalid, "the level %v is not between 0 and 1", level)
	}
	for i, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return Estimate{}, slipway.Errorf(slipway.Invalid, "the value of block %d is %v", i, v)
		}
	}
	e := always(values, 0, level)
	e.Rows = len(values)
	return e, nil
}

// always is the interval of the mean of values, whose standard error is at
// least least.
func always(values []float64, least, level float64) Estimate {
	nan, n := math.NaN(), float64(len(values))
	mean, sd := meanAndDeviation(values)
	e := Estimate{Value: mean, Low: nan, High: nan, Error: nan, Level: level, Blocks: len(values), State: Enough}
	switch {
	case len(values) == 0:
		e.Value, e.State = nan, TooFew
		return e
	case len(values) < AlwaysBlocks:
		e.State = TooFew
		return e
	}
	e.Error = max(sd*math.Sqrt(inflation(values)/n), least)
	if e.Error == 0 {
		e.Low, e.High = mean, mean
		return e
	}
	return skewed(e, alwaysWidth(level, n)*e.Error, values)
}

// inflation is how much larger the variance of a mean is for the correlation of
// successive values: (1+ρ)/(1−ρ), and 1 when ρ is below half its own error.
func inflation(x []float64) float64 {
	n := float64(len(x))
	mean, _ := meanAndDeviation(x)
	var both, all float64
	for i, v := range x {
		all += (v - mean) * (v - mean)
		if i > 0 {
			both += (v - mean) * (x[i-1] - mean)
		}
	}
	rho := min(ratio(both, all)+1/n, 0.9)
	if rho < 0.5/math.Sqrt(n) {
		return 1
	}
	return (1 + rho) / (1 - rho)
}

// AlwaysDifference is Difference with an interval that may be looked at after
// every block, for any metric: it takes the jackknife's pseudo-values of the
// blocks, Bθ − (B−1)θ₍₋b₎, for the values of AlwaysMean. This holds as nearly
// as the pseudo-values are independent and normal.
func AlwaysDifference(m Metric, s Scored, other []float64, block []int, level float64) (Estimate, error) {
	value, b, err := pair(m, s, other, block, level)
	if err != nil {
		return Estimate{}, err
	}
	e, without := leaveOut(value, b)
	if e.State == Enough {
		// The pseudo-values' mean differs from the value by the jackknife's
		// estimate of bias; the interval stays about the value.
		a := always(pseudoValues(e.Value, without), 0, level)
		e.State, e.Error = a.State, a.Error
		e.Low, e.High = a.Low+e.Value-a.Value, a.High+e.Value-a.Value
	}
	e.Level, e.Rows = level, len(s.Y)
	return e, nil
}

// Arms is one block of two arms that are compared by a share, such as of errors
// or of replies slower than a limit.
type Arms struct {
	Hits, Rows           int64 // of the new arm
	OtherHits, OtherRows int64 // of the arm it is compared with
}

// AlwaysProportion is the difference of the shares of two arms, new less other,
// with an interval that may be looked at after every block. The difference is
// of the totals, a block weighing as its rows; its error comes from the
// blocks' linearised residuals, so that an outage that both arms share cancels,
// and is at least that of independent rows with one more hit and one more miss
// in each arm, so that no errors yet is not taken for certainty. Fewer than
// AlwaysBlocks, or an arm without rows, are TooFew. It fails with Invalid for
// counts that cannot be.
func AlwaysProportion(blocks []Arms, level float64) (Estimate, error) {
	if !(level > 0 && level < 1) {
		return Estimate{}, slipway.Errorf(slipway.Invalid, "the level %v is not between 0 and 1", level)
	}
	var hits, rows, otherHits, otherRows, n float64
	var used []Arms
	for i, b := range blocks {
		if b.Hits < 0 || b.Hits > b.Rows || b.OtherHits < 0 || b.OtherHits > b.OtherRows {
			return Estimate{}, slipway.Errorf(slipway.Invalid, "block %d counts %d of %d and %d of %d", i, b.Hits, b.Rows, b.OtherHits, b.OtherRows)
		}
		if b.Rows+b.OtherRows == 0 {
			continue
		}
		used = append(used, b)
		hits, rows = hits+float64(b.Hits), rows+float64(b.Rows)
		otherHits, otherRows = otherHits+float64(b.OtherHits), otherRows+float64(b.OtherRows)
		n++
	}
	nan := math.NaN()
	none := Estimate{Value: nan, Low: nan, High: nan, Error: nan, Level: level, Blocks: len(used), Rows: int(rows + otherRows), State: TooFew}
	if rows == 0 || otherRows == 0 {
		return none, nil
	}
	share, otherShare := hits/rows, otherHits/otherRows
	values := make([]float64, len(used))
	for i, b := range used {
		values[i] = share - otherShare + n*((float64(b.Hits)-share*float64(b.Rows))/rows-
			(float64(b.OtherHits)-otherShare*float64(b.OtherRows))/otherRows)
	}
	spread := func(hits, rows float64) float64 {
		p := (hits + 1) / (rows + 2)
		return p * (1 - p) / rows
	}
	e := always(values, math.Sqrt(spread(hits, rows)+spread(otherHits, otherRows)), level)
	e.Rows = none.Rows
	e.Low, e.High = max(e.Low, -1), min(e.High, 1)
	return e, nil
}
