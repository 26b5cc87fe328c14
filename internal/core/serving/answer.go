package serving

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/kit/trace"
)

// Explanation is attributions, as package predictor defines them.
type Explanation = predictor.Explanation

// ID names a prediction.
type ID [16]byte

// String is 32 hexadecimal characters.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// newID is random: 128 bits of the runtime's ChaCha8.
func newID() (id ID) {
	binary.LittleEndian.PutUint64(id[:8], rand.Uint64())
	binary.LittleEndian.PutUint64(id[8:], rand.Uint64())
	return id
}

// Answer is what a request got.
type Answer struct {
	ID          []ID // a row each
	Variant     *slipway.Variant
	Output      *slipway.Frame
	Explanation *Explanation // when asked for
	Explained   []int        // the rows that it is of; nil for all
	record      *record
}

// Wrote tells how long it took to write the answer to the caller.
func (a *Answer) Wrote(d time.Duration) { a.record.stage[stageWrite].observe(int64(d)) }

// Handle is an endpoint during one request. Close it.
type Handle struct {
	s      *Service
	t      *table
	e      *endpoint
	pinned *variant // the version that the caller named
}

// Close lets the endpoint's models go.
func (h Handle) Close() { h.s.release(h.t) }

// Find finds an endpoint by its name, or by project/name where two projects
// have the name. version is "" for whoever is assigned, else the number of a
// resident version. It fails with NotFound, and with Unavailable when the
// endpoint's model could not be loaded.
func (s *Service) Find(name, version string) (Handle, error) {
	t := s.acquire()
	h, err := s.find(t, name, version)
	if err != nil {
		s.release(t)
	}
	return h, err
}

func (s *Service) find(t *table, name, version string) (Handle, error) {
	h := Handle{s: s, t: t, e: t.byName[name]}
	if h.e == nil {
		switch found := t.byShort[name]; len(found) {
		case 0:
			return h, slipway.Errorf(slipway.NotFound, "there is no endpoint %q", name).WithHint("there is %s", strings.Join(t.names(), ", "))
		case 1:
			h.e = found[0]
		default:
			return h, slipway.Errorf(slipway.Invalid, "several projects have an endpoint %q", name).
				WithHint("write %s", url.PathEscape(found[0].spec.Project+"/"+name))
		}
	}
	if h.e.champion == nil {
		return h, slipway.Errorf(slipway.Unavailable, "the endpoint %s is not ready: %s", name, slipway.AsError(h.e.failure).Message)
	}
	if version == "" {
		return h, nil
	}
	for _, v := range h.e.variant {
		if v.spec.Model == version || Version(v.spec.Model) == strings.TrimPrefix(version, "v") {
			h.pinned = v
			return h, nil
		}
	}
	return h, slipway.Errorf(slipway.NotFound, "the endpoint %s has no version %s", name, version).
		WithHint("its champion is %s", h.e.champion.spec.Model)
}

func (t *table) names() []string {
	out := []string{}
	for _, e := range t.list {
		out = append(out, e.spec.Name)
	}
	if len(out) == 0 {
		return []string{"none yet"}
	}
	return out
}

// Version is the number of a model version, name@vN, as protocols write it.
func Version(model string) string {
	if _, v, ok := strings.Cut(model, "@v"); ok {
		return v
	}
	return "1"
}

// Layout is what the endpoint's requests may carry.
func (h Handle) Layout() *Layout { return h.e.layout }

// Project is whose endpoint it is.
func (h Handle) Project() string { return h.e.spec.Project }

// Name is the endpoint's.
func (h Handle) Name() string { return h.e.spec.Name }

// Signature is what the champion, or the version that was asked for, takes and
// gives, and its model's name.
func (h Handle) Signature() (slipway.Signature, slipway.Variant) {
	v := h.pinned
	if v == nil {
		v = h.e.champion
	}
	return v.model.model.Signature(), v.spec
}

// Resident lists the variants that are loaded.
func (h Handle) Resident() (out []slipway.Variant) {
	for _, v := range h.e.variant {
		out = append(out, v.spec)
	}
	return out
}

