package monitor

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/notify"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
	"github.com/slipway-ml/slipway/internal/kit/query"
)

// TestMain lets the test binary be its own query worker.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "query-worker" {
		os.Exit(query.Serve(os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

const yaml = `
project: flights
timezone: America/New_York
data: {flights: {path: data/, time: at, key: id}}
pipeline: {train: {run: python train.py, in: [flights], out: {model: model.txt}}}
model: {name: delay, from: train.model, task: binary, target: delayed}
monitor:
  window: 1d
  drift: {features: all, exclude: [hour]}
  quality: {metric: roc_auc, min: 0.5, labels: {max_age: 2d}}
  freshness: {quiet: 3d}
  alerts: [{webhook: $ALERT_WEBHOOK}]
`

var (
	zone  = must(time.LoadLocation("America/New_York"))
	names = []string{"x", "carrier", "weather", "hour", "quiet"}
	model = slipway.Signature{Task: slipway.BinaryTask, Classes: []string{"0", "1"},
		Input: slipway.Schema{{Name: "x", Type: slipway.Float}, {Name: "carrier", Type: slipway.Text}, {Name: "weather", Type: slipway.Float},
			{Name: "hour", Type: slipway.Float}, {Name: "quiet", Type: slipway.Float}},
		Output: slipway.Schema{{Name: "probability", Type: slipway.Float}}}
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// life makes rows of days that resemble one another: their level wanders.
type life struct {
	r     *rand.Rand
	level float64
	shift float64 // a fault: x moves
	stuck bool    // a fault: the weather repeats itself
	feed  float64
}

// perHour is how many requests come in an hour; none come from 0 to 5.
const perHour = 6

// hour is the rows of one hour: values in the order of names.
func (l *life) hour(at time.Time) [][]any {
	local := at.In(zone)
	if local.Hour() == 0 {
		l.level = 0.5*l.level + 0.3*l.r.NormFloat64()
	}
	if local.Hour() < 5 {
		return nil
	}
	if !l.stuck {
		l.feed = math.Round(1000*l.r.Float64()) / 10
	}
	var out [][]any
	for range perHour {
		carrier := []string{"AA", "UA", "DL", "B6"}[l.r.IntN(4)]
		out = append(out, []any{l.level + l.shift + l.r.NormFloat64(), carrier, l.feed, float64(local.Hour()), float64(at.Unix() / 86400)})
	}
	return out
}

// train makes the training rows of the days before a time.
func (l *life) train(days int, until time.Time) Training {
	b := batch("", "", "")
	for at := addDays(until, -days, zone); at.Before(until); at = at.Add(time.Hour) {
		for i, row := range l.hour(at) {
			add(b, "", "", at.Add(time.Duration(i)*time.Minute), 0, names, row)
		}
	}
	s := slipway.Series{Name: "at", Type: slipway.Time}
	for _, t := range b.Time {
		s.Float = append(s.Float, float64(t.UnixMicro()))
	}
	b.Input.Series = append(b.Input.Series, s)
	return Training{Signature: model, Rows: b.Input, Time: "at"}
}

// start is the first day of production.
var start = time.Date(2013, 4, 1, 0, 0, 0, 0, zone).UTC()

// production is a world with traffic.
type production struct {
	*world
	life   *life
	at     time.Time
	sent   int
	due    []slipway.Label
	shadow bool
	ids    []string
}

func newProduction(t testing.TB, d *db.DB) *production {
	w := newWorld(t, d, yaml)
	l := &life{r: rand.New(rand.NewPCG(7, 7))}
	w.training["delay@v1"] = l.train(45, start)
	w.training["delay@v2"] = w.training["delay@v1"]
	return &production{world: w, life: l, at: start}
}

// run lets days pass, with a tick every six hours and labels a day late.
func (p *production) run(days int) {
	p.t.Helper()
	for end := addDays(p.at, days, zone); p.at.Before(end); {
		champion, shadow := batch("r1", slipway.Champion, "delay@v1"), batch("r2", slipway.Shadow, "delay@v2")
		next := p.at.Add(6 * time.Hour)
		if next.After(end) {
			next = end
		}
		for ; p.at.Before(next); p.at = p.at.Add(time.Hour) {
			for i, row := range p.life.hour(p.at) {
				id, key, at := fmt.Sprintf("%032x", p.sent), fmt.Sprintf("F%d", p.sent), p.at.Add(time.Duration(i)*time.Minute)
				late := p.life.r.Float64()
				add(champion, id, key, at, late, names, row)
				if p.shadow {
					add(shadow, id, key, at, late*late, names, row)
				}
				truth := number(p.life.r.Float64() < late)
				p.due = append(p.due, slipway.Label{Endpoint: "delay", Key: key, Value: truth, Time: at.Add(day)})
				p.ids = append(p.ids, id)
				p.sent++
			}
		}
		p.log.seal(*champion, *shadow)
		n := 0
		for n < len(p.due) && p.due[n].Time.Before(p.at) {
			n++
		}
		if n > 0 {
			p.label(p.due[:n]...)
		}
		p.due = p.due[n:]
		p.tick(p.at)
	}
}

// firingNow lists what fires as kind/subject.
func (p *production) firingNow() string {
	p.t.Helper()
	alarms, err := p.Alarms(p.t.Context(), "flights", "", 100)
	if err != nil {
		p.t.Fatal(err)
	}
	var out []string
	for _, a := range alarms {
		if a.Firing {
			out = append(out, a.Kind+"/"+a.Subject)
		}
	}
	return strings.Join(out, " ")
}

func each(t *testing.T, fn func(t *testing.T, d *db.DB)) {
	dbtest.Each(t, []db.Migration{Migration}, fn)
}

func TestAFaultIsFoundAndItsEndToo(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		p := newProduction(t, d)
		p.run(8)
		if got := p.firingNow(); got != "" {
			t.Fatalf("healthy traffic fires %q", got)
		}
		p.life.shift = 4
		p.restart()
		p.run(1)
		if got := p.firingNow(); got != "" {
			t.Errorf("one odd day fires %q", got)
		}
		p.run(2)
		if got := p.firingNow(); got != "drift/x" {
			t.Errorf("a shifted feature fires %q", got)
		}
		if n, err := p.Drifted(t.Context(), "flights", 2); n != 1 || err != nil {
			t.Errorf("%d features drifted in two windows (%v)", n, err)
		}
		p.life.shift, p.life.stuck = 0, true
		p.run(2)
		if got := p.firingNow(); !strings.Contains(got, "feed/weather") || strings.Contains(got, "quiet") {
			t.Errorf("a feed that stands still fires %q", got)
		}
		p.life.stuck = false
		p.run(5)
		if got := p.firingNow(); got != "" {
			t.Errorf("after the faults %q fires", got)
		}
		for verb, want := range map[string]string{"drift.detected": `"x"`, "drift.cleared": `"x"`, "feed.stuck": `"weather"`, "feed.resumed": `"weather"`} {
			found := false
			for _, e := range p.events(verb) {
				found = found || strings.Contains(string(e.Data), want)
			}
			if !found {
				t.Errorf("no event %s of %s", verb, want)
			}
		}
		if _, err := p.Deliver(t.Context()); err != nil {
			t.Fatal(err)
		}
		first := p.inbox.messages[0]
		if p.inbox.targets[0] != "https://example.org/ALERT_WEBHOOK" || first.Status != notify.Firing || first.Alerts[0].Labels["feature"] != "x" {
			t.Errorf("told %s: %+v", p.inbox.targets[0], first)
		}
		if sent := p.events("alert.sent"); len(sent) != len(p.inbox.messages) {
			t.Errorf("%d messages, %d events", len(p.inbox.messages), len(sent))
		}
	})
}

func TestEverySegmentCountsOnce(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		p := newProduction(t, d)
		p.shadow = true
		p.run(2)
		total := func() (rows int64) {
			e := must(p.endpointNamed(t.Context(), "flights", "delay"))
			return must(p.count(t.Context(), e.number, "r1", start, endOfTime)).rows
		}
		want := total()
		if want != int64(p.sent) || p.log.forgot != int64(len(p.log.segments)) {
			t.Fatalf("%d rows of %d; segments up to %d of %d may go", want, p.sent, p.log.forgot, len(p.log.segments))
		}
		// A second process that starts from what the first did adds nothing.
		p.restart()
		p.tick(p.at)
		if got := total(); got != want {
			t.Errorf("%d rows after a restart, %d before", got, want)
		}
		// One that read the position before another moved it is refused whole.
		stale := newIntake()
		stale.segments["g"] = span{0, 2}
		if err := p.take(t.Context(), stale, &p.log.segments[1].Batches[0]); err != nil {
			t.Fatal(err)
		}
		if _, err := p.finish(t.Context(), stale); err != nil {
			t.Fatal(err)
		}
		if err := p.commit(t.Context(), stale, nil); !slipway.IsCode(err, slipway.Conflict) {
			t.Errorf("a stale process got %v", err)
		}
		if got := total(); got != want {
			t.Errorf("%d rows after a stale process, %d before", got, want)
		}
		count, ids, err := p.Served(t.Context(), "flights", "r1", 3)
		if err != nil || count != want || len(ids) != 3 {
			t.Errorf("served %d %v %v", count, ids, err)
		}
	})
}

