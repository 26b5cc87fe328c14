package replay

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// server answers predictions, takes labels and moves its clock, and remembers
// in which order.
type server struct {
	mu     sync.Mutex
	story  []string // "predict KEY", "label KEY", "clock TIME"
	status int      // of predictions; 0 is 200
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case strings.HasSuffix(r.URL.Path, "/infer"):
		var in struct {
			Inputs []struct {
				Name     string
				Datatype string
				Data     []any
			}
		}
		if err := json.Unmarshal(body, &in); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if s.status != 0 {
			w.WriteHeader(s.status)
			_, _ = w.Write([]byte(`{"error":"no"}`))
			return
		}
		var parts []string
		for _, t := range in.Inputs {
			parts = append(parts, fmt.Sprintf("%s %s %v", t.Name, t.Datatype, t.Data[0]))
		}
		s.story = append(s.story, "predict "+strings.Join(parts, ", "))
	case strings.HasSuffix(r.URL.Path, "/labels"):
		var in struct{ Labels []slipway.Label }
		_ = json.Unmarshal(body, &in)
		for _, l := range in.Labels {
			s.story = append(s.story, fmt.Sprintf("label %s %v", l.Key, l.Value))
		}
		_, _ = w.Write([]byte("{}"))
	case strings.HasSuffix(r.URL.Path, "/clock"):
		var in struct{ To time.Time }
		_ = json.Unmarshal(body, &in)
		s.story = append(s.story, "clock "+in.To.Format("02 15:04"))
		_, _ = w.Write([]byte("{}"))
	}
}

var start = time.Date(2013, 4, 1, 0, 0, 0, 0, time.UTC)

// rows are one row every six hours from the day before start.
func rows(n int) iter.Seq2[*slipway.Frame, error] {
	f := &slipway.Frame{Rows: n, Series: []slipway.Series{{Name: "id", Type: slipway.Text}, {Name: "at", Type: slipway.Time}, {Name: "x", Type: slipway.Float}, {Name: "y", Type: slipway.Float}}}
	for i := range n {
		f.Series[0].Text = append(f.Series[0].Text, fmt.Sprint("k", i))
		f.Series[1].Float = append(f.Series[1].Float, float64(start.Add(time.Duration(i-4)*6*time.Hour).UnixMicro()))
		f.Series[2].Float = append(f.Series[2].Float, float64(i)/2)
		f.Series[3].Float = append(f.Series[3].Float, float64(i%2))
	}
	return func(yield func(*slipway.Frame, error) bool) {
		yield(f, nil)
	}
}

func plan(url string) Plan {
	return Plan{Project: "p", Endpoint: "m", Inference: url, Time: "at", Key: "id", Input: []string{"x"}, Label: "y", LabelDelay: 24 * time.Hour,
		Tick: 12 * time.Hour, From: start, To: start.Add(24 * time.Hour), Workers: 1}
}

// A replay sends the rows of its window in order, with the clock between them,
// and the labels that come due in it: also those of rows that an earlier replay
// sent.
func TestReplayTellsTheStoryInOrder(t *testing.T) {
	s := &server{}
	srv := httptest.NewServer(s)
	defer srv.Close()
	got, err := Run(t.Context(), plan(srv.URL), web.Dial(srv.URL, ""), rows(8), 8, func(Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"predict x FP64 2, id BYTES k4, at BYTES 2013-04-01T00:00:00Z",
		"predict x FP64 2.5, id BYTES k5, at BYTES 2013-04-01T06:00:00Z",
		"label k0 0", "label k1 1", "clock 01 12:00",
		"predict x FP64 3, id BYTES k6, at BYTES 2013-04-01T12:00:00Z",
		"predict x FP64 3.5, id BYTES k7, at BYTES 2013-04-01T18:00:00Z",
		"label k2 0", "label k3 1", "clock 02 00:00",
	}
	if !slices.Equal(s.story, want) {
		t.Errorf("the server saw\n%s\nwant\n%s", strings.Join(s.story, "\n"), strings.Join(want, "\n"))
	}
	if got.Sent != 4 || got.Failed != 0 || got.Labels != 4 {
		t.Errorf("result %+v", got)
	}
}

func TestRefusalsAreCountedAndNamed(t *testing.T) {
	s := &server{status: http.StatusBadRequest}
	srv := httptest.NewServer(s)
	defer srv.Close()
	p := plan(srv.URL)
	p.Label = ""
	got, err := Run(t.Context(), p, web.Dial(srv.URL, ""), rows(8), 8, func(Progress) {})
	if err != nil || got.Failed != 4 || got.Failure["no"] != 4 {
		t.Errorf("result %+v, %v", got, err)
	}
}

func TestRowsThatCannotBeSent(t *testing.T) {
	for name, change := range map[string]func(*Plan){
		"no such time":  func(p *Plan) { p.Time = "when" },
		"no times":      func(p *Plan) { p.Time = "x" },
		"no such key":   func(p *Plan) { p.Key = "nr" },
		"no such label": func(p *Plan) { p.Label = "z" },
		"no such input": func(p *Plan) { p.Input = []string{"speed"} },
	} {
		p := plan("http://127.0.0.1:1")
		change(&p)
		if _, err := Run(t.Context(), p, web.Dial("http://127.0.0.1:1", ""), rows(8), 8, func(Progress) {}); !slipway.IsCode(err, slipway.Invalid) {
			t.Errorf("%s: %v; want invalid", name, err)
		}
	}
}

func TestInterruptedReplayStops(t *testing.T) {
	srv := httptest.NewServer(&server{})
	defer srv.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, plan(srv.URL), web.Dial(srv.URL, ""), rows(8), 8, func(Progress) {}); !slipway.IsCode(err, slipway.Interrupted) {
		t.Errorf("%v; want interrupted", err)
	}
}

func TestTimesOfFlags(t *testing.T) {
	ny, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"": "0001-01-01T00:00:00Z", "2013-04-01": "2013-04-01T04:00:00Z", "2013-04-01T06:00:00Z": "2013-04-01T06:00:00Z", "2013-01": "2013-01-01T05:00:00Z",
	} {
		if got, err := when(text, ny); err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("when(%q) = %s, %v; want %s", text, got.Format(time.RFC3339), err, want)
		}
	}
	if _, err := when("yesterday", ny); !slipway.IsCode(err, slipway.Invalid) {
		t.Errorf("when(yesterday) = %v", err)
	}
}
