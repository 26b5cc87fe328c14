package stat

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// number is a float64 whose NaN is written as null.
type number float64

func (n *number) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*n = number(math.NaN())
		return nil
	}
	return json.Unmarshal(b, (*float64)(n))
}

func golden(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

// near reports equality to a relative error (absolute below 1), NaN equal NaN.
func near(got, want, tolerance float64) bool {
	if math.IsNaN(got) || math.IsNaN(want) {
		return math.IsNaN(got) && math.IsNaN(want)
	}
	return got == want || math.Abs(got-want) <= tolerance*max(1, math.Abs(want))
}

// Every metric equals scikit-learn's to 1e-12: random, tied, weighted, of one
// class, at the edges of what a float holds.
func TestMetricsEqualScikitLearn(t *testing.T) {
	var file struct {
		Cases map[string]struct {
			Y, P, W []float64
			Classes int
			Want    map[string]number
		}
	}
	golden(t, "metrics.json", &file)
	seen := map[string]bool{}
	for name, c := range file.Cases {
		s := Scored{Y: c.Y, P: c.P, Weight: c.W, Classes: c.Classes}
		for metric, want := range c.Want {
			m, err := Lookup(metric)
			if err != nil {
				t.Fatal(err)
			}
			seen[metric] = true
			got, err := m.Of(s)
			if err != nil {
				t.Errorf("%s %s: %v", name, metric, err)
			} else if !near(got, float64(want), 1e-12) {
				t.Errorf("%s %s = %.17g, scikit-learn says %.17g", name, metric, got, float64(want))
			}
		}
	}
	for _, m := range Metrics {
		if !seen[m.Name] {
			t.Errorf("no golden value of %s", m.Name)
		}
	}
}

func TestReliabilityEqualsCalibrationCurve(t *testing.T) {
	var file struct {
		Calibration struct{ Y, P, Observed, Predicted []float64 }
	}
	golden(t, "metrics.json", &file)
	c := file.Calibration
	bins := Reliability(Scored{Y: c.Y, P: c.P}, 10)
	if len(bins) != len(c.Observed) {
		t.Fatalf("%d bins, want %d", len(bins), len(c.Observed))
	}
	for i, b := range bins {
		if !near(b.Observed, c.Observed[i], 1e-12) || !near(b.Predicted, c.Predicted[i], 1e-12) {
			t.Errorf("bin %d: %+v, want %v %v", i, b, c.Predicted[i], c.Observed[i])
		}
	}
}

func TestSpecialFunctionsEqualSciPy(t *testing.T) {
	var file struct {
		Cases []struct {
			F    string
			Args []float64
			Want number
		}
	}
	golden(t, "special.json", &file)
	two := map[string]func(a, b float64) float64{"GammaQ": GammaQ, "GammaP": GammaP, "StudentTail": StudentTail,
		"StudentQuantile": StudentQuantile, "ChiSquareTail": ChiSquareTail}
	one := map[string]func(float64) float64{"NormalCDF": NormalCDF, "NormalQuantile": NormalQuantile, "KolmogorovTail": KolmogorovTail}
	for _, c := range file.Cases {
		var got float64
		switch {
		case one[c.F] != nil:
			got = one[c.F](c.Args[0])
		case two[c.F] != nil:
			got = two[c.F](c.Args[0], c.Args[1])
		default:
			got = BetaI(c.Args[0], c.Args[1], c.Args[2])
		}
		want := float64(c.Want)
		if !near(got, want, 1e-10) || (want > 1e-250 && math.Abs(got-want) > 1e-10*want && want < 0.5) {
			t.Errorf("%s(%v) = %.17g, SciPy says %.17g", c.F, c.Args, got, want)
		}
	}
}
