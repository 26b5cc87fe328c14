package serving

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
)

// fake is a model of one number and one text; answer decides what it says.
type fake struct {
	answer func(x float64) (float64, error)
	closed atomic.Bool
	calls  atomic.Int64
}

var fakeSignature = slipway.Signature{Task: slipway.Regression,
	Input:  slipway.Schema{{Name: "x", Type: slipway.Float}, {Name: "city", Type: slipway.Text, Nullable: true}},
	Output: slipway.Schema{{Name: "prediction", Type: slipway.Float}}}

func (f *fake) Signature() slipway.Signature { return fakeSignature }

func (f *fake) Predict(ctx context.Context, in *slipway.Frame) (*slipway.Frame, error) {
	if f.closed.Load() {
		return nil, slipway.Errorf(slipway.Unavailable, "the model is closed")
	}
	f.calls.Add(1)
	if _, err := predictor.Bind(nil, fakeSignature.Input, in); err != nil {
		return nil, err
	}
	out := make([]float64, in.Rows)
	for i, x := range in.Column("x").Float {
		y, err := f.answer(x)
		if err != nil {
			return nil, err
		}
		out[i] = y
	}
	return &slipway.Frame{Rows: in.Rows, Series: []slipway.Series{{Name: "prediction", Type: slipway.Float, Float: out}}}, ctx.Err()
}

func (f *fake) Close() error { f.closed.Store(true); return nil }

// house loads fakes by their digest.
type house struct {
	mu    sync.Mutex
	model map[slipway.Digest]func(x float64) (float64, error)
	made  []*fake
}

func (h *house) Load(_ context.Context, _ string, d slipway.Digest, _ *slipway.Signature) (predictor.Model, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	answer, ok := h.model[d]
	if !ok {
		return nil, slipway.Errorf(slipway.NotFound, "there is no content %s", d)
	}
	f := &fake{answer: answer}
	h.made = append(h.made, f)
	return f, nil
}

func twice(x float64) (float64, error)  { return 2 * x, nil }
func thrice(x float64) (float64, error) { return 3 * x, nil }
func broken(float64) (float64, error) {
	return 0, fmt.Errorf("worker died: %w", predictor.ErrModel)
}
func nan(float64) (float64, error)  { return math.NaN(), nil }
func flat(float64) (float64, error) { return 0.5, nil }
func slow(x float64) (float64, error) {
	time.Sleep(5 * time.Millisecond)
	return x, nil
}

func newHouse() *house {
	return &house{model: map[slipway.Digest]func(float64) (float64, error){
		"twice": twice, "thrice": thrice, "broken": broken, "nan": nan, "flat": flat, "slow": slow}}
}

// open makes a Service; tripped collects what it reports.
func open1(t *testing.T, o Options) (*Service, chan Trip) {
	t.Helper()
	trips := make(chan Trip, 100)
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Loader == nil {
		o.Loader = newHouse()
	}
	o.Tripped = func(_ context.Context, trip Trip) { trips <- trip }
	s, err := New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, trips
}

var limits = slipway.Breaker{Failures: 10, Of: 100}

func manifest(number int64, variants ...slipway.Variant) slipway.Manifest {
	return slipway.Manifest{Number: number, Endpoint: []slipway.Endpoint{{
		Project: "p", Name: "m", Key: []string{"id"}, Time: "at", Salt: "s", Breaker: limits, Variant: variants}}}
}

func champion(content slipway.Digest) slipway.Variant {
	return slipway.Variant{Release: "r-" + string(content), Role: slipway.Champion, Model: "m@v1", Content: content}
}

func challenger(content slipway.Digest, weight int) slipway.Variant {
	return slipway.Variant{Release: "c-" + string(content), Role: slipway.Challenger, Model: "m@v2", Content: content, Weight: weight}
}

func publish(t *testing.T, s *Service, m slipway.Manifest) {
	t.Helper()
	if err := s.Publish(context.Background(), m); err != nil {
		t.Fatal(err)
	}
}

