package main

import (
	"fmt"
	"math/rand/v2"

	"github.com/slipway-ml/slipway/bench/measure"
	"github.com/slipway-ml/slipway/internal/tree"
)

// curve prints what made-up forests of other shapes cost. They are of float64,
// which the vector kernels do not take.
func curve() error {
	fmt.Println("trees depth features |  a row, µs | of 10,000: ns a tree | SHAP of 256: µs a row | tables ready, ms")
	for _, s := range []struct{ trees, depth, features int }{
		{100, 6, 30}, {500, 6, 30}, {2000, 6, 30},
		{500, 3, 30}, {500, 8, 30}, {500, 10, 30},
		{500, 6, 10}, {500, 6, 200},
	} {
		e, err := tree.Parse([]byte(measure.Forest(rand.New(rand.NewPCG(1, 2)), s.trees, s.depth, s.features)))
		if err != nil {
			return err
		}
		in, p := random(largeBatch*s.features), tree.NewPredictor(e)
		dst, i := make([]float64, max(largeBatch, batch*(s.features+1))), 0
		one := cpu(1, func() { p.Predict(dst, in[i%1000*s.features:], 1); i++ })
		many := 1e3 * cpu(largeBatch*s.trees, func() { p.Predict(dst, in, largeBatch) })
		begin := measure.Used()
		x, err := tree.NewExplainer(e)
		if err != nil {
			return err
		}
		ready := (measure.Used() - begin).Seconds() * 1e3
		shap := cpu(batch, func() { x.Explain(dst, in, batch) })
		fmt.Printf("%5d %5d %8d | %10.2f | %20.2f | %21.1f | %16.0f\n", s.trees, s.depth, s.features, one, many, shap, ready)
	}
	e, err := tree.Parse([]byte(measure.Forest(rand.New(rand.NewPCG(1, 2)), measure.Trees, measure.Depth, measure.Features)))
	if err != nil {
		return err
	}
	fmt.Println("\nrows a call | predict, ns a row a tree | SHAP, µs a row")
	p, in := tree.NewPredictor(e), random(largeBatch*measure.Features)
	x, err := tree.NewExplainer(e)
	if err != nil {
		return err
	}
	for _, n := range []int{1, 4, 16, 64, 1024} {
		dst := make([]float64, n*(measure.Features+1))
		fmt.Printf("%11d | %24.2f | %14.1f\n", n, 1e3*cpu(n*measure.Trees, func() { p.Predict(dst, in, n) }), cpu(n, func() { x.Explain(dst, in, n) }))
	}
	return nil
}
