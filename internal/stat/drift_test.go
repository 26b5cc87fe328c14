package stat

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/slipway-ml/slipway"
)

// weather draws counts by day of features that drift together from day to day
// (φ 0.8, half a standard deviation of the values) over a season.
func weather(r *rand.Rand, days, features int, season float64) [][][]float64 {
	const phi, sd, cells = 0.8, 0.5, 16
	shared := make([]float64, days)
	step := func(x float64) float64 { return phi*x + math.Sqrt(1-phi*phi)*r.NormFloat64() }
	for d, x := 0, r.NormFloat64(); d < days; d++ {
		x = step(x)
		shared[d] = x
	}
	out := make([][][]float64, features)
	for f := range out {
		load, phase, own := 0.7*r.Float64(), 2*math.Pi*r.Float64(), r.NormFloat64()
		for d := range days {
			own = step(own)
			mean := sd*(load*shared[d]+math.Sqrt(1-load*load)*own) + season*math.Sin(2*math.Pi*float64(d)/365+phase)
			counts := make([]float64, cells)
			for range 200 {
				v := mean + r.NormFloat64()
				counts[min(max(int((v+3)/6*cells), 0), cells-1)]++
			}
			out[f] = append(out[f], counts)
		}
	}
	return out
}

func featuresAt(x [][][]float64, reference, day int) []DriftFeature {
	var out []DriftFeature
	for f := range x {
		out = append(out, DriftFeature{Name: fmt.Sprint("f", f), Reference: x[f][:reference], Current: x[f][day], Blocks: 1})
	}
	return out
}

func anyDrifted(t *testing.T, features []DriftFeature, rule DriftRule) bool {
	t.Helper()
	verdicts, err := Drift(features, rule)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range verdicts {
		if v.Drifted {
			return true
		}
	}
	return false
}

// Windows of 16 features without a fault alarm in at most 5 of 100: on days
// that correlate, against the whole quarter; and through a season, against the
// 28 days before. PSI over 0.2 on three features alarms nearly always.
func TestDriftAlarmsRarelyWithoutFault(t *testing.T) {
	for name, c := range map[string]struct {
		season float64
		rule   DriftRule
	}{
		"quarter": {0, DriftRule{}},
		"trail":   {0, DriftRule{Trail: 28}},
		"season":  {1, DriftRule{Trail: 28}},
	} {
		alarms, psi, n := 0, 0, 0
		for rep := range 20 {
			x := weather(rand.New(rand.NewPCG(uint64(rep), 29)), 110, 16, c.season)
			for day := 90; day < 110; day++ {
				reference := 90
				if c.rule.Trail > 0 {
					reference = day
				}
				n++
				alarms += one(anyDrifted(t, featuresAt(x, reference, day), c.rule))
				over := 0
				for f := range x {
					over += one(PSI(addAll(x[f][:90], 16), x[f][day]) > 0.2)
				}
				psi += one(over >= 3)
			}
		}
		t.Logf("%s: %.1f %% of windows; by PSI > 0.2: %.1f %%", name, 100*float64(alarms)/float64(n), 100*float64(psi)/float64(n))
		if alarms > n*5/100 {
			t.Errorf("%s: %d of %d windows alarm", name, alarms, n)
		}
		if psi < n*80/100 {
			t.Errorf("%s: PSI alarms in %d of %d: the simulation is too easy", name, psi, n)
		}
	}
}

// A changed unit, a column of nulls and a constant are found, whatever the
// statistic, and only in the feature that has them.
func TestDriftFindsFaults(t *testing.T) {
	x := weather(rand.New(rand.NewPCG(1, 31)), 91, 16, 0)
	for _, s := range DriftStatistics {
		for name, fault := range map[string]func([]float64) []float64{
			"unit":     func(c []float64) []float64 { return append(make([]float64, 15), total(c)) },
			"constant": func(c []float64) []float64 { out := make([]float64, 16); out[1] = total(c); return out },
		} {
			features := featuresAt(x, 90, 90)
			features[3].Current = fault(features[3].Current)
			verdicts, err := Drift(features, DriftRule{Statistic: s})
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range verdicts {
				if v.Drifted != (i == 3) {
					t.Errorf("%s %s: %+v", s.Name, name, v)
				}
				if i == 3 && !(v.Value >= v.Limit && v.Limit >= v.Largest) {
					t.Errorf("%s %s: drifted below its limit: %+v", s.Name, name, v)
				}
			}
		}
	}
}

