package stat

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/slipway-ml/slipway"
)

// looks runs a test after each block and says whether it ever promoted or
// rolled back.
func looks(n int, next func() float64) (promoted, rolledBack bool) {
	var x []float64
	for range n {
		x = append(x, next())
		e, _ := AlwaysMean(x, 0.95)
		switch Decide(e, 0) {
		case Promote:
			promoted = true
		case Rollback:
			rolledBack = true
		}
	}
	return promoted, rolledBack
}

// Two equal models are looked at after each of 200 blocks. The naive t-test
// finds a winner in most rollouts; the always-valid test in at most 5 of 100,
// for blocks that are normal, heavy-tailed or skewed.
func TestEqualModelsHaveNoWinner(t *testing.T) {
	const reps = 400
	for name, draw := range map[string]func(r *rand.Rand) float64{
		"normal":  (*rand.Rand).NormFloat64,
		"heavy":   func(r *rand.Rand) float64 { return r.NormFloat64() / math.Sqrt(r.ExpFloat64()+0.05) },
		"skewed":  func(r *rand.Rand) float64 { v := r.NormFloat64(); return v + 0.3*(v*v-1) },
		"by rows": func(r *rand.Rand) float64 { return 0.3*r.NormFloat64() + pairedRows(r, 0.3*r.NormFloat64(), 20) },
	} {
		winners := 0
		for rep := range reps {
			r := rand.New(rand.NewPCG(uint64(rep), 13))
			if up, down := looks(200, func() float64 { return draw(r) }); up || down {
				winners++
			}
		}
		t.Logf("%s: %.1f %% of rollouts", name, 100*float64(winners)/reps)
		if winners > reps*5/100 {
			t.Errorf("%s: a winner in %d of %d", name, winners, reps)
		}
	}
	naive := 0
	for rep := range reps {
		r := rand.New(rand.NewPCG(uint64(rep), 13))
		var sum, squares float64
		for n := 1.0; n <= 200; n++ {
			v := r.NormFloat64()
			sum, squares = sum+v, squares+v*v
			if n >= MinBlocks && math.Abs(sum/n) > 1.96*math.Sqrt((squares/n-sum*sum/n/n)/(n-1)) {
				naive++
				break
			}
		}
	}
	if naive < reps*25/100 {
		t.Errorf("peeking at a t-test found a winner in %d of %d only: the simulation shows nothing", naive, reps)
	}
}

// pairedRows is the mean over rows that share an effect of their block.
func pairedRows(r *rand.Rand, effect float64, rows int) float64 {
	var total float64
	for range rows {
		total += effect + r.NormFloat64()
	}
	return total / float64(rows)
}

func TestBetterModelIsFound(t *testing.T) {
	found, wrong := 0, 0
	for rep := range 200 {
		r := rand.New(rand.NewPCG(uint64(rep), 17))
		up, down := looks(30, func() float64 { return 1 + r.NormFloat64() })
		if up {
			found++
		}
		if down {
			wrong++
		}
	}
	if found < 180 || wrong > 0 {
		t.Errorf("an effect of one standard deviation: found in %d, reversed in %d of 200", found, wrong)
	}
}

func TestAlwaysIntervalIsWiderThanTheFixedOne(t *testing.T) {
	s, id := days(rand.New(rand.NewPCG(21, 1)), 20, 100)
	other := make([]float64, len(s.P))
	for i, p := range s.P {
		other[i] = 0.8*p + 0.1
	}
	m := metric(t, "log_loss")
	fixed, err := Difference(m, s, other, id, 0.95)
	if err != nil {
		t.Fatal(err)
	}
	always, err := AlwaysDifference(m, s, other, id, 0.95)
	if err != nil || always.Value != fixed.Value || always.High-always.Low <= fixed.High-fixed.Low || !always.Known() {
		t.Errorf("always %+v, fixed %+v, %v", always, fixed, err)
	}
	few, _ := AlwaysMean([]float64{1, 1, 1}, 0.95)
	if few.State != TooFew || Decide(few, 0) != Continue {
		t.Errorf("three blocks decide: %+v", few)
	}
	if _, err := AlwaysMean([]float64{math.NaN()}, 0.95); !slipway.IsCode(err, slipway.Invalid) {
		t.Errorf("NaN: %v", err)
	}
}

func binomial(r *rand.Rand, n int64, p float64) (hits int64) {
	for range n {
		if r.Float64() < p {
			hits++
		}
	}
	return hits
}

// A canary with the same error rate, on traffic whose errors come in bursts
// that both arms share, is rarely called worse or better over 200 looks; one
// that fails five times as often is found; one that never fails is not taken
// for certain.
func TestCanaryErrorsAreJudgedByBlock(t *testing.T) {
	const reps = 100
	worse, better, found := 0, 0, 0
	for rep := range reps {
		r := rand.New(rand.NewPCG(uint64(rep), 19))
		var same, broken []Arms
		var up, down, caught bool
		for range 200 {
			burst := math.Exp(0.5*r.NormFloat64() - 0.125)
			n := int64(25 + r.IntN(50))
			a := Arms{binomial(r, n, 0.02*burst), n, binomial(r, 500, 0.02*burst), 500}
			b := a
			b.Hits = binomial(r, n, 0.1*burst)
			same, broken = append(same, a), append(broken, b)
			if e, _ := AlwaysProportion(same, 0.95); e.State == Enough {
				up, down = up || e.Low > 0, down || e.High < 0
			}
			if e, _ := AlwaysProportion(broken, 0.95); e.State == Enough {
				caught = caught || e.Low > 0
			}
		}
		worse, better, found = worse+one(up), better+one(down), found+one(caught)
	}
	t.Logf("of %d: worse %d, better %d, found %d", reps, worse, better, found)
	if worse > reps*5/100 || better > reps*5/100 || found < reps*95/100 {
		t.Errorf("of %d: worse %d, better %d, found %d", reps, worse, better, found)
	}
	var clean []Arms
	for range 8 {
		clean = append(clean, Arms{0, 10, 0, 200})
	}
	e, err := AlwaysProportion(clean, 0.95)
	if err != nil || e.State != Enough || e.High < 0.02 {
		t.Errorf("80 rows without an error prove less than %+v, %v", e, err)
	}
	if e, err = AlwaysProportion([]Arms{{0, 0, 1, 5}}, 0.95); err != nil || e.State != TooFew {
		t.Errorf("an arm without rows: %+v, %v", e, err)
	}
	if _, err = AlwaysProportion([]Arms{{5, 4, 0, 1}}, 0.95); !slipway.IsCode(err, slipway.Invalid) {
		t.Errorf("five of four: %v", err)
	}
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestSampleRatio(t *testing.T) {
	false5 := 0
	for rep := range 500 {
		r := rand.New(rand.NewPCG(uint64(rep), 23))
		counts, least := []int64{0, 0}, 1.0
		for range 200 {
			hit := binomial(r, 20, 0.1)
			counts[0], counts[1] = counts[0]+hit, counts[1]+20-hit
			p, err := SampleRatio(counts, []float64{10, 90})
			if err != nil {
				t.Fatal(err)
			}
			least = min(least, p)
		}
		false5 += one(least < 0.05)
	}
	if false5 > 25 {
		t.Errorf("a mismatch in %d of 500 fair rollouts", false5)
	}
	if p, _ := SampleRatio([]int64{1300, 8700}, []float64{0.1, 0.9}); p > 1e-6 {
		t.Errorf("13 %% instead of 10 %% of 10,000 has p %v", p)
	}
	for _, bad := range [][]float64{{1}, {0, 1}, {math.NaN(), 1}} {
		if _, err := SampleRatio([]int64{1, 2}, bad); !slipway.IsCode(err, slipway.Invalid) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestVerdictNeedsAllToPromote(t *testing.T) {
	for _, c := range []struct {
		each []Decision
		want Decision
	}{
		{nil, Continue}, {[]Decision{Promote, Promote}, Promote}, {[]Decision{Promote, Continue}, Continue},
		{[]Decision{Promote, Continue, Rollback}, Rollback},
	} {
		if got := Verdict(c.each...); got != c.want {
			t.Errorf("%v: %s", c.each, got)
		}
	}
}

func TestBreakerTripsAtKOfTheLastN(t *testing.T) {
	b := NewBreaker(3, 5)
	var got []bool
	for _, failed := range []bool{true, false, true, false, false, true, true, true, false} {
		got = append(got, b.Observe(failed))
	}
	for i, want := range []bool{false, false, false, false, false, false, true, true, true} {
		if got[i] != want {
			t.Errorf("outcome %d: %v", i, got)
		}
	}
	if b.Reset(); b.Failed() != 0 || b.Observe(true) {
		t.Error("a reset breaker remembers")
	}
	if !NewBreaker(0, 0).Observe(true) {
		t.Error("the smallest breaker does not trip")
	}
}
