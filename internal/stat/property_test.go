package stat

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func drawCounts(t *rapid.T, n int, name string) []float64 {
	out := make([]float64, n)
	for i, c := range rapid.SliceOfN(rapid.IntRange(0, 50), n, n).Draw(t, name) {
		out[i] = float64(c)
	}
	out[0]++
	return out
}

// Distances are at least 0, at most their bound, 0 between equal shares, and
// the symmetric ones do not care which side is the reference.
func TestDistancesAreDistances(t *testing.T) {
	bound := map[string]float64{"js": 1, "ks": 1, "tvd": 1, "linf": 1, "hellinger": 1, "chi2": 1, "psi": math.Inf(1), "kl": math.Inf(1)}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 12).Draw(t, "cells")
		p, q := drawCounts(t, n, "p"), drawCounts(t, n, "q")
		twice := make([]float64, n)
		for i := range p {
			twice[i] = 2 * p[i]
		}
		for _, d := range DriftStatistics {
			v := d.Of(p, q)
			if !(v >= 0) || v > bound[d.Name]+1e-12 {
				t.Fatalf("%s = %v", d.Name, v)
			}
			if same := d.Of(p, twice); same > 1e-7 {
				t.Fatalf("%s of equal shares = %v", d.Name, same)
			}
			if back := d.Of(q, p); d.Name != "kl" && !near(back, v, 1e-9) {
				t.Fatalf("%s is %v one way and %v the other", d.Name, v, back)
			}
		}
		edges := make([]float64, n+1)
		for i := range edges {
			edges[i] = float64(i)
		}
		if w := WassersteinOfCounts(edges, p, q); !(w >= 0) || w > float64(n) || WassersteinOfCounts(edges, p, twice) > 1e-9 {
			t.Fatalf("Wasserstein %v", w)
		}
	})
}

// Counting parts and merging is counting the whole, through JSON too.
func TestMergedCountersCountTheUnion(t *testing.T) {
	value := rapid.OneOf(rapid.Float64(), rapid.Float64Range(-5, 5), rapid.SampledFrom([]float64{0, 1, math.NaN(), math.Inf(1), math.Inf(-1)}))
	rapid.Check(t, func(t *rapid.T) {
		edges := Edges(rapid.SliceOfN(rapid.Float64Range(-5, 5), 0, 60).Draw(t, "reference"), rapid.IntRange(1, 20).Draw(t, "bins"))
		a, b := rapid.SliceOf(value).Draw(t, "a"), rapid.SliceOf(value).Draw(t, "b")
		one, two, all := NewCounter(edges), NewCounter(edges), NewCounter(edges)
		for _, v := range a {
			one.Add(v)
			all.Add(v)
		}
		for _, v := range b {
			two.Add(v)
			all.Add(v)
		}
		two.AddNull(3)
		all.AddNull(3)
		text, err := json.Marshal(two)
		if err != nil {
			t.Fatal(err)
		}
		var read Counter
		if err := json.Unmarshal(text, &read); err != nil {
			t.Fatal(err)
		}
		if len(read.Edges) == 0 {
			read.Edges = edges
		}
		if err := one.Merge(&read); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(all, one); diff != "" {
			t.Fatal(diff)
		}
		if all.Rows() != int64(len(a)+len(b)+3) {
			t.Fatalf("%d rows of %d", all.Rows(), len(a)+len(b)+3)
		}
		if cells := all.Cells(Rollup(all.Counts, 5)); int64(total(cells)) != all.Rows() {
			t.Fatalf("cells hold %v of %d rows", total(cells), all.Rows())
		}
	})
}

func drawBinary(t *rapid.T) (Scored, []int) {
	n := rapid.IntRange(2, 60).Draw(t, "rows")
	s, block := Scored{}, make([]int, n)
	for i := range n {
		s.Y = append(s.Y, float64(rapid.IntRange(0, 1).Draw(t, "y")))
		s.P = append(s.P, float64(rapid.IntRange(0, 20).Draw(t, "p"))/20)
		block[i] = rapid.IntRange(0, 5).Draw(t, "block")
	}
	return s, block
}

