package template

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/internal/kit/query"
)

// presets is what each template says beyond what its rows say.
var presets = map[string]struct {
	data, batch, question string
	answers               Answers
}{
	"tabular-classification": {"customers.csv", "", "Which customers will leave within a month?", Answers{Target: "churned"}},
	"regression":             {"deliveries.csv", "", "How many minutes will a delivery take?", Answers{Target: "minutes"}},
	"batch-scoring":          {"readings.csv", "today", "Which pumps will fail within a week?", Answers{Target: "failed"}},
}

// TestPresets keeps the plan of each template what would be proposed for its
// rows; -update writes it.
func TestPresets(t *testing.T) {
	needQuery(t)
	for _, name := range Names {
		t.Run(name, func(t *testing.T) {
			say := presets[name]
			dir := filepath.Join("../../../templates", name)
			engine := query.New(query.Options{})
			defer engine.Close()
			look, err := Examine(context.Background(), engine, filepath.Join(dir, say.data), nil)
			if err != nil {
				t.Fatal(err)
			}
			p, err := look.Propose(context.Background(), say.answers, nil)
			if err != nil {
				t.Fatal(err)
			}
			p.Dataset, p.Path, p.Batch, p.Question, p.Assumed = DatasetName(say.data), "data/"+say.data, say.batch, say.question, nil
			for _, f := range p.Feature {
				if f.Kind == Dated {
					t.Errorf("%s is a date that is not the time", f.Column)
				}
			}
			if *update {
				b, err := json.MarshalIndent(p, "", "  ")
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, "plan.json"), append(b, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			have, _, err := Preset(name)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(p, have); diff != "" {
				t.Errorf("plan.json is not what its rows say; run the test with -update (-rows +file):\n%s", diff)
			}
		})
	}
}

// TestTemplates writes each template, reads its slipway.yaml and runs its
// scripts by hand.
func TestTemplates(t *testing.T) {
	better := map[string]func(m map[string]float64) bool{
		"tabular-classification": func(m map[string]float64) bool { return m["roc_auc"] > 0.7 },
		"regression":             func(m map[string]float64) bool { return m["rmse"] < 0.5*m["rmse_baseline"] },
		"batch-scoring":          func(m map[string]float64) bool { return m["roc_auc"] > 0.7 },
	}
	for _, name := range Names {
		t.Run(name, func(t *testing.T) {
			s := begin(t)
			out := s.must("first", "--template", name)
			dir := filepath.Join(s.dir, "first")
			p := loads(t, dir)
			if p.Name != "first" || p.Model == nil || p.Gates == nil {
				t.Errorf("%+v", p)
			}
			golden(t, name+".yaml", string(p.Source))
			golden(t, name+".out", maskDir(out, s.dir))
			scripts := []string{}
			if name == "batch-scoring" {
				scripts = append(scripts, "score.py")
			}
			if m := python(t, dir, scripts...); !better[name](m) {
				t.Errorf("the model has learned too little: %v", m)
			}
		})
	}
}
