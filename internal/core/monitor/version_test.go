package monitor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/term"
	"github.com/slipway-ml/slipway/internal/kit/web"
	"github.com/slipway-ml/slipway/internal/stat"
)

func (w *year) compare(in CompareVersion) VersionComparison {
	w.t.Helper()
	in.Endpoint = "delay"
	v, err := w.CompareVersion(w.t.Context(), "flights", in, func(web.Progress) {})
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

// auc is what the test itself finds of the rows between two times.
func (w *year) auc(from, to time.Time) (served, v1 float64, rows int) {
	var a, b stat.Scored
	for _, f := range w.truth {
		if f.at.Before(from) || !f.at.Before(to) {
			continue
		}
		p := f.p2
		if f.servedByV1 {
			p = f.p1
		}
		a.Y, a.P = append(a.Y, f.y), append(a.P, p)
		b.P = append(b.P, f.p1)
	}
	b.Y = a.Y
	return stat.ROCAUC(a), stat.ROCAUC(b), len(a.Y)
}

func TestHadVersionOneStayed(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		w := newYear(t, d)
		steps := 0
		v, err := w.CompareVersion(t.Context(), "flights", CompareVersion{Endpoint: "delay", With: "delay@v1"}, func(p web.Progress) {
			steps++
			if p.Total != 91 || p.Done != int64(steps) {
				t.Errorf("progress %d of %d", p.Done, p.Total)
			}
		})
		if err != nil || len(v.Periods) != 3 || steps != 91 {
			t.Fatalf("%d periods, %d days, %v", len(v.Periods), steps, err)
		}
		worth := []string{}
		for i, p := range append(v.Periods, v.Total) {
			from, to := time.Date(2013, time.Month(4+i), 1, 0, 0, 0, 0, zone), time.Date(2013, time.Month(5+i), 1, 0, 0, 0, 0, zone)
			if i == 3 {
				from, to = start, to.AddDate(1, 0, 0)
			} else if !p.Start.Equal(from) || !p.End.Equal(to) {
				t.Errorf("a month from %v to %v", p.Start, p.End)
			}
			served, v1, rows := w.auc(from, to)
			m := p.Metrics[0]
			if m.Metric != "roc_auc" || p.Rows != rows || p.Answers != rows/2*3 || math.Abs(m.Served.Value-served) > 1e-12 || math.Abs(m.Other.Value-v1) > 1e-12 || math.Abs(m.Gain.Value-(served-v1)) > 1e-12 {
				t.Errorf("%v: %d rows of %d answers, %+v; want %d rows, %v and %v", from, p.Rows, p.Answers, m, rows, served, v1)
			}
			if known := m.Gain.Low <= m.Gain.Value && m.Gain.Value <= m.Gain.High && m.Gain.Blocks > 27; !known {
				t.Errorf("%v: gain %+v", from, m.Gain)
			}
			worth = append(worth, fmt.Sprint(m.Metric, m.Verdict, p.Metrics[1].Metric, p.Metrics[1].Verdict, len(p.Served)))
		}
		want := "roc_auc same log_loss same 1; roc_auc better log_loss better 2; roc_auc better log_loss better 1; roc_auc better log_loss better 2"
		if got := strings.Join(worth, "; "); strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
			t.Errorf("found %s", got)
		}
		if unneeded := w.v1.rows - countIf(w.truth, func(f truthOf) bool { return !f.servedByV1 }); unneeded != 0 {
			t.Errorf("%d rows too many were scored", unneeded)
		}
		// The other way round: version 1's months were worse than version 2 would have been.
		back := w.compare(CompareVersion{With: "delay@v2", Metric: []string{"log_loss"}})
		if a, b := back.Periods[0].Metrics[0], back.Periods[2].Metrics[0]; a.Verdict != Worse || a.Gain.High >= 0 || b.Verdict != Same || len(back.Periods[0].Metrics) != 1 {
			t.Errorf("against version 2: April %+v, June %+v", a, b)
		}
	})
}

