package stat

import (
	"math"
	"slices"
	"sort"
	"strings"

	"github.com/slipway-ml/slipway"
)

// Metric is one way to say how good predictions are. All equal the function of
// the same meaning in scikit-learn; ece has no counterpart there.
type Metric struct {
	Name           string
	Tasks          []Task
	HigherIsBetter bool
	// Low and High bound the values the metric can take.
	Low, High float64

	probability bool // needs the probability of every class, not labels
	unit        bool // predictions must lie in [0, 1]
	of          func(s Scored) float64
	// byBlock prepares the metric for many evaluations in which block b counts
	// mult[b] times: the resampling and leaving out of whole blocks.
	byBlock func(s Scored, group []int, groups int) evaluator
}

// evaluator computes a metric with each block counted mult[block] times.
type evaluator func(mult []float64) float64

// Metrics is every metric, by task.
var Metrics = metricTable()

func metricTable() []Metric {
	inf := math.Inf(1)
	both, binary, multi, number := []Task{Binary, Multiclass}, []Task{Binary}, []Task{Multiclass}, []Task{Regression}
	return []Metric{
		ranked(Metric{Name: "roc_auc", Tasks: binary, HigherIsBetter: true, High: 1}, ROCAUC, rocAUCByBlock),
		ranked(Metric{Name: "average_precision", Tasks: binary, HigherIsBetter: true, High: 1}, AveragePrecision, averagePrecisionByBlock),
		ranked(Metric{Name: "roc_auc_ovr", Tasks: multi, HigherIsBetter: true, High: 1, probability: true, unit: true}, ROCAUCOvR, rocAUCOvRByBlock),
		summed(Metric{Name: "log_loss", Tasks: both, High: inf, probability: true, unit: true}, logLoss),
		summed(Metric{Name: "brier", Tasks: binary, High: 1, probability: true, unit: true}, brier),
		summed(Metric{Name: "ece", Tasks: binary, High: 1, probability: true, unit: true}, ece),
		ranked(Metric{Name: "ece_quantile", Tasks: binary, High: 1, probability: true, unit: true}, eceQuantile, nil),
		summed(Metric{Name: "accuracy", Tasks: both, HigherIsBetter: true, High: 1}, confused(accuracy)),
		summed(Metric{Name: "balanced_accuracy", Tasks: both, HigherIsBetter: true, High: 1}, confused(balancedAccuracy)),
		summed(Metric{Name: "precision", Tasks: binary, HigherIsBetter: true, High: 1}, confused(binaryOf(precision))),
		summed(Metric{Name: "recall", Tasks: binary, HigherIsBetter: true, High: 1}, confused(binaryOf(recall))),
		summed(Metric{Name: "f1", Tasks: binary, HigherIsBetter: true, High: 1}, confused(binaryOf(f1))),
		summed(Metric{Name: "precision_macro", Tasks: both, HigherIsBetter: true, High: 1}, confused(macro(precision))),
		summed(Metric{Name: "recall_macro", Tasks: both, HigherIsBetter: true, High: 1}, confused(macro(recall))),
		summed(Metric{Name: "f1_macro", Tasks: both, HigherIsBetter: true, High: 1}, confused(macro(f1))),
		summed(Metric{Name: "precision_micro", Tasks: both, HigherIsBetter: true, High: 1}, confused(accuracy)),
		summed(Metric{Name: "recall_micro", Tasks: both, HigherIsBetter: true, High: 1}, confused(accuracy)),
		summed(Metric{Name: "f1_micro", Tasks: both, HigherIsBetter: true, High: 1}, confused(accuracy)),
		summed(Metric{Name: "precision_weighted", Tasks: both, HigherIsBetter: true, High: 1}, confused(supported(precision))),
		summed(Metric{Name: "recall_weighted", Tasks: both, HigherIsBetter: true, High: 1}, confused(supported(recall))),
		summed(Metric{Name: "f1_weighted", Tasks: both, HigherIsBetter: true, High: 1}, confused(supported(f1))),
		summed(Metric{Name: "mcc", Tasks: both, HigherIsBetter: true, Low: -1, High: 1}, confused(mcc)),
		summed(Metric{Name: "mae", Tasks: number, High: inf}, meanOf(absolute, nil)),
		summed(Metric{Name: "mse", Tasks: number, High: inf}, meanOf(squared, nil)),
		summed(Metric{Name: "rmse", Tasks: number, High: inf}, meanOf(squared, math.Sqrt)),
		summed(Metric{Name: "mape", Tasks: number, High: inf}, meanOf(absolutePercent, nil)),
		summed(Metric{Name: "msle", Tasks: number, High: inf}, meanOf(squaredLog, nil)),
		summed(Metric{Name: "r2", Tasks: number, HigherIsBetter: true, Low: -inf, High: 1}, r2),
		summed(Metric{Name: "explained_variance", Tasks: number, HigherIsBetter: true, Low: -inf, High: 1}, explainedVariance),
	}
}