// one sends one row.
func one(s *Service, key string, x float64) (Answer, error) {
	h, err := s.Find("m", "")
	if err != nil {
		return Answer{}, err
	}
	defer h.Close()
	l := h.Layout()
	r := &Request{Rows: 1, Column: make([]slipway.Series, len(l.Field))}
	r.Column[l.Find([]byte("x"))] = slipway.Series{Name: "x", Type: slipway.Float, Float: []float64{x}}
	r.Column[l.Find([]byte("city"))] = slipway.Series{Name: "city", Type: slipway.Text, Text: []string{"Oslo"}}
	r.Column[l.Find([]byte("id"))] = slipway.Series{Name: "id", Type: slipway.Text, Text: []string{key}}
	return h.Answer(context.Background(), r)
}

// logged seals and collects the log by role.
func logged(t *testing.T, s *Service) map[slipway.VariantRole][]*slipway.PredictionBatch {
	t.Helper()
	if err := s.Seal(context.Background()); err != nil {
		t.Fatal(err)
	}
	out := map[slipway.VariantRole][]*slipway.PredictionBatch{}
	for g, err := range s.Segments(context.Background(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		for b, err := range g.Batches() {
			if err != nil {
				t.Fatal(err)
			}
			out[b.Role] = append(out[b.Role], b)
		}
	}
	return out
}

func ids(batches []*slipway.PredictionBatch) map[string]bool {
	out := map[string]bool{}
	for _, b := range batches {
		for _, id := range b.ID {
			out[id] = true
		}
	}
	return out
}

func TestHotSwapLosesNoRequest(t *testing.T) {
	h := newHouse()
	s, _ := open1(t, Options{Loader: h})
	publish(t, s, manifest(1, champion("twice")))
	var done atomic.Bool
	var answered, wrong atomic.Int64
	var workers sync.WaitGroup
	for w := range 4 {
		workers.Go(func() {
			for i := 0; !done.Load(); i++ {
				a, err := one(s, fmt.Sprint(w, i), 1)
				if err != nil {
					t.Errorf("request %d: %v", i, err)
					return
				}
				if y := a.Output.Series[0].Float[0]; y != 2 && y != 3 {
					wrong.Add(1)
				}
				answered.Add(1)
			}
		})
	}
	for n := int64(2); n < 200; n++ {
		content := slipway.Digest("twice")
		if n%2 == 0 {
			content = "thrice"
		}
		publish(t, s, manifest(n, champion(content)))
	}
	done.Store(true)
	workers.Wait()
	if wrong.Load() != 0 || answered.Load() == 0 {
		t.Fatalf("%d answers, %d of them wrong", answered.Load(), wrong.Load())
	}
	if got := len(ids(logged(t, s)[slipway.Champion])); int64(got) != answered.Load() {
		t.Errorf("%d predictions are logged of %d", got, answered.Load())
	}
	for s.table.Load().refs.Load() != 1 {
		time.Sleep(time.Millisecond)
	}
}

func TestOldModelsAreClosedAndResidentOnesKept(t *testing.T) {
	h := newHouse()
	s, _ := open1(t, Options{Loader: h})
	publish(t, s, manifest(1, champion("twice")))
	publish(t, s, manifest(2, champion("twice"), challenger("thrice", 50)))
	if len(h.made) != 2 {
		t.Fatalf("%d models were loaded; the champion should have stayed", len(h.made))
	}
	held, err := s.Find("m", "")
	if err != nil {
		t.Fatal(err)
	}
	publish(t, s, manifest(3, champion("twice")))
	if h.made[0].closed.Load() || h.made[1].closed.Load() {
		t.Fatal("a model was closed under a request")
	}
	held.Close()
	for !h.made[1].closed.Load() {
		time.Sleep(time.Millisecond)
	}
	if h.made[0].closed.Load() {
		t.Fatal("the champion was closed")
	}
}

func TestBreakerCutsAChallengerOffWithinAHundredRequests(t *testing.T) {
	for _, c := range []struct {
		content slipway.Digest
		reason  string
		within  int64
	}{
		{"broken", "worker died", 10},
		{"nan", "answered NaN", 10},
		{"flat", "the same for 100 differing rows", 100},
		{"slow", "missed the deadline", 10},
	} {
		t.Run(string(c.content), func(t *testing.T) {
			dir := t.TempDir()
			h := newHouse()
			s, trips := open1(t, Options{Dir: dir, Loader: h})
			m := manifest(1, champion("twice"), challenger(c.content, 100))
			if c.content == "slow" {
				m.Endpoint[0].Breaker.Deadline = time.Millisecond
			}
			publish(t, s, m)
			for i := range 150 {
				if _, err := one(s, fmt.Sprint(i), float64(i)); err != nil {
					t.Fatalf("request %d was not answered: %v", i, err)
				}
			}
			trip := <-trips
			if trip.Release != "c-"+string(c.content) || !strings.Contains(trip.Reason, c.reason) {
				t.Errorf("tripped: %+v", trip)
			}
			st := s.Endpoints("p")[0].Variant
			if st[1].Requests != c.within || st[1].Tripped == "" || st[0].Weight != 100 {
				t.Errorf("the challenger met %d requests, want %d: %+v", st[1].Requests, c.within, st)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			again, told := open1(t, Options{Dir: dir, Loader: h})
			if trip := <-told; trip.Release != "c-"+string(c.content) {
				t.Errorf("after a restart: %+v", trip)
			}
			if a, err := one(again, "k", 1); err != nil || a.Variant.Role != slipway.Champion {
				t.Errorf("after a restart %+v answered, %v", a.Variant, err)
			}
		})
	}
}

func TestAFailingChampionIsReportedAndStays(t *testing.T) {
	s, trips := open1(t, Options{})
	publish(t, s, manifest(1, champion("broken")))
	for i := range 30 {
		if _, err := one(s, "k", float64(i)); err == nil {
			t.Fatal("a broken model answered")
		}
	}
	if trip := <-trips; trip.Role != slipway.Champion {
		t.Errorf("%+v", trip)
	}
	if len(trips) != 0 {
		t.Error("it was reported again and again")
	}
	b := logged(t, s)[slipway.Champion]
	if len(b) != 1 || len(b[0].ID) != 30 || b[0].Failure[0] == "" || b[0].Output != nil {
		t.Errorf("failures in the log: %+v", b)
	}
}

func TestWrongRequestsAreNobodysFailure(t *testing.T) {
	s, trips := open1(t, Options{})
	publish(t, s, manifest(1, champion("twice"), challenger("thrice", 50)))
	h, err := s.Find("m", "")
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for range 50 {
		_, err := h.Answer(context.Background(), &Request{Rows: 1, Column: make([]slipway.Series, len(h.Layout().Field))})
		if !slipway.IsCode(err, slipway.Invalid) || !strings.Contains(err.Error(), `"x"`) {
			t.Fatalf("got %v", err)
		}
	}
	if len(trips) != 0 || len(logged(t, s)) != 0 {
		t.Error("wrong requests tripped a breaker or were logged")
	}
}

func TestFeaturesFarOutOfRangeTrip(t *testing.T) {
	s, trips := open1(t, Options{})
	v := challenger("thrice", 100)
	v.Range = []slipway.Range{{Feature: "x", Min: 0, Max: 10}}
	publish(t, s, manifest(1, champion("twice"), v))
	for range 100 {
		_, _ = one(s, "k", 105) // a season later
	}
	if len(trips) != 0 {
		t.Fatalf("a little drift tripped: %+v", <-trips)
	}
	for range 10 {
		_, _ = one(s, "k", 10_000) // metres instead of kilometres
	}
	if trip := <-trips; !strings.Contains(trip.Reason, "x is far outside") {
		t.Errorf("%+v", trip)
	}
}

func TestShadowScoresTheSameRows(t *testing.T) {
	s, _ := open1(t, Options{})
	shadow := challenger("thrice", 0)
	shadow.Role = slipway.Shadow
	publish(t, s, manifest(1, champion("twice"), shadow))
	var workers sync.WaitGroup
	for w := range 4 {
		workers.Go(func() {
			for i := range 1000 {
				if _, err := one(s, fmt.Sprint(w, "/", i), float64(i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	workers.Wait()
	got := logged(t, s)
	one, two := ids(got[slipway.Champion]), ids(got[slipway.Shadow])
	if len(one) != 4000 || len(two) != 4000 {
		t.Fatalf("%d predictions, %d shadows", len(one), len(two))
	}
	for id := range one {
		if !two[id] {
			t.Fatalf("%s has no shadow", id)
		}
	}
	for _, b := range got[slipway.Shadow] {
		for i := range b.ID {
			if b.Output.Series[0].Float[i] != 3*b.Input.Column("x").Float[i] || !strings.Contains(b.Key[i], "/") {
				t.Fatalf("row %d of the shadow: %v for %v, key %q", i, b.Output.Series[0].Float[i], b.Input.Column("x").Float[i], b.Key[i])
			}
		}
	}
}

func TestManifestIsVerifiedAndRemembered(t *testing.T) {
	public, private, _ := ed25519.GenerateKey(nil)
	sign := func(m slipway.Manifest) slipway.Manifest {
		raw, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		m.Signature = ed25519.Sign(private, raw)
		return m
	}
	dir := t.TempDir()
	s, _ := open1(t, Options{Dir: dir, Key: public})
	if err := s.Publish(context.Background(), manifest(1, champion("twice"))); !slipway.IsCode(err, slipway.Refused) {
		t.Fatalf("an unsigned manifest: %v", err)
	}
	publish(t, s, sign(manifest(5, champion("thrice"))))
	if err := s.Publish(context.Background(), sign(manifest(4, champion("twice")))); !slipway.IsCode(err, slipway.Conflict) {
		t.Fatalf("an older manifest: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, _ := open1(t, Options{Dir: dir, Key: public})
	if a, err := one(again, "k", 1); err != nil || a.Output.Series[0].Float[0] != 3 {
		t.Fatalf("after a restart: %v, %v", a, err)
	}
}

func TestAModelThatCannotBeLoadedChangesNothing(t *testing.T) {
	s, _ := open1(t, Options{})
	publish(t, s, manifest(1, champion("twice")))
	if err := s.Publish(context.Background(), manifest(2, champion("gone"))); err == nil {
		t.Fatal("a manifest without its model was taken without a word")
	}
	if a, err := one(s, "k", 1); err != nil || a.Output.Series[0].Float[0] != 2 {
		t.Fatalf("the old champion: %v, %v", a, err)
	}
	if err := s.Publish(context.Background(), manifest(3, champion("twice"), challenger("gone", 50))); err == nil {
		t.Fatal("a challenger without its model was taken without a word")
	}
	for i := range 20 {
		if a, err := one(s, fmt.Sprint(i), 1); err != nil || a.Variant.Role != slipway.Champion {
			t.Fatalf("%v, %v", a.Variant, err)
		}
	}
}

func TestAssignmentIsStickyMonotoneAndFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		salt, unit := rapid.String().Draw(t, "salt"), rapid.String().Draw(t, "unit")
		low := rapid.IntRange(0, 100).Draw(t, "low")
		high := rapid.IntRange(low, 100).Draw(t, "high")
		is := func(weight int) bool {
			e := &endpoint{spec: slipway.Endpoint{Salt: salt}, champion: &variant{record: &record{}}}
			e.challenger = []*variant{{spec: slipway.Variant{Weight: weight}, record: &record{}}}
			return e.assign(unit) != e.champion
		}
		if is(low) && !is(high) {
			t.Fatalf("%q left the challenger when its share grew from %d to %d", unit, low, high)
		}
		if is(0) || !is(100) {
			t.Fatal("0 % and 100 % are not nobody and everybody")
		}
	})
	const units = 100_000
	both, one, two := 0, 0, 0
	for i := range units {
		a, b := Bucket("a", fmt.Sprint(i)) < 1000, Bucket("b", fmt.Sprint(i)) < 1000
		if a {
			one++
		}
		if b {
			two++
		}
		if a && b {
			both++
		}
	}
	if math.Abs(float64(one)-units/10) > 500 || math.Abs(float64(two)-units/10) > 500 || math.Abs(float64(both)-units/100) > 200 {
		t.Errorf("shares %d and %d of %d, together %d: not a tenth each, not independent", one, two, units, both)
	}
}

var errTest = errors.New("no space left on device")
