package trees_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/backend/predictor/predictortest"
	"github.com/slipway-ml/slipway/internal/backend/predictor/trees"
)

// registered is the signature of the models in testdata: it has the names as
// they were before LightGBM changed them.
var registered = &slipway.Signature{Input: slipway.Schema{
	{Name: "air time", Type: slipway.Float, Nullable: true},
	{Name: "carrier", Type: slipway.Text, Nullable: true},
	{Name: "hour", Type: slipway.Int},
	{Name: "gate", Type: slipway.Int},
}}

type golden struct {
	Prediction [][]float64 // by output, by row
	Value      [][]float64 // by row; outputs × features
	Base       []float64
}

// read gives the rows of testdata/golden.json and the answers to them.
func read(t testing.TB) (*slipway.Frame, map[string]golden) {
	t.Helper()
	b, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]json.RawMessage
	var rows struct {
		Air     []*float64 `json:"air time"`
		Carrier []*string
		Hour    []float64
		Gate    []float64
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(file["rows"], &rows); err != nil {
		t.Fatal(err)
	}
	delete(file, "rows")
	answers := map[string]golden{}
	for name, text := range file {
		var g golden
		if err := json.Unmarshal(text, &g); err != nil {
			t.Fatal(err)
		}
		answers[name] = g
	}
	n := len(rows.Hour)
	air, carrier, null := make([]float64, n), make([]string, n), make([]bool, n)
	for i := range n {
		air[i] = math.NaN()
		if rows.Air[i] != nil {
			air[i] = *rows.Air[i]
		}
		if null[i] = rows.Carrier[i] == nil; !null[i] {
			carrier[i] = *rows.Carrier[i]
		}
	}
	return &slipway.Frame{Rows: n, Series: []slipway.Series{
		{Name: "air time", Type: slipway.Float, Float: air},
		{Name: "carrier", Type: slipway.Text, Text: carrier, Null: null},
		{Name: "hour", Type: slipway.Int, Float: rows.Hour},
		{Name: "gate", Type: slipway.Int, Float: rows.Gate},
	}}, answers
}

