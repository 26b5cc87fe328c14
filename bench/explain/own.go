package main

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/slipway-ml/slipway/bench/measure"
	"github.com/slipway-ml/slipway/internal/tree"
)

const (
	batch      = 256
	largeBatch = 10000
	background = 100
)

// ours measures every model of dir: times by quantity and model.
func ours(dir string) (map[string]float64, error) {
	out := map[string]float64{}
	in, err := rows(dir, largeBatch)
	if err != nil {
		return nil, err
	}
	for _, path := range files(dir) {
		name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)) + " model"
		add := func(quantity string, v float64) { out[quantity+"|"+name] = v }
		e, err := load(path, in, add)
		if err != nil {
			return nil, err
		}
		predict(e, in, add)
		if err := explain(e, in, add); err != nil {
			return nil, err
		}
	}
	return out, deep(dir, in, out)
}

// load measures the start of a model, and what it keeps in memory.
func load(path string, in []float64, add func(string, float64)) (*tree.Ensemble, error) {
	var before, after runtime.MemStats
	for range 3 { // pools let go of what they hold at the second collection
		runtime.GC()
	}
	runtime.ReadMemStats(&before)
	begin := measure.Used()
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	e, err := tree.Parse(b)
	if err != nil {
		return nil, err
	}
	p := tree.NewPredictor(e)
	p.Predict(make([]float64, e.Outputs), in, 1)
	add(cold, (measure.Used()-begin).Seconds()*1e3)
	size := len(b)
	b = nil
	runtime.GC()
	runtime.ReadMemStats(&after)
	add(memory, (float64(after.HeapAlloc)-float64(before.HeapAlloc))/float64(size))
	runtime.KeepAlive(p)
	return e, nil
}

func predict(e *tree.Ensemble, in []float64, add func(string, float64)) {
	p, dst, i := tree.NewPredictor(e), make([]float64, largeBatch), 0
	add(oneRow, cpu(1, func() {
		p.Predict(dst, in[i%1000*measure.Features:], 1)
		i++
	}))
	add(batchRow, 1e3*cpu(largeBatch*len(e.Trees), func() { p.Predict(dst, in, largeBatch) }))
}

func explain(e *tree.Ensemble, in []float64, add func(string, float64)) error {
	width := measure.Features
	dst := make([]float64, batch*(width+1))
	measured := func(x *tree.Explainer, one, many string) {
		i := 0
		add(one, cpu(1, func() {
			x.Explain(dst, in[i%1000*width:], 1)
			i++
		}))
		add(many, cpu(batch, func() { x.Explain(dst, in, batch) }))
	}
	begin := measure.Used()
	x, err := tree.NewExplainer(e)
	if err != nil {
		return err
	}
	add(prepare, (measure.Used()-begin).Seconds()*1e3)
	measured(x, shapRow, shapBatch)
	pairs := make([]float64, (width+1)*(width+1))
	add(interactRow, cpu(1, func() { x.Interact(pairs, in) }))
	if x, err = tree.NewInterventional(e, in[len(in)-background*width:], background, false); err != nil {
		return err
	}
	measured(x, againstRow, againstBatch)
	return nil
}

// deep measures scikit-learn's forest, where model.py wrote one.
func deep(dir string, in []float64, out map[string]float64) error {
	b, err := os.ReadFile(filepath.Join(dir, "sklearn.json"))
	if os.IsNotExist(err) {
		return nil
	}
	var form struct {
		Trees tree.Stored `json:"trees"`
	}
	if err == nil {
		err = json.Unmarshal(b, &form)
	}
	if err != nil {
		return err
	}
	e, err := form.Trees.Ensemble(measure.Features)
	if err != nil {
		return err
	}
	p, dst, i := tree.NewPredictor(e), make([]float64, 1), 0
	out[forestRow+"|sklearn model"] = cpu(1, func() {
		p.Predict(dst, in[i%1000*measure.Features:], 1)
		i++
	})
	return nil
}

// cpu is the processor time of f, in µs for each of units, over half a second.
func cpu(units int, f func()) float64 {
	f()
	n, begin, end := 0, measure.Used(), time.Now().Add(500*time.Millisecond)
	for time.Now().Before(end) {
		f()
		n++
	}
	return float64((measure.Used() - begin).Nanoseconds()) / 1e3 / float64(n*units)
}

func random(n int) []float64 {
	r := rand.New(rand.NewPCG(1, 2))
	out := make([]float64, n)
	for i := range out {
		out[i] = r.NormFloat64()
	}
	return out
}
