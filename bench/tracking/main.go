// Command tracking measures the MLflow API: making runs, log-metric and log-batch
// by eight connections, searching, a long history and a large artifact, the same
// requests to `mlflow server`, and to Slipway on the Postgres that BENCH_POSTGRES
// names.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-ml/slipway/bench/measure"
)

const (
	connections = 8
	batch       = 1000 // metrics in a log-batch
	api         = "/api/2.0/mlflow/"
)

func main() {
	log.SetFlags(0)
	bin := flag.String("slipway", "bin/slipway", "the program to measure")
	rounds := flag.Int("rounds", 3, "repetitions")
	phase := flag.Duration("phase", 5*time.Second, "how long each server is asked in a round")
	runs := flag.Int("runs", 10_000, "runs to search among")
	peerRuns := flag.Int("peer-runs", 1_000, "runs to search among on mlflow, which takes long to fill")
	artifact := flag.Int64("artifact", 1<<30, "bytes of the artifact; 0 leaves it out")
	flag.Parse()
	if err := run(*bin, *rounds, *phase, *runs, *peerRuns, *artifact); err != nil {
		log.Fatal(err)
	}
}

// contestant is a server with the runs that are logged to.
type contestant struct {
	name, address string
	server        *measure.Server
	runs          []string
	searched      int
	file          string // its SQLite database, or ""
	history       string // the run with the long history
}

func run(bin string, rounds int, phase time.Duration, runs, peerRuns int, artifact int64) error {
	dir, err := os.MkdirTemp("", "bench-tracking-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	t := measure.NewTable(fmt.Sprintf("tracking: MLflow API, %d connections", connections))
	t.Want("create-run, 8 connections", ">= 4000/s")
	t.Want("log-metric, 8 connections", ">= 7000/s, or 80 % of 8 fsyncs")
	t.Want("metrics by log-batch", ">= 500,000/s")
	t.Want("search 100 runs, newest", "<= 3 ms")
	t.Want("search 100 runs, by a metric", "<= 3 ms")
	t.Want("search 100 runs, by a filter", "<= 3 ms")
	t.Want("history of 100,000 points", "<= 60 ms")
	t.Want("disk a point", "<= 16")
	t.Want("artifact up", ">= 70 % of the disk")
	t.Want("artifact down", ">= 70 % of the disk")
	all, err := start(bin, dir, runs, peerRuns)
	for _, c := range all {
		defer c.server.Stop()
	}
	if err != nil {
		return err
	}
	for _, c := range all {
		if err := errors.Join(c.fill(), c.fillHistory(t)); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	for range rounds {
		t.Add("fsync of 4 KiB, this disk", "1/s", "slipway", fsyncs(dir))
		for _, c := range all {
			if err := c.measure(t, phase); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	if artifact > 0 {
		t.Add("the disk, writing and syncing", "MB/s", "slipway", writeDisk(dir, artifact))
		for _, c := range all {
			if err := c.artifact(t, artifact); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	for _, c := range all {
		t.Add("runs to search among", "", c.name, float64(c.searched))
	}
	t.Print(os.Stdout)
	return nil
}

// start starts every contestant that is there.
func start(bin, dir string, runs, peerRuns int) (all []*contestant, err error) {
	for name, dsn := range map[string]string{"slipway": "", "slipway, Postgres": os.Getenv("BENCH_POSTGRES")} {
		if name != "slipway" && dsn == "" {
			fmt.Println("skipped: Slipway on Postgres: BENCH_POSTGRES names no database")
			continue
		}
		workspace := filepath.Join(dir, strings.ReplaceAll(name, ", ", "-"))
		env, address, _, err := measure.Slipway(workspace)
		if err != nil {
			return all, err
		}
		if dsn != "" {
			env = append(env, "SLIPWAY_DATABASE="+dsn)
		}
		server, err := measure.Start("http://"+address+"/health", ".", env, bin, "up")
		if err != nil {
			return all, err
		}
		c := &contestant{name: name, address: address, server: server, searched: runs}
		if dsn == "" {
			c.file = filepath.Join(workspace, "slipway.db")
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *contestant) int { return strings.Compare(a.name, b.name) })
	python, ok := measure.Peer(os.Stdout, "mlflow")
	if !ok {
		return all, nil
	}
	if python, err = filepath.Abs(python); err != nil {
		return all, err
	}
	port, err := measure.FreePort()
	if err != nil {
		return all, err
	}
	address, file := fmt.Sprintf("127.0.0.1:%d", port), filepath.Join(dir, "m.db")
	server, err := measure.Start("http://"+address+"/health", dir, nil, python, "-m", "mlflow", "server", "--host", "127.0.0.1",
		"--port", fmt.Sprint(port), "--backend-store-uri", "sqlite:///"+file, "--artifacts-destination", filepath.Join(dir, "artifacts"))
	if err != nil {
		fmt.Println("skipped: mlflow server:", err)
		return all, nil
	}
	return append(all, &contestant{name: "mlflow server", address: address, server: server, searched: peerRuns, file: file}), nil
}

// post sends one request of the preparation.
func (c *contestant) post(path string, body []byte, out any) error {
	resp, err := http.Post("http://"+c.address+api+path, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

// fill makes the runs, ten metrics and ten params each.
func (c *contestant) fill() error {
	var next atomic.Int64
	var mu sync.Mutex
	var failed error
	var work sync.WaitGroup
	for range connections {
		work.Go(func() {
			for i := next.Add(1); i <= int64(c.searched); i = next.Add(1) {
				id, err := c.makeRun(i)
				mu.Lock()
				if c.runs = append(c.runs, id); err != nil {
					failed = err
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	work.Wait()
	return failed
}

func (c *contestant) makeRun(i int64) (string, error) {
	var out struct {
		Run struct {
			Info struct {
				ID string `json:"run_id"`
			} `json:"info"`
		} `json:"run"`
	}
	if err := c.post("runs/create", fmt.Appendf(nil, `{"experiment_id":"0","start_time":%d}`, 1700000000000+i), &out); err != nil {
		return "", err
	}
	id := out.Run.Info.ID
	body := fmt.Appendf(nil, `{"run_id":%q,"metrics":[`, id)
	for m := range 10 {
		body = fmt.Appendf(body, `{"key":"m%d","value":%g,"timestamp":1,"step":0},`, m, float64(i*int64(m+7)%1000)/1000)
	}
	body = append(bytes.TrimSuffix(body, []byte(",")), `],"params":[`...)
	for p := range 10 {
		body = fmt.Appendf(body, `{"key":"p%d","value":"%d"},`, p, i%10)
	}
	return id, c.post("runs/log-batch", append(bytes.TrimSuffix(body, []byte(",")), `]}`...), &struct{}{})
}
