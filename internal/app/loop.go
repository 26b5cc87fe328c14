package app

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// ticker is a capability's periodic work at the event time now.
type ticker struct {
	name string
	tick func(ctx context.Context, now time.Time) error
}

// loop gives every capability its ticks, one after the other in a fixed order:
// what serving seals, monitor reads; what monitor decides, delivery and retrain
// act upon. In an ordinary workspace the wall clock drives it. In a replay
// workspace the event-time clock does, and stands still until the tick, the
// jobs that it started and the events that it caused are done: the same replay
// makes the same decisions.
type loop struct {
	tickers    []ticker
	dispatcher *dispatcher
	jobs       *web.Jobs
	replay     bool
	file       string     // where the replay clock is written
	turn       sync.Mutex // held while capabilities have their turns
	mu         sync.Mutex
	now        time.Time // of the replay clock; under mu
}

// every is the time between ticks of the wall clock.
const every = 5 * time.Second

// run ticks by the wall clock until ctx ends. A replay workspace is driven by
// advance alone.
func (l *loop) run(ctx context.Context) error {
	if l.replay {
		<-ctx.Done()
		return ctx.Err()
	}
	for ctx.Err() == nil {
		pause(ctx, every)
		if ctx.Err() == nil {
			l.tick(ctx, time.Now().UTC())
		}
	}
	return ctx.Err()
}

// tick gives every capability its turn. A failing one is logged and has its
// next turn at the next tick; it holds nobody else up.
func (l *loop) tick(ctx context.Context, now time.Time) {
	l.turn.Lock()
	defer l.turn.Unlock()
	for _, t := range l.tickers {
		turn := slipway.WithPrincipal(ctx, slipway.Principal{Name: "slipway/" + t.name, Role: slipway.Operator})
		if err := protect(func() error { return t.tick(turn, now) }); err != nil && ctx.Err() == nil {
			slog.ErrorContext(ctx, "tick failed", "capability", t.name, "error", err)
		}
	}
}

// clockNow is event time: the replay clock's, or the wall's.
func (l *loop) clockNow() time.Time {
	if !l.replay {
		return time.Now().UTC()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

// load reads the replay clock as the last process left it.
func (l *loop) load() error {
	if !l.replay {
		return nil
	}
	b, err := os.ReadFile(l.file)
	if err != nil {
		return err
	}
	if len(b) == 0 {
		return nil
	}
	return l.now.UnmarshalText(b)
}

// advance moves the replay clock and settles everything that follows from it.
func (l *loop) advance(ctx context.Context, to time.Time) error {
	if !l.replay {
		return slipway.Errorf(slipway.Conflict, "this workspace follows the wall clock").
			WithHint("make one that follows event time: slipway up --replay, with SLIPWAY_WORKSPACE set to a new folder")
	}
	if now := l.clockNow(); to.Before(now) {
		return slipway.Errorf(slipway.Conflict, "the clock shows %s and does not go back", now.Format(time.RFC3339))
	}
	if err := l.set(to); err != nil {
		return err
	}
	l.tick(ctx, to.UTC())
	return l.settle(ctx)
}

// observe sets a replay clock that was never moved to the end of the first data
// that comes: that is when the story begins.
func (l *loop) observe(_ context.Context, e slipway.Event) error {
	if !l.replay || !l.clockNow().IsZero() {
		return nil
	}
	var data struct {
		To time.Time `json:"to"`
	}
	if err := json.Unmarshal(e.Data, &data); err != nil || data.To.IsZero() {
		return nil // files without event time say nothing of the clock
	}
	return l.set(data.To)
}

// set moves the replay clock, on disk first.
func (l *loop) set(to time.Time) error {
	text, err := to.UTC().MarshalText()
	if err != nil {
		return slipway.Errorf(slipway.Invalid, "not a time: %v", err)
	}
	if err := writeDurably(l.file, text); err != nil {
		return err
	}
	l.mu.Lock()
	l.now = to.UTC()
	l.mu.Unlock()
	return nil
}

// settle waits for jobs and events until neither makes more of the other.
func (l *loop) settle(ctx context.Context) error {
	for {
		if err := l.dispatcher.drain(ctx); err != nil {
			return err
		}
		if !l.jobs.Busy() {
			return nil
		}
		done := make(chan struct{})
		go func() {
			l.jobs.Wait()
			close(done)
		}()
		select {
		case <-done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

type advanceClock struct {
	Body struct {
		To time.Time `json:"to" doc:"event time to move to; never back"`
	}
}

// Clock is the answer of the clock's operations.
type Clock struct {
	Now    time.Time `json:"now"`
	Replay bool      `json:"replay"` // whether it follows event time
}

// Operations on the clock.
var (
	OpClock   = web.Op[web.None, Clock]{Method: "GET", Path: "/api/v1/clock", Needs: slipway.Reader, Tag: "clock", Summary: "Event time, as windows, schedules and holds see it"}
	OpSettle  = web.Op[web.None, Clock]{Method: "POST", Path: "/api/v1/clock/settle", Needs: slipway.Writer, Tag: "clock", Summary: "Answer when every job has ended and every event has been handled"}
	OpAdvance = web.Op[advanceClock, Clock]{Method: "POST", Path: "/api/v1/clock", Needs: slipway.Operator, Tag: "clock", Summary: "Move the clock of a replay workspace, and settle what follows"}
)

func (l *loop) routes(a *web.API) {
	OpClock.Serve(a, func(context.Context, web.None) (Clock, error) { return Clock{l.clockNow(), l.replay}, nil })
	OpSettle.Serve(a, func(ctx context.Context, _ web.None) (Clock, error) {
		err := l.settle(ctx)
		return Clock{l.clockNow(), l.replay}, err
	})
	OpAdvance.Serve(a, func(ctx context.Context, in advanceClock) (Clock, error) {
		err := l.advance(ctx, in.Body.To)
		return Clock{l.clockNow(), l.replay}, err
	})
}