func TestLabels(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		p := newProduction(t, d)
		p.run(5)
		e := must(p.endpointNamed(t.Context(), "flights", "delay"))
		days := must(p.daysOf(t.Context(), e.number, start, endOfTime, false))
		first := days[0]
		if !first.Mature || first.Coverage != 1 || first.Predictions != 19*perHour || first.LagMedian != 86400 || first.Version != 1 {
			t.Fatalf("the first day is %+v", first)
		}
		if auc := first.Metric["roc_auc"]; auc < 0.6 || auc > 0.95 {
			t.Errorf("AUC %v", auc)
		}
		// The same again changes nothing; another value is a correction that
		// restates the day and keeps what was said.
		again := slipway.Label{Endpoint: "delay", Key: "F0", Value: 1.0, Time: start.Add(5*time.Hour + day)}
		c := p.label(again)
		if c.New != 0 || c.Unchanged+c.Corrected != 1 {
			t.Errorf("a label sent again: %+v", c)
		}
		before := must(p.Prediction(t.Context(), "flights", p.ids[0]))
		flipped := slipway.Label{Prediction: p.ids[0], Value: before.Label != 1.0, Time: before.LabelTime.Add(time.Hour)}
		p.label(flipped)
		p.tick(p.at)
		after := must(p.Prediction(t.Context(), "flights", p.ids[0]))
		if after.Label == before.Label || after.Key != "F0" || after.Model != "delay@v1" || after.Row.Rows != 1 || after.Input["hour"] != 5.0 {
			t.Errorf("the prediction is %+v", after)
		}
		all := must(p.daysOf(t.Context(), e.number, start, start.Add(time.Hour), true))
		if len(all) != 2 || all[0].Version != 1 || all[1].Version != 2 || all[0].Metric["log_loss"] == all[1].Metric["log_loss"] {
			t.Errorf("the restated day is %+v", all)
		}
		// A label may come before its prediction is taken in.
		p.label(slipway.Label{Endpoint: "delay", Key: fmt.Sprintf("F%d", p.sent), Value: true, Time: p.at.Add(3 * day)})
		p.tick(p.at)
		early := p.sent
		p.run(1)
		if got := must(p.Prediction(t.Context(), "flights", p.ids[early])); got.Label != true {
			t.Errorf("the early label is lost: %+v", got.Label)
		}
		for _, bad := range []slipway.Label{{}, {Prediction: "a", Endpoint: "b", Key: "c", Value: 1.0}, {Endpoint: "delay", Value: 1.0},
			{Prediction: "a"}, {Prediction: "a", Value: []any{1}}, {Prediction: "a", Value: math.NaN()}} {
			if _, err := p.AddLabels(t.Context(), "flights", []slipway.Label{{Prediction: "ok", Value: 1.0}, bad}); !slipway.IsCode(err, slipway.Invalid) || !strings.Contains(err.Error(), "label 2") {
				t.Errorf("%+v: %v", bad, err)
			}
		}
		if w, err := p.MetricOf(t.Context(), "flights", "delay", "roc_auc"); err != nil || w.Verdict != NotEnoughData || w.Coverage != 1 {
			t.Errorf("a window of one day: %+v %v", w, err)
		}
	})
}

