package tree

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
)

// awkward is a small random model with every kind of split and several outputs,
// and rows that lie on its thresholds, at infinity, near zero and in categories
// that it never saw.
func awkward(seed uint64, depth, leaves, features int) (*Ensemble, []float64, int) {
	rng := rand.New(rand.NewPCG(seed, 9))
	categorical := rng.IntN(2) * rng.IntN(features)
	e := grown(1+rng.IntN(30), depth, leaves, features, categorical, rng.IntN(2) == 0, seed)
	e.Outputs = 1 + rng.IntN(3)
	e.Base = make([]float64, e.Outputs)
	e.Average = !e.Float32 && rng.IntN(3) == 0
	var thresholds []float64
	for i := range e.Trees {
		e.Trees[i].Output = i % e.Outputs
		for j := range e.Trees[i].Nodes {
			n := &e.Trees[i].Nodes[j]
			if n.Leaf() || n.Set != 0 {
				continue
			}
			if rng.IntN(5) == 0 {
				n.Threshold = []float64{0, -zeroThreshold, zeroThreshold, 1e-40}[rng.IntN(4)]
			}
			if e.Float32 {
				n.Threshold = float64(float32(n.Threshold))
			} else {
				n.Missing = Missing(rng.IntN(3))
				if rng.IntN(8) == 0 {
					n.Threshold = math.Inf(1 - 2*rng.IntN(2))
				}
			}
			thresholds = append(thresholds, n.Threshold)
		}
	}
	if !e.Float32 && rng.IntN(2) == 0 { // as scikit-learn's, to which zero is a number like others
		e.Round32, e.Plain = true, true
		for i := range e.Trees {
			for j := range e.Trees[i].Nodes {
				if n := &e.Trees[i].Nodes[j]; n.Missing == MissingZero {
					n.Missing = MissingNaN
				}
			}
		}
	}
	const rows = 75
	x := sample(e, rows, categorical, seed)
	special := []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), 1e-35, -1e-36, zeroThreshold,
		-0.5, 1e12, -3, 2.7, 1 << 24, math.MaxFloat64, 5e-324}
	for i := range x {
		switch rng.IntN(6) {
		case 0:
			x[i] = special[rng.IntN(len(special))]
		case 1:
			if len(thresholds) > 0 {
				v := thresholds[rng.IntN(len(thresholds))]
				x[i] = []float64{v, math.Nextafter(v, 9), math.Nextafter(v, -9)}[rng.IntN(3)]
			}
		}
	}
	return e, x, rows
}

func TestEnginesFollowTheRule(t *testing.T) {
	for seed := range uint64(120) {
		leaves := []int{0, 0, 20, 60}[seed%4]
		e, x, rows := awkward(seed, 1+int(seed/4)%9, leaves, 12)
		want, got := make([]float64, rows*e.Outputs), make([]float64, rows*e.Outputs)
		p := NewPredictor(e)
		walkPlain(p, want, x, rows)
		p.Margin(got, x, rows)
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("model %d row %d: %v, by the rule %v", seed, i/e.Outputs, got[i], want[i])
			}
		}
		for r := range 3 {
			one := make([]float64, e.Outputs)
			p.Margin(one, x[r*12:][:12], 1)
			if one[0] != want[r*e.Outputs] {
				t.Fatalf("model %d row %d alone: %v, in a batch %v", seed, r, one[0], want[r*e.Outputs])
			}
		}
	}
}

// A model with more columns or categories than the kernels hold is answered
// plainly, and equally.
func TestModelTooWideForTheKernels(t *testing.T) {
	e, x, rows := awkward(5, 5, 0, 12)
	set := make([]int32, 70000)
	for c := range set {
		set[c] = int32(c)
	}
	wide := Tree{Sets: [][]int32{set}} // a chain of splits on one category
	for i := range int32(900) {
		wide.Nodes = append(wide.Nodes, Node{Left: 2*i + 1, Right: 2*i + 2, Set: 1, Cover: 2}, Node{Cover: 1})
	}
	wide.Nodes = append(wide.Nodes, Node{Cover: 1, Value: 1})
	for range 10 {
		e.Trees = append(e.Trees, wide)
	}
	if err := e.settle(); err != nil {
		t.Fatal(err)
	}
	if newColumns(e) != nil {
		t.Fatal("the kernels hold it: the test is too small")
	}
	p := NewPredictor(e)
	got := make([]float64, rows*e.Outputs)
	p.Margin(got, x, rows)
	ex, err := NewExplainer(e)
	if err != nil {
		t.Fatal(err)
	}
	contrib := make([]float64, rows*e.Outputs*13)
	ex.Explain(contrib, x, rows)
	additive(t, e, x, contrib, rows)
}