func load(t testing.TB, name string, signature *slipway.Signature) predictor.Model {
	t.Helper()
	path := filepath.Join("testdata", name)
	if !(trees.Loader{}).Detect(path) {
		t.Fatalf("%s is not detected", name)
	}
	m, err := trees.Loader{}.Load(t.Context(), predictor.Spec{Path: path, Signature: signature})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestContract(t *testing.T) {
	rows, answers := read(t)
	for name, outputs := range map[string][]string{
		"binary.txt":      {"probability"},
		"multiclass.txt":  {"0", "1", "2"},
		"binary.json":     {"probability"},
		"multiclass.json": {"0", "1", "2"},
		"regression.ubj":  {"prediction"},
	} {
		t.Run(name, func(t *testing.T) {
			want := &slipway.Frame{Rows: rows.Rows}
			for o, column := range outputs {
				want.Series = append(want.Series, slipway.Series{Name: column, Type: slipway.Float, Float: answers[name].Prediction[o]})
			}
			predictortest.Run(t, predictortest.Case{
				Open:      func(t *testing.T) predictor.Model { return load(t, name, registered) },
				Rows:      rows,
				Want:      want,
				Tolerance: 1e-6,
				Missing:   true,
				Category:  "carrier",
				Unseen:    predictortest.AsMissing,
			})
		})
	}
}

func TestExplanationsAreTheLibrarys(t *testing.T) {
	rows, answers := read(t)
	for name, want := range answers {
		t.Run(name, func(t *testing.T) {
			m := load(t, name, registered)
			defer m.Close()
			got, err := m.(predictor.Explainer).Explain(t.Context(), rows)
			if err != nil {
				t.Fatal(err)
			}
			near := cmpopts.EquateApprox(0, 1e-5)
			if diff := cmp.Diff(want.Value, got.Value, near); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(want.Base, got.Base, near); diff != "" {
				t.Error(diff)
			}
			if !cmp.Equal(got.Feature, registered.Input.Names()) || !cmp.Equal(got.Output, m.Signature().Output.Names()) {
				t.Errorf("features %q, outputs %q", got.Feature, got.Output)
			}
		})
	}
}

// TestImportanceNamesFeaturesAsTheSignatureDoes: the figures are those of
// package tree, which are held against the libraries there.
func TestImportanceNamesFeaturesAsTheSignatureDoes(t *testing.T) {
	for _, name := range []string{"binary.txt", "multiclass.json", "regression.ubj"} {
		m := load(t, name, registered)
		defer m.Close()
		told := m.(predictor.Weigher).Importance()
		gain, splits := 0.0, 0
		for i, f := range told {
			if f.Feature != registered.Input[i].Name {
				t.Errorf("%s: feature %d is %q; want %q", name, i, f.Feature, registered.Input[i].Name)
			}
			if (f.Gain > 0) != (f.Splits > 0) {
				t.Errorf("%s: %+v", name, f)
			}
			gain, splits = gain+f.Gain, splits+f.Splits
		}
		if len(told) != len(registered.Input) || gain <= 0 || splits == 0 {
			t.Errorf("%s: %+v", name, told)
		}
	}
}

func TestALongFrameIsAnsweredInChunks(t *testing.T) {
	rows, answers := read(t)
	m := load(t, "multiclass.txt", registered)
	defer m.Close()
	const times = 100
	long := &slipway.Frame{Rows: rows.Rows * times}
	for _, s := range rows.Series {
		s.Float, s.Text, s.Null = slices.Repeat(s.Float, times), slices.Repeat(s.Text, times), slices.Repeat(s.Null, times)
		if s.Type != slipway.Text {
			s.Text, s.Null = nil, nil
		}
		long.Series = append(long.Series, s)
	}
	out, err := m.Predict(t.Context(), long)
	if err != nil {
		t.Fatal(err)
	}
	for o, s := range out.Series {
		if diff := cmp.Diff(slices.Repeat(answers["multiclass.txt"].Prediction[o], times), s.Float, cmpopts.EquateApprox(0, 1e-6)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestNumbersThatAreCategoriesMayComeAsText(t *testing.T) {
	rows, answers := read(t)
	signature := *registered
	signature.Input = slices.Clone(signature.Input)
	signature.Input[3].Type = slipway.Text
	m := load(t, "binary.txt", &signature)
	defer m.Close()
	gate := slipway.Series{Name: "gate", Type: slipway.Text}
	for _, v := range rows.Series[3].Float {
		gate.Text = append(gate.Text, map[float64]string{10: "10", 20: "20", 30: "30", 40: "40"}[v])
	}
	in := &slipway.Frame{Rows: rows.Rows, Series: append(slices.Clone(rows.Series[:3]), gate)}
	out, err := m.Predict(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(answers["binary.txt"].Prediction[0], out.Series[0].Float, cmpopts.EquateApprox(0, 1e-6)); diff != "" {
		t.Error(diff)
	}
}

func TestTheFileAloneSaysWhatItCan(t *testing.T) {
	m := load(t, "binary.json", nil)
	defer m.Close()
	want := slipway.Signature{
		Task: slipway.BinaryTask,
		Input: slipway.Schema{
			{Name: "air time", Type: slipway.Float, Nullable: true},
			{Name: "carrier", Type: slipway.Text, Nullable: true, Categories: []string{"AA", "DL", "UA", "WN"}},
			{Name: "hour", Type: slipway.Float, Nullable: true},
			{Name: "gate", Nullable: true, Categories: []string{"10", "20", "30", "40"}},
		},
		Output: slipway.Schema{{Name: "probability", Type: slipway.Float}},
	}
	if diff := cmp.Diff(want, m.Signature()); diff != "" {
		t.Error(diff)
	}
}

func TestASignatureThatDoesNotFitIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*slipway.Signature)
		says   string
	}{
		"a column too many":         {func(s *slipway.Signature) { s.Input = append(s.Input, slipway.Column{Name: "extra"}) }, `"extra"`},
		"another column":            {func(s *slipway.Signature) { s.Input[0].Name = "other" }, `"air_time"`},
		"text without categories":   {func(s *slipway.Signature) { s.Input[2].Type = slipway.Text }, `"hour" is text`},
		"a number that is text":     {func(s *slipway.Signature) { s.Input[1].Type = slipway.Int }, `"carrier" is int`},
		"another number of classes": {func(s *slipway.Signature) { s.Classes = []string{"a", "b"} }, "3 classes"},
	} {
		t.Run(name, func(t *testing.T) {
			s := *registered
			s.Input = slices.Clone(s.Input)
			c.change(&s)
			_, err := trees.Loader{}.Load(t.Context(), predictor.Spec{Path: "testdata/multiclass.txt", Signature: &s})
			if !slipway.IsCode(err, slipway.Invalid) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want Invalid: %s", err, c.says)
			}
		})
	}
}

func TestWhatIsNoModelIsRefused(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"notes.txt": "hello", "empty.json": "", "input_example.json": `{"columns":["learner"]}`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if (trees.Loader{}).Detect(filepath.Join(dir, name)) {
			t.Errorf("%s is taken for a model", name)
		}
	}
	if _, err := predictor.Open(t.Context(), predictor.Spec{Path: dir}, trees.Loader{}); !slipway.IsCode(err, slipway.Invalid) {
		t.Errorf("a folder without a model: %v", err)
	}
	if _, err := predictor.Open(t.Context(), predictor.Spec{Path: filepath.Join(dir, "nothing")}, trees.Loader{}); !slipway.IsCode(err, slipway.NotFound) {
		t.Errorf("nothing: %v", err)
	}
	cut, err := os.ReadFile("testdata/binary.txt")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "model.txt"), cut[:len(cut)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = predictor.Open(t.Context(), predictor.Spec{Path: dir}, trees.Loader{})
	if !slipway.IsCode(err, slipway.Invalid) || !strings.Contains(err.Error(), "model.txt") {
		t.Errorf("half a model: %v", err)
	}
}

