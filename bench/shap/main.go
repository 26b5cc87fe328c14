// Command shap measures exact SHAP values of the model of the predict benchmark,
// a row at a time and in a batch, against the libraries' own and package shap.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ml/slipway/bench/measure"
	"github.com/slipway-ml/slipway/internal/tree"
)

func main() {
	log.SetFlags(0)
	rounds := flag.Int("rounds", 3, "repetitions")
	trained := flag.String("model", ".tools/bench/model", "folder that keeps the trained model")
	flag.Parse()
	if err := run(*rounds, *trained); err != nil {
		log.Fatal(err)
	}
}

const batch = 256

func run(rounds int, trained string) error {
	model, err := measure.Train(trained)
	if err != nil {
		return err
	}
	t := measure.NewTable(fmt.Sprintf("shap: %d trees of depth %d, %d features, one thread, CPU a row", measure.Trees, measure.Depth, measure.Features))
	t.Want("a single row", "<= 1000 µs, with SIMD 400")
	t.Want(fmt.Sprintf("a row of a batch of %d", batch), "<= 240 µs, with SIMD 100")
	for range rounds {
		for _, file := range files(model) {
			if err := ours(t, file, model); err != nil {
				return err
			}
		}
		times, err := model.Library("shap")
		if err != nil {
			return err
		}
		for name, v := range times {
			name, what, _ := strings.Cut(name, ", ")
			t.Add(quantity(what), "µs", name, v)
		}
	}
	t.Print(os.Stdout)
	return nil
}

func quantity(what string) string {
	if what == "row" {
		return "a single row"
	}
	return fmt.Sprintf("a row of a batch of %d", batch)
}

// files is every model that was trained.
func files(m measure.Model) []string {
	out := []string{m.File}
	if m.Python != "" {
		out = append(out, m.Dir+"/lightgbm.txt")
	}
	return slices.Compact(out)
}

func ours(t *measure.Table, file string, model measure.Model) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	e, err := tree.Parse(b)
	if err != nil {
		return err
	}
	name := "slipway, xgboost model"
	if strings.HasSuffix(file, ".txt") {
		name = "slipway, lightgbm model"
	}
	begin := measure.Used()
	x, err := tree.NewExplainer(e)
	if err != nil {
		return err
	}
	t.Add("preparing, once a model", "ms", name, (measure.Used()-begin).Seconds()*1e3)
	in := slices.Concat(model.Rows...)
	dst := make([]float64, batch*(measure.Features+1))
	i := 0
	t.Add(quantity("row"), "µs", name, cpu(1, func() {
		x.Explain(dst, in[i%len(model.Rows)*measure.Features:], 1)
		i++
	}))
	t.Add(quantity("batch"), "µs", name, cpu(batch, func() { x.Explain(dst, in, batch) }))
	return nil
}

// cpu is the processor time of f, in µs for each of units, over a second.
func cpu(units int, f func()) float64 {
	f()
	n, begin, end := 0, measure.Used(), time.Now().Add(time.Second)
	for time.Now().Before(end) {
		f()
		n++
	}
	return float64((measure.Used() - begin).Nanoseconds()) / 1e3 / float64(n*units)
}
