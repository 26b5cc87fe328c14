package stat

import (
	"math"
	"slices"

	"github.com/slipway-ml/slipway"
)

// Counter counts the values of a number in the bins of a reference. Counters
// with the same edges merge by addition, so a day is the sum of its minutes
// and a deployment the sum of its nodes. A Counter is not safe for concurrent
// use: count per goroutine and merge.
type Counter struct {
	// Edges are the reference's, as Edges makes them; they are never written.
	Edges []float64 `json:"edges"`
	// Counts holds edges[i] ≤ v < edges[i+1], the last bin its upper edge too.
	Counts []int64 `json:"counts"`
	Null   int64   `json:"null"`  // absent
	NaN    int64   `json:"nan"`   // present, but not a number
	Below  int64   `json:"below"` // under the least of the reference
	Above  int64   `json:"above"` // over the largest
}

// NewCounter makes an empty counter over edges, which it keeps.
func NewCounter(edges []float64) *Counter {
	return &Counter{Edges: edges, Counts: make([]int64, max(0, len(edges)-1))}
}

// Add counts one value.
func (c *Counter) Add(v float64) { c.AddN(v, 1) }

// AddN counts a value n times.
func (c *Counter) AddN(v float64, n int64) {
	bins := len(c.Counts)
	if bins == 0 || v != v {
		c.NaN += n
		return
	}
	if v < c.Edges[0] {
		c.Below += n
		return
	}
	if v > c.Edges[bins] {
		c.Above += n
		return
	}
	c.Counts[bin(c.Edges, v)] += n
}

// bin finds the bin of a value within the edges: how many of the inner edges
// are at most v. Halving without a branch on the comparison costs the same
// for every value.
func bin(edges []float64, v float64) int {
	inner := edges[1 : len(edges)-1]
	base, n := 0, len(inner)
	for n > 1 {
		half := n / 2
		base += half & -atMost(inner[base+half-1], v)
		n -= half
	}
	if n == 1 {
		base += atMost(inner[base], v)
	}
	return base
}

// atMost is 1 when a ≤ b and 0 otherwise, which compiles to no jump.
func atMost(a, b float64) int {
	if a <= b {
		return 1
	}
	return 0
}

// AddNull counts n absent values.
func (c *Counter) AddNull(n int64) { c.Null += n }

// Rows is how many values were counted, absent ones too.
func (c *Counter) Rows() int64 {
	total := c.Null + c.NaN + c.Below + c.Above
	for _, n := range c.Counts {
		total += n
	}
	return total
}

// Merge adds what other counted. It fails with Conflict when the edges differ.
func (c *Counter) Merge(other *Counter) error {
	if !slices.Equal(c.Edges, other.Edges) || len(c.Counts) != len(other.Counts) {
		return slipway.Errorf(slipway.Conflict, "counters of %d and %d bins do not merge: their edges differ", len(c.Counts), len(other.Counts))
	}
	for i, n := range other.Counts {
		c.Counts[i] += n
	}
	c.Null, c.NaN = c.Null+other.Null, c.NaN+other.NaN
	c.Below, c.Above = c.Below+other.Below, c.Above+other.Above
	return nil
}

// Rollup joins fine bins into at most n cells of nearly equal mass of the
// reference counts, and returns the cell of each bin.
func Rollup(reference []int64, n int) []int {
	var total, before int64
	for _, c := range reference {
		total += c
	}
	cell, last, share := make([]int, len(reference)), -1, -1
	for i, c := range reference {
		at := 0
		if total > 0 {
			at = min(int(float64(n)*(float64(before)+float64(c)/2)/float64(total)), n-1)
		}
		if at != share {
			share, last = at, last+1
		}
		cell[i] = last
		before += c
	}
	return cell
}

// Cells rolls the counter up by the cells of Rollup: one value a cell, values
// beyond the edges in the outer cells, and last one more for null and NaN.
func (c *Counter) Cells(cell []int) []float64 {
	cells := 1
	if len(cell) > 0 {
		cells = cell[len(cell)-1] + 2
	}
	out := make([]float64, cells)
	out[cells-1] = float64(c.Null + c.NaN)
	if cells == 1 {
		return out
	}
	for i, n := range c.Counts {
		out[cell[i]] += float64(n)
	}
	out[0] += float64(c.Below)
	out[cells-2] += float64(c.Above)
	return out
}

// Quantile is the q quantile of the counted numbers, linear inside a bin and
// at the outer edge beyond it. It is NaN when no number was counted.
func (c *Counter) Quantile(q float64) float64 {
	total := c.Rows() - c.Null - c.NaN
	if total == 0 || len(c.Counts) == 0 {
		return math.NaN()
	}
	want, before := q*float64(total), float64(c.Below)
	if want <= before {
		return c.Edges[0]
	}
	for i, n := range c.Counts {
		if in := float64(n); want <= before+in && n > 0 {
			return c.Edges[i] + (c.Edges[i+1]-c.Edges[i])*(want-before)/in
		}
		before += float64(n)
	}
	return c.Edges[len(c.Counts)]
}