func countIf[T any](all []T, holds func(T) bool) (n int) {
	for _, v := range all {
		n += int(number(holds(v)))
	}
	return n
}

func TestPeriodsFollowTheProjectsDays(t *testing.T) {
	w := newYear(t, sqlite(t))
	v := w.compare(CompareVersion{With: "delay@v1", By: "week", From: "2013-05-01", To: "2013-05-20"})
	var got []string
	for _, p := range v.Periods {
		got = append(got, fmt.Sprint(p.Start.In(zone).Format("Mon 2006-01-02 15:04"), " ", p.Rows/2))
	}
	// The first of May is a Wednesday: five days are left of its week.
	want := "Mon 2013-04-29 00:00 120; Mon 2013-05-06 00:00 168; Mon 2013-05-13 00:00 168"
	if strings.Join(got, "; ") != want {
		t.Errorf("weeks %v", got)
	}
	if m := v.Periods[0].Metrics[0]; m.Served.Known() || m.Verdict != Same {
		t.Errorf("five days have no interval: %+v", m)
	}
	v = w.compare(CompareVersion{With: "delay@v1", By: "day", From: "2013-06-03", To: "2013-06-05"})
	if m := v.Periods[0].Metrics[0]; len(v.Periods) != 2 || v.Periods[0].Rows != 48 || m.Served.State != stat.TooFew || m.Verdict != Undecided {
		t.Errorf("a day is one block: %+v", v.Periods)
	}
	// A time cuts a day; the last hour of April in New York is May by UTC.
	v = w.compare(CompareVersion{With: "delay@v1", From: "2013-05-01T03:00:00Z", To: "2013-05-01T05:00:00Z"})
	if len(v.Periods) != 2 || v.Periods[0].Rows != 2 || v.Periods[1].Rows != 2 {
		t.Errorf("around midnight: %+v", v.Periods)
	}
	for _, c := range []struct{ by, day, from, to string }{
		{"month", "2013-03-31", "2013-03-01T05:00:00Z", "2013-04-01T04:00:00Z"}, // summer time begins in it
		{"month", "2013-12-31", "2013-12-01T05:00:00Z", "2014-01-01T05:00:00Z"},
		{"week", "2013-03-10", "2013-03-04T05:00:00Z", "2013-03-11T04:00:00Z"}, // a Sunday of 23 hours
		{"week", "2014-01-01", "2013-12-30T05:00:00Z", "2014-01-06T05:00:00Z"},
		{"day", "2013-11-03", "2013-11-03T04:00:00Z", "2013-11-04T05:00:00Z"},
	} {
		from, to := periodOf(must(dayIn(c.day, zone)), c.by, zone)
		if from.Format(time.RFC3339) != c.from || to.Format(time.RFC3339) != c.to {
			t.Errorf("the %s of %s is %v to %v", c.by, c.day, from, to)
		}
	}
}