func TestDriftWithoutEnoughToKnow(t *testing.T) {
	x := weather(rand.New(rand.NewPCG(2, 31)), 40, 1, 0)
	short := DriftFeature{Name: "short", Reference: x[0][:11], Current: x[0][30], Blocks: 1}
	weeks := DriftFeature{Name: "weeks", Reference: x[0], Current: addAll(x[0][:7], 16), Blocks: 7}
	thin := DriftFeature{Name: "thin", Reference: x[0], Current: append([]float64{40}, make([]float64, 15)...), Blocks: 1}
	none := DriftFeature{Name: "none", Current: x[0][0], Blocks: 1}
	verdicts, err := Drift([]DriftFeature{short, weeks, thin, none}, DriftRule{})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []State{InsufficientReference, InsufficientReference, InsufficientRows, InsufficientReference} {
		if v := verdicts[i]; v.State != want || v.Drifted || v.Reason == "" {
			t.Errorf("%+v, want %s", v, want)
		}
	}
	text, err := json.Marshal(verdicts)
	if err != nil {
		t.Fatal(err)
	}
	var back []DriftVerdict
	if err := json.Unmarshal(text, &back); err != nil || back[0].State != InsufficientReference || !math.IsNaN(back[0].PValue) || back[0].Feature != "short" {
		t.Errorf("%s: %+v, %v", text, back, err)
	}
	for _, bad := range []DriftFeature{{Name: "no blocks", Current: x[0][0]}, {Name: "cells", Current: []float64{1}, Reference: x[0], Blocks: 1}} {
		if _, err := Drift([]DriftFeature{bad}, DriftRule{}); !slipway.IsCode(err, slipway.Invalid) {
			t.Errorf("%s: %v", bad.Name, err)
		}
	}
	if _, err := LookupDrift("wasserstein"); !slipway.IsCode(err, slipway.Invalid) {
		t.Errorf("%v", err)
	}
}

// feed draws three stations' hourly readings, several rows an hour in turn; from
// the hour stuck on, each station repeats its last value.
func feed(r *rand.Rand, hours, stuck int) (times []int64, values []float64) {
	station := []float64{20, 21, 22}
	for h := range hours {
		for s := range station {
			if h < stuck {
				station[s] += math.Round(20*r.NormFloat64()) / 10
			}
		}
		if h%24 < 5 {
			continue // nothing flies at night
		}
		for m := range 9 {
			times, values = append(times, int64(h*3600+m*400)), append(values, station[r.IntN(3)])
		}
	}
	return times, values
}

// A feed of three stations that stands still is found within hours, without
// being told of stations; a feed that works is never called stuck.
func TestStuckFeedIsFoundWithinHours(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 37))
	times, values := feed(r, 24*70, 24*60)
	slow := make([]float64, len(values)) // stays for days by nature
	for i, at := range times {
		slow[i] = float64(at / (86400 * 5))
	}
	block := BlocksOf(times, 86400)
	var run, slowRun Run
	var reference, slowReference [][]float64
	found := math.Inf(1)
	for i, at := range times {
		if i > 0 && block[i] != block[i-1] {
			reference, slowReference = append(reference, run.Block()), append(slowReference, slowRun.Block())
		}
		run.Observe(at, values[i])
		slowRun.Observe(at, slow[i])
		if block[i] < 20 || i%9 != 8 {
			continue
		}
		verdicts, err := Stuck([]StuckFeature{{"feed", reference, run.Ages(), 86400}, {"slow", slowReference, slowRun.Ages(), 86400}}, 0)
		if err != nil {
			t.Fatal(err)
		}
		if verdicts[1].Stuck {
			t.Fatalf("hour %d: %+v", at/3600, verdicts[1])
		}
		if verdicts[0].Stuck {
			found = float64(at)/3600 - 24*60
			break
		}
	}
	t.Logf("found after %.1f hours, of which 5 have no rows", found)
	if !(found > 0 && found < 12) {
		t.Errorf("found after %v hours", found)
	}
	if v, err := Stuck([]StuckFeature{{"new", reference[:5], run.Ages(), 86400}}, 0); err != nil || v[0].State != InsufficientReference {
		t.Errorf("%+v, %v", v, err)
	}
	if _, err := Stuck([]StuckFeature{{"odd", reference, []float64{1}, 86400}}, 0); !slipway.IsCode(err, slipway.Invalid) {
		t.Errorf("%v", err)
	}
	batch := LongestRuns(times[:9*19*3], values[:9*19*3], block[:9*19*3])
	for b := range batch {
		for m := range batch[b] {
			if batch[b][m] != reference[b][m] {
				t.Errorf("block %d: %v in a batch, %v one by one", b, batch[b], reference[b])
			}
		}
	}
}

func TestCategoriesCountWhatTheReferenceKnew(t *testing.T) {
	v := Categories(map[string]int64{"UA": 50, "AA": 50, "OO": 1, "HA": 2}, 3)
	index := v.CategoryIndex()
	c, other := NewCategoryCounter(len(v.Top), index), NewCategoryCounter(len(v.Top), index)
	for _, name := range []string{"AA", "UA", "UA", "HA", "OO", "ZZ", ""} {
		c.Add(name)
	}
	other.Add("ZZ")
	other.AddNull(4)
	if err := c.Merge(other); err != nil {
		t.Fatal(err)
	}
	got := c.Cells(2)
	for i, want := range []float64{1, 2, 2, 3, 4} { // AA, UA, HA+OO, unseen, null
		if got[i] != want {
			t.Errorf("cells %v", got)
		}
	}
	if c.Rows() != 12 {
		t.Errorf("%d rows", c.Rows())
	}
	if err := c.Merge(NewCategoryCounter(9, nil)); !slipway.IsCode(err, slipway.Conflict) {
		t.Errorf("%v", err)
	}
	if err := NewCounter([]float64{0, 1}).Merge(NewCounter([]float64{0, 2})); !slipway.IsCode(err, slipway.Conflict) {
		t.Errorf("%v", err)
	}
}
