package gate_test

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/gate"
)

// inference serves one version of the world over the Open Inference Protocol,
// as far as a gate asks: one row a request, a tensor a column.
type inference struct {
	w        *world
	slow     time.Duration
	failing  bool
	requests atomic.Int64
	closed   atomic.Int64
}

func (s *inference) Serve(_ context.Context, v slipway.ModelVersion) (http.Handler, string, func() error, error) {
	m := s.w.load(v.ID())
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		time.Sleep(s.slow)
		var in struct {
			Inputs []struct {
				Name     string
				Datatype string
				Data     []any
			}
		}
		err := json.NewDecoder(r.Body).Decode(&in)
		f := &slipway.Frame{Rows: 1}
		for _, t := range in.Inputs {
			c := slipway.Series{Name: t.Name, Type: slipway.Float}
			switch x := t.Data[0].(type) {
			case nil:
				c.Float = []float64{math.NaN()}
			case string:
				c.Type, c.Text = slipway.Text, []string{x}
			case float64:
				c.Float = []float64{x}
			}
			f.Series = append(f.Series, c)
		}
		if err == nil {
			_, err = m.Predict(r.Context(), f)
		}
		if err != nil || s.failing {
			http.Error(w, "no answer", http.StatusBadRequest)
		}
	})
	return h, "/v2/models/delay/infer", func() error { s.closed.Add(1); return nil }, nil
}

func TestLatencyIsMeasuredOverHTTP(t *testing.T) {
	for _, c := range []struct {
		name    string
		server  *inference
		limit   string
		verdict slipway.Verdict
	}{
		{"fast enough", &inference{}, "2000", slipway.Pass},
		{"too slow", &inference{slow: 20 * time.Millisecond}, "10", slipway.Refuse},
		{"failing", &inference{failing: true}, "2000", slipway.Refuse},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := one(t)
			c.server.w = w
			w.server = c.server
			w.yaml = strings.Replace(w.yaml, "  min_rows: 500", "  min_rows: 500\n  latency: {p99_ms: "+c.limit+", rps: 200, repeats: 3}", 1)
			w.run("r1", w.put("champion.txt"), w.put("train.csv"), w.put("test.csv"))
			got := w.certificate("delay@v1")
			k := check(t, got, "latency p99")
			if k.Verdict != c.verdict || k.Reason == "" {
				t.Fatalf("%+v", k)
			}
			if c.server.closed.Load() != 1 {
				t.Error("the server was not closed")
			}
			if c.server.failing {
				return
			}
			if n := c.server.requests.Load(); n < 600 || len(k.Repeat) != 3 || *k.Compared < k.Estimate.Low || *k.Compared > k.Estimate.High {
				t.Errorf("%d requests, %+v", n, k)
			}
			if h := got.Certificate.Host; h.Cores < 1 || h.System == "" {
				t.Errorf("the host is not recorded: %+v", h)
			}
		})
	}
}

// TestLatencyWithoutServer is undecided: what was not measured does not pass.
func TestLatencyWithoutServer(t *testing.T) {
	w := one(t)
	w.yaml = strings.Replace(w.yaml, "  min_rows: 500", "  min_rows: 500\n  latency: {p99_ms: 5}", 1)
	w.gate = gate.New(w.options(nil))
	w.run("r1", w.put("champion.txt"), w.put("train.csv"), w.put("test.csv"))
	c := w.certificate("delay@v1")
	if k := check(t, c, "latency p99"); k.Verdict != slipway.Undecided || c.Certificate.Verdict != slipway.Undecided {
		t.Errorf("%+v, verdict %s", k, c.Certificate.Verdict)
	}
}
