package onnx

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/linear"
	"github.com/slipway-ml/slipway/internal/tree"
)

// runtime answers rows by ONNX Runtime; the test is skipped without it.
const runtimeScript = `
import json, sys
import numpy, onnxruntime
ask = json.load(sys.stdin)
s = onnxruntime.InferenceSession(ask["file"], providers=["CPUExecutionProvider"])
kind = {"tensor(float)": "float32", "tensor(double)": "float64"}[s.get_inputs()[0].type]
x = numpy.array([[float("nan") if v is None else v for v in r] for r in ask["rows"]], dtype=kind)
json.dump(s.run(None, {"input": x})[0].astype(float).tolist(), sys.stdout)
`

func python(t *testing.T) string {
	t.Helper()
	name := os.Getenv("SLIPWAY_TEST_PYTHON")
	if name == "" {
		name = "python3"
	}
	if err := exec.Command(name, "-c", "import onnxruntime").Run(); err != nil {
		t.Skip("there is no ONNX Runtime here: SLIPWAY_TEST_PYTHON may name a Python that has it")
	}
	return name
}

func answers(t *testing.T, python string, file []byte, rows [][]float64) [][]float64 {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.onnx")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	send := make([][]*float64, len(rows))
	for i, row := range rows {
		for _, v := range row {
			p := &v
			if math.IsNaN(v) {
				p = nil
			}
			send[i] = append(send[i], p)
		}
	}
	ask, err := json.Marshal(map[string]any{"file": path, "rows": send})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-c", runtimeScript)
	cmd.Stdin = bytes.NewReader(ask)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	reply, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	var out [][]float64
	if err := json.Unmarshal(reply, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// awkward rows meet thresholds, zeros and gaps; ±Inf does not fit JSON.
func awkward(e *tree.Ensemble, n int) [][]float64 {
	rows := make([][]float64, 0, n)
	seed := uint64(7)
	next := func(k int) int {
		seed = seed*6364136223846793005 + 1442695040888963407
		return int(seed>>33) % k
	}
	for range n {
		row := make([]float64, len(e.Features))
		for f := range row {
			row[f] = float64(next(2001)-1000) / 300
		}
		for range 4 {
			t := &e.Trees[next(len(e.Trees))]
			if d := &t.Nodes[next(len(t.Nodes))]; !d.Leaf() && !math.IsInf(d.Threshold, 0) {
				row[d.Feature] = []float64{d.Threshold, d.Threshold, math.NaN(), 0}[next(4)]
			}
		}
		rows = append(rows, row)
	}
	return rows
}

func TestONNXRuntimeAnswersAsTheModel(t *testing.T) {
	interpreter := python(t)
	exported := 0
	files, _ := filepath.Glob("../tree/testdata/*")
	for _, path := range files {
		name := filepath.Base(path)
		if ext := filepath.Ext(path); ext != ".txt" && ext != ".json" && ext != ".ubj" || strings.HasPrefix(name, "bad-") || strings.Contains(name, "small") || strings.Contains(name, ".dump") {
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		e, err := tree.Parse(data)
		if err != nil {
			continue
		}
		file, err := Trees(e, e.Features)
		if slipway.IsCode(err, slipway.Invalid) {
			t.Logf("%s: %v", name, err)
			continue
		}
		exported++
		rows := awkward(e, 60)
		flat := []float64{}
		for _, r := range rows {
			flat = append(flat, r...)
		}
		want := make([]float64, len(rows)*e.Outputs)
		tree.NewPredictor(e).Predict(want, flat, len(rows))
		for i, row := range answers(t, interpreter, file, rows) {
			for k, got := range row {
				if w := want[i*e.Outputs+k]; !(math.Abs(got-w) <= 1e-6*max(1, math.Abs(w))) {
					t.Fatalf("%s row %d output %d: ONNX Runtime says %v, the model %v\n%v", name, i, k, got, w, rows[i])
				}
			}
		}
	}
	if exported < 12 {
		t.Errorf("only %d models could be exported", exported)
	}
}

func TestLinearModelsInONNX(t *testing.T) {
	interpreter := python(t)
	rows := [][]float64{{1, -2, 0.5}, {0, 3, 7}, {-1e3, 2e-3, 9}}
	for _, m := range []*linear.Model{
		{Weight: [][]float64{{0.3, -1.1, 2}}, Intercept: []float64{0.7}, Link: linear.Identity},
		{Weight: [][]float64{{0.3, -1.1, 2}}, Intercept: []float64{0.7}, Link: linear.Sigmoid},
		{Weight: [][]float64{{0.003, -1.1, 0.2}}, Intercept: []float64{0.7}, Link: linear.Exp},
		{Weight: [][]float64{{0.3, -1.1, 2}, {1, 0, -1}, {0.1, 0.2, 0.3}}, Intercept: []float64{0.7, 0, -1}, Link: linear.Softmax},
	} {
		file, err := Linear(m, []string{"a", "b", "c"})
		if err != nil {
			t.Fatal(err)
		}
		want := make([]float64, len(rows)*m.Outputs())
		m.Predict(want, append(append(append([]float64{}, rows[0]...), rows[1]...), rows[2]...), len(rows))
		for i, row := range answers(t, interpreter, file, rows) {
			for k, got := range row {
				if w := want[i*m.Outputs()+k]; math.Abs(got-w) > 1e-12*max(1, math.Abs(w)) {
					t.Errorf("%s row %d output %d: ONNX Runtime says %v, the model %v", m.Link, i, k, got, w)
				}
			}
		}
	}
}

func TestWhatONNXCannotSayIsRefused(t *testing.T) {
	for name, says := range map[string]string{"lgb-binary.txt": "categories", "xgb-cat.json": "categories", "lgb-zero.txt": "zeros"} {
		data, err := os.ReadFile("../tree/testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		e, err := tree.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Trees(e, e.Features); !slipway.IsCode(err, slipway.Invalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want Invalid: %s", name, err, says)
		}
	}
}
