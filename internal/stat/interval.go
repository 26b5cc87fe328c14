package stat

import (
	"math"

	"github.com/slipway-ml/slipway"
)

// State says whether an Estimate's bounds mean anything.
type State string

// The states of an estimate.
const (
	Enough    State = "ok"                // the bounds hold
	TooFew    State = "not enough blocks" // fewer than MinBlocks effective blocks: bounds are NaN
	Undefined State = "undefined"         // the metric is undefined on the rows, or once a block is left out
)

// Estimate is a value with the interval that covers it.
type Estimate struct {
	Value  float64 `json:"value"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	Error  float64 `json:"error"` // standard error
	Level  float64 `json:"level"` // confidence, such as 0.95
	Blocks int     `json:"blocks"`
	Rows   int     `json:"rows"`
	State  State   `json:"state"`
}

// Known reports whether the bounds may be decided by.
func (e Estimate) Known() bool { return e.State == Enough }

// Interval is the metric with a confidence interval by block: the jackknife
// that leaves out one block at a time, with Student's t of as many degrees of
// freedom as there are effective blocks, less one:
//
//	se² = (B−1)/B · Σ (θ₍₋b₎ − θ)²,  θ ± t(1−α/2; B−1) · se
//
// (the CV3 cluster jackknife of MacKinnon, Nielsen and Webb 2023), and wider
// on the side to which the blocks are skewed (Johnson 1978). Resampled
// blocks give nearly the same interval with many blocks and a too narrow one
// with few; see Bootstrap. block holds the block number of each row. It fails
// with Invalid for unusable input; too little data is a state, not an error.
func Interval(m Metric, s Scored, block []int, level float64) (Estimate, error) {
	value, b, err := prepare(m, s, block, level)
	if err != nil {
		return Estimate{}, err
	}
	e := jackknife(value, b, studentWidth(level))
	e.Level, e.Rows = level, len(s.Y)
	return e.within(m.Low, m.High), nil
}

// Difference is metric(s) − metric(s with the predictions other): two models
// on the same rows, with an interval of the paired difference by block. For a
// metric where less is better, Gain turns the sign.
func Difference(m Metric, s Scored, other []float64, block []int, level float64) (Estimate, error) {
	value, b, err := pair(m, s, other, block, level)
	if err != nil {
		return Estimate{}, err
	}
	e := jackknife(value, b, studentWidth(level))
	e.Level, e.Rows = level, len(s.Y)
	return e, nil
}

// prepare checks the input and readies the metric for evaluation by block.
func prepare(m Metric, s Scored, block []int, level float64) (evaluator, blocks, error) {
	if !(level > 0 && level < 1) {
		return nil, blocks{}, slipway.Errorf(slipway.Invalid, "the level %v is not between 0 and 1", level).WithHint("write 0.95 for 95 %%")
	}
	if m.byBlock == nil {
		return nil, blocks{}, slipway.Errorf(slipway.Invalid, "no metric was chosen").WithHint("take one by stat.Lookup")
	}
	if err := m.check(s); err != nil {
		return nil, blocks{}, err
	}
	b, err := groupBlocks(block, len(s.Y))
	if err != nil {
		return nil, blocks{}, err
	}
	return m.byBlock(m.shape(s), b.group, b.groups), b, nil
}

// pair is prepare for the difference of two models.
func pair(m Metric, s Scored, other []float64, block []int, level float64) (evaluator, blocks, error) {
	first, b, err := prepare(m, s, block, level)
	if err != nil {
		return nil, b, err
	}
	s.P = other
	second, b, err := prepare(m, s, block, level)
	if err != nil {
		return nil, b, err
	}
	return func(mult []float64) float64 { return first(mult) - second(mult) }, b, nil
}

// width turns blocks into how many standard errors the interval reaches.
type width func(effective float64) float64

func studentWidth(level float64) width {
	return func(effective float64) float64 { return StudentQuantile(0.5+level/2, effective-1) }
}

// jackknife leaves out one block at a time.
func jackknife(value evaluator, b blocks, w width) Estimate {
	e, without := leaveOut(value, b)
	if e.State != Enough {
		return e
	}
	var spread float64
	for _, v := range without {
		spread += (v - e.Value) * (v - e.Value)
	}
	n := float64(b.groups)
	e.Error = math.Sqrt((n - 1) / n * spread)
	if e.Error == 0 {
		e.Low, e.High = e.Value, e.Value
		return e
	}
	return skewed(e, w(b.effective)*e.Error, pseudoValues(e.Value, without))
}

// pseudoValues are what each block contributes to the value (Tukey 1958):
// Bθ − (B−1)θ₍₋b₎.
func pseudoValues(value float64, without []float64) []float64 {
	n := float64(len(without))
	out := make([]float64, len(without))
	for i, v := range without {
		out[i] = n*value - (n-1)*v
	}
	return out
}

// leaveOut evaluates the metric on everything and without each block, and says
// whether that suffices.
func leaveOut(value evaluator, b blocks) (Estimate, []float64) {
	mult := make([]float64, b.groups)
	for i := range mult {
		mult[i] = 1
	}
	nan := math.NaN()
	e := Estimate{Value: value(mult), Low: nan, High: nan, Error: nan, Blocks: b.count, State: Enough}
	if math.IsNaN(e.Value) {
		e.State = Undefined
		return e, nil
	}
	if b.effective < MinBlocks-1e-9 {
		e.State = TooFew
		return e, nil
	}
	without := make([]float64, b.groups)
	for i := range mult {
		mult[i] = 0
		without[i] = value(mult)
		mult[i] = 1
		if math.IsNaN(without[i]) {
			e.State = Undefined
			return e, nil
		}
	}
	return e, without
}

// within keeps the bounds inside what the metric can be.
func (e Estimate) within(low, high float64) Estimate {
	if e.State == Enough {
		e.Low, e.High = max(e.Low, low), min(e.High, high)
	}
	return e
}
