package query

import (
	"context"
	"fmt"
	"math"
	"testing"

	slipway "github.com/slipway-ml/slipway"
)

var levels = []float64{0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99}

func summarize(t *testing.T, e *Engine, sql string) *Summary {
	t.Helper()
	s, err := e.Summarize(context.Background(), SummaryRequest{Request: Request{SQL: sql}, Levels: levels, Bins: 32, Top: 25, Days: "at"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The one pass must say what DuckDB's exact aggregates say, and stay within its
// stated error where it estimates.
func TestSummaryAgreesWithExactAggregates(t *testing.T) {
	e := engine(t)
	const rows = `SELECT i, (hash(i) % 1000003) / 7.0 AS x, CASE WHEN i % 10 <> 0 THEN (hash(i + 1) % 50)::BIGINT END AS few,
		'v' || (hash(i + 2) % 3000) AS word, 'u' || hash(i) AS unique_word, i % 3 = 0 AS flag, TIMESTAMPTZ '2024-01-01 00:00:00+00' + to_minutes(i) AS at,
		CASE i % 1000 WHEN 0 THEN 'NaN'::DOUBLE WHEN 1 THEN 'inf'::DOUBLE WHEN 2 THEN NULL ELSE i / 2 END AS odd FROM range(300000) r(i)`
	s := summarize(t, e, rows)
	exact := run(t, e, Request{SQL: `SELECT avg(x), stddev_samp(x), quantile_cont(x, 0.5), count(DISTINCT x), min(x), max(x), quantile_cont(few, 0.25), count(DISTINCT word),
		count(*) FILTER (WHERE word = 'v7'), quantile_cont(x, 0.99), count(*) FILTER (WHERE x < min_x + width) FROM (` + rows + `), (SELECT min(x) AS min_x, (max(x) - min(x)) / 32 AS width FROM (` + rows + `))`}).Rows[0]
	is := func(i int) float64 {
		switch v := exact[i].(type) {
		case int64:
			return float64(v)
		case float64:
			return v
		}
		t.Fatalf("%v", exact[i])
		return 0
	}
	near := func(what string, got, want, relative float64) {
		t.Helper()
		if math.Abs(got-want) > relative*math.Max(1e-12, math.Abs(want)) {
			t.Errorf("%s: %g, want %g", what, got, want)
		}
	}
	c := map[string]ColumnSummary{}
	for _, one := range s.Columns {
		c[one.Name] = one
	}
	x := c["x"]
	near("mean", x.Number.Mean, is(0), 1e-12)
	near("sd", x.Number.SD, is(1), 1e-9)
	near("median", x.Number.Quantiles[3], is(2), 0.015)
	near("99 %", x.Number.Quantiles[6], is(9), 0.005)
	near("distinct", float64(x.Distinct), is(3), 0.06)
	near("min", x.Number.Min, is(4), 0)
	near("max", x.Number.Max, is(5), 0)
	near("first bin", float64(x.Number.Bins[0]), is(10), 0)
	near("exact quantile", c["few"].Number.Quantiles[2], is(6), 0)
	near("words", float64(c["word"].Distinct), is(7), 0)
	if !x.Estimated || c["word"].Estimated || c["few"].Missing != 30000 || c["few"].Distinct != 50 || !c["i"].Rising || x.Rising {
		t.Errorf("%+v", s.Columns)
	}
	for _, v := range c["word"].Top {
		if n := run(t, e, Request{SQL: "SELECT count(*) FROM (" + rows + ") WHERE word = ?", Params: []any{v.Value}}).Rows[0][0]; n != v.Count {
			t.Errorf("%s: %d, want %v", v.Value, v.Count, n)
		}
		break
	}
	near("different texts", float64(c["unique_word"].Distinct), 300000, 0.06)
	if len(c["unique_word"].Top) != 0 || c["odd"].Missing != 900 || c["odd"].Infinite != 300 || c["odd"].Number.Max != 149999.5 {
		t.Errorf("%+v", c["odd"])
	}
	if f := c["flag"]; f.Top[0] != (ValueCount{"false", 200000}) || f.Number.Mean != 1.0/3 {
		t.Errorf("%+v", f)
	}
	if d := c["at"].Days; len(d) != 209 || d[0] != (ValueCount{"2024-01-01", 1440}) || d[208].Count != 300000-208*1440 {
		t.Errorf("%d days, %v", len(d), d[len(d)-1])
	}
	if len(s.Correlation) == 0 || s.Correlation[0].A != "i" || s.Correlation[0].B != "odd" || s.Correlation[0].R < 0.99999 {
		t.Errorf("%+v", s.Correlation)
	}
	if again := summarize(t, e, rows); fmt.Sprint(again.Columns[1].Number.Quantiles) != fmt.Sprint(x.Number.Quantiles) {
		t.Error("the same rows give another sample")
	}
}

// A value that is frequent is found among more different ones than are held.
func TestFrequentTextAmongManyRareOnes(t *testing.T) {
	e := engine(t)
	s := summarize(t, e, `SELECT CASE WHEN i % 4 = 0 THEN 'often' WHEN i % 4 = 1 THEN 'also' ELSE 'r' || (i % 200000) END AS w FROM range(1000000) r(i)`)
	top := s.Columns[0].Top
	if len(top) < 2 || top[0].Count != 250000 || top[1].Count != 250000 {
		t.Errorf("%+v", top)
	}
}

func TestSummaryOfNothing(t *testing.T) {
	e := engine(t)
	s := summarize(t, e, `SELECT 1::BIGINT AS a, ''::VARCHAR AS b, NULL::DOUBLE AS c WHERE false`)
	if s.Rows != 0 || s.Columns[0].Number != nil || s.Columns[1].Text != nil {
		t.Errorf("%+v", s)
	}
	s = summarize(t, e, `SELECT NULL::DOUBLE AS c, 5 AS one FROM range(3)`)
	if s.Columns[0].Missing != 3 || s.Columns[1].Number.SD != 0 || s.Columns[1].Number.Quantiles[3] != 5 {
		t.Errorf("%+v", s)
	}
	_, err := e.Summarize(context.Background(), SummaryRequest{Request: Request{SQL: "SELECT nosuch"}})
	expect(t, err, slipway.Invalid, "nosuch")
}

func TestPersonalDataIsRecognised(t *testing.T) {
	for kind, list := range map[string][]string{
		"email": {"a@b.org", "c.d@e.co.uk", "x+y@z.com"},
		"phone": {"+49 30 1234567", "(212) 555-0100", "030 1234-567"},
		"card":  {"4111 1111 1111 1111", "5500005555555559", "340000000000009"},
		"ssn":   {"123-45-6789", "987-65-4321", "111-22-3333"},
		"ip":    {"10.0.0.1", "2001:db8::1", "192.168.1.9"},
		"iban":  {"DE89370400440532013000", "GB82WEST12345698765432", "NO9386011117947"},
		"":      {"2013-01-02", "12345678", "N4123"},
	} {
		var entries []textEntry
		for _, s := range list {
			entries = append(entries, textEntry{text: s, count: 1})
		}
		if got := looksLike(entries); got != kind {
			t.Errorf("%v look like %q, want %q", list, got, kind)
		}
	}
}
