package template

import (
	"math"
	"slices"
	"strconv"

	"github.com/slipway-ml/slipway"
)

const (
	leakRows  = 200    // fewer rows prove nothing
	leakShare = 0.999  // of rows in which a rule must hold
	leakR     = 0.9999 // correlation from which a number is the target itself
)

// leaks finds columns that give the target away: the target is one of them
// under another name, the sum of two, or what one of few values says. Nobody
// knows them before the target is known, and a model that sees them learns
// nothing else.
func (l *Look) leaks(t Target, candidates []string) []Dropped {
	y := l.Sample.Column(t.Column)
	if l.Sample.Rows < leakRows {
		return nil
	}
	var out []Dropped
	var numbers []*slipway.Series
	for _, name := range candidates {
		s := l.Sample.Column(name)
		switch {
		case t.Task == slipway.Regression && s.Text == nil && math.Abs(correlation(s.Float, y.Float)) >= leakR:
			out = append(out, Dropped{name, "it is nothing but " + t.Column})
		case t.Task == slipway.Regression:
			if s.Text == nil {
				numbers = append(numbers, s)
			}
		case tells(s, y):
			out = append(out, Dropped{name, "its values alone tell " + t.Column})
		}
	}
	for i, a := range numbers {
		for _, b := range numbers[i+1:] {
			if sums(a.Float, b.Float, y.Float) {
				out = append(out, Dropped{a.Name, "with " + b.Name + " it adds up to " + t.Column}, Dropped{b.Name, "with " + a.Name + " it adds up to " + t.Column})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Dropped) int { return slices.Index(candidates, a.Column) - slices.Index(candidates, b.Column) })
	return slices.CompactFunc(out, func(a, b Dropped) bool { return a.Column == b.Column })
}

// correlation is Pearson's, over rows where both are there.
func correlation(a, b []float64) float64 {
	var n, ma, mb, saa, sbb, sab float64
	for i := range a {
		if !finite(a[i]) || !finite(b[i]) {
			continue
		}
		n++
		da, db := a[i]-ma, b[i]-mb
		ma, mb = ma+da/n, mb+db/n
		saa, sbb, sab = saa+da*(a[i]-ma), sbb+db*(b[i]-mb), sab+da*(b[i]-mb)
	}
	if n < leakRows || saa == 0 || sbb == 0 {
		return 0
	}
	return sab / math.Sqrt(saa*sbb)
}

// sums reports whether a + b = y, with neither of them nearly always zero.
func sums(a, b, y []float64) bool {
	rows, holds, both := 0, 0, 0
	for i := range y {
		if !finite(a[i]) || !finite(b[i]) || !finite(y[i]) {
			continue
		}
		rows++
		if math.Abs(a[i]+b[i]-y[i]) <= 1e-9*math.Max(1, math.Abs(y[i])) {
			holds++
		}
		if a[i] != 0 && b[i] != 0 {
			both++
		}
		if rows == leakRows && holds < rows/2 {
			return false // most pairs are told apart soon
		}
	}
	return rows >= leakRows && float64(holds) >= leakShare*float64(rows) && both > rows/10
}

// tells reports whether each of a column's few values goes with one class
// only.
func tells(s, y *slipway.Series) bool {
	class := map[string]map[string]int{}
	rows := 0
	for i := range max(len(s.Float), len(s.Text)) {
		if s.Missing(i) || y.Missing(i) {
			continue
		}
		v := textAt(s, i)
		if class[v] == nil {
			if len(class) == 2*maxClasses {
				return false
			}
			class[v] = map[string]int{}
		}
		class[v][textAt(y, i)]++
		rows++
	}
	kept := 0
	for _, counts := range class {
		most := 0
		for _, n := range counts {
			most = max(most, n)
		}
		kept += most
	}
	classes := map[string]bool{}
	for i := range max(len(y.Float), len(y.Text)) {
		if !y.Missing(i) {
			classes[textAt(y, i)] = true
		}
	}
	return rows >= leakRows && len(class) >= len(classes) && len(classes) > 1 && float64(kept) >= leakShare*float64(rows)
}

func textAt(s *slipway.Series, i int) string {
	if s.Text != nil {
		return s.Text[i]
	}
	return strconv.FormatFloat(s.Float[i], 'g', -1, 64)
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

func number(s string) float64 {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return math.NaN()
	}
	return v
}

// trimmed writes a number without needless digits.
func trimmed(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }
