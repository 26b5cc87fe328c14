package python_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/backend/predictor/predictortest"
	"github.com/slipway-ml/slipway/internal/backend/predictor/python"
)

// libraries is the interpreter that has scikit-learn, MLflow and the others.
func libraries(t testing.TB) []string {
	t.Helper()
	name := os.Getenv("SLIPWAY_TEST_PYTHON")
	if name == "" {
		t.Skip("SLIPWAY_TEST_PYTHON names no Python with scikit-learn; `make test` makes one")
	}
	return []string{name}
}

// golden is rows for a model, and what its library answers.
type golden struct{ In, Out []column }

type column struct {
	name  string
	float []float64
	text  []string
}

func (c *column) UnmarshalJSON(b []byte) error {
	var pair [2]json.RawMessage
	if err := json.Unmarshal(b, &pair); err != nil {
		return err
	}
	if err := json.Unmarshal(pair[0], &c.name); err != nil {
		return err
	}
	if json.Unmarshal(pair[1], &c.float) == nil {
		return nil
	}
	c.float = nil
	return json.Unmarshal(pair[1], &c.text)
}

func table(columns []column) *slipway.Frame {
	var out []slipway.Series
	for _, c := range columns {
		if c.text != nil {
			out = append(out, text(c.name, c.text...))
		} else {
			out = append(out, number(c.name, c.float...))
		}
	}
	return frame(out...)
}

// made is the folder of models that testdata/models.py wrote for this run.
var made struct {
	once   sync.Once
	dir    string
	out    []byte
	err    error
	golden map[string]golden
}

func models(t testing.TB) (dir string, expected map[string]golden) {
	t.Helper()
	interpreter := libraries(t)
	made.once.Do(func() {
		if made.dir, made.err = os.MkdirTemp("", "predictor"); made.err != nil {
			return
		}
		made.out, made.err = exec.Command(interpreter[0], "testdata/models.py", made.dir).CombinedOutput()
		if made.err != nil {
			return
		}
		var b []byte
		if b, made.err = os.ReadFile(filepath.Join(made.dir, "expected.json")); made.err == nil {
			made.err = json.Unmarshal(b, &made.golden)
		}
	})
	if made.err != nil {
		t.Fatalf("%v\n%s", made.err, made.out)
	}
	return made.dir, made.golden
}

func TestMain(m *testing.M) {
	code := m.Run()
	if made.dir != "" {
		os.RemoveAll(made.dir)
	}
	os.Exit(code)
}

func TestContractOfRealModels(t *testing.T) {
	dir, expected := models(t)
	registered := &slipway.Signature{Input: slipway.Schema{
		{Name: "distance", Type: slipway.Float}, {Name: "hour", Type: slipway.Int}, {Name: "carrier", Type: slipway.Text},
	}}
	for _, c := range []struct {
		name    string
		task    slipway.Task
		classes []string
		spec    predictor.Spec
		check   predictortest.Case
	}{
		{name: "classifier.pkl", task: slipway.BinaryTask, classes: []string{"no", "yes"}},
		{name: "pipeline.joblib", task: slipway.Multiclass, classes: []string{"much", "none", "some"},
			spec: predictor.Spec{Signature: registered}, check: predictortest.Case{Missing: true, Category: "carrier"}},
		{name: "regressor.pkl", task: slipway.Regression, check: predictortest.Case{Missing: true}},
		{name: "labels.pkl", task: slipway.Multiclass, classes: []string{"much", "none", "some"}},
		{name: "lightgbm.pkl", task: slipway.BinaryTask, classes: []string{"no", "yes"}, spec: predictor.Spec{Signature: registered},
			check: predictortest.Case{Missing: true, Category: "carrier", Unseen: predictortest.AsMissing}},
		{name: "lightgbm.txt", task: slipway.BinaryTask, spec: predictor.Spec{Signature: registered},
			check: predictortest.Case{Missing: true, Category: "carrier", Unseen: predictortest.AsMissing}},
		{name: "xgboost.json", task: slipway.Multiclass, classes: []string{"0", "1", "2"}, check: predictortest.Case{Missing: true}},
		{name: "mlflow-sklearn", task: slipway.BinaryTask, classes: []string{"no", "yes"}, check: predictortest.Case{Category: "carrier"}},
		{name: "mlflow-custom", check: predictortest.Case{Category: "carrier"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.spec.Path = filepath.Join(dir, c.name)
			c.spec.Python.Interpreter = libraries(t)
			c.check.Open = func(t *testing.T) predictor.Model {
				if !(python.Loader{}).Detect(c.spec.Path) {
					t.Fatal("not detected")
				}
				m, err := python.Loader{}.Load(t.Context(), c.spec)
				if err != nil {
					t.Fatalf("%v\n%s", err, slipway.AsError(err).Hint)
				}
				if s := m.Signature(); s.Task != c.task || !cmp.Equal(s.Classes, c.classes) {
					t.Errorf("task %q, classes %q; want %q, %q", s.Task, s.Classes, c.task, c.classes)
				}
				return m
			}
			c.check.Rows, c.check.Want = table(expected[c.name].In), table(expected[c.name].Out)
			c.check.Tolerance = 1e-6
			predictortest.Run(t, c.check)
		})
	}
}

func TestAnMLflowFolderKnowsItsTypes(t *testing.T) {
	dir, _ := models(t)
	m := load(t, filepath.Join(dir, "mlflow-sklearn"), predictor.Python{Interpreter: libraries(t)})
	want := slipway.Schema{
		{Name: "distance", Type: slipway.Float, Nullable: true},
		{Name: "hour", Type: slipway.Int, Nullable: true},
		{Name: "carrier", Type: slipway.Text, Nullable: true},
	}
	if diff := cmp.Diff(want, m.Signature().Input); diff != "" {
		t.Error(diff)
	}
	_, err := m.Predict(t.Context(), frame(number("distance", 1), number("hour", 1.5), text("carrier", "AA")))
	if !slipway.IsCode(err, slipway.Invalid) {
		t.Errorf("half an hour: got %v, want Invalid", err)
	}
}
