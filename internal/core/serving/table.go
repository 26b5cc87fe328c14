package serving

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
)

// table is what one manifest became. Readers count themselves in, so that a
// table is released, and models that no newer table has are closed, after the
// last request that began on it.
type table struct {
	refs    atomic.Int64 // readers, and one for being current
	once    sync.Once
	list    []*endpoint
	byName  map[string]*endpoint   // project/name
	byShort map[string][]*endpoint // name
}

func newTable(list []*endpoint) *table {
	t := &table{list: list, byName: map[string]*endpoint{}, byShort: map[string][]*endpoint{}}
	for _, e := range list {
		t.byName[e.spec.Project+"/"+e.spec.Name] = e
		t.byShort[e.spec.Name] = append(t.byShort[e.spec.Name], e)
	}
	t.refs.Store(1)
	return t
}

// endpoint is a manifest's endpoint with its models.
type endpoint struct {
	spec       slipway.Endpoint
	layout     *Layout
	champion   *variant // nil when it could not be loaded
	challenger []*variant
	shadow     []*variant
	variant    []*variant // all of them, as the manifest lists them
	failure    error      // why it is not ready
}

// keep holds the models of an endpoint that passes unchanged to a new table.
// The caller holds the Service's mu.
func (e *endpoint) keep() {
	for _, v := range e.variant {
		v.model.tables++
	}
}

// variant is a release with its model.
type variant struct {
	endpoint *endpoint
	spec     slipway.Variant
	model    *loaded
	inputs   slipway.Schema
	at       []int // where its inputs stand in the layout; nil when they are its first fields in order
	stream   *stream
	*record
}

// loaded is a model in memory, shared by the tables that name it.
type loaded struct {
	key    string
	model  predictor.Model
	tables int // under the Service's mu
}

// acquire is the current table, counted in; release it.
func (s *Service) acquire() *table {
	for {
		t := s.table.Load()
		t.refs.Add(1)
		if s.table.Load() == t {
			return t
		}
		s.release(t) // it was replaced meanwhile, and may be gone already
	}
}

func (s *Service) release(t *table) {
	if t.refs.Add(-1) == 0 {
		t.once.Do(func() { go s.dispose(t) })
	}
}

// retire gives up the reference of a table that was current. Its mu may be held.
func (s *Service) retire(t *table) { s.release(t) }

// dispose closes the models that only t had.
func (s *Service) dispose(t *table) {
	var last []predictor.Model
	s.mu.Lock()
	for _, e := range t.list {
		for _, v := range e.variant {
			if v.model.tables--; v.model.tables == 0 {
				delete(s.loaded, v.model.key)
				last = append(last, v.model.model)
			}
		}
	}
	s.mu.Unlock()
	for _, m := range last {
		_ = m.Close() // it has no callers, and nobody waits for it
	}
}

// assemble loads an endpoint. It always returns one, without a champion when
// that could not be loaded; the error names what is left out. The caller holds
// mu.
func (s *Service) assemble(ctx context.Context, spec slipway.Endpoint, named map[string]Trip) (*endpoint, error) {
	e := &endpoint{spec: spec}
	var errs []error
	for _, v := range spec.Variant {
		m, err := s.load(ctx, spec.Project, v)
		if err != nil {
			err = fmt.Errorf("%s of the endpoint %s cannot be loaded: %w", v.Model, spec.Name, err)
			errs = append(errs, err)
			if v.Role == slipway.Champion {
				e.failure = err
			} else if _, known := s.trips[v.Release]; !known {
				s.trips[v.Release] = s.trip(spec, v, slipway.AsError(err).Message)
			}
		} else {
			m.tables++
			loaded := &variant{endpoint: e, spec: v, model: m, inputs: m.model.Signature().Input, record: s.recordOf(spec, v)}
			e.variant = append(e.variant, loaded)
			switch v.Role {
			case slipway.Champion:
				e.champion = loaded
			case slipway.Challenger:
				e.challenger = append(e.challenger, loaded)
			case slipway.Shadow:
				e.shadow = append(e.shadow, loaded)
			}
		}
		if v.Role == slipway.Champion { // promoted in spite of it, by a person
			s.recordOf(spec, v).breaker.open.Store(false)
		} else if t, tripped := s.trips[v.Release]; tripped {
			named[v.Release] = t
			s.recordOf(spec, v).breaker.open.Store(true)
		}
	}
	if e.champion == nil { // nothing of it can be served
		for _, v := range e.variant {
			if v.model.tables--; v.model.tables == 0 {
				delete(s.loaded, v.model.key)
				_ = v.model.model.Close()
			}
		}
		e.variant, e.challenger, e.shadow = nil, nil, nil
		return e, errors.Join(errs...)
	}
	e.layout = newLayout(e)
	for _, v := range e.variant {
		v.at = e.layout.places(v.inputs)
		if len(v.inputs) > 0 {
			v.stream = newStream(v, v.inputs)
		}
	}
	return e, errors.Join(errs...)
}

// loader is in whose name models are opened.
var loader = slipway.Principal{Name: "slipway/serving", Role: slipway.Operator}

// load finds or opens a model, and warms it. The caller holds mu.
func (s *Service) load(ctx context.Context, project string, v slipway.Variant) (*loaded, error) {
	signature, err := json.Marshal(v.Signature)
	if err != nil {
		return nil, err
	}
	key := strings.Join([]string{project, string(v.Content), string(slipway.DigestOf(signature))}, "/")
	if m := s.loaded[key]; m != nil {
		return m, nil
	}
	registered := &v.Signature
	if v.Signature.Task == "" && len(v.Signature.Input) == 0 {
		registered = nil
	}
	// A signed manifest names it: whoever released it had the right to run it.
	ctx = slipway.WithPrincipal(ctx, loader)
	model, err := s.o.Loader.Load(ctx, project, v.Content, registered)
	if err != nil {
		return nil, err
	}
	warm(ctx, model, v.Range)
	m := &loaded{key: key, model: model}
	s.loaded[key] = m
	return m, nil
}

// warm runs a model once before callers wait for it: pages are read, worker
// processes have imported what they need. What it answers is nobody's business;
// golden rows judge a model before it comes here.
func warm(ctx context.Context, m predictor.Model, ranges []slipway.Range) {
	input := m.Signature().Input
	if len(input) == 0 {
		return
	}
	f := &slipway.Frame{Rows: 1, Series: make([]slipway.Series, len(input))}
	for i, c := range input {
		f.Series[i] = slipway.Series{Name: c.Name, Type: c.Type}
		if c.Type == slipway.Text || c.Type == slipway.Binary {
			f.Series[i].Text, f.Series[i].Null = []string{""}, []bool{len(c.Categories) == 0}
			if len(c.Categories) > 0 {
				f.Series[i].Text[0] = c.Categories[0]
			}
			continue
		}
		f.Series[i].Float = []float64{math.NaN()}
		if j := slices.IndexFunc(ranges, func(r slipway.Range) bool { return r.Feature == c.Name }); j >= 0 {
			f.Series[i].Float[0] = ranges[j].Min
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	_, _ = m.Predict(ctx, f)
}
