package python_test

import (
	"errors"
	"math"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/backend/predictor/predictortest"
	"github.com/slipway-ml/slipway/internal/backend/predictor/python"
)

// These tests need nothing but a python3 with its standard library.

func load(t *testing.T, path string, limits predictor.Python) predictor.Model {
	t.Helper()
	m, err := python.Loader{}.Load(t.Context(), predictor.Spec{Path: path, Python: limits})
	if err != nil {
		t.Fatalf("%v\n%s", err, slipway.AsError(err).Hint)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func plain(t *testing.T, class string, limits predictor.Python) predictor.Model {
	t.Helper()
	return load(t, "testdata/plain.py:"+class, limits)
}

func number(name string, v ...float64) slipway.Series {
	return slipway.Series{Name: name, Type: slipway.Float, Float: v}
}

func text(name string, v ...string) slipway.Series {
	return slipway.Series{Name: name, Type: slipway.Text, Text: v}
}

func frame(s ...slipway.Series) *slipway.Frame {
	return &slipway.Frame{Rows: max(len(s[0].Float), len(s[0].Text)), Series: s}
}

func TestContractOfAClass(t *testing.T) {
	predictortest.Run(t, predictortest.Case{
		Open:    func(t *testing.T) predictor.Model { return plain(t, "Sum", predictor.Python{Workers: 2}) },
		Rows:    frame(number("a", 1, 2, 3), number("b", 0.5, 0.25, -3)),
		Want:    frame(number("prediction", 1.5, 2.25, 0)),
		Missing: true,
	})
}

func TestProbabilitiesAreNamedByTheirClasses(t *testing.T) {
	m := plain(t, "Classes", predictor.Python{})
	if got := m.Signature(); got.Task != slipway.Multiclass || !cmp.Equal(got.Classes, []string{"low", "mid", "high"}) {
		t.Errorf("signature %+v", got)
	}
	out, err := m.Predict(t.Context(), frame(number("a", 0.25, 0.125)))
	if err != nil {
		t.Fatal(err)
	}
	want := frame(number("low", 0.25, 0.125), number("mid", 0.25, 0.375), number("high", 0.5, 0.5))
	if diff := cmp.Diff(want, out); diff != "" {
		t.Error(diff)
	}
}

func TestLabelsAreNoProbabilities(t *testing.T) {
	m := plain(t, "Labels", predictor.Python{})
	out, err := m.Predict(t.Context(), frame(number("a", 0.5, -1)))
	if err != nil {
		t.Fatal(err)
	}
	if out.Series[0].Name != "prediction" || m.Signature().Output[0].Name != "prediction" {
		t.Errorf("got %+v, announced %+v", out, m.Signature().Output)
	}
}

func TestAProbabilityLiesBetweenNoughtAndOne(t *testing.T) {
	spec := predictor.Spec{Path: "testdata/plain.py:Score", Signature: &slipway.Signature{Task: slipway.BinaryTask}}
	m, err := python.Loader{}.Load(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	out, err := m.Predict(t.Context(), frame(number("a", 0.5, 1)))
	if err != nil || out.Series[0].Name != "probability" {
		t.Errorf("got %+v, %v", out, err)
	}
	if _, err := m.Predict(t.Context(), frame(number("a", 0.5, 3))); !errors.Is(err, predictor.ErrModel) {
		t.Errorf("3 for a probability: %v", err)
	}
}

func TestValuesArriveInTheirTypes(t *testing.T) {
	m := plain(t, "Types", predictor.Python{})
	nan := math.NaN()
	in := frame(
		slipway.Series{Name: "int", Type: slipway.Int, Float: []float64{1, nan}},
		slipway.Series{Name: "bool", Type: slipway.Bool, Float: []float64{1, nan}},
		number("float", 1.5, nan),
		slipway.Series{Name: "time", Type: slipway.Time, Float: []float64{1_000_001, nan}},
		slipway.Series{Name: "date", Type: slipway.Date, Float: []float64{86400e6, nan}},
		slipway.Series{Name: "text", Type: slipway.Text, Text: []string{"zwölf ✈", ""}, Null: []bool{false, true}},
		slipway.Series{Name: "binary", Type: slipway.Binary, Text: []string{"\xff\x00", ""}, Null: []bool{false, true}},
		text("empty", "", ""),
	)
	out, err := m.Predict(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	want := frame(
		text("int", "1", "None"), text("bool", "True", "None"), text("float", "1.5", "None"),
		text("time", "datetime.datetime(1970, 1, 1, 0, 0, 1, 1)", "None"), text("date", "datetime.date(1970, 1, 2)", "None"),
		text("text", "'zwölf ✈'", "None"), text("binary", `b'\xff\x00'`, "None"), text("empty", "''", "''"),
	)
	if diff := cmp.Diff(want, out); diff != "" {
		t.Error(diff)
	}
}

func TestWhatAModelPrintsIsNoAnswer(t *testing.T) {
	m := plain(t, "Chatty", predictor.Python{})
	for range 3 {
		out, err := m.Predict(t.Context(), frame(number("a", 4)))
		if err != nil || out.Series[0].Float[0] != 4 {
			t.Fatalf("got %+v, %v", out, err)
		}
	}
}

func TestAWorkerDoesNotSeeTheServersEnvironment(t *testing.T) {
	t.Setenv("SLIPWAY_SECRET", "hush")
	m := plain(t, "Environment", predictor.Python{Env: []string{"GIVEN=yes"}})
	out, err := m.Predict(t.Context(), frame(text("name", "SLIPWAY_SECRET", "GIVEN", "HOME")))
	if err != nil {
		t.Fatal(err)
	}
	if s := out.Series[0]; !s.Missing(0) || s.Text[1] != "yes" || s.Text[2] != os.Getenv("HOME") {
		t.Errorf("got %q", s.Text)
	}
}
