package stat

import "math"

// ADWIN keeps a window of a stream's latest values that is as long as their
// mean is steady, and cuts it when an older part has another mean (Bifet and
// Gavaldà 2007). It holds the values as buckets of 1, 2, 4, … of them, at most
// five of a size, so memory and time grow with the logarithm of the window.
//
// Its δ is the chance of a false cut for independent values in [0, 1]: feed it
// one value a block, such as a block's error rate, not rows.
type ADWIN struct {
	delta   float64
	buckets []bucket // oldest first, sizes falling
	total   bucket
}

// bucket is some successive values: how many, their sum, and the sum of squared
// differences from their mean.
type bucket struct{ n, sum, squares float64 }

const bucketsOfASize = 5

// NewADWIN makes an empty window; delta outside (0, 1) means 0.002.
func NewADWIN(delta float64) *ADWIN {
	if !(delta > 0 && delta < 1) {
		delta = 0.002
	}
	return &ADWIN{delta: delta}
}

// Observe appends a value and reports whether the window was cut. NaN is not
// observed.
func (a *ADWIN) Observe(v float64) bool {
	if math.IsNaN(v) {
		return false
	}
	one := bucket{n: 1, sum: v}
	a.buckets, a.total = append(a.buckets, one), a.total.join(one)
	a.compress()
	cut := false
	for a.split() {
		a.buckets = a.buckets[1:]
		a.total = bucket{}
		for _, b := range a.buckets {
			a.total = a.total.join(b)
		}
		cut = true
	}
	return cut
}

// Mean is the mean of the window, NaN when it is empty.
func (a *ADWIN) Mean() float64 { return a.total.sum / a.total.n }

// Len is how many values the window holds.
func (a *ADWIN) Len() int { return int(a.total.n) }

// join adds two buckets' moments (Chan, Golub and LeVeque 1983).
func (b bucket) join(c bucket) bucket {
	if b.n == 0 {
		return c
	}
	d := b.sum/b.n - c.sum/c.n
	return bucket{b.n + c.n, b.sum + c.sum, b.squares + c.squares + d*d*b.n*c.n/(b.n+c.n)}
}

// compress joins the two oldest buckets of a size when there are too many.
func (a *ADWIN) compress() {
	for end := len(a.buckets); end > 0; {
		first := end - 1
		for first > 0 && a.buckets[first-1].n == a.buckets[end-1].n {
			first--
		}
		if end-first <= bucketsOfASize {
			return
		}
		a.buckets[first] = a.buckets[first].join(a.buckets[first+1])
		a.buckets = append(a.buckets[:first+1], a.buckets[first+2:]...)
		end = first + 1
	}
}

// split reports whether some older part differs from the rest by more than
// √(2/m · σ² · ln(2/δ')) + 2/(3m) · ln(2/δ'), 1/m = 1/n₀ + 1/n₁, δ' = δ/ln n
// (equation 3.1 of the paper).
func (a *ADWIN) split() bool {
	if a.total.n < 10 {
		return false
	}
	log := math.Log(2 * math.Log(a.total.n) / a.delta)
	variance := a.total.squares / a.total.n
	var old bucket
	for _, b := range a.buckets[:len(a.buckets)-1] {
		old = old.join(b)
		rest := a.total.n - old.n
		m := 1 / (1/old.n + 1/rest)
		if math.Abs(old.sum/old.n-(a.total.sum-old.sum)/rest) > math.Sqrt(2/m*variance*log)+2/(3*m)*log {
			return true
		}
	}
	return false
}
