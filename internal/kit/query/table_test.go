package query

import (
	"math"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	slipway "github.com/slipway-ml/slipway"
)

// TestFrameSurvivesParquet writes a frame of every type with awkward values and
// reads it back.
func TestFrameSurvivesParquet(t *testing.T) {
	e := engine(t)
	nan := math.NaN()
	want := &slipway.Frame{Rows: 3, Series: []slipway.Series{
		{Name: `odd "name", really`, Type: slipway.Text, Text: []string{"", "a\nb,\"c\"", "NA"}, Null: []bool{false, false, false}},
		{Name: "with missing", Type: slipway.Text, Text: []string{"", "x", ""}, Null: []bool{true, false, false}},
		{Name: "float", Type: slipway.Float, Float: []float64{0.1 + 0.2, nan, -1e300}},
		{Name: "int", Type: slipway.Int, Float: []float64{1 << 52, -3, nan}},
		{Name: "bool", Type: slipway.Bool, Float: []float64{1, 0, nan}},
		{Name: "at", Type: slipway.Time, Float: []float64{1356998400123456, nan, 0}},
	}}
	path := filepath.Join(t.TempDir(), "frame.parquet")
	if err := e.WriteParquet(t.Context(), want, path); err != nil {
		t.Fatal(err)
	}
	got, err := e.Read(t.Context(), []string{path}, FormatParquet, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	same := cmp.Options{cmpopts.EquateNaNs(), cmp.Transformer("null", func(s slipway.Series) map[string]any {
		missing := make([]bool, want.Rows)
		for i := range missing {
			missing[i] = s.Missing(i)
		}
		return map[string]any{"name": s.Name, "type": s.Type, "float": s.Float, "text": s.Text, "missing": missing}
	})}
	if diff := cmp.Diff(want, got, same); diff != "" {
		t.Error(diff)
	}
	some, err := e.Read(t.Context(), []string{path}, "", []string{"int", "absent", "float"}, "")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"int", "float"}, some.Schema().Names()); diff != "" {
		t.Error(diff)
	}
}
