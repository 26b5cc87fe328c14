package stat

import (
	"fmt"
	"math"
	"slices"

	"github.com/slipway-ml/slipway"
)

// MinWindows is how many windows a reference needs before a window can be
// called unlike them.
const MinWindows = 12

// DriftStatistic is one way to say how far apart two rows of counts are.
type DriftStatistic struct {
	Name string
	// Effect is the least value worth an alarm, whatever its significance: for
	// most, what a shift by a quarter of a standard deviation gives.
	Effect float64
	// Bounded says that 1 is the largest value it can have, else it has none.
	Bounded bool
	Of      func(reference, current []float64) float64
}

// DriftStatistics is every statistic that drift is decided by.
var DriftStatistics = []DriftStatistic{
	{"js", 0.1, true, JS},
	{"psi", 0.1, false, PSI},
	{"ks", 0.1, true, KSOfCounts},
	{"chi2", 0.1, true, CramerV},
	{"hellinger", 0.1, true, Hellinger},
	{"tvd", 0.1, true, TVD},
	{"linf", 0.1, true, LInf},
	{"kl", 0.05, false, KL},
}

// LookupDrift finds a drift statistic by name. It fails with Invalid.
func LookupDrift(name string) (DriftStatistic, error) {
	names := make([]string, len(DriftStatistics))
	for i, d := range DriftStatistics {
		if d.Name == name {
			return d, nil
		}
		names[i] = d.Name
	}
	return DriftStatistic{}, slipway.Errorf(slipway.Invalid, "there is no drift statistic %q", name).
		WithHint("the statistics are %v", names)
}

// DriftRule is how drift is decided.
type DriftRule struct {
	Statistic DriftStatistic // zero means js
	// Level is the chance of any alarm over all features of one window that is
	// like the reference's; zero means 0.005, which days that resemble their
	// neighbours strongly (correlation 0.8) make 0.02 to 0.03 with a quarter
	// as reference, but 0.07 with a month and 0.17 with a fortnight: compare
	// those with care, or with Trail.
	Level float64
	// Effect replaces the statistic's least value worth an alarm; zero keeps it.
	Effect float64
	// Trail compares a window with the Trail blocks before it instead of with
	// all of the reference, for windows of the reference and for the current
	// one alike. A slow change, such as a season, then is in both and alarms
	// less; only what changes faster than in the reference alarms.
	Trail int
	// Gap is how many blocks on either side of a reference window are left out
	// of what it is compared with, since neighbours resemble it more than a
	// later window can; zero means as many as the window has, and at least a
	// twelfth of the reference.
	Gap int
}

// DriftFeature is the counts of one feature in the same cells throughout.
type DriftFeature struct {
	Name string
	// Reference is the counts of each block of the reference, in order of time.
	// A block without rows is all zeros.
	Reference [][]float64
	// Current is the counts of the window to judge, the sum of its blocks.
	Current []float64
	// Blocks is how many blocks the current window has.
	Blocks int
}

// DriftVerdict is what was decided of one feature.
type DriftVerdict struct {
	Feature   string  `json:"feature"`
	Statistic string  `json:"statistic"`
	Value     float64 `json:"value"`   // of the current window
	Typical   float64 `json:"typical"` // median of the reference's windows
	Limit     float64 `json:"limit"`   // least value that would have been drift for this feature alone
	Largest   float64 `json:"largest"` // of the reference's windows
	PValue    float64 `json:"p_value"` // chance of such a value from a window like the reference's
	QValue    float64 `json:"q_value"` // corrected over the features
	Windows   int     `json:"windows"` // windows of the reference, not overlapping
	State     State   `json:"state"`
	Drifted   bool    `json:"drifted"`
	Reason    string  `json:"reason"`
}

// The states of a drift verdict besides Enough.
const (
	InsufficientReference State = "insufficient reference" // fewer than MinWindows windows
	InsufficientRows      State = "insufficient rows"      // the window has far fewer rows than the reference's
)

// Drift decides, for each feature of one window, whether the window is further
// from the reference than windows of the reference are from the rest of it.
//
// Rows of a block are not independent, so the distribution of a statistic
// between like windows cannot be known from counts; it is observed. Every run
// of as many blocks in the reference is compared with the reference without it
// and without Gap blocks on either side. A feature drifted when all hold:
//
//   - its value is at least Effect, so a trifle on many rows is no alarm;
//   - it is beyond the largest of all such reference windows;
//   - the chance of such a value is small after Benjamini-Hochberg over the
//     features. The chance is that of Student's t predicting one more value
//     from the logarithms (or log odds) of the windows' values, with as many degrees of
//     freedom as there are windows that do not overlap, fewer when successive
//     ones resemble each other.
//
// The level holds for windows that come from what the reference saw. Reality
// that moves on (a season absent from the reference) is drift, and is reported
// as such; with Trail it is weighed against how fast the reference moved.
func Drift(features []DriftFeature, rule DriftRule) ([]DriftVerdict, error) {
	rule = rule.filled()
	if !(rule.Level > 0 && rule.Level < 1) {
		return nil, slipway.Errorf(slipway.Invalid, "the level %v is not between 0 and 1", rule.Level)
	}
	out, p := make([]DriftVerdict, len(features)), make([]float64, len(features))
	for i, f := range features {
		if err := f.check(); err != nil {
			return nil, err
		}
		out[i] = rule.judge(f)
		p[i] = out[i].PValue
	}
	for i, q := range FalseDiscovery(p) {
		out[i].QValue = q
		rule.conclude(&out[i])
	}
	return out, nil
}

