package monitor

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// formula is a model that is a function of its inputs. Like a real one it
// refuses columns that it does not take.
type formula struct {
	signature slipway.Signature
	of        func(row []float64) float64
	rows      int // that it answered
}

func (m *formula) Signature() slipway.Signature { return m.signature }
func (m *formula) Close() error                 { return nil }

func (m *formula) Predict(_ context.Context, in *slipway.Frame) (*slipway.Frame, error) {
	if _, err := predictor.Bind(nil, m.signature.Input, in); err != nil {
		return nil, err
	}
	out := slipway.Series{Name: predictor.Probability, Type: slipway.Float}
	row := make([]float64, len(m.signature.Input))
	for i := range in.Rows {
		for k, c := range m.signature.Input {
			row[k] = in.Column(c.Name).Float[i]
		}
		out.Float = append(out.Float, m.of(row))
	}
	m.rows += in.Rows
	return &slipway.Frame{Rows: in.Rows, Series: []slipway.Series{out}}, nil
}

func logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// takes is a binary model's signature of numbers.
func takes(names ...string) slipway.Signature {
	s := slipway.Signature{Task: slipway.BinaryTask, Classes: []string{"0", "1"}, Output: slipway.Schema{{Name: predictor.Probability, Type: slipway.Float}}}
	for _, name := range names {
		s.Input = append(s.Input, slipway.Column{Name: name, Type: slipway.Float})
	}
	return s
}

// year is an endpoint whose model got better: version 1 answers until the
// switch and takes less into account than version 2, which then answers, and
// shadowed before. Every hour has three requests, of which the third never gets
// a label, and a fourth now and then fails.
type year struct {
	*world
	v1, v2 *formula
	truth  []truthOf
}

type truthOf struct {
	at         time.Time
	y, p1, p2  float64
	servedByV1 bool
}

// switched is when version 2 took over: noon of a day in May.
var switched = time.Date(2013, 5, 10, 12, 0, 0, 0, zone)

func newYear(t testing.TB, d *db.DB) *year {
	w := &year{world: newWorld(t, d, yaml),
		v1: &formula{signature: takes("a"), of: func(r []float64) float64 { return logistic(r[0]) }},
		v2: &formula{signature: takes("b", "a"), of: func(r []float64) float64 { return logistic(r[1] + 2*r[0]) }}}
	w.models["delay@v1"], w.models["delay@v2"] = w.v1, w.v2
	w.training["delay@v1"], w.training["delay@v2"] = Training{Signature: w.v1.signature}, Training{Signature: w.v2.signature}
	r := rand.New(rand.NewPCG(3, 3))
	end := time.Date(2013, 7, 1, 0, 0, 0, 0, zone)
	for from := start; from.Before(end); from = addDays(from, 1, zone) {
		w.day(r, from, addDays(from, 1, zone))
	}
	w.tick(end.Add(3 * day))
	return w
}

// day logs and labels a day of requests.
func (w *year) day(r *rand.Rand, from, to time.Time) {
	answered, canary, shadow := map[string]*slipway.PredictionBatch{}, batch("r2", slipway.Challenger, "delay@v2"), batch("r2", slipway.Shadow, "delay@v2")
	answered["r1"], answered["r2"] = batch("r1", slipway.Champion, "delay@v1"), batch("r2", slipway.Champion, "delay@v2")
	var labels []slipway.Label
	columns := []string{"a", "b", "unused"}
	for at := from; at.Before(to); at = at.Add(time.Hour) {
		for i := range 4 {
			a, b := r.NormFloat64(), r.NormFloat64()
			row := []any{a, b, "text"}
			f := truthOf{at: at.Add(time.Duration(59-i) * time.Minute), y: number(r.Float64() < logistic(a+2*b)), p1: logistic(a), p2: logistic(a + 2*b), servedByV1: at.Before(switched)}
			id := fmt.Sprintf("%032x", r.Uint64())
			to, p := answered["r1"], f.p1
			switch {
			case !f.servedByV1:
				to, p = answered["r2"], f.p2
			case i == 0 && !f.at.Before(switched.Add(-day)):
				to, p, f.servedByV1 = canary, f.p2, false // a canary's answers are what callers got
			default:
				add(shadow, id, "", f.at, f.p2, columns, row)
			}
			add(to, id, "", f.at, p, columns, row)
			if i == 3 {
				to.Failure[len(to.Failure)-1], to.Output.Series[0].Float[len(to.ID)-1] = "down", nan
			}
			if i != 2 {
				labels = append(labels, slipway.Label{Prediction: id, Value: f.y, Time: f.at.Add(time.Hour)})
			}
			if i < 2 {
				w.truth = append(w.truth, f)
			}
		}
	}
	w.log.seal(*answered["r1"], *answered["r2"], *canary, *shadow)
	w.tick(to)
	w.label(labels...)
}

// vagueModel says a 0.3, b 0.5, c 0.2 of everything.
type vagueModel struct{ signature slipway.Signature }

func (m *vagueModel) Signature() slipway.Signature { return m.signature }
func (m *vagueModel) Close() error                 { return nil }

func (m *vagueModel) Predict(_ context.Context, in *slipway.Frame) (*slipway.Frame, error) {
	out := &slipway.Frame{Rows: in.Rows}
	for i, class := range m.signature.Classes {
		s := slipway.Series{Name: class, Type: slipway.Float}
		for range in.Rows {
			s.Float = append(s.Float, []float64{0.3, 0.5, 0.2}[i])
		}
		out.Series = append(out.Series, s)
	}
	return out, nil
}
