package stat

import (
	"math"
	"math/rand/v2"
	"testing"
)

// An error rate that rises from 0.2 to 0.4 is found within 60 values and the old values
// are forgotten; a steady one keeps the whole window, in little memory.
func TestADWINForgetsWhatChanged(t *testing.T) {
	cuts := 0
	for rep := range 50 {
		r := rand.New(rand.NewPCG(uint64(rep), 41))
		a := NewADWIN(0)
		rate := func(p float64) float64 { return float64(binomial(r, 50, p)) / 50 }
		for range 1000 {
			cuts += one(a.Observe(rate(0.2)))
		}
		if rep == 0 && (a.Len() != 1000 || len(a.buckets) > 50 || math.Abs(a.Mean()-0.2) > 0.01) {
			t.Errorf("%d values in %d buckets, mean %v", a.Len(), len(a.buckets), a.Mean())
		}
		found := 0
		for i := 1; i <= 60 && found == 0; i++ {
			if a.Observe(rate(0.4)) {
				found = i
			}
		}
		for range 400 {
			a.Observe(rate(0.4))
		}
		if found == 0 || math.Abs(a.Mean()-0.4) > 0.03 {
			t.Errorf("found after %d, then mean %v of %d", found, a.Mean(), a.Len())
		}
	}
	if cuts > 1 {
		t.Errorf("%d cuts in 50 steady streams", cuts)
	}
	a := NewADWIN(0.01)
	if a.Observe(math.NaN()) || a.Len() != 0 {
		t.Error("NaN was observed")
	}
}
