package python_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/backend/predictor/python"
)

// BenchmarkOneRow is the way of one row to a model and back. p50 is reported
// because the mean of a busy machine says little.
func BenchmarkOneRow(b *testing.B) {
	wide := &slipway.Frame{Rows: 1}
	for i := range 30 {
		wide.Series = append(wide.Series, number(fmt.Sprintf("c%d", i), float64(i)))
	}
	mixed := &slipway.Frame{Rows: 1, Series: slices.Clone(wide.Series)}
	for i := 20; i < 30; i++ {
		mixed.Series[i] = text(mixed.Series[i].Name, "some text")
	}
	for _, class := range []string{"Dict", "Numpy", "Pandas"} {
		b.Run(class, func(b *testing.B) { oneRow(b, "testdata/speed.py:"+class, wide) })
	}
	b.Run("PandasWithText", func(b *testing.B) { oneRow(b, "testdata/speed.py:Pandas", mixed) })
	b.Run("LogisticRegression", func(b *testing.B) {
		dir, expected := models(b)
		rows := table(expected["classifier.pkl"].In)
		one := frame(number("distance", rows.Series[0].Float[0]), number("hour", rows.Series[1].Float[0]))
		oneRow(b, filepath.Join(dir, "classifier.pkl"), one)
	})
}

func oneRow(b *testing.B, path string, in *slipway.Frame) {
	signature := &slipway.Signature{Input: in.Schema()}
	m, err := python.Loader{}.Load(b.Context(), predictor.Spec{Path: path, Signature: signature, Python: predictor.Python{Interpreter: libraries(b)}})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	var took []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		if _, err := m.Predict(b.Context(), in); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e3, "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1e3, "p99-µs")
}