func TestEvidenceIsPaired(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		p := newProduction(t, d)
		p.run(2)
		p.shadow = true
		since := p.at.Add(-2 * time.Hour)
		p.run(6)
		c, err := p.Compare(t.Context(), "flights", "delay", "r1", "r2", since)
		if err != nil {
			t.Fatal(err)
		}
		// Six shadow days, of which the labels of the last two may still come.
		if len(c.Loss) != 4 || len(c.Failure) != 6 || c.Requests != 6*19*perHour || c.Failed != 0 || math.Abs(c.P99-1) > 0.06 {
			t.Fatalf("%d days, %d arms, %+v", len(c.Loss), len(c.Failure), c)
		}
		for _, l := range c.Loss {
			if l.Rows != 19*perHour || l.Challenger <= l.Champion {
				t.Errorf("the shadow that squares true probabilities is not worse: %+v", l)
			}
		}
		if c, err := p.Compare(t.Context(), "flights", "nobody", "r1", "r2", since); err != nil || c.Requests != 0 {
			t.Errorf("an endpoint without a log: %+v %v", c, err)
		}
		got := must(p.Prediction(t.Context(), "flights", p.ids[len(p.ids)-1]))
		if len(got.Shadow["delay@v2"]) != 1 || got.Role != slipway.Champion {
			t.Errorf("what the shadow said is missing: %+v", got)
		}
	})
}

