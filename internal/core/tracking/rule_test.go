package tracking

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/filter"
)

// FuzzFilter: any text is read or refused, never a panic, and what is refused
// is the caller's fault.
func FuzzFilter(f *testing.F) {
	for _, s := range []string{"metrics.auc > 0.8 AND params.m = 'x'", "tags.`a b` ILIKE '%''%'", "run_id NOT IN ('a','b')", "params.x IS NOT NULL", "attributes.start_time >= 1e3", "metrics.\"a\".b != -.5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, g := range []filter.Grammar{runGrammar, experimentGrammar, modelGrammar} {
			if _, err := g.Parse(s); err != nil && !slipway.IsCode(err, slipway.Invalid) {
				t.Fatalf("%q: %v", s, err)
			}
			if _, err := g.Order([]string{s}); err != nil && !slipway.IsCode(err, slipway.Invalid) {
				t.Fatalf("%q: %v", s, err)
			}
		}
	})
}

func TestFilterIsRead(t *testing.T) {
	got, err := runGrammar.Parse("metrics.a-b/c.d >= -1.5e2 aNd `params`.1 = \"it's\" and tag.'x y' not in ('q')")
	if err == nil {
		t.Errorf("NOT IN on a tag was accepted: %v", got)
	}
	got, err = runGrammar.Parse("metrics.a-b/c.d >= -1.5e2 aNd `params`.1 = \"it's\" and tag.\"x y\" LIKE '100%' and Created < 5")
	want := []Condition{
		{Field: Field{Of: OfMetric, Key: "a-b/c.d"}, Op: ">=", Number: -150},
		{Field: Field{Of: OfParam, Key: "1"}, Op: "=", Text: []string{"it's"}},
		{Field: Field{Of: OfTag, Key: "x y"}, Op: "LIKE", Text: []string{"100%"}},
		{Field: Field{Of: OfAttribute, Key: "start_time"}, Op: "<", Number: 5},
	}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Error(err, d)
	}
}

func genPoint(t *rapid.T) Point {
	return Point{rapid.Int64().Draw(t, "step"), rapid.Int64Range(0, math.MaxInt64).Draw(t, "time"), Number(rapid.Float64().Draw(t, "value"))}
}

// TestChunkKeepsEveryBit: decoding undoes encoding, for any steps and times.
func TestChunkKeepsEveryBit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		points := rapid.SliceOf(rapid.Custom(genPoint)).Draw(t, "points")
		got, err := decodePoints(nil, encodePoints(points))
		if err != nil || !slices.Equal(points, got) {
			t.Fatalf("%v, %v", got, err)
		}
	})
}

func TestADamagedChunkIsRefused(t *testing.T) {
	b := encodePoints([]Point{{1, 2, 3}, {1 << 40, 5, 6}})
	for n := 1; n < len(b); n++ {
		if n == 10 {
			continue // the end of the first point
		}
		if _, err := decodePoints(nil, b[:n]); err == nil {
			t.Errorf("the first %d bytes were accepted", n)
		}
	}
}

// TestSampleKeepsExtremes: thinning keeps the lowest and highest value, the
// order, and the size asked for.
func TestSampleKeepsExtremes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(-1e6, 1e6), 1, 500).Draw(t, "values")
		n := rapid.IntRange(2, 100).Draw(t, "n")
		points := make([]Point, len(values))
		for i, v := range values {
			points[i] = Point{int64(i), int64(i), Number(v)}
		}
		got := Sample(points, n)
		if len(got) > max(n, 1) || !slices.IsSortedFunc(got, Point.compare) {
			t.Fatalf("%d points of %d for %d", len(got), len(points), n)
		}
		low := func(a, b Point) int { return compareValue(a.Value, b.Value) }
		if slices.MinFunc(got, low).Value != Number(slices.Min(values)) || slices.MaxFunc(got, low).Value != Number(slices.Max(values)) {
			t.Fatal("an extreme is gone")
		}
	})
}

func TestKeys(t *testing.T) {
	for _, key := range []string{"a", "train/loss", "a b", "ä.b:c-d_e", "1"} {
		if err := checkKey("key", key); err != nil {
			t.Errorf("%q: %v", key, err)
		}
	}
	for _, key := range []string{"", "..", "a/../b", "/a", "a//b", "a/", ".", "a\nb", "a;b", strings.Repeat("x", 251)} {
		if err := checkKey("key", key); !slipway.IsCode(err, slipway.Invalid) {
			t.Errorf("%q: %v", key, err)
		}
	}
	if got := cut("äöü", 2); got != "äö" {
		t.Errorf("cut = %q", got)
	}
}

// TestCacheNeverKeepsWhatIsOld: a reader whose snapshot is older than a write
// does not put its run back after the write dropped it.
func TestCacheNeverKeepsWhatIsOld(t *testing.T) {
	c := newRunCache()
	at := c.now() // a reader begins
	c.forget(7)   // a writer commits
	c.put(&Run{number: 7}, at)
	if c.get(7) != nil {
		t.Error("an old run was kept")
	}
	c.put(&Run{number: 7}, c.now())
	if c.get(7) == nil {
		t.Error("a new run was not kept")
	}
}
