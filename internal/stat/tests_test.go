package stat

import (
	"math"
	"slices"
	"testing"
)

// Distances, tests and corrections equal SciPy's.
func TestTestsEqualSciPy(t *testing.T) {
	var file struct {
		Tables []struct {
			Ref, Cur         []float64
			Statistic, P, DF float64
		}
		Samples []struct {
			A, B                []float64
			D, Exact, Limit, W1 float64
		}
		Shares []struct {
			P, Q                              []float64
			JS, Hellinger, TVD, LInf, KL, PSI number
			JSNats                            number `json:"js_nats"`
		}
		BH        struct{ P, Q []float64 }
		Quantile  []struct{ Q, Want float64 }
		Histogram struct {
			Values, Edges []float64
			Counts        []int64
		}
		Sorted []float64
	}
	golden(t, "tests.json", &file)
	same := func(what string, i int, got, want float64) {
		t.Helper()
		if !near(got, want, 1e-11) || (want > 1e-200 && math.Abs(got/want-1) > 1e-8) {
			t.Errorf("%s %d = %.15g, SciPy says %.15g", what, i, got, want)
		}
	}
	for i, c := range file.Tables {
		x, df, p := ChiSquare(c.Ref, c.Cur)
		same("chi2", i, x, c.Statistic)
		same("df", i, df, c.DF)
		same("p", i, p, c.P)
	}
	for i, c := range file.Samples {
		d, p := KS(c.A, c.B)
		same("KS", i, d, c.D)
		same("KS p", i, p, c.Exact)
		same("KS exact", i, KSExact(d, len(c.A), len(c.B)), c.Exact)
		same("KS limit", i, KSLimit(d, len(c.A), len(c.B)), c.Limit)
		same("W1", i, Wasserstein(c.A, c.B), c.W1)
	}
	for i, c := range file.Shares {
		same("JS", i, JS(c.P, c.Q), float64(c.JS))
		same("JS nats", i, JSNats(c.P, c.Q), float64(c.JSNats))
		same("Hellinger", i, Hellinger(c.P, c.Q), float64(c.Hellinger))
		same("TVD", i, TVD(c.P, c.Q), float64(c.TVD))
		same("LInf", i, LInf(c.P, c.Q), float64(c.LInf))
		if !math.IsNaN(float64(c.KL)) {
			same("KL", i, KL(c.P, c.Q), float64(c.KL))
			same("PSI", i, PSI(c.P, c.Q), float64(c.PSI))
		}
	}
	for i, q := range FalseDiscovery(file.BH.P) {
		same("BH", i, q, file.BH.Q[i])
	}
	for i, c := range file.Quantile {
		same("quantile", i, Quantile(file.Sorted, c.Q), c.Want)
	}
	counter := NewCounter(file.Histogram.Edges)
	for _, v := range file.Histogram.Values {
		counter.Add(v)
	}
	if !slices.Equal(counter.Counts, file.Histogram.Counts) {
		t.Errorf("counts %v, NumPy's histogram says %v", counter.Counts, file.Histogram.Counts)
	}
}