// Any metric with blocks counted some times equals the metric of the rows
// written out so many times.
func TestBlocksCountedTwiceAreRowsWrittenTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, block := drawBinary(t)
		b, err := groupBlocks(block, len(s.Y))
		if err != nil {
			t.Fatal(err)
		}
		mult := make([]float64, b.groups)
		for i := range mult {
			mult[i] = float64(rapid.IntRange(0, 3).Draw(t, "times"))
		}
		mult[0]++
		var repeated Scored
		for i, g := range b.group {
			for range int(mult[g]) {
				repeated.Y, repeated.P = append(repeated.Y, s.Y[i]), append(repeated.P, s.P[i])
			}
		}
		for _, m := range Metrics {
			if !m.For(Binary) && !m.For(Regression) || len(repeated.Y) < 2 {
				continue
			}
			got, want := m.byBlock(s, b.group, b.groups)(mult), m.of(repeated)
			if !near(got, want, 1e-9) {
				t.Fatalf("%s by block %v, by row %v", m.Name, got, want)
			}
		}
	})
}

// AUC depends on the order of the scores only, and turns round with them.
func TestAUCIsOfRanks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, _ := drawBinary(t)
		stretched, reversed := s, s
		stretched.P, reversed.P = make([]float64, len(s.P)), make([]float64, len(s.P))
		for i, p := range s.P {
			stretched.P[i], reversed.P[i] = math.Exp(5*p), -p
		}
		auc := ROCAUC(s)
		if !near(ROCAUC(stretched), auc, 1e-12) || !near(ROCAUC(reversed), 1-auc, 1e-12) {
			t.Fatalf("%v, stretched %v, reversed %v", auc, ROCAUC(stretched), ROCAUC(reversed))
		}
		twins := Scored{Y: s.Y, P: make([]float64, 2*len(s.P)), Classes: 2}
		for i, p := range s.P {
			twins.P[2*i], twins.P[2*i+1] = 1-p, p
		}
		for _, name := range []string{"roc_auc", "log_loss", "f1", "ece_quantile"} {
			m, _ := Lookup(name)
			one, err1 := m.Of(s)
			two, err2 := m.Of(twins)
			if err1 != nil || err2 != nil || !near(one, two, 1e-12) {
				t.Fatalf("%s of one column %v %v, of two %v %v", name, one, err1, two, err2)
			}
		}
	})
}

// The q-values keep the order of the p-values and are never smaller.
func TestFalseDiscoveryKeepsOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SliceOf(rapid.Float64Range(0, 1)).Draw(t, "p")
		q := FalseDiscovery(p)
		for i := range p {
			if q[i] < p[i] || q[i] > 1 {
				t.Fatalf("p %v, q %v", p[i], q[i])
			}
			for j := range p {
				if p[i] < p[j] && q[i] > q[j] {
					t.Fatalf("order: %v %v", p, q)
				}
			}
		}
	})
	if q := FalseDiscovery([]float64{math.NaN(), 0.04}); !math.IsNaN(q[0]) || q[1] != 0.04 {
		t.Errorf("a test that was not made counts: %v", q)
	}
}

// Bins are ordered, cover the values, and hold nearly equal mass where values
// differ; a value that repeats has its own bin.
func TestEdgesCoverTheReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(-1e6, 1e6), 1, 300).Draw(t, "values")
		c := NewCounter(Edges(values, rapid.IntRange(1, 50).Draw(t, "bins")))
		for _, v := range values {
			c.Add(v)
		}
		if c.Below+c.Above+c.NaN != 0 {
			t.Fatalf("values of the reference lie outside its bins: %+v", c)
		}
		for i := 1; i < len(c.Edges); i++ {
			if c.Edges[i] < c.Edges[i-1] {
				t.Fatalf("edges fall: %v", c.Edges)
			}
		}
	})
	var values []float64
	for i := range 1000 {
		values = append(values, float64(max(0, i-500)))
	}
	c := NewCounter(Edges(values, 20))
	for _, v := range values {
		c.Add(v)
	}
	if c.Counts[0] != 501 {
		t.Errorf("501 zeros have a bin of %d", c.Counts[0])
	}
	if q := c.Quantile(0.75); math.Abs(q-250) > 30 {
		t.Errorf("the 0.75 quantile of the counter is %v", q)
	}
}
