package stat

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ml/slipway"
)

// days draws rows whose truth shares an effect and a slope within each day, as
// weather and market make it; the scores know of neither.
func days(r *rand.Rand, blocks, rows int) (Scored, []int) {
	var s Scored
	var id []int
	for b := range blocks {
		effect, slope := 0.7*r.NormFloat64(), 1+0.5*r.NormFloat64()
		for range rows/3 + r.IntN(rows*4/3) {
			x, y := r.NormFloat64(), 0.0
			if r.Float64() < 1/(1+math.Exp(1-slope*x-effect)) {
				y = 1
			}
			s.Y, s.P, id = append(s.Y, y), append(s.P, 1/(1+math.Exp(1-x))), append(id, b)
		}
	}
	return s, id
}

func metric(t testing.TB, name string) Metric {
	t.Helper()
	m, err := Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// On rows that share their day, the interval by day covers the truth as often
// as it says, and the interval by row does not.
func TestIntervalByBlockCovers(t *testing.T) {
	const reps = 250
	for _, name := range []string{"roc_auc", "log_loss", "f1"} {
		m := metric(t, name)
		everything, _ := days(rand.New(rand.NewPCG(1, 1)), 4000, 100)
		truth := m.of(everything)
		covered, byRow := 0, 0
		for rep := range reps {
			s, id := days(rand.New(rand.NewPCG(uint64(rep), 7)), 13, 100)
			e, err := Interval(m, s, id, 0.95)
			if err != nil || e.State != Enough {
				t.Fatal(e, err)
			}
			if e.Low <= truth && truth <= e.High {
				covered++
			}
			row := make([]int, len(id))
			for i := range row {
				row[i] = i
			}
			if e, _ = Interval(m, s, row, 0.95); e.Low <= truth && truth <= e.High {
				byRow++
			}
		}
		t.Logf("%s: by block %.1f %%, by row %.1f %%", name, 100*float64(covered)/reps, 100*float64(byRow)/reps)
		if covered < reps*93/100 {
			t.Errorf("%s: the interval by block covers %d of %d", name, covered, reps)
		}
		if byRow > reps*85/100 {
			t.Errorf("%s: rows of this simulation are independent (%d of %d): it shows nothing", name, byRow, reps)
		}
	}
}

func TestBootstrapAgreesWithJackknife(t *testing.T) {
	s, id := days(rand.New(rand.NewPCG(3, 3)), 30, 300)
	other := make([]float64, len(s.P))
	r := rand.New(rand.NewPCG(4, 4))
	for i, p := range s.P {
		other[i] = min(1, max(0, p+0.05*r.NormFloat64()))
	}
	for _, name := range []string{"roc_auc", "log_loss", "average_precision", "ece", "mcc"} {
		m := metric(t, name)
		a, _ := Interval(m, s, id, 0.95)
		b, err := Bootstrap(m, s, id, 0.95, 800, 5)
		if err != nil {
			t.Fatal(err)
		}
		again, _ := Bootstrap(m, s, id, 0.95, 800, 5)
		if b != again {
			t.Errorf("%s: one seed gave %v and %v", name, b, again)
		}
		if q := b.Error / a.Error; q < 0.75 || q > 1.25 {
			t.Errorf("%s: standard error %v by resampling, %v by leaving out", name, b.Error, a.Error)
		}
		if !(b.Low < b.Value && b.Value < b.High) && name != "ece" {
			t.Errorf("%s: %+v", name, b)
		}
		d, err := Difference(m, s, other, id, 0.95)
		d2, err2 := BootstrapDifference(m, s, other, id, 0.95, 800, 5)
		if err != nil || err2 != nil || d.Value != d2.Value || d.Error/d2.Error < 0.7 || d.Error/d2.Error > 1.4 {
			t.Errorf("%s: difference %+v %v, resampled %+v %v", name, d, err, d2, err2)
		}
		if d.Error >= a.Error {
			t.Errorf("%s: pairing gained nothing: %v against %v", name, d.Error, a.Error)
		}
	}
}

func TestIntervalSaysWhenItCannotKnow(t *testing.T) {
	auc := metric(t, "roc_auc")
	s, id := days(rand.New(rand.NewPCG(5, 5)), 3, 100)
	if e, err := Interval(auc, s, id, 0.95); err != nil || e.State != TooFew || !math.IsNaN(e.Low) || math.IsNaN(e.Value) || e.Blocks != 3 {
		t.Errorf("three blocks: %+v, %v", e, err)
	}
	s, id = days(rand.New(rand.NewPCG(5, 5)), 20, 100)
	lopsided := make([]int, len(id))
	for i, b := range id {
		lopsided[i] = max(0, b-10)
	}
	if e, err := Interval(auc, s, lopsided, 0.95); err != nil || e.State != TooFew {
		t.Errorf("ten blocks, one with half the rows, are worth few: %+v, %v", e, err)
	}
	clear(s.Y)
	e, err := Interval(auc, s, id, 0.95)
	if err != nil || e.State != Undefined || e.Known() {
		t.Errorf("one class: %+v, %v", e, err)
	}
	text, err := json.Marshal(e)
	if err != nil || !strings.Contains(string(text), `"low":null`) || !strings.Contains(string(text), `"state":"undefined"`) {
		t.Errorf("%s, %v", text, err)
	}
	var back Estimate
	if err := json.Unmarshal(text, &back); err != nil || !math.IsNaN(back.Low) || back.Rows != e.Rows || back.State != Undefined {
		t.Errorf("%+v, %v", back, err)
	}
	s.Y[0] = 1
	if e, _ = Interval(auc, s, id, 0.95); e.State != Undefined {
		t.Errorf("the only positive is in one block: %+v", e)
	}
	if d := Decide(e, 0.1); d != Continue {
		t.Errorf("decided %s by an unknown", d)
	}
}

func TestGainTurnsLosses(t *testing.T) {
	e := Estimate{Value: -0.02, Low: -0.03, High: -0.01, State: Enough}
	if g := metric(t, "log_loss").Gain(e); g.Value != 0.02 || g.Low != 0.01 || g.High != 0.03 || Decide(g, 0) != Promote {
		t.Errorf("%+v", g)
	}
	if g := metric(t, "roc_auc").Gain(e); g != e || Decide(g, 0) != Rollback || Decide(g, 0.05) != Promote {
		t.Errorf("%+v", g)
	}
}

// Bad input is a clear Invalid, never a panic.
func TestMetricsRefuseBadInput(t *testing.T) {
	y, p := []float64{0, 1}, []float64{0.2, 0.7}
	for name, c := range map[string]struct {
		metric string
		s      Scored
		says   string
	}{
		"no rows":        {"roc_auc", Scored{}, "no rows"},
		"short":          {"roc_auc", Scored{Y: y, P: p[:1]}, "2 rows but 1 predictions"},
		"weights":        {"roc_auc", Scored{Y: y, P: p, Weight: p[:1]}, "1 weights"},
		"weight":         {"roc_auc", Scored{Y: y, P: p, Weight: []float64{1, -1}}, "weight of row 1"},
		"not a class":    {"log_loss", Scored{Y: []float64{0, 2}, P: p}, "not a class of 0..1"},
		"half a class":   {"f1", Scored{Y: []float64{0, 0.5}, P: p}, "not a class"},
		"NaN truth":      {"mae", Scored{Y: []float64{0, math.NaN()}, P: p}, "truth of row 1"},
		"NaN prediction": {"mae", Scored{Y: y, P: []float64{0, math.NaN()}}, "prediction 1"},
		"probability":    {"brier", Scored{Y: y, P: []float64{0, 1.1}}, "prediction 1"},
		"labels only":    {"log_loss", Scored{Y: y, P: y, Classes: 3}, "needs a probability"},
		"class":          {"accuracy", Scored{Y: y, P: []float64{0, 3}, Classes: 3}, "prediction 1"},
		"three classes":  {"roc_auc", Scored{Y: y, P: []float64{1, 0, 0, 0, 1, 0}, Classes: 3}, "not for a model of 3 classes"},
		"no classes":     {"roc_auc_ovr", Scored{Y: y, P: p}, "probability for each class"},
		"one class":      {"accuracy", Scored{Y: y, P: p, Classes: 1}, "a model of 1 classes"},
		"numbers":        {"mae", Scored{Y: y, P: []float64{1, 0, 0, 1}, Classes: 2}, "not for a model of 2 classes"},
		"log of -1":      {"msle", Scored{Y: []float64{-1, 0}, P: p}, "truth of row 0"},
	} {
		_, err := metric(t, c.metric).Of(c.s)
		if !slipway.IsCode(err, slipway.Invalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Interval(metric(t, "mae"), Scored{Y: y, P: p}, []int{1}, 0.95); !slipway.IsCode(err, slipway.Invalid) {
		t.Errorf("short blocks: %v", err)
	}
	if _, err := Interval(metric(t, "mae"), Scored{Y: y, P: p}, []int{1, 2}, 95); !slipway.IsCode(err, slipway.Invalid) {
		t.Errorf("level 95: %v", err)
	}
	if _, err := Interval(Metric{}, Scored{Y: y, P: p}, []int{1, 2}, 0.95); !slipway.IsCode(err, slipway.Invalid) {
		t.Errorf("no metric: %v", err)
	}
}

func TestLookupNamesWhatWasMeant(t *testing.T) {
	for name, want := range map[string]string{"auc": "roc_auc", "logloss": "log_loss", "RMSE": "rmse", "F1-macro": "f1_macro", "nothing like it": "the metrics are"} {
		_, err := Lookup(name)
		if !slipway.IsCode(err, slipway.Invalid) || !strings.Contains(slipway.AsError(err).Hint, want) {
			t.Errorf("%q: %v, hint %q", name, err, slipway.AsError(err).Hint)
		}
	}
}

func TestBlocksOfTimes(t *testing.T) {
	got := BlocksOf([]int64{-86401, -1, 0, 86399, 86400}, 86400)
	for i, want := range []int{-2, -1, 0, 0, 1} {
		if got[i] != want {
			t.Errorf("%v", got)
		}
	}
}

// 20,000 rows of 31 days resampled 400 times take far less than a second.
func TestBootstrapOfAUCIsFast(t *testing.T) {
	s, id := days(rand.New(rand.NewPCG(9, 9)), 31, 645)
	start := time.Now()
	if _, err := Bootstrap(metric(t, "roc_auc"), s, id, 0.95, 400, 1); err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	t.Logf("%d rows: %v", len(s.Y), took)
	if took > 3*time.Second {
		t.Errorf("%v", took)
	}
}
