package app

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// consumerMigration holds how far each consumer has read the event log, and
// the events that it could not handle.
var consumerMigration = db.Migration{Name: "consumer", Statements: []string{
	`CREATE TABLE consumer (name TEXT PRIMARY KEY, number BIGINT NOT NULL)`,
	`CREATE TABLE consumer_failure (consumer TEXT NOT NULL, number BIGINT NOT NULL, error TEXT NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (consumer, number))`,
}}

// consumer is a capability that reacts to sealed events. Handle is idempotent:
// after a crash it sees again the events whose number was not written down.
type consumer struct {
	name   string
	verbs  []string // the verbs that it wants
	handle func(context.Context, slipway.Event) error
}

// dispatcher hands every sealed event to every consumer that wants it, in
// order, each consumer at its own pace.
type dispatcher struct {
	db        *db.DB
	consumers []consumer
	log       reader
	mu        sync.Mutex
	at        map[string]int64 // how far each consumer is
	held      map[string]error // what keeps a consumer from going on
	moved     *sync.Cond
	waiting   int // how many wait for consumers, who then make haste
}

func newDispatcher(d *db.DB, consumers []consumer) *dispatcher {
	x := &dispatcher{db: d, log: reader{db: d, end: -1}, consumers: consumers, at: map[string]int64{}, held: map[string]error{}}
	x.moved = sync.NewCond(&x.mu)
	return x
}

// load reads how far each consumer is, before run and drain look at it.
func (d *dispatcher) load(ctx context.Context) error {
	return d.db.Read(ctx, func(tx *db.Tx) error {
		for _, c := range d.consumers {
			var n int64
			err := tx.QueryRow(`SELECT number FROM consumer WHERE name = ?`, c.name).Scan(&n)
			if err != nil && !slipway.IsCode(err, slipway.NotFound) {
				return err
			}
			d.at[c.name] = n
		}
		return nil
	})
}

// run serves every consumer until ctx ends.
func (d *dispatcher) run(ctx context.Context) {
	var all sync.WaitGroup
	for _, c := range d.consumers {
		all.Go(func() { d.serve(ctx, c) })
	}
	all.Wait()
}

// batch is how many events a consumer reads at once.
const batch = 256

func (d *dispatcher) serve(ctx context.Context, c consumer) {
	passed := 0 // foreign events since the position was written down
	for ctx.Err() == nil {
		after := d.position(c.name)
		events, err := d.log.after(ctx, after)
		if err == nil && len(events) == 0 {
			if err = d.db.WaitEvent(ctx, after); err == nil {
				if rest := d.log.fresh(after); rest > 0 && !d.hurried() {
					pause(ctx, rest)
				}
				continue
			}
		}
		if err != nil {
			if ctx.Err() == nil {
				slog.ErrorContext(ctx, "events cannot be read", "consumer", c.name, "error", err)
				pause(ctx, time.Second)
			}
			continue
		}
		d.hand(ctx, c, events, &passed)
	}
}

// settleTime is how much work of a consumer its position may leave unwritten:
// after a crash it does that much again. Quick work on many events is then
// written down once, and each event that takes long as soon as it is done.
const settleTime = 50 * time.Millisecond

// hand gives a consumer what it wants of some events. It ends early at one that
// can be neither handled nor passed, which is then offered again.
func (d *dispatcher) hand(ctx context.Context, c consumer, events []slipway.Event, passed *int) {
	var since time.Time // when the first work began that is not written down
	var reached int64
	for _, e := range events {
		if slices.Contains(c.verbs, e.Verb) {
			if since.IsZero() {
				since = time.Now()
			}
			err := d.deliver(ctx, c, e)
			d.hold(c.name, err)
			if err != nil {
				if reached > 0 {
					d.settle(ctx, c.name, reached, true)
				}
				pause(ctx, time.Second)
				return
			}
		}
		reached = e.Number
		if *passed++; *passed >= batch || !since.IsZero() && time.Since(since) > settleTime {
			d.settle(ctx, c.name, reached, true)
			*passed, since, reached = 0, time.Time{}, 0
		}
	}
	if reached > 0 {
		if !since.IsZero() {
			*passed = 0
		}
		d.settle(ctx, c.name, reached, !since.IsZero())
	}
}