func TestCategoriesThatXGBoostCutAreMended(t *testing.T) {
	spec := predictor.Spec{Path: "testdata/letters.json"}
	_, err := trees.Loader{}.Load(t.Context(), spec)
	if !slipway.IsCode(err, slipway.Invalid) || !strings.Contains(err.Error(), `"city"`) {
		t.Errorf("got %v, want Invalid", err)
	}
	spec.Signature = &slipway.Signature{Input: slipway.Schema{
		{Name: "city", Type: slipway.Text, Categories: []string{"Köln", "Ulm", "Zürich"}},
	}}
	m, err := trees.Loader{}.Load(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	out, err := m.Predict(t.Context(), &slipway.Frame{Rows: 3, Series: []slipway.Series{
		{Name: "city", Type: slipway.Text, Text: []string{"Köln", "Ulm", "Zürich"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if p := out.Series[0].Float; !(p[0] < 0.5 && p[1] > 0.5 && p[2] < 0.5) {
		t.Errorf("Ulm is the one: got %v", p)
	}
}

// single is one row of the golden ones.
func single(t testing.TB) *slipway.Frame {
	t.Helper()
	rows, _ := read(t)
	one := &slipway.Frame{Rows: 1, Series: slices.Clone(rows.Series)}
	for i := range one.Series {
		s := &one.Series[i]
		if s.Text != nil {
			s.Text, s.Null = s.Text[1:2], s.Null[1:2]
		} else {
			s.Float = s.Float[1:2]
		}
	}
	return one
}

func TestOneRowAllocatesOnlyItsAnswer(t *testing.T) {
	m, one := load(t, "binary.txt", registered), single(t)
	defer m.Close()
	ctx := t.Context()
	if n := testing.AllocsPerRun(200, func() {
		if _, err := m.Predict(ctx, one); err != nil {
			t.Fatal(err)
		}
	}); n > 3 && !raceEnabled {
		t.Errorf("%v allocations, want the frame, its values and the kernel's leaves", n)
	}
}

// BenchmarkOneRow is what a single request costs.
func BenchmarkOneRow(b *testing.B) {
	one := single(b)
	m := load(b, "binary.txt", registered)
	defer m.Close()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Predict(b.Context(), one); err != nil {
			b.Fatal(err)
		}
	}
}
