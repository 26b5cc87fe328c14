package stat_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/slipway-ml/slipway/internal/stat"
	"github.com/slipway-ml/slipway/internal/stat/stattest"
)

// rollouts is how many A/A rollouts are simulated of each kind. Of 400 with a
// chance of 5 % each, 20 are expected to declare a winner.
const rollouts = 400

// An A/A rollout splits real requests between two arms that are the same model,
// and looks after each of 200 days: whether one arm's flights are late more
// often, which stands for any failure that days share, and whether its log-loss
// is lower. Storms hit both arms of a day and no other day, so rows are anything
// but independent. Whatever the split, hardly a rollout may find a winner.
func TestEqualArmsOnRealOutcomesHaveNoWinner(t *testing.T) {
	f := stattest.Year(t)
	days := f.Days()[91:]
	loss := make([]float64, len(f.Y))
	for i, p := range f.P {
		p = min(max(p, 1e-6), 1-1e-6)
		loss[i] = -f.Y[i]*math.Log(p) - (1-f.Y[i])*math.Log(1-p)
	}
	for _, share := range []float64{0.05, 0.25, 0.5} {
		byFailure, byLoss := 0, 0
		for rep := range rollouts {
			r := rand.New(rand.NewPCG(uint64(rep), math.Float64bits(share)))
			first := r.IntN(len(days) - 200)
			failure, quality := lookAfterEachDay(r, f.Y, loss, days[first:first+200], share)
			byFailure, byLoss = byFailure+one(failure), byLoss+one(quality)
		}
		t.Logf("%2.0f %% of the requests: by failures %.1f %%, by log-loss %.1f %% of rollouts", 100*share, 100*float64(byFailure)/rollouts, 100*float64(byLoss)/rollouts)
		if limit := rollouts * 5 / 100; byFailure > limit || byLoss > limit {
			t.Errorf("at %.0f %% of the requests a winner by failures in %d and by log-loss in %d of %d", 100*share, byFailure, byLoss, rollouts)
		}
	}
}

// lookAfterEachDay splits rows by chance, as a hash of a unit's id does, and
// tells whether a look after any of the days found a difference.
func lookAfterEachDay(r *rand.Rand, y, loss []float64, days [][]int, share float64) (failure, quality bool) {
	var arms []stat.Arms
	var gains []float64
	for _, rows := range days {
		var a stat.Arms
		var sum, other float64
		for _, i := range rows {
			if r.Float64() < share {
				a.Rows, a.Hits, sum = a.Rows+1, a.Hits+int64(y[i]), sum+loss[i]
			} else {
				a.OtherRows, a.OtherHits, other = a.OtherRows+1, a.OtherHits+int64(y[i]), other+loss[i]
			}
		}
		if a.Rows == 0 || a.OtherRows == 0 {
			continue
		}
		arms = append(arms, a)
		gains = append(gains, other/float64(a.OtherRows)-sum/float64(a.Rows))
		if !failure {
			e, err := stat.AlwaysProportion(arms, 0.95)
			failure = err == nil && stat.Decide(e, 0) != stat.Continue
		}
		if !quality {
			e, err := stat.AlwaysMean(gains, 0.95)
			quality = err == nil && stat.Decide(e, 0) != stat.Continue
		}
	}
	return failure, quality
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}
