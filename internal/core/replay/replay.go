// Package replay sends recorded rows as real requests, in the order in which
// they happened: to see what a model would have lived through, and what the
// loop would have done about it. It is a client: it knows the inference
// protocol, the labels operation and the clock, and nothing of the server.
package replay

import (
	"context"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// Plan says what to send and when.
type Plan struct {
	Project    string
	Endpoint   string
	Inference  string // address of the inference port
	Time, Key  string // columns
	Input      []string
	Label      string        // column of the truth; "" sends no labels
	LabelDelay time.Duration // event time from a row to its truth
	Tick       time.Duration // event time between moves of the clock; 0 leaves the clock alone
	From, To   time.Time     // half-open; zero is open
	Workers    int           // requests at once
	Pause      time.Duration // least time between ticks, for a slow replay
}

// Progress is what a replay has done so far.
type Progress struct {
	Sent, Failed int64
	Labels       int64
	Clock        time.Time // event time
	Done, Rows   int64
}

// Result is what a whole replay did.
type Result struct {
	Progress
	Elapsed  time.Duration `json:"elapsed"`
	P50, P99 time.Duration // of the round trips
	// Failure is the first refusal of each kind, to say what is wrong.
	Failure map[string]int64 `json:"failure,omitempty"`
}

// truth is a label that is known but not yet due.
type truth struct {
	due   time.Time
	label slipway.Label
}

// run is one replay under way.
type run struct {
	plan   Plan
	api    web.Client
	sender *sender
	truths []truth // ordered by due, since rows come in order
	seen   Progress
	report func(Progress)
}

// Run sends the rows of frames, which come ordered by time from LabelDelay before
// From, so that labels of rows sent by an earlier replay come too, and returns when
// all are answered and every label that came due was sent. After each tick the
// server has settled what follows from it, so that the same rows lead to the
// same decisions. Interrupted, it stops between requests.
func Run(ctx context.Context, plan Plan, api web.Client, frames iter.Seq2[*slipway.Frame, error], total int64, report func(Progress)) (Result, error) {
	start := time.Now()
	r := &run{plan: plan, api: api, sender: newSender(plan), report: report, seen: Progress{Rows: total}}
	defer r.sender.close()
	for f, err := range frames {
		if err != nil {
			return Result{}, err
		}
		if err := r.frame(ctx, f); err != nil {
			return r.result(start), err
		}
	}
	err := r.finish(ctx)
	return r.result(start), err
}

// frame sends one frame's rows, with the clock's ticks between them.
func (r *run) frame(ctx context.Context, f *slipway.Frame) error {
	cols, err := r.plan.columns(f)
	if err != nil {
		return err
	}
	for i := range f.Rows {
		at := cols.at(i)
		r.seen.Done++
		if !at.Before(r.plan.From) {
			if err := r.tickTo(ctx, at); err != nil {
				return err
			}
			if err := r.sender.send(ctx, cols.body(i)); err != nil {
				return err
			}
		}
		r.expect(cols, i, at)
	}
	return nil
}

// expect remembers a row's truth until it is due. Rows from before the replay,
// which an earlier one sent, come along for theirs.
func (r *run) expect(cols *columns, i int, at time.Time) {
	v, ok := cols.truth(i)
	due := at.Add(r.plan.LabelDelay)
	if !ok || due.Before(r.plan.From) {
		return
	}
	r.truths = append(r.truths, truth{due, slipway.Label{Endpoint: r.plan.Endpoint, Key: cols.key(i), Value: v, Time: due}})
}

// tickTo moves the clock up to the last whole tick before at.
func (r *run) tickTo(ctx context.Context, at time.Time) error {
	if r.plan.Tick <= 0 {
		return nil
	}
	if r.seen.Clock.IsZero() {
		r.seen.Clock = at.Truncate(r.plan.Tick)
	}
	for next := r.seen.Clock.Add(r.plan.Tick); !at.Before(next); next = next.Add(r.plan.Tick) {
		if err := r.tick(ctx, next); err != nil {
			return err
		}
	}
	return nil
}

// tick waits for the answers under way, sends the labels that are due, and
// moves the clock.
func (r *run) tick(ctx context.Context, to time.Time) error {
	if err := r.sender.wait(ctx); err != nil {
		return err
	}
	if err := r.labels(ctx, to); err != nil {
		return err
	}
	var in struct {
		Body struct {
			To time.Time `json:"to"`
		}
	}
	in.Body.To = to
	if _, err := opAdvance.Call(ctx, r.api, in); err != nil {
		return err
	}
	r.seen.Clock = to
	r.seen.Sent, r.seen.Failed = r.sender.counts()
	r.report(r.seen)
	return pause(ctx, r.plan.Pause)
}

// labelBatch is how many labels one request carries.
const labelBatch = 5000

// labels sends what became known before to.
func (r *run) labels(ctx context.Context, to time.Time) error {
	n, _ := slices.BinarySearchFunc(r.truths, to, func(t truth, to time.Time) int { return t.due.Compare(to) })
	due := r.truths[:n]
	r.truths = r.truths[n:]
	for part := range slices.Chunk(due, labelBatch) {
		in := sendLabels{Project: r.plan.Project}
		for _, t := range part {
			in.Body.Labels = append(in.Body.Labels, t.label)
		}
		if _, err := opLabels.Call(ctx, r.api, in); err != nil {
			return err
		}
		r.seen.Labels += int64(len(part))
	}
	return nil
}

// finish ends the replay at the end of its window, or of its rows: labels that
// come due later are not sent, as they would not be known yet.
func (r *run) finish(ctx context.Context) error {
	if err := r.sender.wait(ctx); err != nil {
		return err
	}
	end := r.plan.To
	if end.IsZero() && !r.seen.Clock.IsZero() {
		end = r.seen.Clock.Add(r.plan.Tick)
	}
	if r.plan.Tick > 0 && !end.IsZero() {
		return r.tick(ctx, end) // also where no row lies before it
	}
	return r.labels(ctx, time.Unix(math.MaxInt32, 0))
}

func (r *run) result(start time.Time) Result {
	r.seen.Sent, r.seen.Failed = r.sender.counts()
	out := Result{Progress: r.seen, Elapsed: time.Since(start), Failure: r.sender.failures()}
	out.P50, out.P99 = r.sender.quantile(0.5), r.sender.quantile(0.99)
	return out
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