func TestPredictorIsSafeForConcurrentUse(t *testing.T) {
	e := grown(40, 6, 0, 10, 2, true, 4)
	const rows = 100
	x := sample(e, rows, 2, 1)
	p := NewPredictor(e)
	ex, err := NewExplainer(e)
	if err != nil {
		t.Fatal(err)
	}
	want, why := make([]float64, rows), make([]float64, rows*11)
	p.Predict(want, x, rows)
	ex.Explain(why, x, rows)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			got, gotWhy := make([]float64, rows), make([]float64, rows*11)
			for k := range 5 {
				n := 1 + (w*7+k*13)%rows
				p.Predict(got, x, n)
				ex.Explain(gotWhy, x, n)
				for i := range n {
					if got[i] != want[i] || math.Abs(gotWhy[11*i]-why[11*i]) > 1e-12 {
						t.Errorf("row %d differs under concurrency", i)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestPredictionAllocatesNothing(t *testing.T) {
	for _, s := range shapes {
		e := s.make()
		e.Trees = e.Trees[:20]
		p := NewPredictor(e)
		ex, err := NewExplainer(e)
		if err != nil {
			t.Fatal(err)
		}
		x, dst, why := sample(e, 1, s.categorical, 1), make([]float64, 1), make([]float64, len(e.Features)+1)
		// The race detector makes pools forget on purpose; allow for it.
		if n := testing.AllocsPerRun(200, func() { p.Predict(dst, x, 1); ex.Explain(why, x, 1) }); n > 0.5 && !raceEnabled {
			t.Errorf("%s: %v allocations a call", s.name, n)
		}
	}
}

func TestLinks(t *testing.T) {
	for _, c := range []struct {
		link Link
		in   []float64
		want []float64
	}{
		{Identity, []float64{3}, []float64{3}},
		{Sigmoid, []float64{0, 1000, -1000}, []float64{0.5, 1, 0}},
		{Softmax, []float64{1000, 1000}, []float64{0.5, 0.5}},
		{Exp, []float64{0, 1}, []float64{1, math.E}},
		{SignedSquare, []float64{-3, 2}, []float64{-9, 4}},
		{Softplus, []float64{0, 1000}, []float64{math.Ln2, 1000}},
		{Step, []float64{-1, 0, 1}, []float64{0, 0, 1}},
	} {
		got := append([]float64(nil), c.in...)
		c.link.apply(got, 1)
		for i := range got {
			if !near(got[i], c.want[i], 1e-15) {
				t.Errorf("link %d of %v is %v, want %v", c.link, c.in, got, c.want)
			}
		}
	}
}

func ExamplePredictor() {
	e, err := Parse([]byte("tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=0\nobjective=regression\n" +
		"feature_names=age\nfeature_infos=[0:9]\n\nTree=0\nnum_leaves=2\nnum_cat=0\nsplit_feature=0\nthreshold=4.5\n" +
		"decision_type=2\nleft_child=-1\nright_child=-2\nleaf_value=10 20\nleaf_count=3 1\ninternal_count=4\n\nend of trees\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	dst := make([]float64, 2)
	NewPredictor(e).Predict(dst, []float64{3, 7}, 2)
	fmt.Println(dst)
	// Output: [10 20]
}

// TestForestFollowsTheRule holds the nodes of deep forests to it, at the size for
// which they are made.
func TestForestFollowsTheRule(t *testing.T) {
	e := forest()
	const rows = 130 // two blocks, and a part of one
	x := sample(e, rows, 0, 5)
	want, got := make([]float64, rows), make([]float64, rows)
	p := NewPredictor(e)
	walkPlain(p, want, x, rows)
	p.Margin(got, x, rows)
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("row %d: %v, by the rule %v", i, got[i], want[i])
		}
	}
}