func TestAlertsAreTriedUntilTheyAreTaken(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		p := newProduction(t, d)
		p.life.shift = 4
		p.inbox.err = slipway.Errorf(slipway.Unavailable, "example.org answered 503")
		p.run(4)
		next, err := p.Deliver(t.Context())
		if err != nil || next < time.Second || next > 3*time.Second {
			t.Fatalf("the next attempt is in %v (%v)", next, err)
		}
		waiting := must(p.Alerts(t.Context(), "flights", 10))
		if len(waiting) != 1 || waiting[0].State != alertWaiting || waiting[0].Attempts != 1 || waiting[0].Error == "" {
			t.Fatalf("%+v", waiting)
		}
		p.inbox.err = nil
		p.restart()
		if _, err := p.Deliver(t.Context()); err != nil || len(p.inbox.messages) != 0 {
			t.Errorf("tried again at once (%v)", err)
		}
		p.clock.Advance(time.Minute)
		for range 2 {
			if _, err := p.Deliver(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if len(p.inbox.messages) != 1 {
			t.Errorf("%d messages", len(p.inbox.messages))
		}
		p.inbox.err = slipway.Errorf(slipway.Invalid, "example.org refused the alert: 404")
		p.life.shift = 0
		p.run(4)
		p.clock.Advance(time.Minute)
		if _, err := p.Deliver(t.Context()); err != nil {
			t.Fatal(err)
		}
		if refused := must(p.Alerts(t.Context(), "flights", 10)); refused[0].State != alertFailed || refused[0].Attempts != 1 {
			t.Errorf("%+v", refused[0])
		}
	})
}

// TestARequestFromTheFuture is one row with a wrong year.
func TestARequestFromTheFuture(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		p := newProduction(t, d)
		p.run(1)
		odd := batch("r1", slipway.Champion, "delay@v1")
		add(odd, strings.Repeat("f", 32), "", start.AddDate(100, 0, 0), 0.5, names, p.life.hour(start.Add(12 * time.Hour))[0])
		p.log.seal(*odd)
		p.life.stuck = true
		p.run(1)
		if got := p.firingNow(); got != "feed/weather" {
			t.Errorf("%q fires", got)
		}
		if e := must(p.endpointNamed(t.Context(), "flights", "delay")); e.seen.After(p.at) {
			t.Errorf("the endpoint was seen in %s", e.seen)
		}
	})
}

func TestDaysArePackedAndStayReadable(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		p := newProduction(t, d)
		p.run(4)
		roots := 0
		for digest, err := range p.Roots(t.Context()) {
			if err != nil || len(digest) != 64 {
				t.Fatal(digest, err)
			}
			roots++
		}
		if roots != 3 {
			t.Errorf("%d days of four are packed; the last is under way", roots)
		}
		e := must(p.endpointNamed(t.Context(), "flights", "delay"))
		f := must(p.rowsOf(t.Context(), e.number, "", start))
		if f.Rows != 19*perHour || f.Column("in.carrier") == nil || f.Column("out.probability") == nil {
			t.Errorf("the first day reads %d rows, %v", f.Rows, f.Schema().Names())
		}
	})
}
