package stat

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Resamples is how many resamples of blocks Bootstrap draws by default.
const Resamples = 400

// Bootstrap is the interval from resampling whole blocks with replacement
// (Field and Welsh 2007): the percentiles of the metric over the resamples,
// stretched about the value by √(B/(B−1)) · t/z for few blocks. The same seed
// gives the same interval. Resamples on which the metric is undefined are left
// out; when they are more than one in twenty the state is Undefined.
// resamples 0 means Resamples.
func Bootstrap(m Metric, s Scored, block []int, level float64, resamples int, seed uint64) (Estimate, error) {
	value, b, err := prepare(m, s, block, level)
	if err != nil {
		return Estimate{}, err
	}
	e := resample(value, b, level, resamples, seed)
	e.Level, e.Rows = level, len(s.Y)
	return e.within(m.Low, m.High), nil
}

// BootstrapDifference is Difference by resampling blocks, as in Bootstrap; both
// models see the same resamples.
func BootstrapDifference(m Metric, s Scored, other []float64, block []int, level float64, resamples int, seed uint64) (Estimate, error) {
	value, b, err := pair(m, s, other, block, level)
	if err != nil {
		return Estimate{}, err
	}
	e := resample(value, b, level, resamples, seed)
	e.Level, e.Rows = level, len(s.Y)
	return e, nil
}

func resample(value evaluator, b blocks, level float64, resamples int, seed uint64) Estimate {
	e, _ := leaveOut(value, b)
	if e.State != Enough {
		return e
	}
	if resamples <= 0 {
		resamples = Resamples
	}
	random := rand.New(rand.NewPCG(seed, 0x51157a7))
	mult, draws := make([]float64, b.groups), make([]float64, 0, resamples)
	var total, squares float64
	for range resamples {
		clear(mult)
		for range b.groups {
			mult[random.IntN(b.groups)]++
		}
		if v := value(mult); !math.IsNaN(v) {
			draws = append(draws, v)
			total += v
			squares += (v - e.Value) * (v - e.Value)
		}
	}
	if len(draws)*20 < resamples*19 {
		e.State = Undefined
		return e
	}
	slices.Sort(draws)
	n, tail := float64(b.groups), (1-level)/2
	stretch := math.Sqrt(n/(n-1)) * StudentQuantile(1-tail, b.effective-1) / NormalQuantile(1-tail)
	mean := total / float64(len(draws))
	e.Error = math.Sqrt(max(0, squares/float64(len(draws))-(mean-e.Value)*(mean-e.Value)) * n / (n - 1))
	e.Low = e.Value - stretch*(e.Value-Quantile(draws, tail))
	e.High = e.Value + stretch*(Quantile(draws, 1-tail)-e.Value)
	return e
}

// Quantile interpolates linearly between the order statistics of sorted values
// (Hyndman and Fan's type 7, NumPy's default). It is NaN for no values.
func Quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := q * float64(len(sorted)-1)
	i := min(max(int(at), 0), len(sorted)-1)
	if i == len(sorted)-1 {
		return sorted[i]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}
