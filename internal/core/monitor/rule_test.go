package monitor

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/project"
	"github.com/slipway-ml/slipway/internal/stat"
)

// frames draws a frame with every type and missing values.
func frames(t *rapid.T) *slipway.Frame {
	n := rapid.IntRange(0, 40).Draw(t, "rows")
	f := &slipway.Frame{Rows: n}
	for _, kind := range []slipway.Type{slipway.Float, slipway.Int, slipway.Bool, slipway.Time, slipway.Text} {
		s := slipway.Series{Name: "in." + string(kind), Type: kind}
		anyNull := false
		for range n {
			missing := rapid.Bool().Draw(t, "missing")
			anyNull = anyNull || missing
			v := 0.0
			switch kind {
			case slipway.Float:
				v = rapid.Float64().Draw(t, "float")
			case slipway.Bool:
				v = float64(rapid.IntRange(0, 1).Draw(t, "bool"))
			default:
				v = float64(rapid.Int64Range(-1<<50, 1<<50).Draw(t, "int"))
			}
			if kind == slipway.Text {
				text := ""
				if !missing {
					text = rapid.String().Draw(t, "text")
				}
				s.Text, s.Null = append(s.Text, text), append(s.Null, missing)
				continue
			}
			if missing {
				v = math.NaN()
			}
			s.Float = append(s.Float, v)
		}
		if kind == slipway.Text && n == 0 {
			s.Text = []string{}
		} else if kind != slipway.Text && n == 0 {
			s.Float = []float64{}
		}
		if !anyNull {
			s.Null = nil
		}
		f.Series = append(f.Series, s)
	}
	return f
}

func TestAPartitionReadsBackWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, g := frames(t), frames(t)
		for _, want := range []*slipway.Frame{f, g, concat([]*slipway.Frame{f, g})} {
			body, err := encode(want)
			if err != nil {
				t.Fatal(err)
			}
			got, err := decode(bytes.NewReader(body), int64(len(body)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

func TestADamagedPartitionIsAnError(t *testing.T) {
	body, err := encode(&slipway.Frame{Rows: 1, Series: []slipway.Series{{Name: "x", Type: slipway.Float, Float: []float64{1}}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{nil, body[:len(body)/2], body[len(body)/2:]} {
		if _, err := decode(bytes.NewReader(b), int64(len(b))); err == nil {
			t.Errorf("%d of %d bytes read as a partition", len(b), len(body))
		}
	}
}

func TestTalliesAddUp(t *testing.T) {
	draw := func(t *rapid.T) *tally {
		c := &tally{rows: rapid.Int64Range(0, 1e6).Draw(t, "rows"), failed: rapid.Int64Range(0, 9).Draw(t, "failed"), latency: histogram{}}
		for range rapid.IntRange(0, 5).Draw(t, "buckets") {
			c.latency[rapid.IntRange(0, 300).Draw(t, "bucket")] += rapid.Int64Range(1, 99).Draw(t, "n")
		}
		for i := range 3 {
			fine := make([]int64, 4*(i+1))
			for k := range fine {
				if rapid.Bool().Draw(t, "seen") {
					fine[k] = rapid.Int64Range(0, 1e9).Draw(t, "count")
				}
			}
			c.features = append(c.features, fine)
		}
		return c
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw(t), draw(t)
		sum := &tally{}
		for _, x := range []*tally{a, b} {
			back, err := unpackTally(x.pack())
			if err != nil {
				t.Fatal(err)
			}
			sum.merge(back)
		}
		if sum.rows != a.rows+b.rows || sum.failed != a.failed+b.failed {
			t.Fatalf("%d rows, %d failed", sum.rows, sum.failed)
		}
		for i := range sum.features {
			for k, n := range sum.features[i] {
				if n != a.features[i][k]+b.features[i][k] {
					t.Fatalf("feature %d cell %d is %d", i, k, n)
				}
			}
		}
	})
}

func FuzzUnpackTally(f *testing.F) {
	f.Add((&tally{rows: 3, latency: histogram{7: 3}, features: [][]int64{{0, 3, 0}, {1, 2}}}).pack())
	f.Add([]byte{255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := unpackTally(b); err == nil {
			if _, err := unpackTally(c.pack()); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestLatencyQuantileIsRightTo5Percent(t *testing.T) {
	h := histogram{}
	for i := 1; i <= 1000; i++ {
		h[bucket(time.Duration(i)*time.Millisecond)]++
	}
	if p := h.quantile(0.99); p < 990 || p > 990*bucketGrowth {
		t.Errorf("p99 of 1 to 1000 ms is %v", p)
	}
	if p := (histogram{}).quantile(0.99); !math.IsNaN(p) {
		t.Errorf("of nothing it is %v", p)
	}
}

func TestTruth(t *testing.T) {
	binary := slipway.Signature{Task: slipway.BinaryTask, Classes: []string{"no", "yes"}}
	several := slipway.Signature{Task: slipway.Multiclass, Classes: []string{"1", "2", "setosa"}}
	for _, c := range []struct {
		value string
		sig   slipway.Signature
		want  float64
		ok    bool
	}{
		{"true", binary, 1, true}, {"1", binary, 1, true}, {`"yes"`, binary, 1, true}, {`"no"`, binary, 0, true}, {`"maybe"`, binary, 0, false}, {"0.5", binary, 0, false},
		{"2", several, 1, true}, {"2.0", several, 1, true}, {`"setosa"`, several, 2, true}, {"3", several, 0, false},
		{"2.5", slipway.Signature{Task: slipway.Regression}, 2.5, true}, {`"2.5"`, slipway.Signature{Task: slipway.Regression}, 2.5, true},
		{`"x"`, slipway.Signature{Task: slipway.Regression}, 0, false}, {"true", slipway.Signature{Task: slipway.Regression}, 0, false},
	} {
		if got, ok := truth(c.value, c.sig); ok != c.ok || ok && got != c.want {
			t.Errorf("%s of a %s model is %v, %v", c.value, c.sig.Task, got, ok)
		}
	}
}

func TestDaysFollowTheClocksOfTheProject(t *testing.T) {
	// 10 March 2013 has 23 hours in New York, 3 November has 25.
	for day, hours := range map[string]float64{"2013-03-10": 23, "2013-11-03": 25, "2013-07-01": 24} {
		noon := must(time.ParseInLocation("2006-01-02 15", day+" 12", zone))
		start := dayOf(noon, zone)
		if got := addDays(start, 1, zone).Sub(start).Hours(); got != hours {
			t.Errorf("%s has %v hours", day, got)
		}
	}
}

func TestAnAlarmNeedsTwoOfThreeWindows(t *testing.T) {
	D, O, N := Drifted, OK, NotEnoughData
	for _, c := range []struct {
		latest        []Verdict
		firing, clear bool
	}{
		{[]Verdict{D}, false, false}, {[]Verdict{D, D}, true, false}, {[]Verdict{D, O, D}, true, false}, {[]Verdict{D, O, O, D}, false, false},
		{[]Verdict{O, D, D}, false, false}, {[]Verdict{O, O, D}, false, true}, {[]Verdict{N, O, D}, false, true}, {nil, false, false},
	} {
		if firing, clear := persistent(c.latest); firing != c.firing || clear != c.clear {
			t.Errorf("%v: firing %v, clear %v", c.latest, firing, clear)
		}
	}
}

// TestAlarmRate lives through many quarters without a fault, on days that
// resemble their neighbours, and counts the windows in which anything alarms.
func TestAlarmRate(t *testing.T) {
	const worlds, reference, later, features, rows = 40, 90, 28, 6, 150
	alarmed, windows := 0, 0
	for seed := range worlds {
		r := rand.New(rand.NewPCG(uint64(seed), 1))
		var sig slipway.Signature
		level := make([]float64, features)
		for f := range features {
			sig.Input = append(sig.Input, slipway.Column{Name: string(rune('a' + f)), Type: slipway.Float})
		}
		// Levels wander with a correlation of 0.5 from day to day, by half of
		// what rows of one day differ.
		draw := func() [][]float64 {
			out := make([][]float64, features)
			for f := range out {
				level[f] = 0.5*level[f] + 0.5*math.Sqrt(0.75)*r.NormFloat64()
				for range rows {
					out[f] = append(out[f], level[f]+r.NormFloat64())
				}
			}
			return out
		}
		train := &slipway.Frame{Rows: reference * rows, Series: []slipway.Series{{Name: "at", Type: slipway.Time}}}
		for f := range features {
			train.Series = append(train.Series, slipway.Series{Name: sig.Input[f].Name, Type: slipway.Float})
		}
		for d := range reference {
			for f, values := range draw() {
				train.Series[f+1].Float = append(train.Series[f+1].Float, values...)
			}
			for i := range rows {
				train.Series[0].Float = append(train.Series[0].Float, float64(start.Add(time.Duration(d)*day+time.Duration(i)*time.Minute).UnixMicro()))
			}
		}
		ref := must(newReference(Training{Signature: sig, Rows: train, Time: "at"}, time.UTC))
		rule := rules{zone: time.UTC, blocks: 7, drift: &project.Drift{Features: project.Features{All: true}}}
		var days []*tally
		past := map[string][]Verdict{}
		for range later {
			c := newCounting(ref)
			for f, values := range draw() {
				for _, v := range values {
					c.counters[f].number.Add(v)
				}
			}
			c.rows = rows
			days = append(days, c.done())
			if len(days) < rule.blocks {
				continue
			}
			sum := &tally{}
			for _, d := range days[len(days)-rule.blocks:] {
				sum.merge(d)
			}
			any := false
			for _, v := range must(ref.drift(rule, sum, "r", start)) {
				if v.Detail.State != stat.Enough {
					t.Fatalf("undecided: %s", v.Detail.Reason)
				}
				past[v.Feature] = append([]Verdict{v.Verdict}, past[v.Feature]...)
				firing, _ := persistent(past[v.Feature])
				any = any || firing
			}
			windows++
			if any {
				alarmed++
			}
		}
	}
	rate := float64(alarmed) / float64(windows)
	t.Logf("%d of %d windows alarm: %.1f %%", alarmed, windows, 100*rate)
	if rate > 0.05 {
		t.Errorf("%.1f %% of windows without a fault alarm", 100*rate)
	}
}
