package tree

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// grown is a random ensemble of the shape that a library would train: full
// trees of one depth (XGBoost), or leaf-wise trees of so many leaves (LightGBM).
// Covers are what a training set of 10,000 rows would leave behind.
func grown(trees, depth, leaves, features, categorical int, float32Model bool, seed uint64) *Ensemble {
	rng := rand.New(rand.NewPCG(seed, 1))
	e := &Ensemble{Source: "test", Outputs: 1, Base: []float64{0.5}, Float32: float32Model, Coefficient: 1,
		Features: make([]string, features), Categories: make([][]string, features)}
	for i := range e.Features {
		e.Features[i] = fmt.Sprintf("f%d", i)
	}
	for range trees {
		t := Tree{Nodes: []Node{{Cover: 10000}}}
		type open struct{ node, depth int }
		front := []open{{0, 0}}
		for count := 1; len(front) > 0 && (leaves == 0 || count < leaves); count++ {
			k := 0
			if leaves > 0 { // leaf-wise growth prefers the heaviest of a few
				for range 3 {
					if c := rng.IntN(len(front)); t.Nodes[front[c].node].Cover > t.Nodes[front[k].node].Cover {
						k = c
					}
				}
			}
			o := front[k]
			front = append(front[:k], front[k+1:]...)
			share := 0.1 + 0.8*rng.Float64()
			n := &t.Nodes[o.node]
			n.Left, n.Right, n.Feature = int32(len(t.Nodes)), int32(len(t.Nodes)+1), int32(rng.IntN(features))
			n.Threshold, n.Missing, n.DefaultLeft = float64(float32(rng.NormFloat64())), MissingNaN, rng.IntN(2) == 0
			if int(n.Feature) < categorical {
				set := []int32{}
				for c := range int32(100) {
					if rng.IntN(3) == 0 {
						set = append(set, c)
					}
				}
				t.Sets = append(t.Sets, set)
				n.Set, n.SetRight, n.DefaultLeft = int32(len(t.Sets)), float32Model, false
			}
			cover := n.Cover
			t.Nodes = append(t.Nodes, Node{Cover: cover * share}, Node{Cover: cover * (1 - share)})
			for i := range 2 {
				if leaves > 0 || o.depth+1 < depth {
					front = append(front, open{len(t.Nodes) - 2 + i, o.depth + 1})
				}
			}
		}
		for i := range t.Nodes {
			if t.Nodes[i].Leaf() {
				t.Nodes[i].Value = float64(float32(0.1 * rng.NormFloat64()))
			}
		}
		e.Trees = append(e.Trees, t)
	}
	if err := e.settle(); err != nil {
		panic(err)
	}
	return e
}

// sample draws rows for grown: codes, then normal numbers, 2 % of them missing.
func sample(e *Ensemble, rows, categorical int, seed uint64) []float64 {
	rng := rand.New(rand.NewPCG(seed, 2))
	x := make([]float64, rows*len(e.Features))
	for i := range x {
		switch {
		case rng.IntN(50) == 0:
			x[i] = math.NaN()
		case i%len(e.Features) < categorical:
			x[i] = float64(rng.IntN(110))
		default:
			x[i] = rng.NormFloat64()
		}
	}
	return x
}

// shapes are the models that the benchmarks run: M500 (500 trees of depth 6 on
// 30 features), and leaf-wise trees as LightGBM makes them.
var shapes = []struct {
	name        string
	categorical int
	make        func() *Ensemble
}{
	{"M500", 0, func() *Ensemble { return grown(500, 6, 0, 30, 0, true, 1) }},
	{"Leaf63", 0, func() *Ensemble { return grown(500, 0, 63, 30, 0, false, 2) }},
	{"Leaf63Cat", 6, func() *Ensemble { return grown(500, 0, 63, 30, 6, false, 3) }},
}

// forest is a shape of its own, since its SHAP values take seconds: 100 deep trees
// as scikit-learn makes them.
func forest() *Ensemble {
	e := grown(100, 0, 2315, 30, 0, false, 4)
	e.Round32, e.Plain, e.Average, e.Base[0] = true, true, true, 0
	return e
}
