package gate_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway"
)

// planes are rows as the models of the predictor's own tests know them: twelve
// days of them, with what those models predict.
func planes(size [3]string) string {
	random := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	fmt.Fprintln(&b, "air time,carrier,hour,gate,at,score,size")
	for i := range 600 {
		air, carrier := 150+60*random.NormFloat64(), []string{"AA", "DL", "UA", "WN"}[random.IntN(4)]
		hour, place := random.IntN(24), 10*(1+random.IntN(4))
		score := air/60 + float64(hour)/12
		if carrier == "DL" {
			score += 2
		}
		if place == 20 {
			score--
		}
		class := size[0]
		if score >= 5 {
			class = size[2]
		} else if score >= 3 {
			class = size[1]
		}
		fmt.Fprintf(&b, "%.4f,%s,%d,%d,2026-03-%02dT08:00:00Z,%.6f,%s\n", air, carrier, hour, place, 1+i/50, score, class)
	}
	return b.String()
}

// TestEveryTask judges a regression and a model of several classes, whose
// target holds numbers or names.
func TestEveryTask(t *testing.T) {
	for _, c := range []struct {
		name, file, task, target, metric string
		size                             [3]string
		classes                          []string
	}{
		{"regression", "regression.ubj", "regression", "score", "{metric: rmse, max: 1.5}", [3]string{"0", "1", "2"}, nil},
		{"classes by number", "multiclass.txt", "multiclass", "size", "{metric: accuracy, min: 0.6}", [3]string{"0", "1", "2"}, []string{"0", "1", "2"}},
		{"classes by name", "multiclass.json", "multiclass", "size", "{metric: log_loss, max: 1}", [3]string{"a small", "b middle", "c big"}, []string{"a small", "b middle", "c big"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := one(t)
			w.yaml = `
project: flights
data: {flights: {path: data/, time: at}}
pipeline:
  prepare: {run: python prepare.py, in: [flights], out: {features: features.csv, test: test.csv}}
  train: {run: python train.py, in: [prepare.features], out: {model: model.txt}}
model: {name: delay, from: train.model, task: ` + c.task + `, target: ` + c.target + `}
gates: {data: prepare.test, metrics: [` + c.metric + `]}
`
			raw, err := os.ReadFile(filepath.Join("../../backend/predictor/trees/testdata", c.file))
			if err != nil {
				t.Fatal(err)
			}
			rows := w.putBytes("rows.csv", []byte(planes(c.size)))
			w.run("r1", w.putBytes("model", raw), rows, rows)
			got := w.certificate("delay@v1")
			if got.Certificate.Verdict != slipway.Pass || got.Certificate.Blocks != 12 {
				t.Errorf("%s: %s, %+v", got.Certificate.Verdict, got.Certificate.Reason, got.Certificate.Check)
			}
			v := mustFind(t, w, "delay@v1")
			if fmt.Sprint(v.Signature.Classes) != fmt.Sprint(c.classes) {
				t.Errorf("classes %v; want %v", v.Signature.Classes, c.classes)
			}
			if err := w.gate.Replay(w.ctx(), got.Certificate, w.load("delay@v1")); err != nil {
				t.Error(err)
			}
		})
	}
}