func TestWhatCannotBeCompared(t *testing.T) {
	w := newYear(t, sqlite(t))
	half := func([]float64) float64 { return 0.5 }
	regression, classes, three := takes("a"), takes("a"), takes("a")
	regression.Task, regression.Classes = slipway.Regression, nil
	classes.Classes = []string{"late", "punctual"}
	three.Task, three.Classes = slipway.Multiclass, []string{"0", "1", "2"}
	for name, sig := range map[string]slipway.Signature{"wind": takes("a", "wind"), "text": takes("a", "unused"), "regression": regression, "classes": classes, "three": three} {
		w.models[name] = &formula{signature: sig, of: half}
	}
	w.models["silent"] = &formula{signature: takes("a"), of: func([]float64) float64 { return nan }}
	ask := func(in CompareVersion) error {
		_, err := w.CompareVersion(t.Context(), "flights", in, func(web.Progress) {})
		return err
	}
	for _, c := range []struct {
		in   CompareVersion
		code slipway.Code
		says string
	}{
		{CompareVersion{With: "wind"}, slipway.Invalid, "wind takes wind, which the requests that delay@v1 answered do not have"},
		{CompareVersion{With: "text"}, slipway.Invalid, "unused"},
		{CompareVersion{With: "regression"}, slipway.Invalid, "regression"},
		{CompareVersion{With: "classes"}, slipway.Invalid, "late, punctual"},
		{CompareVersion{With: "three"}, slipway.Invalid, "multiclass"},
		{CompareVersion{With: "silent"}, slipway.Invalid, "has no answer"},
		{CompareVersion{With: "delay@v7"}, slipway.NotFound, "delay@v7"},
		{CompareVersion{}, slipway.Invalid, "nothing to compare"},
		{CompareVersion{With: "delay@v1", Endpoint: "other"}, slipway.NotFound, "other"},
		{CompareVersion{With: "delay@v1", By: "year"}, slipway.Invalid, "year"},
		{CompareVersion{With: "delay@v1", Metric: []string{"mae"}}, slipway.Invalid, "mae"},
		{CompareVersion{With: "delay@v1", Metric: []string{"auc_roc"}}, slipway.Invalid, "auc_roc"},
		{CompareVersion{With: "delay@v1", From: "May"}, slipway.Invalid, "May"},
		{CompareVersion{With: "delay@v1", From: "2014-01-01"}, slipway.NotFound, "nothing in that time"},
		{CompareVersion{With: "delay@v1", From: "2013-05-02", To: "2013-05-01"}, slipway.NotFound, "nothing in that time"},
	} {
		if c.in.Endpoint == "" {
			c.in.Endpoint = "delay"
		}
		if err := ask(c.in); !slipway.IsCode(err, c.code) || !strings.Contains(slipway.AsError(err).Message, c.says) {
			t.Errorf("%+v: %v; want %s %q", c.in, err, c.code, c.says)
		}
	}
	stopped, stop := context.WithCancel(t.Context())
	_, err := w.CompareVersion(stopped, "flights", CompareVersion{Endpoint: "delay", With: "delay@v1"}, func(web.Progress) { stop() })
	if !slipway.IsCode(err, slipway.Interrupted) {
		t.Errorf("a comparison that is cancelled ends with %v", err)
	}
}

func TestTimeWithoutLabelsIsUndecided(t *testing.T) {
	w := newWorld(t, sqlite(t), yaml)
	w.models["delay@v1"] = &formula{signature: takes("a"), of: func(r []float64) float64 { return logistic(r[0]) }}
	w.training["delay@v2"] = Training{Signature: takes("a")}
	b := batch("r2", slipway.Champion, "delay@v2")
	add(b, strings.Repeat("a", 32), "", start.Add(time.Hour), 0.4, []string{"a"}, []any{1.0})
	w.log.seal(*b)
	w.tick(start.Add(day))
	v, err := w.CompareVersion(t.Context(), "flights", CompareVersion{Endpoint: "delay", With: "delay@v1"}, func(web.Progress) {})
	if err != nil || v.Total.Answers != 1 || v.Total.Rows != 0 || v.Total.Metrics[0].Verdict != Undecided || !math.IsNaN(v.Total.Metrics[0].Gain.Value) {
		t.Errorf("%+v, %v", v, err)
	}
}

