package mlflow_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// post sends a request and fails the benchmark on any other status than 200.
func post(b *testing.B, srv *httptest.Server, path string, body []byte) []byte {
	resp, err := srv.Client().Post(srv.URL+api+path, "application/json", bytes.NewReader(body))
	if err != nil {
		b.Error(err)
		return nil
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		b.Errorf("%d %s %v", resp.StatusCode, raw, err)
	}
	return raw
}

func benchRun(b *testing.B, srv *httptest.Server) string {
	var out struct {
		Run struct {
			Info struct {
				ID string `json:"run_id"`
			} `json:"info"`
		} `json:"run"`
	}
	if err := json.Unmarshal(post(b, srv, "runs/create", []byte(`{"experiment_id":"0"}`)), &out); err != nil {
		b.Fatal(err)
	}
	return out.Run.Info.ID
}

const connections = 8

// spread calls fn b.N times from as many goroutines as there are connections.
func spread(b *testing.B, srv *httptest.Server, fn func(worker int, i int64)) {
	srv.Client().Transport.(*http.Transport).MaxIdleConnsPerHost = connections
	var next atomic.Int64
	var work sync.WaitGroup
	b.ResetTimer()
	for w := range connections {
		work.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				fn(w, i)
			}
		})
	}
	work.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

// Each figure includes the load generator, which shares the machine.
func BenchmarkLogMetric(b *testing.B) {
	srv := server(b, filepath.Join(b.TempDir(), "bench.db"), nil)
	runs := make([]string, connections)
	for i := range runs {
		runs[i] = benchRun(b, srv)
	}
	spread(b, srv, func(w int, i int64) {
		post(b, srv, "runs/log-metric", fmt.Appendf(nil, `{"run_uuid":%q,"run_id":%q,"key":"loss","value":%g,"timestamp":%d,"step":%d}`, runs[w], runs[w], 1/float64(i), i, i))
	})
}

func BenchmarkCreateRun(b *testing.B) {
	srv := server(b, filepath.Join(b.TempDir(), "bench.db"), nil)
	spread(b, srv, func(_ int, i int64) {
		post(b, srv, "runs/create", fmt.Appendf(nil, `{"experiment_id":"0","start_time":%d,"run_name":"r","tags":[{"key":"mlflow.user","value":"ana"}]}`, 1700000000000+i))
	})
}

func BenchmarkLogBatch(b *testing.B) {
	srv := server(b, filepath.Join(b.TempDir(), "bench.db"), nil)
	runs := make([]string, connections)
	for i := range runs {
		runs[i] = benchRun(b, srv)
	}
	spread(b, srv, func(w int, i int64) {
		body := fmt.Appendf(make([]byte, 0, 80<<10), `{"run_id":%q,"metrics":[`, runs[w])
		for m := range 1000 {
			if m > 0 {
				body = append(body, ',')
			}
			body = fmt.Appendf(body, `{"key":"metric%d","value":%g,"timestamp":%d,"step":%d}`, m/100, 1/float64(m+1), i*1000+int64(m), i*100+int64(m%100))
		}
		post(b, srv, "runs/log-batch", append(body, `]}`...))
	})
	b.ReportMetric(1000*float64(b.N)/b.Elapsed().Seconds(), "metrics/s")
}

func BenchmarkSearch(b *testing.B) {
	srv := server(b, filepath.Join(b.TempDir(), "bench.db"), nil)
	var work sync.WaitGroup
	var next atomic.Int64
	for range connections {
		work.Go(func() {
			for i := next.Add(1); i <= 10_000; i = next.Add(1) {
				var out struct {
					Run struct {
						Info struct {
							ID string `json:"run_id"`
						} `json:"info"`
					} `json:"run"`
				}
				if err := json.Unmarshal(post(b, srv, "runs/create", fmt.Appendf(nil, `{"experiment_id":"0","start_time":%d}`, 1700000000000+i)), &out); err != nil {
					b.Error(err)
					return
				}
				body := fmt.Appendf(nil, `{"run_id":%q,"metrics":[`, out.Run.Info.ID)
				for m := range 10 {
					body = fmt.Appendf(body, `{"key":"m%d","value":%g,"timestamp":1,"step":0},`, m, float64(i*int64(m+7)%1000)/1000)
				}
				body = append(bytes.TrimSuffix(body, []byte(",")), `],"params":[`...)
				for p := range 10 {
					body = fmt.Appendf(body, `{"key":"p%d","value":"%d"},`, p, i%10)
				}
				post(b, srv, "runs/log-batch", append(bytes.TrimSuffix(body, []byte(",")), `]}`...))
			}
		})
	}
	work.Wait()
	for name, body := range map[string]string{
		"newest":   `{"experiment_ids":["0"],"max_results":100}`,
		"filtered": `{"experiment_ids":["0"],"max_results":100,"filter":"metrics.m1 > 0.5 AND params.p1 = '3'"}`,
		"ordered":  `{"experiment_ids":["0"],"max_results":100,"order_by":["metrics.m1 DESC"]}`,
		"rare":     `{"experiment_ids":["0"],"max_results":100,"filter":"params.p1 = 'none'"}`,
	} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				post(b, srv, "runs/search", []byte(body))
			}
		})
	}
}

// BenchmarkHistory reads a curve of 100,000 points at once.
func BenchmarkHistory(b *testing.B) {
	srv := server(b, filepath.Join(b.TempDir(), "bench.db"), nil)
	run := benchRun(b, srv)
	for i := range 100 {
		body := fmt.Appendf(nil, `{"run_id":%q,"metrics":[`, run)
		for m := range 1000 {
			if m > 0 {
				body = append(body, ',')
			}
			body = fmt.Appendf(body, `{"key":"loss","value":%g,"timestamp":%d,"step":%d}`, 1/float64(i*1000+m+1), i*1000+m, i*1000+m)
		}
		post(b, srv, "runs/log-batch", append(body, `]}`...))
	}
	b.ResetTimer()
	for range b.N {
		resp, err := srv.Client().Get(srv.URL + api + "metrics/get-history?metric_key=loss&run_id=" + run)
		if err != nil {
			b.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil || n < 5_000_000 {
			b.Fatal(n, err)
		}
	}
}
