package gate

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/project"
	"github.com/slipway-ml/slipway/internal/stat"
)

// How a latency is measured: every repeat sends so many requests that the 99th
// percentile is not the slowest alone, or as many as leave within longest.
const (
	warmRequests   = 50
	repeatRequests = 200
	longest        = 3 * time.Second
	patience       = 5 * time.Second // for one answer
)

// latency measures the 99th percentile over a real connection to the real
// serving path. Requests leave on schedule whether or not earlier ones were
// answered, so that a slow server cannot slow its own measurement down.
func (t *trial) latency(ctx context.Context, g project.LatencyGate) error {
	c := Check{Name: "latency p99", Kind: KindLatency, Op: "<=", Limit: &g.P99Ms}
	if t.service.o.Server == nil {
		c.Verdict, c.Reason = slipway.Undecided, "no server can be started here, so latency was not measured"
		t.add(c)
		return nil
	}
	url, stop, err := t.serve(ctx)
	if err != nil {
		if !lasting(err) {
			return err
		}
		c.Verdict, c.Reason = slipway.Refuse, "the server cannot serve it: "+message(err)
		t.add(c)
		return nil
	}
	defer stop()
	load := newLoad(url, bodies(t.rows, t.candidate.model.Signature().Input))
	defer load.client.CloseIdleConnections()
	if failure := load.warm(ctx); failure != nil && ctx.Err() == nil {
		c.Verdict, c.Reason = slipway.Refuse, "the server does not answer: "+failure.Error()
		t.add(c)
		return nil
	}
	for range max(g.Repeats, 1) {
		if err := ctx.Err(); err != nil {
			return err
		}
		took, failure := load.send(ctx, g.RPS)
		if failure != nil && ctx.Err() == nil {
			c.Verdict, c.Reason = slipway.Refuse, "a request failed: "+failure.Error()
			t.add(c)
			return nil
		}
		c.Repeat = append(c.Repeat, stat.Quantile(took, 0.99))
	}
	t.add(judgeLatency(c, g))
	return ctx.Err()
}

// judgeLatency holds the median of the repeats against the limit: one repeat
// may meet a busy machine.
func judgeLatency(c Check, g project.LatencyGate) Check {
	sorted := slices.Sorted(slices.Values(c.Repeat))
	median := stat.Quantile(sorted, 0.5)
	c.Compared, c.Verdict = &median, slipway.Pass
	c.Estimate = &stat.Estimate{Value: median, Low: sorted[0], High: sorted[len(sorted)-1], Error: math.NaN(), State: stat.Enough}
	c.Reason = fmt.Sprintf("median of %d repeats at %.4g requests a second", len(sorted), g.RPS)
	if median > *c.Limit {
		c.Verdict = slipway.Refuse
	}
	return c
}

// serve starts a listener of its own with the serving handler behind it.
func (t *trial) serve(ctx context.Context) (url string, stop func(), err error) {
	handler, path, closeModel, err := t.service.o.Server.Serve(ctx, t.candidate.version)
	if err != nil {
		return "", nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		_ = closeModel()
		return "", nil, slipway.Errorf(slipway.Unavailable, "no port for the measurement: %v", err)
	}
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: patience}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(l) // ends with Close below
	}()
	return "http://" + l.Addr().String() + path, func() {
		_ = srv.Close()
		<-done
		_ = closeModel()
	}, nil
}

// load sends requests.
type load struct {
	url    string
	body   [][]byte
	client *http.Client
}

func newLoad(url string, body [][]byte) *load {
	return &load{url, body, &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}}
}

func (l *load) warm(ctx context.Context) error {
	for i := range warmRequests {
		if _, err := l.ask(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// ask sends one request and returns how long its whole answer took.
func (l *load) ask(ctx context.Context, i int) (time.Duration, error) {
	begun := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url, bytes.NewReader(l.body[i%len(l.body)]))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := l.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %.200s", resp.StatusCode, answer)
	}
	return time.Since(begun), err
}

// send sends requests at a rate and returns how many milliseconds each took, in
// ascending order, or the first failure.
func (l *load) send(ctx context.Context, rps float64) ([]float64, error) {
	n := int(max(min(repeatRequests, rps*longest.Seconds()), 1))
	took := make([]float64, n)
	var all sync.WaitGroup
	var once sync.Once
	var failure error
	begun := time.Now()
	for i := range n {
		due := begun.Add(time.Duration(float64(i) / rps * float64(time.Second)))
		select {
		case <-time.After(time.Until(due)):
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		all.Go(func() {
			d, err := l.ask(ctx, i)
			took[i] = float64(d) / float64(time.Millisecond)
			if err != nil {
				once.Do(func() { failure = err })
			}
		})
	}
	all.Wait()
	if failure == nil {
		failure = ctx.Err()
	}
	slices.Sort(took)
	return took, failure
}

// maxBodies is how many different rows a measurement sends.
const maxBodies = 500

// bodies are infer requests of one row each, in the Open Inference Protocol.
func bodies(rows *slipway.Frame, input slipway.Schema) [][]byte {
	type tensor struct {
		Name  string `json:"name"`
		Shape []int  `json:"shape"`
		Type  string `json:"datatype"`
		Data  []any  `json:"data"`
	}
	f := rows.Select(input.Names())
	n := min(f.Rows, maxBodies)
	out := make([][]byte, 0, n)
	for j := range n {
		i := j * f.Rows / n
		tensors := make([]tensor, len(f.Series))
		for k := range f.Series {
			tensors[k] = tensor{f.Series[k].Name, []int{1}, datatype(f.Series[k].Type), []any{value(&f.Series[k], i)}}
		}
		raw, err := json.Marshal(map[string]any{"inputs": tensors})
		if err == nil { // infinities have no JSON; such a row is not sent
			out = append(out, raw)
		}
	}
	return out
}

func datatype(t slipway.Type) string {
	switch t {
	case slipway.Text, slipway.Binary:
		return "BYTES"
	case slipway.Int, slipway.Time, slipway.Date:
		return "INT64"
	case slipway.Bool:
		return "BOOL"
	}
	return "FP64"
}

func value(s *slipway.Series, i int) any {
	switch {
	case s.Missing(i):
		return nil
	case s.Text != nil:
		return s.Text[i]
	case s.Type == slipway.Bool:
		return s.Float[i] != 0
	case s.Type == slipway.Int, s.Type == slipway.Time, s.Type == slipway.Date:
		return int64(s.Float[i])
	}
	return s.Float[i]
}
