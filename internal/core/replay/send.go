package replay

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/slipway-ml/slipway"
)

// sender keeps a number of connections busy.
type sender struct {
	url     string
	client  *http.Client
	queue   chan []byte
	pending sync.WaitGroup
	workers sync.WaitGroup
	mu      sync.Mutex
	sent    int64
	failed  int64
	failure map[string]int64
	took    []time.Duration // of a sample of the round trips
	down    error           // nobody answers: the replay ends
}

// sampleEvery thins the round trips that quantiles are taken from.
const sampleEvery = 8

func newSender(p Plan) *sender {
	s := &sender{
		url:     p.Inference + "/v2/models/" + url.PathEscape(p.Endpoint) + "/infer",
		queue:   make(chan []byte, 4*p.Workers),
		failure: map[string]int64{},
		client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
			MaxIdleConnsPerHost: p.Workers, MaxConnsPerHost: p.Workers, DisableCompression: true,
			DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		}},
	}
	for range p.Workers {
		s.workers.Go(s.work)
	}
	return s
}

// send queues a request. It fails when nobody has answered for a while.
func (s *sender) send(ctx context.Context, body []byte) error {
	s.mu.Lock()
	down := s.down
	s.mu.Unlock()
	if down != nil {
		return down
	}
	s.pending.Add(1)
	select {
	case s.queue <- body:
		return nil
	case <-ctx.Done():
		s.pending.Done()
		return ctx.Err()
	}
}

func (s *sender) work() {
	for body := range s.queue {
		s.request(body)
		s.pending.Done()
	}
}

// patience is how long a server may be away (a restart) before a replay ends.
const patience = 30 * time.Second

// request sends one row until it is answered: a server that restarts loses
// none, and a key that is sent twice is answered twice, as a caller would.
func (s *sender) request(body []byte) {
	deadline := time.Now().Add(patience)
	for {
		start := time.Now()
		status, message, err := s.once(body)
		away := err != nil || status == http.StatusServiceUnavailable
		if !away {
			s.count(status, message, time.Since(start))
			return
		}
		if time.Now().After(deadline) {
			if err == nil {
				err = fmt.Errorf("%s", message)
			}
			s.mu.Lock()
			s.failed++
			s.down = slipway.Errorf(slipway.Unavailable, "the endpoint at %s does not answer: %v", s.url, err).WithHint("is `slipway up` running?")
			s.mu.Unlock()
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (s *sender) once(body []byte) (status int, message string, err error) {
	resp, err := s.client.Post(s.url, "application/json", bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode < 400 {
		_, err = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, "", err
	}
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	var e struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(raw, &e) != nil || e.Error == "" {
		e.Error = resp.Status
	}
	return resp.StatusCode, e.Error, nil
}

// kinds bounds how many different refusals are kept.
const kinds = 20

func (s *sender) count(status int, message string, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent++
	if s.sent%sampleEvery == 0 {
		s.took = append(s.took, took)
	}
	if status >= 400 {
		s.failed++
		if _, known := s.failure[message]; known || len(s.failure) < kinds {
			s.failure[message]++
		}
	}
}

// wait returns when every queued request is answered.
func (s *sender) wait(ctx context.Context) error {
	s.pending.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	return ctx.Err()
}

func (s *sender) counts() (sent, failed int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent, s.failed
}

func (s *sender) failures() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}

func (s *sender) quantile(q float64) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.took) == 0 {
		return 0
	}
	slices.Sort(s.took)
	return s.took[int(q*float64(len(s.took)-1))]
}

func (s *sender) close() {
	close(s.queue)
	s.workers.Wait()
	s.client.CloseIdleConnections()
}
