package monitor

import (
	"slices"
	"testing"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/project"
	"github.com/slipway-ml/slipway/internal/stat"
	"github.com/slipway-ml/slipway/internal/stat/stattest"
)

// TestAlarmRateOnRealDays watches the departures of April to December, in their
// own order and with their own weather, as examples/flights does: every month
// the reference is everything before it, a window is seven days, and an alarm is
// two of three windows. No fault is in this feed, so hardly a window may alarm.
// The same days with the humidity standing still must be noticed.
func TestAlarmRateOnRealDays(t *testing.T) {
	f := stattest.Year(t)
	alarmed, windows := 0, 0
	for month := 4; month <= 12; month++ {
		a, w := watchMonth(t, f, month, nil)
		alarmed, windows = alarmed+a, windows+w
	}
	rate := float64(alarmed) / float64(windows)
	t.Logf("%d of %d windows alarm: %.1f %%", alarmed, windows, 100*rate)
	if rate > 0.05 {
		t.Errorf("%.1f %% of windows without a fault alarm", 100*rate)
	}
	stuck := func(name string, day int, v float64) float64 {
		if name == "humid" && day >= firstOfMonth(9)+9 {
			return 63.4
		}
		return v
	}
	if faulty, _ := watchMonth(t, f, 9, stuck); faulty < 10 {
		t.Errorf("%d windows alarm while humidity stands still for three weeks", faulty)
	}
}

// watchMonth counts the windows that end in a month, and those in which anything
// alarms. fault may change a feature's values by the day.
func watchMonth(t *testing.T, f *stattest.Flights, month int, fault func(name string, day int, v float64) float64) (alarmed, windows int) {
	days := f.Days()
	exclude := []string{"temp", "dewp", "dest", "distance", "hour"} // as slipway.yaml does
	var names []string
	for name := range f.Feature {
		if !slices.Contains(exclude, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	rule := rules{zone: time.UTC, blocks: 7, drift: &project.Drift{Features: project.Features{All: true}}}
	ref := must(newReference(training(f, names, firstOfMonth(month)), time.UTC))
	counted := map[int]*tally{}
	for d := firstOfMonth(month) - rule.blocks + 1; d < firstOfMonth(month+1); d++ {
		c := newCounting(ref)
		for k, name := range names {
			for _, i := range days[d] {
				v := f.Feature[name][i]
				if fault != nil {
					v = fault(name, d, v)
				}
				c.counters[k].number.Add(v)
			}
		}
		c.rows = int64(len(days[d]))
		counted[d] = c.done()
	}
	past := map[string][]Verdict{}
	for today := firstOfMonth(month); today < firstOfMonth(month+1); today++ {
		sum := &tally{}
		for d := today - rule.blocks + 1; d <= today; d++ {
			sum.merge(counted[d])
		}
		any := false
		for _, v := range must(ref.drift(rule, sum, "r", start)) {
			past[v.Feature] = append([]Verdict{v.Verdict}, past[v.Feature]...)
			firing, _ := persistent(past[v.Feature])
			if v.Detail.State != stat.Enough {
				t.Fatalf("day %d, %s: %s", today, v.Feature, v.Detail.Reason)
			}
			any = any || firing
		}
		windows++
		if any {
			alarmed++
		}
	}
	return alarmed, windows
}

// training is the rows before a day of the year, as a model learned from them.
func training(f *stattest.Flights, names []string, until int) Training {
	n := 0
	for n < len(f.At) && f.Day(n) < until {
		n++
	}
	var sig slipway.Signature
	rows := &slipway.Frame{Rows: n, Series: []slipway.Series{{Name: "at", Type: slipway.Time, Float: make([]float64, n)}}}
	for i := range n {
		rows.Series[0].Float[i] = float64(start.Add(time.Duration(f.At[i] * float64(day))).UnixMicro())
	}
	for _, name := range names {
		sig.Input = append(sig.Input, slipway.Column{Name: name, Type: slipway.Float})
		rows.Series = append(rows.Series, slipway.Series{Name: name, Type: slipway.Float, Float: f.Feature[name][:n]})
	}
	return Training{Signature: sig, Rows: rows, Time: "at"}
}

// firstOfMonth is a day of 2013, from 0.
func firstOfMonth(month int) int {
	return time.Date(2013, time.Month(month), 1, 0, 0, 0, 0, time.UTC).YearDay() - 1 + 365*((month-1)/12)
}
