package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/slipway-ml/slipway/bench/measure"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// measure runs one phase of each kind.
func (c *contestant) measure(t *measure.Table, phase time.Duration) error {
	send := func(path string, connections int, body func(connection, i int) []byte) (measure.Load, error) {
		return measure.Send(c.server, c.address, api+path, connections, phase, body)
	}
	var serial atomic.Int64 // steps go on from round to round
	serial.Store(time.Now().UnixMilli())
	load, err := send("runs/create", connections, func(n, i int) []byte {
		return fmt.Appendf(nil, `{"experiment_id":"0","start_time":%d,"run_name":"r","tags":[{"key":"mlflow.user","value":"ana"}]}`, 1700000000000-i)
	})
	if err != nil {
		return err
	}
	t.Add("create-run, 8 connections", "1/s", c.name, load.Rate())
	t.Add("create-run, server CPU", "µs", c.name, load.CPUEach())
	load, err = send("runs/log-metric", connections, func(n, _ int) []byte {
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
	took, err := c.readHistory()
	if err != nil {
		return err
	}
	t.Add("history of 100,000 points", "ms", c.name, took)
	return nil
}

// points is how long the long history is.
const points = 100_000

// fillHistory logs a history of 100,000 points in batches, and tells what the
// database grew by for each.
func (c *contestant) fillHistory(t *measure.Table) error {
	var out struct {
		Run struct {
			Info struct {
				ID string `json:"run_id"`
			} `json:"info"`
		} `json:"run"`
	}
	if err := c.post("runs/create", []byte(`{"experiment_id":"0","start_time":1}`), &out); err != nil {
		return err
	}
	c.history = out.Run.Info.ID
	before, err := c.bytes()
	if err != nil {
		return err
	}
	for at := 0; at < points; at += batch {
		body := fmt.Appendf(make([]byte, 0, 96<<10), `{"run_id":%q,"metrics":[`, c.history)
		for i := at; i < at+batch; i++ {
			body = fmt.Appendf(body, `{"key":"loss","value":%g,"timestamp":%d,"step":%d},`, 1/float64(i+1), 1_700_000_000_000+i*137, i)
		}
		if err := c.post("runs/log-batch", append(bytes.TrimSuffix(body, []byte(",")), `]}`...), &struct{}{}); err != nil {
			return err
		}
	}
	after, err := c.bytes()
	if err == nil && c.file != "" {
		t.Add("disk a point", "B", c.name, float64(after-before)/points)
	}
	return err
}

// bytes is how large its SQLite database is, with what is still in the log.
func (c *contestant) bytes() (n int64, err error) {
	if c.file == "" {
		return 0, nil
	}
	d, err := db.Open(context.Background(), c.file, db.Options{Foreign: true})
	if err != nil {
		return 0, err
	}
	defer d.Close()
	err = d.Read(context.Background(), func(tx *db.Tx) error {
		return tx.QueryRow("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").Scan(&n)
	})
	return n, err
}

// readHistory reads it in pages of 25,000, as clients do.
func (c *contestant) readHistory() (ms float64, err error) {
	begin, read := time.Now(), 0
	for page := ""; ; {
		resp, err := http.Get("http://" + c.address + api + "metrics/get-history?metric_key=loss&max_results=25000&run_id=" + c.history + page)
		if err != nil {
			return 0, err
		}
		b, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			return 0, fmt.Errorf("get-history: %s, %v", resp.Status, err)
		}
		read += bytes.Count(b, []byte(`"value"`))
		_, rest, ok := bytes.Cut(b[max(0, len(b)-300):], []byte(`"next_page_token":`))
		if rest = bytes.Trim(rest, " \n}"); !ok || len(rest) < 3 {
			break
		}
		page = "&page_token=" + string(bytes.Trim(bytes.Split(rest, []byte(","))[0], `" `))
	}
	if read < points {
		return 0, fmt.Errorf("get-history: %d points of %d", read, points)
	}
	return time.Since(begin).Seconds() * 1e3, nil
}

// artifact stores a file of random bytes and reads it back.
func (c *contestant) artifact(t *measure.Table, size int64) error {
	url := "http://" + c.address + "/api/2.0/mlflow-artifacts/artifacts/0/" + c.history + "/artifacts/large.bin"
	req, err := http.NewRequest(http.MethodPut, url, noise(size))
	if err != nil {
		return err
	}
	req.ContentLength = size
	begin := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode >= 300 {
		fmt.Printf("skipped: artifacts of %s: %s\n", c.name, resp.Status)
		return nil
	}
	t.Add("artifact up", "MB/s", c.name, float64(size)/1e6/time.Since(begin).Seconds())
	begin = time.Now()
	if resp, err = http.Get(url); err != nil {
		return err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil || n != size {
		return fmt.Errorf("artifact: %d bytes of %d, %v", n, size, err)
	}
	t.Add("artifact down", "MB/s", c.name, float64(size)/1e6/time.Since(begin).Seconds())
	return nil
}

// noise is size bytes that no compression makes smaller, a block of 8 MB with a
// counter in it, so that making them costs little.
func noise(size int64) io.Reader {
	block := make([]byte, 8<<20)
	_, _ = rand.Read(block) // never fails
	return io.LimitReader(&noiseReader{block: block}, size)
}

type noiseReader struct {
	block []byte
	at, n int
}

func (r *noiseReader) Read(p []byte) (int, error) {
	if r.at == len(r.block) {
		r.at, r.n = 0, r.n+1
		for i := 0; i < len(r.block); i += 4096 {
			r.block[i] += byte(r.n)
		}
	}
	n := copy(p, r.block[r.at:])
	r.at += n
	return n, nil
}

// writeDisk is how fast this disk takes a file that is synced at its end.
func writeDisk(dir string, size int64) float64 {
	f, err := os.Create(filepath.Join(dir, "disk.bin"))
	if err != nil {
		return 0
	}
	defer os.Remove(f.Name())
	defer f.Close()
	begin := time.Now()
	if _, err := io.Copy(f, noise(size)); err != nil {
		return 0
	}
	if err := f.Sync(); err != nil {
		return 0
	}
	return float64(size) / 1e6 / time.Since(begin).Seconds()
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
