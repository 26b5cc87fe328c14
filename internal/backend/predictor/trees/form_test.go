package trees_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/backend/predictor/trees"
)

// saved is one model of testdata/form-*.json, which form.py wrote.
type saved struct {
	Name    string    `json:"name"`
	File    string    `json:"file"`
	Columns []string  `json:"columns"`
	Rows    [][]any   `json:"rows"`
	Want    []float64 `json:"want"`
	Classes []string  `json:"classes"`
}

func forms(t testing.TB) map[string]saved {
	t.Helper()
	files, err := filepath.Glob("testdata/form-*.json")
	if err != nil || len(files) < 2 {
		t.Fatalf("testdata has %d forms: %v", len(files), err)
	}
	all := map[string]saved{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var g struct{ Models []saved }
		if err := json.Unmarshal(data, &g); err != nil {
			t.Fatal(err)
		}
		release := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "form-"), ".json")
		for _, m := range g.Models {
			all[release+"/"+m.Name] = m
		}
	}
	return all
}

func (s saved) load(t testing.TB) predictor.Model {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.json")
	if err := os.WriteFile(path, []byte(s.File), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := predictor.Open(t.Context(), predictor.Spec{Path: path}, trees.Loader{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func (s saved) frame(input slipway.Schema) *slipway.Frame {
	f := &slipway.Frame{Rows: len(s.Rows)}
	for j, name := range s.Columns {
		c := slipway.Series{Name: name, Type: input[input.Index(name)].Type}
		for _, row := range s.Rows {
			text, isText := row[j].(string)
			number, isNumber := row[j].(float64)
			if c.Type == slipway.Text {
				c.Text, c.Null = append(c.Text, text), append(c.Null, !isText)
				continue
			}
			if !isNumber {
				number = math.NaN()
			}
			c.Float = append(c.Float, number)
		}
		f.Series = append(f.Series, c)
	}
	return f
}

func TestSavedEstimatorsAnswerAsInPython(t *testing.T) {
	all := forms(t)
	if len(all) < 36 {
		t.Errorf("there are only %d models", len(all))
	}
	for name, s := range all {
		t.Run(name, func(t *testing.T) {
			m := s.load(t)
			in := s.frame(m.Signature().Input)
			out, err := m.Predict(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			tol := 1e-12
			if strings.HasPrefix(s.Name, "xgboost") {
				tol = 1e-6
			}
			k := len(out.Series)
			for i, want := range s.Want {
				if got := out.Series[i%k].Float[i/k]; !(math.Abs(got-want) <= tol*max(1, math.Abs(want))) {
					t.Fatalf("row %d output %d: %v, Python says %v", i/k, i%k, got, want)
				}
			}
			if len(s.Want) != k*len(s.Rows) {
				t.Errorf("%d answers for %d rows and %d outputs", len(s.Want), len(s.Rows), k)
			}
			if sig := m.Signature(); sig.Task != slipway.Regression {
				if diff := cmp.Diff(s.Classes, sig.Classes); diff != "" {
					t.Error(diff)
				}
			}
			explained(t, m, in, s)
		})
	}
}

// explained asks for every explanation that the model has; a reply is checked to
// add up by the model itself.
func explained(t *testing.T, m predictor.Model, in *slipway.Frame, s saved) {
	t.Helper()
	x := m.(predictor.Attributor)
	one, err := x.Explain(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if want := m.Signature().Input.Names(); cmp.Diff(want, one.Feature) != "" || len(one.Value[0]) != len(one.Output)*len(want) {
		t.Errorf("%d values of %v for %v", len(one.Value[0]), one.Feature, want)
	}
	against, err := x.Attribute(t.Context(), in, predictor.Ask{Background: in})
	if err != nil {
		t.Fatal(err)
	}
	if len(against.Background) != 64 {
		t.Errorf("the background is called %q", against.Background)
	}
	// Against their own mean, the values of all rows cancel out in a linear model,
	// and everywhere the base is the mean of what is explained.
	mean := make([]float64, len(against.Output))
	for r := range in.Rows {
		for o := range mean {
			for f := range against.Feature {
				mean[o] += against.Value[r][o*len(against.Feature)+f]
			}
		}
	}
	for o, v := range mean {
		if math.Abs(v) > 1e-4 {
			t.Errorf("output %d: values against the rows' own mean add up to %v", o, v)
		}
	}
	if strings.Contains(s.Name, "forest") {
		pairs, err := x.Attribute(t.Context(), in, predictor.Ask{Interactions: true})
		if err != nil {
			t.Fatal(err)
		}
		n := len(pairs.Feature)
		for i, v := range pairs.Value[0] {
			for _, w := range pairs.Interaction[0][i*n:][:n] {
				v -= w
			}
			if math.Abs(v) > 1e-9 {
				t.Errorf("interactions of %d miss %v", i, v)
			}
		}
	}
}

func TestADamagedFormIsRefused(t *testing.T) {
	good := forms(t)["sklearn-1.9.1/forest"].File
	linear := forms(t)["sklearn-1.9.1/logistic"].File
	for name, c := range map[string]struct{ text, says string }{
		"cut off":        {good[:len(good)/2], "damaged"},
		"newer":          {strings.Replace(good, `"slipway_model":1`, `"slipway_model":2`, 1), "form 2"},
		"a step":         {strings.Replace(good, `"clip"`, `"clop"`, 1), "clop"},
		"a column":       {strings.Replace(good, `"column":2`, `"column":9`, 1), "column 9"},
		"a feature less": {strings.Replace(linear, `"weight":[[`, `"weight":[[1,`, 1), "means for"},
		"a task":         {strings.Replace(good, `"task":"binary"`, `"task":"multiclass"`, 1), "does not fit"},
		"a link":         {strings.Replace(linear, `"link":"sigmoid"`, `"link":"probit"`, 1), "probit"},
		"a tree":         {strings.Replace(good, `"left":"`, `"left":"AAAA`, 1), "lengths"},
		"text":           {strings.Replace(good, `["code",`, `["subtract",`, 1), "arguments"},
		"twice a name":   {strings.Replace(linear, `"name":"gap"`, `"name":"age"`, 1), "name of its own"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "model.json")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := predictor.Open(t.Context(), predictor.Spec{Path: path}, trees.Loader{})
			if !slipway.IsCode(err, slipway.Invalid) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want Invalid: %s", err, c.says)
			}
		})
	}
}

// What the estimator refuses is refused, by the name of the column.
func TestValuesThatTheEstimatorRefuses(t *testing.T) {
	all := forms(t)
	s := all["sklearn-1.9.1/one-vs-all"]
	m := s.load(t)
	in := s.frame(m.Signature().Input)
	for j := range in.Series {
		if c := &in.Series[j]; c.Name == "city" {
			c.Text[2], c.Null[2] = "never seen", false
		}
	}
	if _, err := m.Predict(t.Context(), in); !slipway.IsCode(err, slipway.Invalid) || !strings.Contains(err.Error(), `row 3 has a value in column "city"`) {
		t.Errorf("a category that the encoder refuses: %v", err)
	}
	s = all["sklearn-1.9.1/logistic"]
	m = s.load(t)
	in = s.frame(m.Signature().Input)
	for j := range in.Series {
		if c := &in.Series[j]; c.Name == "count" {
			c.Float[4] = math.NaN()
		}
	}
	if _, err := m.Predict(t.Context(), in); !slipway.IsCode(err, slipway.Invalid) || !strings.Contains(err.Error(), `row 5 has no value in column "count"`) {
		t.Errorf("a missing value that the model refuses: %v", err)
	}
}

// Package onnx proves what is written; here it is decided what may be.
func TestOnlyPlainColumnsAreExported(t *testing.T) {
	for name, plain := range map[string]bool{"tree": true, "hist-three": true, "forest": false, "logistic": false} {
		file, err := forms(t)["sklearn-1.9.1/"+name].load(t).(predictor.Exporter).ONNX()
		if plain != (err == nil && len(file) > 100) || !plain && !slipway.IsCode(err, slipway.Invalid) {
			t.Errorf("%s: %d bytes, %v", name, len(file), err)
		}
	}
}

// FuzzForm holds the loader to an error or a model that answers.
func FuzzForm(f *testing.F) {
	f.Add([]byte(forms(f)["sklearn-1.9.1/logistic"].File))
	f.Add([]byte(`{"slipway_model":1,"task":"regression","columns":[{"name":"a","type":"float"}],"features":[{"column":0,"steps":[]}],` +
		`"trees":{"outputs":1,"base":[0],"link":"identity","tree":[{"output":0,"feature":"AAAAAP//////////","left":"AQAAAAAAAAAAAAAA",` +
		`"right":"AgAAAAAAAAAAAAAA","number":"AAAAAAAA8D8AAAAAAADwPwAAAAAAAPA/","cover":"AAAAAAAA8D8AAAAAAADwPwAAAAAAAPA/","flag":"AQAA"}]}}`))
	f.Add([]byte(`{"slipway_model":1,"task":"regression","columns":[{"name":"a","type":"text","known":["x",null]}],` +
		`"features":[{"column":0,"steps":[["fill","x"],["code",["x"],-1,null],["log1p"]]}],"linear":{"weight":[[1]],"intercept":[0],"link":"identity"}}`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(dir, "model.json")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := trees.Loader{}.Load(t.Context(), predictor.Spec{Path: path})
		if err != nil {
			if !slipway.IsCode(err, slipway.Invalid) && !slipway.IsCode(err, slipway.NotFound) {
				t.Fatalf("not an Invalid error: %v", err)
			}
			return
		}
		defer m.Close()
		in := &slipway.Frame{Rows: 2}
		for _, c := range m.Signature().Input {
			s := slipway.Series{Name: c.Name, Type: c.Type}
			if c.Type == slipway.Text {
				s.Text, s.Null = []string{"x", ""}, []bool{false, true}
			} else {
				s.Type, s.Float = slipway.Float, []float64{1, math.NaN()}
			}
			in.Series = append(in.Series, s)
		}
		if _, err := m.Predict(t.Context(), in); err != nil && !slipway.IsCode(err, slipway.Invalid) {
			t.Fatal(err)
		}
	})
}