// attempts is how often an event is offered to a consumer that fails.
const attempts = 4

// deliver offers e until it is handled. An event that fails every time is
// written down and passed, so that one bad event stops nothing else. It fails
// when ctx ends first, or not even that can be written down.
func (d *dispatcher) deliver(ctx context.Context, c consumer, e slipway.Event) error {
	ctx = slipway.WithPrincipal(ctx, slipway.Principal{Name: "slipway/" + c.name, Role: slipway.Operator})
	wait := 100 * time.Millisecond
	for attempt := 1; ; attempt++ {
		err := protect(func() error { return c.handle(ctx, e) })
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		code := slipway.AsError(err).Code
		lasting := code != slipway.Unavailable && code != slipway.Internal && code != slipway.Conflict
		if attempt < attempts && !lasting {
			pause(ctx, wait)
			wait *= 4
			continue
		}
		slog.ErrorContext(ctx, "event not handled", "consumer", c.name, "verb", e.Verb, "subject", e.Subject.String(), "error", err)
		return d.db.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(`INSERT INTO consumer_failure (consumer, number, error, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
				c.name, e.Number, err.Error(), tx.Now())
			return err
		})
	}
}

// hold remembers that a consumer cannot go on, and why; nil that it can.
func (d *dispatcher) hold(name string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		delete(d.held, name)
		return
	}
	d.held[name] = err
	d.moved.Broadcast()
}

// protect turns a panic of fn into an error: one bad event or tick is no reason
// to take the server down, and to do so again at every start.
func protect(fn func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return fn()
}

// settle moves a consumer's position. It is written down when the consumer did
// something. Passing over foreign events costs one write in many, so that the
// next process, be it a short command, does not read the whole log again.
func (d *dispatcher) settle(ctx context.Context, name string, number int64, write bool) {
	if write {
		err := d.db.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(`INSERT INTO consumer (name, number) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET number = excluded.number`, name, number)
			return err
		})
		if err != nil && ctx.Err() == nil {
			slog.ErrorContext(ctx, "position not written", "consumer", name, "error", err)
		}
	}
	d.mu.Lock()
	d.at[name] = number
	d.mu.Unlock()
	d.moved.Broadcast()
}

// hurried reports whether anybody waits for the consumers.
func (d *dispatcher) hurried() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.waiting > 0
}

func (d *dispatcher) position(name string) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at[name]
}

// drain returns when every consumer has handled every event there is, and the
// handling caused no new one.
func (d *dispatcher) drain(ctx context.Context) error {
	for {
		last, err := d.db.LastEvent(ctx)
		if err != nil {
			return err
		}
		if err := d.reach(ctx, last, ""); err != nil {
			return err
		}
		again, err := d.db.LastEvent(ctx)
		if err != nil || again == last {
			return err
		}
	}
}

// pass waits until the named consumer has handled every event there is.
func (d *dispatcher) pass(ctx context.Context, name string) error {
	last, err := d.db.LastEvent(ctx)
	if err != nil {
		return err
	}
	return d.reach(ctx, last, name)
}

// reach waits until the named consumer, or every one when name is empty, is at
// number. It fails when one of them cannot go on.
func (d *dispatcher) reach(ctx context.Context, number int64, name string) error {
	stop := context.AfterFunc(ctx, func() {
		d.mu.Lock() // else it could fall between a look at ctx and the wait
		defer d.mu.Unlock()
		d.moved.Broadcast()
	})
	defer stop()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting++
	defer func() { d.waiting-- }()
	for ctx.Err() == nil {
		behind := false
		for _, c := range d.consumers {
			if name != "" && name != c.name || d.at[c.name] >= number {
				continue
			}
			if err := d.held[c.name]; err != nil {
				return fmt.Errorf("%s is behind with its work: %w", c.name, err)
			}
			behind = true
		}
		if !behind {
			return nil
		}
		d.moved.Wait()
	}
	return ctx.Err()
}

// pause sleeps for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
