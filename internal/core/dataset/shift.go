package dataset

import (
	"context"
	"fmt"
	"math"
)

// units are factors between units that feeds are known to change, and what
// such a factor means.
var units = []struct {
	factor float64
	what   string
}{
	{1.609344, "kilometres for miles"}, {2.54, "centimetres for inches"}, {3.28084, "feet for metres"}, {0.3048, "metres for feet"},
	{2.20462, "pounds for kilograms"}, {0.453592, "kilograms for pounds"}, {0.621371, "miles for kilometres"}, {0.393701, "inches for centimetres"},
	{1000, "thousandths"}, {0.001, "thousands"}, {100, "hundredths or percent"}, {0.01, "hundreds or shares"}, {60, "minutes for hours, or seconds for minutes"}, {1.0 / 60, "hours for minutes, or minutes for seconds"},
}

// shifts compares the rows with those of the last version and lists columns
// whose values all moved by one factor, as they do when a unit changes: the
// quarter, the half and the three-quarter points together.
func (w *work) shifts(ctx context.Context, p *Profile) ([]string, error) {
	if w.last.Profile == "" {
		return nil, nil
	}
	var before Profile
	if err := w.recall(ctx, w.last.Profile, &before); err != nil {
		return nil, err
	}
	var out []string
	for _, c := range p.Columns {
		old := before.Column(c.Name)
		if old == nil {
			out = append(out, "the column "+c.Name+" is new")
			continue
		}
		if old.Type != c.Type {
			out = append(out, fmt.Sprintf("%s was of type %s and is %s now", c.Name, old.Type, c.Type))
			continue
		}
		if f, ok := factor(old.Quantiles, c.Quantiles); ok {
			out = append(out, fmt.Sprintf("%s is %.3g times what it was%s", c.Name, f, unitOf(f)))
		}
	}
	for _, c := range before.Columns {
		if p.Column(c.Name) == nil {
			out = append(out, "the column "+c.Name+" is gone")
		}
	}
	return out, nil
}

// factor is by what all three middle quantiles moved, if they moved alike and
// by more than a fifth.
func factor(before, after []float64) (float64, bool) {
	if len(before) != len(QuantileLevels) || len(after) != len(QuantileLevels) {
		return 0, false
	}
	low, high := math.Inf(1), math.Inf(-1)
	for i := 2; i <= 4; i++ {
		f := after[i] / before[i]
		if math.IsNaN(f) || math.IsInf(f, 0) || f <= 0 {
			return 0, false
		}
		low, high = min(low, f), max(high, f)
	}
	middle := math.Sqrt(low * high)
	return middle, high/low < 1.1 && (middle > 1.2 || middle < 1/1.2)
}

func unitOf(f float64) string {
	for _, u := range units {
		if f/u.factor < 1.03 && f/u.factor > 0.97 {
			return ": " + u.what + "?"
		}
	}
	return ""
}
