package predictor

import (
	"context"
	"math"
	"math/rand/v2"

	"github.com/slipway-ml/slipway"
)

const (
	exactFeatures = 8 // up to here every coalition is asked
	kernelGroups  = 8 // whose disagreement gives the errors
)

// kernel is KernelSHAP (Lundberg & Lee 2017): coalitions are drawn by the Shapley
// kernel, each with its complement (Covert & Lee 2021), the model's mean answer
// to each over the background is regressed on who is in it, and the values are
// made to add up. Up to exactFeatures features every coalition is asked, weighted
// by the kernel, which is exact.
func (g *sampler) kernel(ctx context.Context, r int) error {
	features, outputs, back := len(g.in.Series), len(g.base), g.background.Rows
	coalitions, weight := g.coalitions()
	mix := newMixture(g, r, len(coalitions)*back)
	for _, known := range coalitions {
		for b := range back {
			mix.add(known, b)
		}
	}
	answer, err := mix.ask(ctx)
	if err != nil {
		return err
	}
	value, spread := make([]float64, 0, outputs*features), make([]float64, 0, outputs*features)
	for o := range outputs {
		worth := make([]float64, len(coalitions))
		for i := range worth {
			worth[i] = mean(answer[o][i*back:(i+1)*back]) - g.out.Base[o]
		}
		total := g.answer[o][r] - g.out.Base[o]
		phi, err := regress(coalitions, weight, worth, features, total)
		if err != nil {
			return err
		}
		value = append(value, phi...)
		spread = append(spread, jackknife(coalitions, weight, worth, phi, total)...)
	}
	g.out.Value, g.out.Error = append(g.out.Value, value), append(g.out.Error, spread)
	return nil
}

// coalitions draws them, with a weight each; weights are 1 where sampling by the
// kernel already took care of them.
func (g *sampler) coalitions() ([][]bool, []float64) {
	features := len(g.in.Series)
	if features <= exactFeatures {
		return everyCoalition(features)
	}
	rounds := g.rounds
	if rounds == 0 {
		rounds = 8
	}
	// Size s has mass ∝ 1/(s·(n−s)).
	cumulative, sum := make([]float64, features-1), 0.0
	for s := 1; s < features; s++ {
		sum += 1 / float64(s*(features-s))
		cumulative[s-1] = sum
	}
	var out [][]bool
	var weight []float64
	for range max(rounds*features, 2*kernelGroups*features) / 2 {
		known := draw(g.rng, cumulative, features)
		other := make([]bool, features)
		for i := range other {
			other[i] = !known[i]
		}
		out, weight = append(out, known, other), append(weight, 1, 1)
	}
	return out, weight
}

func draw(rng *rand.Rand, cumulative []float64, features int) []bool {
	u, size := rng.Float64()*cumulative[len(cumulative)-1], 1
	for size < len(cumulative) && cumulative[size-1] < u {
		size++
	}
	known := make([]bool, features)
	for _, f := range rng.Perm(features)[:size] {
		known[f] = true
	}
	return known
}

func everyCoalition(features int) (out [][]bool, weight []float64) {
	binomial := 1.0
	choose := make([]float64, features+1)
	for s := range choose {
		choose[s] = binomial
		binomial = binomial * float64(features-s) / float64(s+1)
	}
	for set := 1; set < 1<<features-1; set++ {
		known, size := make([]bool, features), 0
		for i := range known {
			if known[i] = set>>i&1 != 0; known[i] {
				size++
			}
		}
		out = append(out, known)
		weight = append(weight, float64(features-1)/(choose[size]*float64(size*(features-size))))
	}
	return out, weight
}

// regress finds the φ of least weighted squares among those with Σφ = total: the
// last feature's value is what the others leave.
func regress(coalitions [][]bool, weight, worth []float64, features int, total float64) ([]float64, error) {
	n := features - 1
	phi := make([]float64, features)
	if n == 0 {
		phi[0] = total
		return phi, nil
	}
	a, b, z := make([]float64, n*n), make([]float64, n), make([]float64, n)
	for c, known := range coalitions {
		last := b2f(known[n])
		y := worth[c] - last*total
		for i := range n {
			z[i] = b2f(known[i]) - last
		}
		for i, v := range z {
			if v == 0 {
				continue
			}
			b[i] += weight[c] * v * y
			for j := range i + 1 {
				a[i*n+j] += weight[c] * v * z[j]
			}
		}
	}
	if !cholesky(a, b, n) {
		return nil, slipway.Errorf(slipway.Invalid, "%d coalitions do not tell %d features apart", len(coalitions), features).WithHint("ask for more rounds")
	}
	copy(phi, b)
	phi[n] = total
	for _, v := range b {
		phi[n] -= v
	}
	return phi, nil
}

func b2f(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// cholesky solves a·x = b for a symmetric positive definite a, whose lower half
// is given, in place; false says that it is not definite.
func cholesky(a, b []float64, n int) bool {
	for i := range n {
		for j := range i + 1 {
			sum := a[i*n+j]
			for k := range j {
				sum -= a[i*n+k] * a[j*n+k]
			}
			if i != j {
				a[i*n+j] = sum / a[j*n+j]
				continue
			}
			if !(sum > 1e-9*math.Max(1, a[i*n+i])) {
				return false
			}
			a[i*n+i] = math.Sqrt(sum)
		}
	}
	for i := range n {
		for k := range i {
			b[i] -= a[i*n+k] * b[k]
		}
		b[i] /= a[i*n+i]
	}
	for i := n - 1; i >= 0; i-- {
		for k := i + 1; k < n; k++ {
			b[i] -= a[k*n+i] * b[k]
		}
		b[i] /= a[i*n+i]
	}
	return true
}

// jackknife gives standard errors by leaving out an eighth of the drawn
// coalitions in turn; it is zero where all coalitions were asked.
func jackknife(coalitions [][]bool, weight, worth, phi []float64, total float64) []float64 {
	out := make([]float64, len(phi))
	if len(phi) <= exactFeatures {
		return out
	}
	for group := range kernelGroups {
		var rest [][]bool
		var w, y []float64
		for i := range coalitions {
			if i/2%kernelGroups != group { // a coalition and its complement stay together
				rest, w, y = append(rest, coalitions[i]), append(w, weight[i]), append(y, worth[i])
			}
		}
		without, err := regress(rest, w, y, len(phi), total)
		if err != nil {
			for i := range out {
				out[i] = math.Inf(1)
			}
			return out
		}
		for i, v := range without {
			out[i] += (v - phi[i]) * (v - phi[i])
		}
	}
	for i, v := range out {
		out[i] = math.Sqrt(v * float64(kernelGroups-1) / kernelGroups)
	}
	return out
}