// Lookup finds a metric by name. It fails with Invalid, naming the metrics
// that are spelled nearly so.
func Lookup(name string) (Metric, error) {
	for _, m := range Metrics {
		if m.Name == name {
			return m, nil
		}
	}
	err := slipway.Errorf(slipway.Invalid, "there is no metric %q", name)
	if near := nearNames(name, metricNames()); len(near) > 0 {
		return Metric{}, err.WithHint("did you mean %s?", strings.Join(near, " or "))
	}
	return Metric{}, err.WithHint("the metrics are %s", strings.Join(metricNames(), ", "))
}

func metricNames() []string {
	out := make([]string, len(Metrics))
	for i, m := range Metrics {
		out[i] = m.Name
	}
	return out
}

// Of computes the metric on s. The value is NaN where scikit-learn calls it
// undefined (roc_auc of one class). It fails with Invalid when the shapes do
// not fit, a value is not finite, or a class or probability is out of range.
func (m Metric) Of(s Scored) (float64, error) {
	if err := m.check(s); err != nil {
		return math.NaN(), err
	}
	return m.of(m.shape(s)), nil
}

// Better reports whether a is a better value of the metric than b.
func (m Metric) Better(a, b float64) bool {
	if m.HigherIsBetter {
		return a > b
	}
	return a < b
}

// Gain turns a Difference so that more is better: the sign of a loss flips.
func (m Metric) Gain(e Estimate) Estimate {
	if m.HigherIsBetter {
		return e
	}
	e.Value, e.Low, e.High = -e.Value, -e.High, -e.Low
	return e
}

// For reports whether the metric is for the task.
func (m Metric) For(t Task) bool { return m.is(t) }

func (m Metric) is(t Task) bool { return slices.Contains(m.Tasks, t) }

// shape gives a metric of one score its one column.
func (m Metric) shape(s Scored) Scored {
	if m.is(Binary) {
		return s.oneColumn()
	}
	return s
}

func ranked(m Metric, of func(Scored) float64, byBlock func(Scored, []int, int) evaluator) Metric {
	m.of, m.byBlock = of, byBlock
	if byBlock == nil {
		m.byBlock = reweighted(of)
	}
	return m
}

// reweighted evaluates a metric without a faster form by weighting its rows.
func reweighted(of func(Scored) float64) func(Scored, []int, int) evaluator {
	return func(s Scored, group []int, _ int) evaluator {
		weight := make([]float64, len(s.Y))
		return func(mult []float64) float64 {
			for i, g := range group {
				weight[i] = mult[g] * s.weight(i)
			}
			return of(Scored{Y: s.Y, P: s.P, Classes: s.Classes, Weight: weight})
		}
	}
}

// sum describes a metric that is a function of sums over rows: width sums, to
// which add contributes a row, and value makes the metric of them.
type sum struct {
	width func(s *Scored) int
	// about finds constants that add may subtract to keep digits; nil means 0.
	about func(s *Scored) center
	add   func(s *Scored, i int, w float64, c center, acc []float64)
	value func(s *Scored, acc []float64) float64
}

// center is the mean truth and the mean error of the rows.
type center struct{ truth, error float64 }

// summed makes a metric of sums. By block it keeps the sums of each block, so
// that leaving out or resampling blocks never reads a row again.
func summed(m Metric, a sum) Metric {
	about := func(s *Scored) center {
		if a.about == nil {
			return center{}
		}
		return a.about(s)
	}
	m.of = func(s Scored) float64 {
		acc, c := make([]float64, a.width(&s)), about(&s)
		for i := range s.Y {
			a.add(&s, i, s.weight(i), c, acc)
		}
		return a.value(&s, acc)
	}
	m.byBlock = func(s Scored, group []int, groups int) evaluator {
		width, c := a.width(&s), about(&s)
		sums, acc := make([]float64, groups*width), make([]float64, width)
		for i, g := range group {
			a.add(&s, i, s.weight(i), c, sums[g*width:(g+1)*width])
		}
		return func(mult []float64) float64 {
			clear(acc)
			for g, k := range mult {
				if k == 0 {
					continue
				}
				for j, v := range sums[g*width : (g+1)*width] {
					acc[j] += k * v
				}
			}
			return a.value(&s, acc)
		}
	}
	return m
}

// nearNames are the names within a third of their length of a misspelling, or
// that contain it, nearest first.
func nearNames(name string, names []string) []string {
	type near struct {
		name string
		far  int
	}
	var found []near
	want := strings.ToLower(strings.NewReplacer("-", "_", " ", "_").Replace(name))
	for _, n := range names {
		far := editDistance(want, n)
		if want != "" && (strings.Contains(n, want) || strings.Contains(want, n)) {
			far = min(far, 1)
		}
		if far <= max(1, len(n)/3) {
			found = append(found, near{n, far})
		}
	}
	sort.SliceStable(found, func(i, j int) bool { return found[i].far < found[j].far })
	var out []string
	for _, f := range found[:min(3, len(found))] {
		out = append(out, f.name)
	}
	return out
}

// editDistance is Levenshtein's: insertions, deletions and replacements.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		left, corner := i, i-1
		for j := 1; j <= len(b); j++ {
			cost := corner
			if a[i-1] != b[j-1] {
				cost++
			}
			corner = row[j]
			row[j-1], left = left, min(left+1, row[j]+1, cost)
		}
		row[len(b)] = left
	}
	return row[len(b)]
}
