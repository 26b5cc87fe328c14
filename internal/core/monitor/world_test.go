package monitor

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/notify"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/clock"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/web"
	"github.com/slipway-ml/slipway/internal/project"
)

// world is everything around a monitor: a log, a project, models, a receiver of
// alerts and two clocks.
type world struct {
	*Service
	t        testing.TB
	db       *db.DB
	log      *memoryLog
	training map[string]Training
	models   map[string]predictor.Model
	jobs     *web.Jobs
	project  *project.Project
	now      time.Time
	clock    *clock.Fake
	inbox    *inbox
}

func newWorld(t testing.TB, d *db.DB, yaml string) *world {
	t.Helper()
	store, err := content.Open(t.TempDir(), content.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	p, err := project.Parse("slipway.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, db: d, log: &memoryLog{}, training: map[string]Training{}, models: map[string]predictor.Model{}, jobs: &web.Jobs{Lifetime: context.Background()}, project: p, clock: clock.NewFake(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)), inbox: &inbox{}}
	w.Service = w.service(store)
	return w
}

// service makes a Service of the world, as a process that starts does.
func (w *world) service(store *content.Store) *Service {
	return New(Options{DB: w.db, Content: store, Applied: w, Log: w.log, Reference: w, Models: w, Jobs: w.jobs, Now: func() time.Time { return w.now }, Clock: w.clock,
		Notify: map[string]notify.Notifier{"webhook": w.inbox},
		Secret: func(name string) (string, error) { return "https://example.org/" + name, nil }})
}

// restart forgets everything that is not in the database.
func (w *world) restart() { w.Service = w.service(w.o.Content) }

func (w *world) Project(_ context.Context, name string) (*project.Project, error) {
	if name != w.project.Name {
		return nil, slipway.Errorf(slipway.NotFound, "no project %s", name)
	}
	return w.project, nil
}

func (w *world) Training(_ context.Context, _, model string) (Training, error) {
	t, ok := w.training[model]
	if !ok {
		return t, slipway.Errorf(slipway.NotFound, "no model %s", model)
	}
	return t, nil
}

func (w *world) Open(_ context.Context, _, model string) (string, predictor.Model, error) {
	m, ok := w.models[model]
	if !ok {
		return "", nil, slipway.Errorf(slipway.NotFound, "no model %s", model)
	}
	return model, m, nil
}

// tick moves event time and gives the monitor its turn.
func (w *world) tick(now time.Time) {
	w.t.Helper()
	w.now = now
	if err := w.Tick(w.t.Context(), now); err != nil {
		w.t.Fatal(err)
	}
}

// label sends labels.
func (w *world) label(labels ...slipway.Label) LabelCount {
	w.t.Helper()
	c, err := w.AddLabels(w.t.Context(), w.project.Name, labels)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// events are the verbs and data of what was recorded.
func (w *world) events(verb string) []slipway.Event {
	w.t.Helper()
	all, err := w.db.Events(w.t.Context(), 0, 100_000)
	if err != nil {
		w.t.Fatal(err)
	}
	var out []slipway.Event
	for _, e := range all {
		if e.Verb == verb {
			out = append(out, e)
		}
	}
	return out
}

// memoryLog is a prediction log in memory.
type memoryLog struct {
	segments []Segment
	forgot   int64
}

func (l *memoryLog) seal(batches ...slipway.PredictionBatch) {
	l.segments = append(l.segments, Segment{Gateway: "g", Number: int64(len(l.segments) + 1), Batches: batches})
}

func (l *memoryLog) Sealed(_ context.Context, done map[string]int64) iter.Seq2[Segment, error] {
	return func(yield func(Segment, error) bool) {
		for _, s := range l.segments[done["g"]:] {
			if !yield(s, nil) {
				return
			}
		}
	}
}

func (l *memoryLog) Forget(_ context.Context, _ string, n int64) error {
	l.forgot = n
	return nil
}

// inbox receives alerts; err is what it answers instead.
type inbox struct {
	mu       sync.Mutex
	err      error
	messages []notify.Message
	targets  []string
}

func (i *inbox) Send(_ context.Context, target string, m notify.Message) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.err != nil {
		return i.err
	}
	i.messages, i.targets = append(i.messages, m), append(i.targets, target)
	return nil
}

// batch makes a batch of one variant; rows fill it.
func batch(release string, role slipway.VariantRole, model string) *slipway.PredictionBatch {
	return &slipway.PredictionBatch{Project: "flights", Endpoint: "delay", Release: release, Role: role, Model: model,
		Input: &slipway.Frame{}, Output: &slipway.Frame{Series: []slipway.Series{{Name: "probability", Type: slipway.Float}}}}
}

// add appends a row. Values are float64 or string.
func add(b *slipway.PredictionBatch, id, key string, at time.Time, p float64, names []string, row []any) {
	if len(b.Input.Series) == 0 {
		for i, name := range names {
			s := slipway.Series{Name: name, Type: slipway.Float, Float: []float64{}}
			if _, text := row[i].(string); text {
				s = slipway.Series{Name: name, Type: slipway.Text, Text: []string{}}
			}
			b.Input.Series = append(b.Input.Series, s)
		}
	}
	b.ID, b.Key, b.Time, b.At = append(b.ID, id), append(b.Key, key), append(b.Time, at), append(b.At, at)
	b.Latency, b.Failure = append(b.Latency, time.Millisecond), append(b.Failure, "")
	b.Output.Series[0].Float = append(b.Output.Series[0].Float, p)
	for i, v := range row {
		s := &b.Input.Series[i]
		switch v := v.(type) {
		case string:
			s.Text = append(s.Text, v)
		case float64:
			s.Float = append(s.Float, v)
		default:
			panic(fmt.Sprintf("%T is no value", v))
		}
	}
	b.Input.Rows++
	b.Output.Rows++
}