func (r DriftRule) filled() DriftRule {
	if r.Statistic.Of == nil {
		r.Statistic = DriftStatistics[0]
	}
	if r.Level == 0 {
		r.Level = 0.005
	}
	if r.Effect == 0 {
		r.Effect = r.Statistic.Effect
	}
	return r
}

func (f DriftFeature) check() error {
	if f.Blocks < 1 {
		return slipway.Errorf(slipway.Invalid, "%s: a window of %d blocks", f.Name, f.Blocks)
	}
	for _, b := range f.Reference {
		if len(b) != len(f.Current) {
			return slipway.Errorf(slipway.Invalid, "%s: the reference has %d cells and the window %d", f.Name, len(b), len(f.Current))
		}
	}
	return nil
}

// judge finds the value and its chance, without regard to other features.
func (r DriftRule) judge(f DriftFeature) DriftVerdict {
	nan := math.NaN()
	v := DriftVerdict{Feature: f.Name, Statistic: r.Statistic.Name, State: Enough,
		Value: nan, Typical: nan, Limit: nan, Largest: nan, PValue: nan}
	w := r.windows(f)
	v.Windows = w.count
	against := f.Reference
	if r.Trail > 0 {
		against = against[max(0, len(against)-r.Trail):]
	}
	v.Value = r.Statistic.Of(addAll(against, len(f.Current)), f.Current)
	switch {
	case w.count < MinWindows:
		v.State = InsufficientReference
		v.Reason = fmt.Sprintf("insufficient reference: %d windows of %d blocks, %d are needed", w.count, f.Blocks, MinWindows)
		return v
	case total(f.Current) < w.rows/2:
		v.State = InsufficientRows
		v.Reason = fmt.Sprintf("insufficient rows: %.0f, where windows of the reference have %.0f", total(f.Current), w.rows)
		return v
	}
	x := make([]float64, len(w.values))
	for i, s := range w.values {
		x[i] = r.scale(s)
	}
	mean, sd := meanAndDeviation(x)
	n := independent(x, w.step, w.count)
	// Correlated values spread less about their own mean than the next one
	// will: by 1−1/n of the variance. Its mean is itself uncertain by 1/n.
	sd *= math.Sqrt((1 + 1/n) / (1 - 1/n))
	v.PValue = 1
	if z := r.scale(v.Value) - mean; z > 0 {
		v.PValue = StudentTail(z/sd, n-1)
	}
	slices.Sort(w.values)
	v.Typical, v.Largest = Quantile(w.values, 0.5), w.values[len(w.values)-1]
	v.Limit = max(r.unscale(mean+sd*StudentQuantile(1-r.Level, n-1)), v.Largest, r.Effect)
	return v
}

// room is how far above 1 the odds of a bounded value end. At 0 the odds would
// make much of small steps near 1; far above, near 1 no step would count.
const room = 0.5

// scale takes the logarithm of a value a little above, since below a quarter of
// the least effect differences do not matter; of a bounded value the logarithm
// of odds, since there is always room for one more.
func (r DriftRule) scale(s float64) float64 {
	if r.Statistic.Bounded {
		return math.Log((s + r.Effect/4) / (1 + room - s))
	}
	return math.Log(s + r.Effect/4)
}

// unscale is the inverse of scale.
func (r DriftRule) unscale(x float64) float64 {
	if r.Statistic.Bounded {
		return min(1, (1+room+r.Effect/4)/(1+math.Exp(-x))-r.Effect/4)
	}
	return math.Exp(x) - r.Effect/4
}

func (r DriftRule) conclude(v *DriftVerdict) {
	if v.State != Enough {
		return
	}
	switch {
	case v.Value < r.Effect:
		v.Reason = fmt.Sprintf("%s %.3g is below %.3g, the least that matters", v.Statistic, v.Value, r.Effect)
	case v.Value <= v.Largest:
		v.Reason = fmt.Sprintf("%s %.3g; windows of the reference reach %.3g", v.Statistic, v.Value, v.Largest)
	case !(v.QValue <= r.Level):
		v.Reason = fmt.Sprintf("%s %.3g is the largest yet, but chance explains it (q %.2g)", v.Statistic, v.Value, v.QValue)
	default:
		v.Drifted = true
		v.Reason = fmt.Sprintf("%s %.3g; windows of the reference are at %.3g and reach %.3g (q %.2g)",
			v.Statistic, v.Value, v.Typical, v.Largest, v.QValue)
	}
}
