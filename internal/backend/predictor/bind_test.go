package predictor_test

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
)

func TestBind(t *testing.T) {
	nan := math.NaN()
	input := slipway.Schema{
		{Name: "x", Type: slipway.Float}, {Name: "n", Type: slipway.Int}, {Name: "s", Type: slipway.Text},
		{Name: "t", Type: slipway.Time}, {Name: "any"},
	}
	x := slipway.Series{Name: "x", Type: slipway.Float, Float: []float64{1.5, nan}}
	n := slipway.Series{Name: "n", Type: slipway.Int, Float: []float64{1, 2}}
	s := slipway.Series{Name: "s", Type: slipway.Text, Text: []string{"a", "b"}}
	when := slipway.Series{Name: "t", Type: slipway.Date, Float: []float64{0, nan}}
	anything := slipway.Series{Name: "any", Type: slipway.Bool, Float: []float64{0, 1}}
	gaps := func(name string, kind slipway.Type) slipway.Series {
		if kind == slipway.Text {
			return slipway.Series{Name: name, Type: kind, Text: []string{"", ""}, Null: []bool{true, true}}
		}
		return slipway.Series{Name: name, Type: kind, Float: []float64{nan, nan}}
	}
	with := func(name string, kind slipway.Type, v ...float64) slipway.Series {
		return slipway.Series{Name: name, Type: kind, Float: v}
	}
	for name, c := range map[string]struct {
		series []slipway.Series
		at     []int
		says   string
	}{
		"in order":               {series: []slipway.Series{x, n, s, when, anything}, at: []int{0, 1, 2, 3, 4}},
		"in another order":       {series: []slipway.Series{anything, s, x, when, n}, at: []int{2, 4, 1, 3, 0}},
		"a gap is of any type":   {series: []slipway.Series{gaps("x", "text"), n, gaps("s", "float"), gaps("t", "text"), anything}, at: []int{0, 1, 2, 3, 4}},
		"whole floats are whole": {series: []slipway.Series{x, with("n", "float", 3, nan), s, when, anything}, at: []int{0, 1, 2, 3, 4}},
		"absent":                 {series: []slipway.Series{x, n, s, anything}, says: `"t" is missing`},
		"unknown":                {series: []slipway.Series{x, n, s, when, anything, with("y", "float", 1, 2)}, says: `does not take column "y"`},
		"twice":                  {series: []slipway.Series{x, n, s, when, anything, x}, says: `"x" is there twice`},
		"text for a number":      {series: []slipway.Series{{Name: "x", Type: slipway.Text, Text: []string{"1.5", "2"}}, n, s, when, anything}, says: `"x" takes float, not text`},
		"a number for text":      {series: []slipway.Series{x, n, with("s", "float", 1, 2), when, anything}, says: `"s" takes text, not float`},
		"a number for a time":    {series: []slipway.Series{x, n, s, with("t", "int", 1, 2), anything}, says: `"t" takes time, not int`},
		"a fraction":             {series: []slipway.Series{x, with("n", "float", 1, 2.5), s, when, anything}, says: `row 2 has 2.5`},
	} {
		t.Run(name, func(t *testing.T) {
			in := &slipway.Frame{Rows: 2, Series: c.series}
			if err := predictor.Check(in); err != nil {
				t.Fatal(err)
			}
			at, err := predictor.Bind(nil, input, in)
			if c.says != "" {
				if !slipway.IsCode(err, slipway.Invalid) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("got %v, want Invalid: %s", err, c.says)
				}
				return
			}
			if diff := cmp.Diff(c.at, at); err != nil || diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
}

func TestCheckRefusesRaggedColumns(t *testing.T) {
	for name, f := range map[string]*slipway.Frame{
		"no frame":         nil,
		"negative rows":    {Rows: -1},
		"no name":          {Rows: 1, Series: []slipway.Series{{Type: slipway.Float, Float: []float64{1}}}},
		"too short":        {Rows: 2, Series: []slipway.Series{{Name: "x", Type: slipway.Float, Float: []float64{1}}}},
		"text too long":    {Rows: 1, Series: []slipway.Series{{Name: "s", Type: slipway.Text, Text: []string{"a", "b"}}}},
		"marks too few":    {Rows: 2, Series: []slipway.Series{{Name: "s", Type: slipway.Text, Text: []string{"a", "b"}, Null: []bool{true}}}},
		"text in a number": {Rows: 1, Series: []slipway.Series{{Name: "x", Type: slipway.Float, Text: []string{"1"}}}},
	} {
		if err := predictor.Check(f); !slipway.IsCode(err, slipway.Invalid) {
			t.Errorf("%s: got %v, want Invalid", name, err)
		}
	}
}

func TestMerge(t *testing.T) {
	file := slipway.Signature{
		Task:  slipway.BinaryTask,
		Input: slipway.Schema{{Name: "b"}, {Name: "a", Type: slipway.Float, Nullable: true, Categories: []string{"u", "v"}}},
	}
	registered := &slipway.Signature{
		Task: slipway.Regression, Classes: []string{"no", "yes"},
		Input: slipway.Schema{{Name: "a", Type: slipway.Text, Categories: []string{"v", "u"}}, {Name: "b", Type: slipway.Int}},
	}
	got, err := predictor.Merge(file, registered)
	want := slipway.Signature{
		Task: slipway.BinaryTask, Classes: []string{"no", "yes"},
		Input: slipway.Schema{{Name: "b", Type: slipway.Int}, {Name: "a", Type: slipway.Text, Categories: []string{"u", "v"}}},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if file.Input[0].Type != "" {
		t.Error("the file's own signature was changed")
	}
	if got, err := predictor.Merge(slipway.Signature{}, registered); err != nil || !cmp.Equal(got.Input, registered.Input) {
		t.Errorf("a file that says nothing: %+v, %v", got, err)
	}
	for _, change := range []slipway.Schema{registered.Input[:1], append(registered.Input[:2:2], slipway.Column{Name: "c"})} {
		if _, err := predictor.Merge(file, &slipway.Signature{Input: change}); !slipway.IsCode(err, slipway.Invalid) {
			t.Errorf("columns %q: got %v, want Invalid", change.Names(), err)
		}
	}
}
