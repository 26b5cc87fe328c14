package monitor

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/slipway-ml/slipway"
)

// intakeRows is how many rows are taken in by one transaction, at least when a
// segment is not larger by itself.
const intakeRows = 20_000

// intake is what one transaction adds: some segments, in the order of their
// numbers, and everything that follows from their rows.
type intake struct {
	imported bool            // a log of another service, whose time is its own
	segments map[string]span // of each gateway
	rows     int
	parts    map[partKey]*part
	bodies   map[partKey][]byte
	tallies  map[tallyKey]*counting
	variants map[variantKey]*SeenRelease
	places   []placed
	feeds    map[int64]*feed
}

// span is the numbers of segments that follow on one another: those above
// after, up to last.
type span struct{ after, last int64 }

type tallyKey struct {
	endpoint int64
	release  string
	hour     time.Time
}

type variantKey struct {
	endpoint int64
	release  string
}

// placed is an answered request: what a label may name.
type placed struct {
	endpoint int64
	day      time.Time
	id, key  string
	time     time.Time
	release  string
}

func newIntake() *intake {
	return &intake{segments: map[string]span{}, parts: map[partKey]*part{}, bodies: map[partKey][]byte{}, tallies: map[tallyKey]*counting{},
		variants: map[variantKey]*SeenRelease{}, feeds: map[int64]*feed{}}
}

// ingest takes in every sealed segment, each exactly once.
func (s *Service) ingest(ctx context.Context) error {
	done, err := s.ingested(ctx)
	if err != nil {
		return err
	}
	in := newIntake()
	for segment, err := range s.o.Log.Sealed(ctx, done) {
		if err != nil {
			return err
		}
		if segment.Number <= done[segment.Gateway] {
			continue
		}
		if at, begun := in.segments[segment.Gateway]; begun {
			in.segments[segment.Gateway] = span{at.after, segment.Number}
		} else {
			in.segments[segment.Gateway] = span{done[segment.Gateway], segment.Number}
		}
		done[segment.Gateway] = segment.Number
		for i := range segment.Batches {
			if err := s.take(ctx, in, &segment.Batches[i]); err != nil {
				return err
			}
		}
		if in.rows >= intakeRows {
			if err := s.settle(ctx, in); err != nil {
				return err
			}
			in = newIntake()
		}
	}
	return s.settle(ctx, in)
}

// settle writes an intake and lets the log forget its segments.
func (s *Service) settle(ctx context.Context, in *intake) error {
	if len(in.segments) == 0 {
		return nil
	}
	findings, err := s.finish(ctx, in)
	if err != nil {
		return err
	}
	if err := s.commit(ctx, in, findings); err != nil {
		return err
	}
	for k := range in.parts {
		s.scored.drop(k.endpoint, k.day)
	}
	for gateway, at := range in.segments {
		if err := s.o.Log.Forget(ctx, gateway, at.last); err != nil {
			return err
		}
	}
	return nil
}

// finish encodes the partitions and judges the feeds.
func (s *Service) finish(ctx context.Context, in *intake) ([]finding, error) {
	for k, p := range in.parts {
		body, err := encode(p.frame())
		if err != nil {
			return nil, err
		}
		in.bodies[k] = body
	}
	return s.followFeeds(ctx, in)
}

// take spreads a batch over partitions and counts it.
func (s *Service) take(ctx context.Context, in *intake, b *slipway.PredictionBatch) error {
	if len(b.ID) == 0 {
		return nil
	}
	if err := checkBatch(b); err != nil {
		return err
	}
	number, err := s.number(ctx, place{b.Project, b.Endpoint})
	if err != nil {
		return err
	}
	rules, err := s.rules(ctx, place{b.Project, b.Endpoint})
	if err != nil {
		return err
	}
	ref, err := s.reference(ctx, modelKey{b.Project, b.Model}, rules.zone)
	if err != nil {
		return err
	}
	series := match(ref, b.Input)
	var start, end time.Time // of the day of the row before
	var p *part
	for i := range b.ID {
		t := b.Time[i].UTC()
		if p == nil || t.Before(start) || !t.Before(end) {
			start = dayOf(t, rules.zone)
			end = addDays(start, 1, rules.zone)
			p = in.part(partKey{number, b.Release, start})
		}
		p.add(b, i)
		in.tally(tallyKey{number, b.Release, start.Add(t.Sub(start).Truncate(time.Hour))}, ref).count(b, series, i)
		if b.Role != slipway.Shadow {
			in.places = append(in.places, placed{number, start, b.ID[i], b.Key[i], t, b.Release})
		}
	}
	in.rows += len(b.ID)
	in.variant(number, b)
	if b.Role != slipway.Shadow {
		in.feed(number, b.Project, b.Endpoint).add(b, in.until(s.o.Now()))
	}
	return nil
}

