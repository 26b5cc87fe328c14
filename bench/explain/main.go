// Command explain measures predictions and exact SHAP values in process, on one
// thread: a row at a time and in batches, by the vector kernels and in pure Go,
// against the libraries' own, ONNX Runtime and package shap in the same run.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/slipway-ml/slipway/bench/measure"
	"github.com/slipway-ml/slipway/internal/onnx"
	"github.com/slipway-ml/slipway/internal/tree"
)

func main() {
	log.SetFlags(0)
	rounds := flag.Int("rounds", 3, "repetitions")
	trained := flag.String("model", ".tools/bench/model", "folder that keeps the trained models")
	curves := flag.Bool("curves", false, "cost over trees, depth, features and batch instead")
	own := flag.String("own", "", "measure this folder by the kernels that GODEBUG leaves, and print JSON (for the command itself)")
	flag.Parse()
	if err := run(*rounds, *trained, *own, *curves); err != nil {
		log.Fatal(err)
	}
}

func run(rounds int, trained, own string, curves bool) error {
	switch {
	case curves:
		return curve()
	case own != "":
		times, err := ours(own)
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(times)
	}
	model, err := measure.Train(trained)
	if err != nil {
		return err
	}
	if err := export(model); err != nil {
		return err
	}
	t := measure.NewTable(fmt.Sprintf("explain: %d trees of depth %d, %d features, one thread, CPU time", measure.Trees, measure.Depth, measure.Features))
	t.Want(oneRow, "<= 5 µs")
	t.Want(batchRow, "<= 7.5 pure Go, 4 AVX2, 3 AVX-512")
	t.Want(forestRow, "<= 9 µs")
	t.Want(shapRow, "<= 1000 µs, with SIMD 400")
	t.Want(shapBatch, "<= 240 µs, with SIMD 100")
	t.Want(againstBatch, "<= 240 µs, with SIMD 100")
	t.Want(cold, "<= 100 ms")
	t.Want(memory, "<= 2")
	for range rounds {
		for _, engine := range engines {
			times, err := child(trained, engine.debug)
			if err != nil {
				return err
			}
			for key, v := range times {
				quantity, file, _ := strings.Cut(key, "|")
				// Only batches of XGBoost's trees meet the vector kernels.
				if engine.name != "" && (quantity != batchRow || file != "xgboost model") {
					continue
				}
				t.Add(quantity, unit[quantity], strings.TrimSpace("slipway, "+file+" "+engine.name), v)
			}
		}
		for _, what := range []string{"library", "shap"} {
			times, err := model.Library(what)
			if err != nil {
				return err
			}
			for key, v := range times {
				quantity, name, _ := strings.Cut(key, "|")
				t.Add(quantity, unit[quantity], name, v)
			}
		}
	}
	t.Print(os.Stdout)
	return nil
}

// What is measured. model.py uses the same words.
const (
	oneRow       = "predict a row"
	batchRow     = "predict a row of 10,000, a tree"
	forestRow    = "predict a row, forest of 100 deep trees"
	shapRow      = "explain a row"
	shapBatch    = "explain a row of 256"
	againstRow   = "explain a row against 100"
	againstBatch = "explain a row of 256 against 100"
	interactRow  = "interactions of a row"
	prepare      = "prepare to explain"
	cold         = "cold start, file to first answer"
	memory       = "memory, times the file"
)

var unit = map[string]string{oneRow: "µs", batchRow: "ns", forestRow: "µs", shapRow: "µs", shapBatch: "µs", againstRow: "µs",
	againstBatch: "µs", interactRow: "µs", prepare: "ms", cold: "ms", memory: "×"}

// engines are the kernels that one processor may be made to use.
var engines = []struct{ name, debug string }{
	{"", ""}, {"(AVX2)", "cpu.avx512f=off"}, {"(pure Go)", "cpu.avx512f=off,cpu.avx2=off"},
}

func child(trained, debug string) (map[string]float64, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "-own", trained)
	cmd.Env, cmd.Stderr = append(os.Environ(), "GODEBUG="+debug), os.Stderr
	b, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var out map[string]float64
	return out, json.Unmarshal(b, &out)
}

// files is every model that was trained.
func files(dir string) []string {
	var out []string
	for _, name := range []string{"xgboost.json", "lightgbm.txt", "forest.txt"} {
		if path := filepath.Join(dir, name); exists(path) {
			out = append(out, path)
		}
	}
	return out
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// export writes the XGBoost model in ONNX, for ONNX Runtime to answer.
func export(m measure.Model) error {
	if m.Python == "" {
		return nil
	}
	b, err := os.ReadFile(m.File)
	if err != nil {
		return err
	}
	e, err := tree.Parse(b)
	if err != nil {
		return err
	}
	if b, err = onnx.Trees(e, e.Features); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(m.Dir, "xgboost.onnx"), b, 0o644)
}

// rows are those that the models are asked, one after another.
func rows(dir string, n int) ([]float64, error) {
	var all [][]float64
	b, err := os.ReadFile(filepath.Join(dir, "rows.json"))
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	if os.IsNotExist(err) {
		return random(n * measure.Features), nil
	}
	flat := slices.Concat(all...)
	for len(flat) > 0 && len(flat) < n*measure.Features {
		flat = append(flat, flat...)
	}
	return flat, err
}
