package delivery_test

import (
	"context"
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/delivery"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
	"github.com/slipway-ml/slipway/internal/project"
)

const yaml = `
project: p
data:
  rows: {path: rows/, time: at, key: id}
pipeline:
  train: {run: python train.py, in: [rows], out: {model: model.txt}}
model: {name: m, from: train.model, task: binary, target: y}
deploy:
  staging: {on: registered}
  production:
    from: staging
    rollout: {shadow: 14d, canary: [5, 25, 100], hold: 1d, min_requests: 50, abort: {error_rate: 0.01, p99_ms: 20}, decide: {max: 28d, undecided: keep}}
`

// world is delivery among capabilities that do as the test says.
type world struct {
	t        *testing.T
	s        *delivery.Service
	p        *project.Project
	now      time.Time
	verdict  map[string]string // by model
	swapped  map[string]bool   // models that do not reproduce their golden rows
	evidence delivery.Comparison
	manifest slipway.Manifest
	key      ed25519.PrivateKey
}

func (w *world) Project(context.Context, string) (*project.Project, error) { return w.p, nil }

func (w *world) Model(_ context.Context, _, name string, version int) (delivery.Model, error) {
	if version > 9 {
		return delivery.Model{}, slipway.Errorf(slipway.NotFound, "no version %d", version)
	}
	return delivery.Model{Content: slipway.DigestOf([]byte{byte(version)})}, nil
}

func (w *world) Certificate(_ context.Context, _, model string) (delivery.Certificate, error) {
	v, ok := w.verdict[model]
	if !ok {
		return delivery.Certificate{}, slipway.Errorf(slipway.NotFound, "no certificate")
	}
	return delivery.Certificate{Digest: slipway.DigestOf([]byte(model)), Verdict: v}, nil
}

func (w *world) Reproduce(_ context.Context, _, model string, _ slipway.Digest) error {
	if w.swapped[model] {
		return slipway.Errorf(slipway.Refused, "%s does not reproduce its golden rows", model)
	}
	return nil
}

func (w *world) Compare(context.Context, string, string, string, string, time.Time) (delivery.Comparison, error) {
	return w.evidence, nil
}

func (w *world) Publish(_ context.Context, m slipway.Manifest) error {
	if err := delivery.Verify(m, w.key.Public().(ed25519.PublicKey)); err != nil {
		w.t.Error(err)
	}
	if m.Number <= w.manifest.Number {
		w.t.Errorf("manifest %d follows %d", m.Number, w.manifest.Number)
	}
	w.manifest = m
	return nil
}

func each(t *testing.T, fn func(*testing.T, *world)) {
	dbtest.Each(t, []db.Migration{delivery.Migration}, func(t *testing.T, d *db.DB) {
		p, err := project.Parse("slipway.yaml", []byte(yaml))
		if err != nil {
			t.Fatal(err)
		}
		w := &world{t: t, p: p, now: time.Date(2013, 4, 1, 0, 0, 0, 0, time.UTC), verdict: map[string]string{}, swapped: map[string]bool{},
			key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}
		w.s = delivery.New(delivery.Options{DB: d, Key: w.key, Applied: w, Models: w, Gate: w, Evidence: w, Serving: w, Now: func() time.Time { return w.now }})
		fn(t, w)
	})
}

// pass tells delivery that the gates passed a version.
func (w *world) pass(model string) {
	w.t.Helper()
	w.verdict[model] = "pass"
	e := slipway.Event{Project: "p", Verb: "gate.decided", Data: []byte(`{"model":"` + model + `","verdict":"pass"}`)}
	for range 2 { // an event that comes twice changes nothing
		if err := w.s.Handle(w.t.Context(), e); err != nil {
			w.t.Fatal(err)
		}
	}
}

// after lets event time pass and delivery look.
func (w *world) after(d time.Duration) {
	w.t.Helper()
	w.now = w.now.Add(d)
	if err := w.s.Tick(w.t.Context(), w.now); err != nil {
		w.t.Fatal(err)
	}
}

