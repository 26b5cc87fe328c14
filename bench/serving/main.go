// Command serving measures one row over HTTP: 500 trees of depth 6 over 30
// features, every prediction logged before its reply, against MLflow's scoring
// server, MLServer and the libraries in process.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/slipway-ml/slipway/bench/measure"
)

func main() {
	log.SetFlags(0)
	bin := flag.String("slipway", "bin/slipway", "the program to measure")
	rounds := flag.Int("rounds", 3, "repetitions")
	phase := flag.Duration("phase", 3*time.Second, "how long each server is asked in a round")
	trained := flag.String("model", ".tools/bench/model", "folder that keeps the trained model")
	flag.Parse()
	if err := run(*bin, *rounds, *phase, *trained); err != nil {
		log.Fatal(err)
	}
}

// contestant is a server, or a way of asking one.
type contestant struct {
	name, address, path string
	server              *measure.Server
	body                func(row []float64) []byte
}

func run(bin string, rounds int, phase time.Duration, trained string) error {
	dir, err := os.MkdirTemp("", "bench-serving-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	model, err := measure.Train(trained)
	if err != nil {
		return err
	}
	all, err := slipway(bin, dir, model)
	if err != nil {
		return err
	}
	defer all[0].server.Stop()
	if peer, err := mlflow(model); err != nil {
		fmt.Println("skipped: mlflow models serve:", err)
	} else if peer.server != nil {
		defer peer.server.Stop()
		all = append(all, peer)
	}
	if peer, err := mlserver(dir, model); err != nil {
		fmt.Println("skipped: mlserver:", err)
	} else if peer.server != nil {
		defer peer.server.Stop()
		all = append(all, peer)
	}
	t := measure.NewTable(fmt.Sprintf("serving: a row of %d features, %d trees of depth %d, over HTTP", measure.Features, measure.Trees, measure.Depth))
	t.Want("server CPU, 16 connections", "<= 25 µs")
	for range rounds {
		for _, connections := range []int{16, 1} {
			for _, c := range all {
				load, err := measure.Send(c.server, c.address, c.path, connections, phase, func(n, i int) []byte {
					return c.body(model.Rows[(n*37+i)%len(model.Rows)])
				})
				if err != nil {
					return fmt.Errorf("%s: %w", c.name, err)
				}
				t.Add(fmt.Sprintf("server CPU, %d connections", connections), "µs", c.name, load.CPUEach())
				t.Add(fmt.Sprintf("requests/s, %d connections", connections), "1/s", c.name, load.Rate())
				t.Add(fmt.Sprintf("median latency, %d connections", connections), "ms", c.name, load.Quantile(0.5))
				t.Add(fmt.Sprintf("p99 latency, %d connections", connections), "ms", c.name, load.Quantile(0.99))
				if connections == 1 {
					continue
				}
				half, err := measure.SendAt(c.server, c.address, c.path, connections, phase, load.Rate()/2, func(n, i int) []byte {
					return c.body(model.Rows[(n*37+i)%len(model.Rows)])
				})
				if err != nil {
					return fmt.Errorf("%s: %w", c.name, err)
				}
				t.Add("median latency at half the rate", "ms", c.name, half.Quantile(0.5))
				t.Add("p99 latency at half the rate", "ms", c.name, half.Quantile(0.99))
			}
		}
	}
	t.Print(os.Stdout)
	return library(model)
}

// library prints what the model alone costs in the libraries that trained it.
func library(model measure.Model) error {
	times, err := model.Library("predict")
	if err != nil || times == nil {
		return err
	}
	t := measure.NewTable("serving: the same row in process, without any server, CPU")
	for _, name := range []string{"xgboost, inplace_predict", "xgboost, DMatrix", "lightgbm, predict"} {
		t.Add("a row", "µs", name, times[name])
	}
	t.Print(os.Stdout)
	return nil
}

func slipway(bin, dir string, model measure.Model) ([]contestant, error) {
	env, _, address, err := measure.Slipway(filepath.Join(dir, "workspace"))
	if err != nil {
		return nil, err
	}
	server, err := measure.Start("http://"+address+"/v2/health/ready", ".", env, bin, "serve", model.File, "--name", "bench", "--listen", address, "--log", filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	return []contestant{
		{"slipway, v2", address, "/v2/models/bench/infer", server, tensors},
		{"slipway, v2 matrix", address, "/v2/models/bench/infer", server, matrix},
		{"slipway, invocations", address, "/invocations", server, split},
	}, nil
}

func mlflow(model measure.Model) (contestant, error) {
	saved, err := filepath.Abs(filepath.Join(model.Dir, "mlflow"))
	if err != nil {
		return contestant{}, err
	}
	if _, err := os.Stat(saved); model.Python == "" || err != nil {
		return contestant{}, nil // the peer is not installed, which has been said
	}
	port, err := measure.FreePort()
	if err != nil {
		return contestant{}, err
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	python, err := filepath.Abs(model.Python)
	if err != nil {
		return contestant{}, err
	}
	path := "PATH=" + filepath.Dir(python) + string(os.PathListSeparator) + os.Getenv("PATH")
	server, err := measure.Start("http://"+address+"/ping", model.Dir, []string{path, "OMP_NUM_THREADS=1"},
		python, "-m", "mlflow", "models", "serve", "-m", saved, "-h", "127.0.0.1", "-p", fmt.Sprint(port), "--env-manager", "local")
	return contestant{"mlflow models serve", address, "/invocations", server, split}, err
}

// mlserver serves the same file with Seldon's MLServer, its defaults but for the
// log of each request, which it writes to the terminal.
func mlserver(dir string, model measure.Model) (contestant, error) {
	if model.Python == "" {
		return contestant{}, nil
	}
	if _, ok := measure.Peer(os.Stdout, "mlserver_xgboost"); !ok {
		return contestant{}, nil
	}
	var ports [3]int
	for i := range ports {
		var err error
		if ports[i], err = measure.FreePort(); err != nil {
			return contestant{}, err
		}
	}
	file, err := filepath.Abs(model.File)
	if err != nil {
		return contestant{}, err
	}
	folder := filepath.Join(dir, "mlserver")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return contestant{}, err
	}
	for name, text := range map[string]string{
		"settings.json":       fmt.Sprintf(`{"host": "127.0.0.1", "http_port": %d, "grpc_port": %d, "metrics_port": %d, "debug": false}`, ports[0], ports[1], ports[2]),
		"model-settings.json": fmt.Sprintf(`{"name": "bench", "implementation": "mlserver_xgboost.XGBoostModel", "parameters": {"uri": %q}}`, file),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			return contestant{}, err
		}
	}
	python, err := filepath.Abs(model.Python)
	if err != nil {
		return contestant{}, err
	}
	path := "PATH=" + filepath.Dir(python) + string(os.PathListSeparator) + os.Getenv("PATH")
	address := fmt.Sprintf("127.0.0.1:%d", ports[0])
	server, err := measure.Start("http://"+address+"/v2/models/bench/ready", folder, []string{path, "OMP_NUM_THREADS=1"}, filepath.Join(filepath.Dir(python), "mlserver"), "start", folder)
	return contestant{"mlserver", address, "/v2/models/bench/infer", server, matrix}, err
}

// matrix is a row as one tensor of 1 × features.
func matrix(row []float64) []byte {
	values, _ := json.Marshal(row)
	return fmt.Appendf(nil, `{"inputs":[{"name":"x","shape":[1,%d],"datatype":"FP64","data":%s}]}`, len(row), values)
}

// tensors is a row as the Open Inference Protocol has it, a tensor a feature.
func tensors(row []float64) []byte {
	var b bytes.Buffer
	b.WriteString(`{"inputs":[`)
	for i, v := range row {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"name":"f%d","shape":[1],"datatype":"FP64","data":[%v]}`, i, v)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

// split is a row as MLflow's scoring server has it.
func split(row []float64) []byte {
	var frame struct {
		Split struct {
			Columns []string    `json:"columns"`
			Data    [][]float64 `json:"data"`
		} `json:"dataframe_split"`
	}
	for i := range row {
		frame.Split.Columns = append(frame.Split.Columns, fmt.Sprint("f", i))
	}
	frame.Split.Data = [][]float64{row}
	b, _ := json.Marshal(frame)
	return b
}
