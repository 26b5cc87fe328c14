// Command tracking measures the MLflow API: log-metric and log-batch by eight
// connections, and searching runs, the same requests to `mlflow server`.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"path/filepath"
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
	flag.Parse()
	if err := run(*bin, *rounds, *phase, *runs, *peerRuns); err != nil {
		log.Fatal(err)
	}
}

// contestant is a server with the runs that are logged to.
type contestant struct {
	name, address string
	server        *measure.Server
	runs          []string
	searched      int
}

func run(bin string, rounds int, phase time.Duration, runs, peerRuns int) error {
	dir, err := os.MkdirTemp("", "bench-tracking-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	t := measure.NewTable(fmt.Sprintf("tracking: MLflow API, %d connections", connections))
	t.Want("log-metric, 8 connections", ">= 7000/s, or 80 % of 8 fsyncs")
	t.Want("metrics by log-batch", ">= 500,000/s")
	t.Want("search 100 runs, newest", "<= 3 ms")
	t.Want("search 100 runs, by a metric", "<= 3 ms")
	all, err := start(bin, dir, runs, peerRuns)
	for _, c := range all {
		defer c.server.Stop()
	}
	if err != nil {
		return err
	}
	for _, c := range all {
		if err := c.fill(); err != nil {
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
	for _, c := range all {
		t.Add("runs to search among", "", c.name, float64(c.searched))
	}
	t.Print(os.Stdout)
	return nil
}

func start(bin, dir string, runs, peerRuns int) (all []*contestant, err error) {
	env, address, _, err := measure.Slipway(filepath.Join(dir, "workspace"))
	if err != nil {
		return nil, err
	}
	server, err := measure.Start("http://"+address+"/health", ".", env, bin, "up")
	if err != nil {
		return nil, err
	}
	all = append(all, &contestant{name: "slipway", address: address, server: server, searched: runs})
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
	address = fmt.Sprintf("127.0.0.1:%d", port)
	server, err = measure.Start("http://"+address+"/health", dir, nil, python, "-m", "mlflow", "server", "--host", "127.0.0.1",
		"--port", fmt.Sprint(port), "--backend-store-uri", "sqlite:///"+filepath.Join(dir, "m.db"), "--artifacts-destination", filepath.Join(dir, "artifacts"))
	if err != nil {
		fmt.Println("skipped: mlflow server:", err)
		return all, nil
	}
	return append(all, &contestant{name: "mlflow server", address: address, server: server, searched: peerRuns}), nil
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

// measure runs one phase of each kind.
func (c *contestant) measure(t *measure.Table, phase time.Duration) error {
	send := func(path string, connections int, body func(connection, i int) []byte) (measure.Load, error) {
		return measure.Send(c.server, c.address, api+path, connections, phase, body)
	}
	var serial atomic.Int64 // steps go on from round to round
	serial.Store(time.Now().UnixMilli())
	load, err := send("runs/log-metric", connections, func(n, _ int) []byte {
		at := serial.Add(1)
		return fmt.Appendf(nil, `{"run_uuid":%q,"run_id":%q,"key":"loss","value":%g,"timestamp":%d,"step":%d}`, c.runs[n], c.runs[n], 1/float64(at), at, at)
	})
	if err != nil {
		return err
	}
	t.Add("log-metric, 8 connections", "1/s", c.name, load.Rate())
	t.Add("log-metric, server CPU", "µs", c.name, load.CPUEach())
	load, err = send("runs/log-batch", connections, func(n, _ int) []byte {
		body := fmt.Appendf(make([]byte, 0, 96<<10), `{"run_id":%q,"metrics":[`, c.runs[n])
		for m := range batch {
			if m > 0 {
				body = append(body, ',')
			}
			at := serial.Add(1)
			body = fmt.Appendf(body, `{"key":"metric%d","value":%g,"timestamp":%d,"step":%d}`, m/100, 1/float64(at), at, at)
		}
		return append(body, `]}`...)
	})
	if err != nil {
		return err
	}
	t.Add("metrics by log-batch", "1/s", c.name, load.Rate()*batch)
	t.Add("a metric by log-batch, server CPU", "µs", c.name, load.CPUEach()/batch)
	for name, body := range map[string]string{
		"search 100 runs, newest":      `{"experiment_ids":["0"],"max_results":100}`,
		"search 100 runs, by a filter": `{"experiment_ids":["0"],"max_results":100,"filter":"metrics.m1 > 0.5 AND params.p1 = '3'"}`,
		"search 100 runs, by a metric": `{"experiment_ids":["0"],"max_results":100,"order_by":["metrics.m1 DESC"]}`,
	} {
		load, err := measure.Send(c.server, c.address, api+"runs/search", 1, phase/3, func(int, int) []byte { return []byte(body) })
		if err != nil {
			return err
		}
		t.Add(name, "ms", c.name, load.Quantile(0.5))
	}
	return nil
}

// fsyncs is how often a second this disk makes 4 KiB durable, one after the
// other: what bounds every durable write, unless writers share one.
func fsyncs(dir string) float64 {
	f, err := os.CreateTemp(dir, "fsync-")
	if err != nil {
		return 0
	}
	defer f.Close()
	page, n, begin := make([]byte, 4096), 0, time.Now()
	for time.Since(begin) < time.Second {
		if _, err := f.Write(page); err != nil {
			return 0
		}
		if err := f.Sync(); err != nil {
			return 0
		}
		n++
	}
	return float64(n) / time.Since(begin).Seconds()
}
