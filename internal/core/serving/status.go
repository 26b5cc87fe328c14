package serving

import (
	"slices"
	"time"

	"github.com/slipway-ml/slipway"
)

// EndpointStatus is an endpoint as people look at it.
type EndpointStatus struct {
	Project  string          `json:"project"`
	Name     string          `json:"name"`
	Ready    bool            `json:"ready"`
	Failure  string          `json:"failure,omitempty"` // why it is not
	Manifest int64           `json:"manifest"`
	Key      []string        `json:"key"`
	Time     string          `json:"time"`
	Breaker  slipway.Breaker `json:"breaker"`
	Variant  []VariantStatus `json:"variant"`
}

// VariantStatus is what one release did since the process began.
type VariantStatus struct {
	Release   string                     `json:"release"`
	Role      slipway.VariantRole        `json:"role"`
	Model     string                     `json:"model"`
	Weight    int                        `json:"weight"` // percent of the callers that it answers now
	Ready     bool                       `json:"ready"`
	Tripped   string                     `json:"tripped,omitempty"` // why the breaker cut it off
	Requests  int64                      `json:"requests"`
	Rows      int64                      `json:"rows"`
	Failed    int64                      `json:"failed"`    // requests that it failed
	Refused   int64                      `json:"refused"`   // requests that were wrong
	Explained int64                      `json:"explained"` // requests that asked why
	Rate      float64                    `json:"rate"`      // requests a second, over the last minute
	Latency   map[string]LatencyQuantile `json:"latency"`   // by stage: parse, predict, explain, log, write
}

// LatencyQuantile is how long a stage took, in microseconds.
type LatencyQuantile struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50_us"`
	P90   float64 `json:"p90_us"`
	P99   float64 `json:"p99_us"`
}

// Endpoints describes the endpoints of a project, or of all when that is "".
func (s *Service) Endpoints(project string) []EndpointStatus {
	s.mu.Lock()
	number := s.manifest.Number
	manifest := s.manifest.Endpoint
	s.mu.Unlock()
	t := s.acquire()
	defer s.release(t)
	out := []EndpointStatus{}
	for _, spec := range manifest {
		if project != "" && spec.Project != project {
			continue
		}
		e := t.byName[spec.Project+"/"+spec.Name]
		if e == nil { // a newer manifest came between
			continue
		}
		st := EndpointStatus{Project: spec.Project, Name: spec.Name, Ready: e.champion != nil, Manifest: number,
			Key: append([]string{}, spec.Key...), Time: spec.Time, Breaker: spec.Breaker, Variant: []VariantStatus{}}
		if e.failure != nil {
			st.Failure = slipway.AsError(e.failure).Message
		}
		st.Variant = s.variants(spec, e)
		out = append(out, st)
	}
	return out
}

func (s *Service) variants(spec slipway.Endpoint, e *endpoint) []VariantStatus {
	out, rest := []VariantStatus{}, 100
	champion := -1
	now := time.Now()
	for _, v := range spec.Variant {
		st := VariantStatus{Release: v.Release, Role: v.Role, Model: v.Model, Latency: map[string]LatencyQuantile{}}
		i := slices.IndexFunc(e.variant, func(l *variant) bool { return l.spec.Release == v.Release && l.spec.Model == v.Model })
		if i >= 0 {
			s.describe(&st, e.variant[i], now)
		}
		switch {
		case v.Role == slipway.Champion:
			champion = len(out)
		case v.Role == slipway.Challenger && st.Ready && st.Tripped == "":
			st.Weight = v.Weight
			rest -= v.Weight
		}
		out = append(out, st)
	}
	if champion >= 0 {
		out[champion].Weight = rest
	}
	return out
}

func (s *Service) describe(st *VariantStatus, v *variant, now time.Time) {
	st.Ready = true
	if v.breaker.open.Load() {
		s.mu.Lock()
		st.Tripped = s.trips[v.spec.Release].Reason
		s.mu.Unlock()
		if st.Tripped == "" {
			st.Tripped = "cut off"
		}
	}
	st.Requests, st.Rows = v.answered.Load(), v.rows.Load()
	st.Failed, st.Refused, st.Explained = v.failed.Load(), v.refused.Load(), v.explained.Load()
	st.Rate = v.recent.perSecond(now, s.started)
	for i := range v.stage {
		h := &v.stage[i]
		if n := h.total(); n > 0 {
			st.Latency[stageNames[i]] = LatencyQuantile{n, h.quantile(0.5) / 1e3, h.quantile(0.9) / 1e3, h.quantile(0.99) / 1e3}
		}
	}
}

// Ready says why requests could not be answered, if they could not: an endpoint
// without its model, or a log that cannot be written. It is Unavailable then.
func (s *Service) Ready() error {
	if text := s.log.failure.Load(); text != nil {
		return slipway.Errorf(slipway.Unavailable, "the prediction log cannot be written: %s", *text)
	}
	t := s.acquire()
	defer s.release(t)
	for _, e := range t.list {
		if e.champion == nil && e.failure != errParked {
			return slipway.Errorf(slipway.Unavailable, "the endpoint %s is not ready: %s", e.spec.Name, slipway.AsError(e.failure).Message)
		}
	}
	return nil
}