// serves checks what the manifest says of the endpoint m.
func (w *world) serves(want string) {
	w.t.Helper()
	var got []string
	for _, e := range w.manifest.Endpoint {
		if e.Name != "m" {
			continue
		}
		for _, v := range e.Variant {
			got = append(got, string(v.Role)+" "+v.Model)
		}
	}
	if s := strings.Join(got, ", "); s != want {
		w.t.Errorf("the endpoint serves %q; want %q", s, want)
	}
}

// losses is n days on which the challenger's loss is the champion's less gain,
// give or take what days differ by.
func losses(n int, gain float64) (out []delivery.Loss) {
	for i := range n {
		wobble := 0.002 * float64(i%3-1)
		out = append(out, delivery.Loss{Rows: 900, Champion: 0.5, Challenger: 0.5 - gain + wobble})
	}
	return out
}

const day = 24 * time.Hour

func TestFirstVersionGoesThroughStagingToProduction(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.pass("m@v1")
		w.serves("champion m@v1")
		e := w.manifest.Endpoint
		if len(e) != 2 || e[1].Name != "m-staging" && e[0].Name != "m-staging" {
			t.Errorf("endpoints %+v; want m and m-staging", e)
		}
		for _, x := range e {
			if len(x.Key) != 1 || x.Key[0] != "id" || x.Time != "at" {
				t.Errorf("%s: key %v, time %q", x.Name, x.Key, x.Time)
			}
		}
	})
}

func TestBetterVersionIsPromotedThroughShadowAndCanary(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.pass("m@v1")
		w.pass("m@v2")
		w.serves("champion m@v1, shadow m@v2")
		w.evidence = delivery.Comparison{Loss: losses(20, 0.02), Requests: 60}
		w.after(13 * day)
		w.serves("champion m@v1, shadow m@v2")
		w.after(day)
		w.serves("champion m@v1, challenger m@v2")
		w.after(day)
		w.evidence.Requests = 10 // too few for the stage
		w.after(day)
		w.serves("champion m@v1, challenger m@v2")
		w.evidence.Requests = 60
		w.after(day)
		w.serves("champion m@v2")
	})
}

func TestWorseVersionIsTakenOutOfShadow(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.pass("m@v1")
		w.pass("m@v2")
		w.evidence = delivery.Comparison{Loss: losses(12, -0.02)}
		w.after(day)
		w.serves("champion m@v1")
		w.pass("m@v2") // a version that was taken out does not come back by itself
		w.serves("champion m@v1")
	})
}

func TestUndecidedKeepsTheChampion(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.pass("m@v1")
		w.pass("m@v2")
		w.evidence = delivery.Comparison{Loss: losses(27, 0)}
		w.after(27 * day)
		w.serves("champion m@v1, shadow m@v2")
		w.after(day)
		w.serves("champion m@v1")
		all, err := w.s.History(t.Context(), "p", time.Time{}, false)
		if err != nil || len(all) != 3 {
			t.Errorf("%d reigns, %v; want three: both versions in staging, the first in production", len(all), err)
		}
	})
}

func TestAbortLimitsAndBreaker(t *testing.T) {
	for name, harm := range map[string]func(*world){
		"errors":  func(w *world) { w.evidence = delivery.Comparison{Requests: 200, Failed: 3}; w.after(time.Hour) },
		"latency": func(w *world) { w.evidence = delivery.Comparison{Requests: 200, P99: 21}; w.after(time.Hour) },
		"breaker": func(w *world) {
			for _, v := range w.manifest.Endpoint[0].Variant {
				if v.Model == "m@v2" {
					if err := w.s.Tripped(w.t.Context(), "p", v.Release, "10 of the last 100 requests failed"); err != nil {
						w.t.Fatal(err)
					}
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				w.pass("m@v1")
				w.pass("m@v2")
				harm(w)
				w.serves("champion m@v1")
			})
		})
	}
}