// Answer predicts r's rows with the variant that its unit is assigned to. When
// a challenger fails, the champion answers instead, and both are logged. The
// prediction is in the log, as durable as Options say, when Answer returns;
// shadows score the rows after that.
//
// It fails as predictor.Model.Predict does, with Internal when the model
// answered NaN, and with Unavailable when the log cannot be written.
func (h Handle) Answer(ctx context.Context, r *Request) (Answer, error) {
	h.s.inflight.Add(1)
	defer h.s.inflight.Add(-1)
	e := h.e
	v := h.pinned
	if v == nil {
		v = e.assign(h.unit(r))
	}
	var list [2]outcome
	outcomes := list[:1]
	outcomes[0] = v.predict(ctx, r, true)
	if v != e.champion && h.pinned == nil && outcomes[0].err != nil && ctx.Err() == nil {
		outcomes = list[:2]
		outcomes[1] = e.champion.predict(ctx, r, false)
		if outcomes[0].refused && !outcomes[1].refused {
			outcomes[0].refused, outcomes[0].failure = false, "refused the request: "+slipway.AsError(outcomes[0].err).Message
		}
	}
	last := &outcomes[len(outcomes)-1]
	if last.refused {
		last.variant.refused.Add(1)
		return Answer{}, last.err
	}
	if ctx.Err() != nil {
		return Answer{}, ctx.Err() // nobody waits: no answer was given
	}
	a := Answer{Variant: &last.variant.spec, Output: last.out, record: last.variant.record}
	if r.Explain != nil && last.err == nil {
		var err error
		if a.Explanation, a.Explained, err = h.s.explain(ctx, last.variant, last.in, last.out, r.Explain); err != nil {
			return Answer{}, err
		}
	}
	b := h.batch(r)
	a.ID = b.id
	start := time.Now()
	if err := h.keep(r, b, outcomes); err != nil {
		return Answer{}, err
	}
	if trace.On() {
		trace.Record(ctx, "log", start, time.Now())
		trace.Say(ctx, "slipway.model", a.Variant.Model)
		trace.Say(ctx, "slipway.variant", string(a.Variant.Role))
		if len(a.ID) > 0 {
			trace.Say(ctx, "slipway.prediction_id", a.ID[0].String())
		}
	}
	if h.pinned == nil {
		h.mirror(r, b)
	}
	return a, last.err
}

// keep logs outcomes, and then counts them.
func (h Handle) keep(r *Request, b *batch, outcomes []outcome) error {
	start := time.Now()
	if err := h.s.log.append(b, outcomes); err != nil {
		return err
	}
	took := time.Since(start)
	for i := range outcomes {
		o := &outcomes[i]
		rec := o.variant.record
		rec.answered.Add(1)
		rec.rows.Add(int64(r.Rows))
		rec.recent.add(start)
		rec.batch.observe(int64(r.Rows))
		rec.stage[stageParse].observe(int64(r.Parse))
		rec.stage[stagePredict].observe(int64(o.took))
		rec.stage[stageLog].observe(int64(took))
		if o.failure != "" {
			rec.failed.Add(1)
		}
		h.s.watch(o)
	}
	return nil
}

func (h Handle) unit(r *Request) string {
	if len(h.e.challenger) == 0 {
		return ""
	}
	if u := h.e.layout.unitOf(r, h.e.spec.Unit); u != "" {
		return u
	}
	return newID().String() // nobody known: each request is a unit of its own
}

// predict runs the model. A challenger that may be replaced is given no more
// than the breaker's deadline.
func (v *variant) predict(ctx context.Context, r *Request, replaceable bool) (o outcome) {
	o = outcome{variant: v, in: r.frame(v)}
	if d := v.endpoint.spec.Breaker.Deadline; d > 0 && replaceable && v.spec.Role == slipway.Challenger {
		limited, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		v.call(limited, &o)
		if o.failure != "" && limited.Err() != nil && ctx.Err() == nil {
			o.failure = "missed the deadline of " + d.String()
		}
		return o
	}
	v.call(ctx, &o)
	return o
}

// call runs the model and judges its answer. A panic is the model's failure.
func (v *variant) call(ctx context.Context, o *outcome) {
	start := time.Now()
	ctx, end := trace.Begin(ctx, "predict")
	defer func() {
		end(o.err)
		o.took = time.Since(start)
		if p := recover(); p != nil {
			o.out, o.failure = nil, fmt.Sprintf("panic: %v", p)
			o.err = slipway.Errorf(slipway.Internal, "the model %s failed", v.spec.Model)
		}
	}()
	out, err := v.model.model.Predict(ctx, o.in)
	if err != nil {
		o.err = err
		if isRequest(err) {
			o.refused = true
			return
		}
		o.failure = err.Error()
		return
	}
	if name, row := notNumber(out); row >= 0 {
		o.failure = "answered NaN"
		o.err = slipway.Errorf(slipway.Internal, "the model %s answered no number for %s in row %d", v.spec.Model, name, row+1)
		return
	}
	o.out = out
}

// isRequest tells a wrong request from a model that failed.
func isRequest(err error) bool {
	return slipway.IsCode(err, slipway.Invalid) && !errors.Is(err, predictor.ErrModel)
}

// notNumber finds an output that is NaN or infinite; row is -1 when none is.
func notNumber(f *slipway.Frame) (name string, row int) {
	for i := range f.Series {
		if f.Series[i].Text != nil {
			continue
		}
		for j, x := range f.Series[i].Float {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				return f.Series[i].Name, j
			}
		}
	}
	return "", -1
}

// Explain attributes the answers to r's rows without predicting for anyone: it
// is not logged.
func (h Handle) Explain(ctx context.Context, r *Request) (Answer, error) {
	v := h.pinned
	if v == nil {
		v = h.e.champion
	}
	o := v.predict(ctx, r, false)
	if o.err != nil {
		return Answer{}, o.err
	}
	x, rows, err := h.s.explain(ctx, v, o.in, o.out, r.Explain)
	return Answer{Variant: &v.spec, Output: o.out, Explanation: x, Explained: rows, record: v.record}, err
}
