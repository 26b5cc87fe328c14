package monitor

import (
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
)

const evalYAML = `
project: flights
timezone: America/New_York
data: {flights: {path: data/, time: departed_at, key: flight_id}}
pipeline: {train: {run: python t.py, in: [flights], out: {model: model.txt}}}
model: {name: delay, from: train.model, task: binary, target: delayed}
monitor:
  window: 7d
  drift: {features: all, exclude: [temp, dewp, dest, distance, hour], method: auto}
  quality: {metric: roc_auc, min: 0.62, labels: {max_age: 2d}}
  freshness: {temp: 10h, humid: 10h}
  alerts: [{webhook: $ALERT_WEBHOOK}]
`

var evalNames = []string{"carrier", "origin", "dest", "distance", "hour", "weekday", "temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib", "recent_delay"}

func readCSV(t *testing.T, path string) [][]string {
	f, err := os.Open(path)
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows[1:]
}

func num(s string) float64 {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return math.NaN()
	}
	return v
}

func vals(f []string) []any {
	out := make([]any, len(f))
	for i, v := range f {
		if i < 3 {
			out[i] = v
		} else {
			out[i] = num(v)
		}
	}
	return out
}

func TestEval(t *testing.T) {
	train := readCSV(t, "/tmp/mon/train.csv")
	live := readCSV(t, "/tmp/mon/live.csv")
	zone, _ := time.LoadLocation("America/New_York")
	d := dbtest.Open(t, filepath.Join(t.TempDir(), "x.db"), db.Options{Migrations: []db.Migration{Migration}})
	w := newWorld(t, d, evalYAML)
	sig := slipway.Signature{Task: slipway.BinaryTask, Output: slipway.Schema{{Name: "probability", Type: slipway.Float}}, Classes: []string{"0", "1"}}
	for i, n := range evalNames {
		ty := slipway.Float
		if i < 3 {
			ty = slipway.Text
		}
		sig.Input = append(sig.Input, slipway.Column{Name: n, Type: ty})
	}
	mk := func(end time.Time) Training {
		f := &slipway.Frame{Series: []slipway.Series{{Name: "t", Type: slipway.Time}}}
		for i, n := range evalNames {
			ty := slipway.Float
			if i < 3 {
				ty = slipway.Text
			}
			f.Series = append(f.Series, slipway.Series{Name: n, Type: ty})
		}
		for _, r := range train {
			at := num(r[0])
			if at >= float64(end.Unix()) {
				continue
			}
			f.Rows++
			f.Series[0].Float = append(f.Series[0].Float, at*1e6)
			for i, v := range vals(r[1:]) {
				if s, ok := v.(string); ok {
					f.Series[i+1].Text = append(f.Series[i+1].Text, s)
				} else {
					f.Series[i+1].Float = append(f.Series[i+1].Float, v.(float64))
				}
			}
		}
		return Training{Signature: sig, Rows: f, Time: "t"}
	}
	monthly := os.Getenv("EVAL_MONTHLY") != ""
	first := time.Date(2013, 4, 1, 0, 0, 0, 0, zone)
	models := map[int]string{}
	for m := 4; m <= 12; m++ {
		name := "delay@v1"
		if monthly {
			name = fmt.Sprintf("delay@v%d", m-3)
		}
		models[m] = name
		if _, ok := w.training[name]; !ok {
			w.training[name] = mk(time.Date(2013, time.Month(m), 1, 0, 0, 0, 0, zone))
		}
	}
	var took []time.Duration
	i := 0
	for i < len(live) && num(live[i][1]) < float64(first.Unix()) {
		i++
	}
	type due struct {
		at time.Time
		l  slipway.Label
	}
	var dues []due
	end := time.Date(2014, 1, 1, 0, 0, 0, 0, zone)
	begun := time.Now()
	nlabel, nrow := 0, 0
	for now := first.UTC().Truncate(6 * time.Hour).Add(6 * time.Hour); now.Before(end); now = now.Add(6 * time.Hour) {
		var bs []slipway.PredictionBatch
		if i < len(live) {
			at := time.Unix(int64(num(live[i][1])), 0).In(zone)
			model := models[int(at.Month())]
			b := batch("r-"+model, slipway.Champion, model)
			sh := batch("r-next", slipway.Shadow, "delay@v99")
			w.training["delay@v99"] = Training{Signature: sig}
			for i < len(live) && num(live[i][1]) < float64(now.Unix()) {
				r := live[i]
				at := time.Unix(int64(num(r[1])), 0).UTC()
				id := fmt.Sprintf("%032x", i)
				add(b, id, r[0], at, num(r[3]), evalNames, vals(r[5:]))
				if at.Month() == 8 {
					add(sh, id, r[0], at, num(r[4]), evalNames, vals(r[5:]))
				}
				if r[2] != "" {
					dues = append(dues, due{at.Add(24 * time.Hour), slipway.Label{Endpoint: "delay", Key: r[0], Value: num(r[2]), Time: at.Add(24 * time.Hour)}})
				}
				i++
				nrow++
			}
			bs = append(bs, *b)
			if len(sh.ID) > 0 {
				bs = append(bs, *sh)
			}
		}
		w.log.seal(bs...)
		var ls []slipway.Label
		for len(dues) > 0 && dues[0].at.Before(now) {
			ls = append(ls, dues[0].l)
			dues = dues[1:]
		}
		if len(ls) > 0 {
			w.label(ls...)
			nlabel += len(ls)
		}
		start := time.Now()
		w.tick(now)
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	var sum time.Duration
	for _, x := range took {
		sum += x
	}
	t.Logf("rows %d labels %d ticks %d total %s in ticks %s median %s p95 %s max %s", nrow, nlabel, len(took), time.Since(begun), sum, took[len(took)/2], took[len(took)*95/100], took[len(took)-1])
	alarms, err := w.Alarms(t.Context(), "flights", "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(alarms, func(a, b Alarm) int { return a.Since.Compare(b.Since) })
	for _, a := range alarms {
		t.Logf("%s %-8s %-12s until %s  %s", a.Since.In(zone).Format("01-02 15:04"), a.Kind, a.Subject, a.Until.In(zone).Format("01-02 15:04"), a.Detail)
	}
	e, _ := w.endpointNamed(t.Context(), "flights", "delay")
	vs, _ := w.verdictsOf(t.Context(), e.number, time.Time{}, endOfTime)
	single := map[string]int{}
	for _, v := range vs {
		if v.Verdict != OK {
			single[string(v.Verdict)+" "+v.Feature+" "+v.Day.In(zone).Format("01")]++
		}
	}
	for _, k := range slices.Sorted(keysOf(single)) {
		t.Log(k, single[k])
	}
	ws, _ := w.windowsOf(t.Context(), e.number, "", "roc_auc", time.Time{}, endOfTime)
	for k, x := range ws {
		if k%14 == 0 {
			t.Log(x.To.In(zone).Format("01-02"), x.Release, x.Estimate.Value, x.Estimate.Low, x.Estimate.High, x.Verdict, x.Coverage)
		}
	}
	c, err := w.Compare(t.Context(), "flights", "delay", "r-"+models[8], "r-next", time.Date(2013, 8, 1, 0, 0, 0, 0, zone))
	t.Log(len(c.Loss), c.Requests, c.P99, len(c.Failure), err)
	if len(c.Loss) > 3 {
		t.Log(c.Loss[:3])
	}
	q, err := w.Prediction(t.Context(), "flights", fmt.Sprintf("%032x", 200000))
	t.Log(q.Key, q.Model, q.Input, q.Output, q.Label, err)
}