// checkBatch refuses a batch whose columns do not have one length.
func checkBatch(b *slipway.PredictionBatch) error {
	n := len(b.ID)
	if len(b.Key) != n || len(b.Time) != n || len(b.At) != n || len(b.Latency) != n || len(b.Failure) != n ||
		b.Input != nil && b.Input.Rows != n || b.Output != nil && b.Output.Rows != n {
		return slipway.Errorf(slipway.Invalid, "a batch of the prediction log of %s has columns of different lengths", b.Endpoint)
	}
	return nil
}

// match finds the input column of each feature of a reference.
func match(ref *reference, input *slipway.Frame) []*slipway.Series {
	if ref == nil {
		return nil
	}
	out := make([]*slipway.Series, len(ref.Feature))
	if input != nil {
		for i := range ref.Feature {
			out[i] = input.Column(ref.Feature[i].Name)
		}
	}
	return out
}

func (in *intake) part(k partKey) *part {
	p := in.parts[k]
	if p == nil {
		p = newPart()
		in.parts[k] = p
	}
	return p
}

func (in *intake) tally(k tallyKey, ref *reference) *counting {
	c := in.tallies[k]
	if c == nil {
		c = newCounting(ref)
		in.tallies[k] = c
	}
	return c
}

func (in *intake) variant(endpoint int64, b *slipway.PredictionBatch) {
	first, last := slices.MinFunc(b.Time, time.Time.Compare), slices.MaxFunc(b.Time, time.Time.Compare)
	k := variantKey{endpoint, b.Release}
	v := in.variants[k]
	if v == nil {
		v = &SeenRelease{Release: b.Release, Model: b.Model, Role: b.Role, First: first, Last: last}
		in.variants[k] = v
	}
	if first.Before(v.First) {
		v.First = first
	}
	if !last.Before(v.Last) {
		v.Last, v.Role = last, b.Role
	}
	v.Rows += int64(len(b.ID))
}

// reference finds what a model was trained on: kept in memory, in the
// database, or made from the rows that Reference knows. It is nil when nobody
// knows the model.
func (s *Service) reference(ctx context.Context, k modelKey, zone *time.Location) (*reference, error) {
	s.mu.Lock()
	ref, known := s.references[k]
	s.mu.Unlock()
	if known {
		return ref, nil
	}
	ref, err := s.findReference(ctx, k, zone)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.references[k] = ref
	s.mu.Unlock()
	return ref, nil
}

func (s *Service) findReference(ctx context.Context, k modelKey, zone *time.Location) (*reference, error) {
	body, err := s.storedReference(ctx, k)
	if err == nil {
		return unpackReference(body)
	}
	if !slipway.IsCode(err, slipway.NotFound) {
		return nil, err
	}
	t, err := s.o.Reference.Training(ctx, k.project, k.model)
	if slipway.IsCode(err, slipway.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	ref, err := newReference(t, zone)
	if slipway.IsCode(err, slipway.Invalid) {
		// Rows that cannot be used must not hold the log up.
		slog.WarnContext(ctx, "drift has no reference", "model", k.model, "error", err)
		ref, err = newReference(Training{Signature: t.Signature}, zone)
	}
	if err != nil {
		return nil, err
	}
	if len(ref.Feature) == 0 {
		return ref, nil // not kept: its rows may be known later
	}
	if body, err = ref.pack(); err != nil {
		return nil, err
	}
	if err := s.storeReference(ctx, k, body); err != nil {
		return nil, err
	}
	// Another process may have been first; what is stored counts.
	if body, err = s.storedReference(ctx, k); err != nil {
		return nil, err
	}
	return unpackReference(body)
}

// sortedTallies gives writes one order, so that transactions do not deadlock.
func (in *intake) sortedTallies() []tallyKey {
	keys := make([]tallyKey, 0, len(in.tallies))
	for k := range in.tallies {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b tallyKey) int {
		return cmp.Or(cmp.Compare(a.endpoint, b.endpoint), cmp.Compare(a.release, b.release), a.hour.Compare(b.hour))
	})
	return keys
}

// sortedParts gives partitions one order.
func (in *intake) sortedParts() []partKey {
	keys := make([]partKey, 0, len(in.parts))
	for k := range in.parts {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b partKey) int {
		return cmp.Or(cmp.Compare(a.endpoint, b.endpoint), a.day.Compare(b.day), cmp.Compare(a.release, b.release))
	})
	return keys
}

// until is the event time beyond which requests say nothing of a feed: their
// callers' clocks are wrong.
func (in *intake) until(now time.Time) time.Time {
	if in.imported {
		return endOfTime
	}
	return now.Add(ahead)
}
