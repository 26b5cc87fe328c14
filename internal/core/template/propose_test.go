package template

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestProposals shows what is made of files of many kinds. The last column of
// each is its target unless said otherwise.
func TestProposals(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	at := func(i int, layout string) string {
		return time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * 7 * time.Hour).Format(layout)
	}
	for name, c := range map[string]struct {
		header string
		row    func(i int) string
		args   []string
		want   string // target task time key split dropped
	}{
		"iso times": {"when,a,y", func(i int) string { return fmt.Sprintf("%s,%d,%d", at(i, time.RFC3339), i%9, r.IntN(2)) }, nil, "y binary when - time -"},
		"days and hours": {"day,hour,a,y", func(i int) string {
			return fmt.Sprintf("%s,%s,%d,%g", at(i, "2006-01-02"), at(i, "15"), i%9, r.Float64())
		}, nil, "y regression day + hour * INTERVAL 1 HOUR - time -"},
		"days as a number": {"date,a,y", func(i int) string { return fmt.Sprintf("%s,%d,%d", at(i, "20060102"), i%9, r.IntN(2)) }, nil, "y binary try_strptime(date::VARCHAR, ['%Y%m%d']) - time -"},
		"unix seconds":     {"ts,a,y", func(i int) string { return fmt.Sprintf("%d,%d,%d", 1_700_000_000+i*977, i%9, r.IntN(2)) }, nil, "y binary to_timestamp(ts) - time -"},
		"a birthday is no time": {"date_of_birth,a,y", func(i int) string { return fmt.Sprintf("%s,%d,%d", at(i*37%600, "2006-01-02"), i%9, r.IntN(2)) }, nil,
			"y binary - - hash -"},
		"an order":                 {"step,a,y", func(i int) string { return fmt.Sprintf("%d,%d,%d", i/3, i%9, r.IntN(2)) }, nil, "y binary order:step - order -"},
		"sorted by something else": {"price,a,y", func(i int) string { return fmt.Sprintf("%d,%d,%d", i/3, i%9, r.IntN(2)) }, nil, "y binary - - hash -"},
		"sorted by class and time": {"when,a,y", func(i int) string { return fmt.Sprintf("%s,%d,%d", at(i, time.RFC3339), i%9, i/350) }, nil, "y binary when - hash -"},
		"numbered rows":            {"id,a,y", func(i int) string { return fmt.Sprintf("%d,%d,%d", i, i%9, r.IntN(2)) }, nil, "y binary - id hash -"},
		"a sum gives it away": {"a,b,c,total", func(i int) string {
			a, b := r.IntN(50), r.IntN(50)
			return fmt.Sprintf("%d,%d,%d,%d", a, b, i%9, a+b)
		}, nil, "total regression - - hash a b"},
		"the same in other units": {"km,a,miles", func(i int) string { v := r.Float64() * 100; return fmt.Sprintf("%.6f,%d,%.6f", v*1.609344, i%9, v) }, nil, "miles regression - - hash km"},
		"a code of the class": {"code,a,kind", func(i int) string {
			k := r.IntN(3)
			return fmt.Sprintf("%d,%d,%s", 10+k, i%9, []string{"red", "green", "blue"}[k])
		}, nil, "kind multiclass - - hash code"},
		"stars are classes": {"a,stars", func(i int) string { return fmt.Sprintf("%d,%d", i%9, 1+r.IntN(5)) }, nil, "stars multiclass - - hash -"},
		"points are not":    {"a,points", func(i int) string { return fmt.Sprintf("%d,%d", i%9, 3+r.IntN(7)) }, nil, "points regression - - hash -"},
		"a name that says it": {"churn,a,b", func(i int) string {
			return fmt.Sprintf("%s,%d,%d", []string{"yes", "no"}[r.IntN(2)], i%9, i%7)
		}, nil, "churn binary - - hash -"},
		"the user knows": {"when,a,b,y", func(i int) string { return fmt.Sprintf("%s,%d,%d,%d", at(i, time.RFC3339), i%9, i%7, r.IntN(2)) },
			[]string{"--target", "b", "--task", "multiclass", "--time", "none", "--key", "when"}, "b multiclass - when hash -"},
	} {
		t.Run(name, func(t *testing.T) {
			s := begin(t)
			s.file("f.csv", rowsOf(700, c.header, c.row))
			p := s.plan(append([]string{"p", "--from", "f.csv"}, c.args...)...)
			when := p.Time.Expression
			if len(p.Time.Order) > 0 {
				when = "order:" + strings.Join(p.Time.Order, ",")
			}
			var dropped []string
			for _, d := range p.Dropped {
				dropped = append(dropped, d.Column)
			}
			dash := func(s string) string {
				if s == "" {
					return "-"
				}
				return s
			}
			got := fmt.Sprintf("%s %s %s %s %s %s", p.Target.Column, p.Target.Task, dash(when), dash(p.Key), p.Split, dash(strings.Join(dropped, " ")))
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			loads(t, s.dir+"/p")
		})
	}
}

func TestPositiveClass(t *testing.T) {
	for want, values := range map[string][]value{
		"yes":  {{"no", 5}, {"yes", 90}},
		"bad":  {{"bad", 50}, {"good", 90}},
		"rare": {{"often", 90}, {"rare", 9}},
		">50K": {{"<=50K", 90}, {">50K", 30}},
	} {
		if got := values[positiveOf(values)].Text; got != want {
			t.Errorf("%v: %s", values, got)
		}
	}
}

func TestFeatureNames(t *testing.T) {
	used := map[string]bool{"a_b": true}
	for name, want := range map[string]string{"a b": "a_b_", "Größe (cm)": "Größe_cm", `x"{}[],:`: "x", "€": "column", "ok": "ok"} {
		if got := featureName(name, used); got != want {
			t.Errorf("%s became %s, not %s", name, got, want)
		}
	}
}

func TestStrangers(t *testing.T) {
	s := begin(t)
	s.file("f.csv", rowsOf(400, "a,b,y", func(i int) string {
		a := fmt.Sprint(i % 17)
		if i%20 == 3 {
			a = "n.v."
		}
		return fmt.Sprintf("%s,%s,%d", a, []string{"1", "2", "high", "low", "mid", "top"}[i%6], i*i%7%2)
	}))
	p := s.plan("p", "--from", "f.csv")
	if !slices.Equal(p.Read.Missing, []string{"n.v."}) || len(p.features(Numeric)) != 1 || len(p.features(Categorical)) != 1 {
		t.Errorf("%v %+v", p.Read.Missing, p.Feature)
	}
}
