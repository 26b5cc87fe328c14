package tree

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// golden is a model file and what the library that wrote it answers.
type golden struct {
	name                           string
	e                              *Ensemble
	rows, outputs                  int
	x, prediction, margin, contrib []float64
}

// goldens reads all of testdata; golden.py says how it was made.
func goldens(t testing.TB) []golden {
	t.Helper()
	files, err := filepath.Glob("testdata/*.bin")
	if err != nil || len(files) < 25 {
		t.Fatalf("testdata has %d goldens: %v", len(files), err)
	}
	var out []golden
	for _, file := range files {
		g := golden{name: strings.TrimSuffix(filepath.Base(file), ".bin")}
		models, _ := filepath.Glob("testdata/" + g.name + ".[tju]*")
		if len(models) != 1 {
			t.Fatalf("%s has %d model files", g.name, len(models))
		}
		g.e = loadFile(t, models[0])
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		word := func(i int) int { return int(int32(binary.LittleEndian.Uint32(data[4*i:]))) }
		features := 0
		g.rows, features, g.outputs = word(0), word(1), word(2)
		data = data[12:]
		take := func(n int) []float64 {
			v := make([]float64, n)
			for i := range v {
				v[i] = math.Float64frombits(binary.LittleEndian.Uint64(data[8*i:]))
			}
			data = data[8*n:]
			return v
		}
		g.x, g.prediction = take(g.rows*features), take(g.rows*g.outputs)
		g.margin, g.contrib = take(g.rows*g.outputs), take(g.rows*g.outputs*(features+1))
		if len(g.e.Features) != features || g.e.Outputs != g.outputs {
			t.Fatalf("%s: loaded %d features, %d outputs; the golden has %d, %d", g.name, len(g.e.Features), g.e.Outputs, features, g.outputs)
		}
		for i := range g.margin { // see Ensemble.Average
			g.margin[i] /= g.e.scale()
		}
		for i := range g.contrib {
			g.contrib[i] /= g.e.scale()
		}
		out = append(out, g)
	}
	return out
}

func loadFile(t testing.TB, name string) *Ensemble {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	e, err := Load(f)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return e
}

// near reports |a-b| <= tol·max(1, |b|).
func near(a, b, tol float64) bool {
	return a == b || math.Abs(a-b) <= tol*math.Max(1, math.Abs(b))
}

func TestMarginsEqualTheLibraryBitForBit(t *testing.T) {
	for _, g := range goldens(t) {
		t.Run(g.name, func(t *testing.T) {
			p := NewPredictor(g.e)
			got := make([]float64, len(g.margin))
			p.Margin(got, g.x, g.rows)
			for i, want := range g.margin {
				if got[i] != want {
					t.Fatalf("row %d output %d: margin %v, the library says %v\nrow %v", i/g.outputs, i%g.outputs, got[i], want, row(g, i/g.outputs))
				}
			}
		})
	}
}

func TestPredictionsEqualTheLibrary(t *testing.T) {
	for _, g := range goldens(t) {
		t.Run(g.name, func(t *testing.T) {
			p := NewPredictor(g.e)
			got := make([]float64, len(g.prediction))
			p.Predict(got, g.x, g.rows)
			tol := 1e-15
			if g.e.Float32 {
				tol = 4e-7 // XGBoost takes its exponentials in float32
			}
			for i, want := range g.prediction {
				if !near(got[i], want, tol) {
					t.Fatalf("row %d: prediction %v, the library says %v", i/g.outputs, got[i], want)
				}
			}
		})
	}
}

func row(g golden, r int) []float64 {
	n := len(g.e.Features)
	return g.x[r*n : (r+1)*n]
}