func TestBreakerOfTheChampionBringsTheOneBeforeBack(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.pass("m@v1")
		w.verdict["m@v2"] = "pass"
		for _, env := range []string{"staging", "production"} {
			if _, err := w.s.Release(t.Context(), delivery.Request{Project: "p", Environment: env, Model: "m@v2", Now: true}); err != nil {
				t.Fatal(err)
			}
		}
		w.serves("champion m@v2")
		for _, e := range w.manifest.Endpoint {
			if e.Name == "m" {
				if err := w.s.Tripped(t.Context(), "p", e.Variant[0].Release, "constant output"); err != nil {
					t.Fatal(err)
				}
			}
		}
		w.serves("champion m@v1")
	})
}

func TestReleaseIsRefused(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.pass("m@v1")
		w.swapped["m@v2"] = true
		w.pass("m@v2") // its columns were swapped: not even staging
		w.serves("champion m@v1")
		w.verdict["m@v4"] = "refuse"
		for _, c := range []struct {
			model, environment string
			want               slipway.Code
		}{
			{"m@v1", "production", slipway.Conflict}, // is there already
			{"m@v3", "production", slipway.Refused},  // was never in staging
			{"m@v99", "staging", slipway.NotFound},   // does not exist
			{"m", "staging", slipway.Invalid},        // names no version
			{"m@v3", "nowhere", slipway.NotFound},    // no such environment
			{"m@v2", "staging", slipway.Refused},     // golden rows
		} {
			_, err := w.s.Release(t.Context(), delivery.Request{Project: "p", Environment: c.environment, Model: c.model})
			if !slipway.IsCode(err, c.want) {
				t.Errorf("release %s to %s = %v; want %s", c.model, c.environment, err, c.want)
			}
		}
		if _, err := w.s.Release(t.Context(), delivery.Request{Project: "p", Environment: "staging", Model: "m@v4"}); err != nil {
			t.Errorf("staging takes a version that the gates refused, to look at it: %v", err)
		}
		if _, err := w.s.Release(t.Context(), delivery.Request{Project: "p", Environment: "production", Model: "m@v4"}); !slipway.IsCode(err, slipway.Refused) {
			t.Errorf("production takes a version that the gates refused: %v", err)
		}
		w.serves("champion m@v1")
	})
}

func TestRollbackByHandAndHistory(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.pass("m@v1")
		first := w.now
		w.verdict["m@v2"] = "pass"
		w.now = w.now.Add(30 * day)
		for _, env := range []string{"staging", "production"} {
			if _, err := w.s.Release(t.Context(), delivery.Request{Project: "p", Environment: env, Model: "m@v2", Now: true}); err != nil {
				t.Fatal(err)
			}
		}
		w.now = w.now.Add(day)
		in := delivery.InEnvironment{Project: "p", Environment: "production"}
		in.Body.Rollout = true
		if _, err := w.s.Rollback(t.Context(), in); !slipway.IsCode(err, slipway.NotFound) {
			t.Errorf("aborting no rollout = %v; want not_found, and the champion untouched", err)
		}
		in.Body.Rollout = false
		if r, err := w.s.Rollback(t.Context(), in); err != nil || r.Model != "m@v1" {
			t.Fatalf("rollback = %+v, %v", r, err)
		}
		w.serves("champion m@v1")
		if _, err := w.s.Rollback(t.Context(), in); !slipway.IsCode(err, slipway.NotFound) {
			t.Errorf("a second rollback = %v; want not_found: what was rolled back does not come back by itself", err)
		}
		for at, want := range map[time.Time]string{first.Add(day): "m@v1", first.Add(30*day + time.Hour): "m@v2", first.Add(40 * day): "m@v1"} {
			got, err := w.s.History(t.Context(), "p", at, true)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range got {
				if r.Environment == "production" && r.Model != want {
					t.Errorf("in production at %s: %s; want %s", at, r.Model, want)
				}
			}
		}
	})
}