// TestClassesAreMatchedByName compares versions that list their classes in
// another order.
func TestClassesAreMatchedByName(t *testing.T) {
	w := newWorld(t, sqlite(t), yaml)
	sure := slipway.Signature{Task: slipway.Multiclass, Classes: []string{"c", "a", "b"}, Input: slipway.Schema{{Name: "x", Type: slipway.Float}},
		Output: slipway.Schema{{Name: "c", Type: slipway.Float}, {Name: "a", Type: slipway.Float}, {Name: "b", Type: slipway.Float}}}
	vague := sure
	vague.Classes = []string{"a", "b", "c"}
	w.training["delay@v2"], w.models["delay@v1"] = Training{Signature: sure}, &vagueModel{vague}
	b := batch("r2", slipway.Champion, "delay@v2")
	b.Output = &slipway.Frame{Series: []slipway.Series{{Name: "c", Type: slipway.Float}, {Name: "a", Type: slipway.Float}, {Name: "b", Type: slipway.Float}}}
	var labels []slipway.Label
	for i := range 30 {
		id, at := fmt.Sprintf("%032x", i), start.Add(time.Duration(i)*time.Minute)
		add(b, id, "", at, 0.1, []string{"x"}, []any{0.0})
		b.Output.Series[1].Float = append(b.Output.Series[1].Float, 0.1)
		b.Output.Series[2].Float = append(b.Output.Series[2].Float, 0.8)
		labels = append(labels, slipway.Label{Prediction: id, Value: "b", Time: at.Add(time.Hour)})
	}
	w.log.seal(*b)
	w.tick(start.Add(day))
	w.label(labels...)
	w.tick(start.Add(3 * day))
	v, err := w.CompareVersion(t.Context(), "flights", CompareVersion{Endpoint: "delay", With: "delay@v1", Metric: []string{"log_loss"}}, func(web.Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	m := v.Total.Metrics[0]
	if v.Total.Rows != 30 || math.Abs(m.Served.Value+math.Log(0.8)) > 1e-9 || math.Abs(m.Other.Value+math.Log(0.5)) > 1e-9 {
		t.Errorf("%+v", v.Total)
	}
}

func TestCompareCommand(t *testing.T) {
	w := newYear(t, sqlite(t))
	api := web.NewAPI("test")
	w.Routes(api)
	w.jobs.Routes(api)
	run := func(role slipway.Role, line ...string) (string, error) {
		var out, errs bytes.Buffer
		e := &cli.Env{IO: &term.IO{Out: &out, Err: &errs}, Dir: t.TempDir(), ProjectFlag: "flights", Getenv: func(string) string { return "" },
			Client: func(context.Context) (web.Client, error) {
				return web.InProcess(api.Mux, slipway.Principal{Name: "ana", Role: role}), nil
			}}
		root := &cobra.Command{Use: "slipway", SilenceErrors: true, SilenceUsage: true}
		root.PersistentFlags().BoolVar(&e.IO.JSON, "json", false, "")
		root.AddCommand(Commands(e)...)
		root.SetArgs(append([]string{"monitor", "compare"}, line...))
		err := root.ExecuteContext(t.Context())
		return out.String(), err
	}
	out, err := run(slipway.Writer, "--with", "delay@v1", "--metric", "roc_auc", "--metric", "brier")
	if err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + out)
	lines := strings.Split(out, "\n")
	if !strings.HasPrefix(lines[0], "MONTH\tROWS\tMODELS\tROC_AUC SERVED\tV1\tGAIN\tVERDICT") || !strings.HasPrefix(lines[1], "2013-04\t1440\tv1\t") || !strings.HasSuffix(lines[1], "+0.0000 [+0.0000, +0.0000]\tsame") ||
		!strings.HasPrefix(lines[2], "2013-05\t1488\tv1, v2\t") || !strings.HasSuffix(lines[4], "better") || !strings.Contains(out, "BRIER SERVED") || !strings.Contains(out, "2,184 of 6,552 answers have no label") {
		t.Errorf("printed\n%s", out)
	}
	out, err = run(slipway.Writer, "--with", "delay@v1", "--json")
	var v VersionComparison
	if err != nil || json.Unmarshal([]byte(out), &v) != nil || v.With != "delay@v1" || len(v.Total.Metrics) != 2 {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := run(slipway.Writer); !slipway.IsCode(err, slipway.Invalid) {
		t.Errorf("without --with: %v", err)
	}
	if _, err := run(slipway.Writer, "--with", "delay@v9"); !slipway.IsCode(err, slipway.NotFound) {
		t.Errorf("an unknown version: %v", err)
	}
	if _, err := run(slipway.Reader, "--with", "delay@v1"); !slipway.IsCode(err, slipway.Denied) {
		t.Errorf("a reader has models compute: %v", err)
	}
}
