package stat

import (
	"math"
	"math/rand/v2"
	"testing"
)

func BenchmarkCounterAdd(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	values := make([]float64, 1<<14)
	for i := range values {
		values[i] = r.NormFloat64()
	}
	c := NewCounter(Edges(values, FineBins))
	i := 0
	for b.Loop() {
		c.Add(values[i&(1<<14-1)])
		i++
	}
}

func TestBinCountsWhatLinearSearchCounts(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		values := make([]float64, 1+r.IntN(400))
		for i := range values {
			values[i] = math.Round(r.NormFloat64()*10) / float64(1+r.IntN(4))
		}
		edges := Edges(values, 1+r.IntN(60))
		for _, v := range values {
			want := 0
			for want < len(edges)-2 && edges[want+1] <= v {
				want++
			}
			if got := bin(edges, v); got != want {
				t.Fatalf("%v in %v: bin %d, want %d", v, edges, got, want)
			}
		}
	}
}
