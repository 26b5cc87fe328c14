package stat

import (
	"cmp"
	"slices"

	"github.com/slipway-ml/slipway"
)

// TopCategories is how many categories a reference keeps by name by default.
const TopCategories = 1024

// Vocabulary is the categories of a reference: the most frequent by name, the
// rarer ones known but counted together.
type Vocabulary struct {
	Top   []string `json:"top"`             // most frequent first
	Other []string `json:"other,omitempty"` // seen in the reference, beyond the top
}

// Categories makes the vocabulary of counted categories, keeping the k most
// frequent by name; equal counts stand in order of name.
func Categories(counts map[string]int64, k int) Vocabulary {
	names := make([]string, 0, len(counts))
	for name := range counts {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	top := min(k, len(names))
	return Vocabulary{Top: names[:top], Other: names[top:]}
}

// CategoryCounter counts text by the vocabulary of a reference. Like Counter it
// merges by addition and is not safe for concurrent use.
type CategoryCounter struct {
	Counts []int64 `json:"counts"` // of Vocabulary.Top
	Other  int64   `json:"other"`  // known, beyond the top
	Unseen int64   `json:"unseen"` // not in the reference at all
	Null   int64   `json:"null"`
	index  map[string]int
}

// CategoryIndex finds the place of a category; one index serves all counters of
// a reference and may be read concurrently.
func (v Vocabulary) CategoryIndex() map[string]int {
	index := make(map[string]int, len(v.Top)+len(v.Other))
	for i, name := range v.Top {
		index[name] = i
	}
	for _, name := range v.Other {
		index[name] = len(v.Top)
	}
	return index
}

// NewCategoryCounter makes an empty counter of a vocabulary with top named
// categories and its index.
func NewCategoryCounter(top int, index map[string]int) *CategoryCounter {
	return &CategoryCounter{Counts: make([]int64, top), index: index}
}

// Add counts one category.
func (c *CategoryCounter) Add(name string) {
	switch i, known := c.index[name]; {
	case !known:
		c.Unseen++
	case i < len(c.Counts):
		c.Counts[i]++
	default:
		c.Other++
	}
}

// AddNull counts n absent values.
func (c *CategoryCounter) AddNull(n int64) { c.Null += n }

// Rows is how many values were counted, absent ones too.
func (c *CategoryCounter) Rows() int64 {
	total := c.Other + c.Unseen + c.Null
	for _, n := range c.Counts {
		total += n
	}
	return total
}

// Merge adds what other counted. It fails with Conflict when the vocabularies
// have different sizes; that they are the same is the caller's to know.
func (c *CategoryCounter) Merge(other *CategoryCounter) error {
	if len(c.Counts) != len(other.Counts) {
		return slipway.Errorf(slipway.Conflict, "counters of %d and %d categories do not merge", len(c.Counts), len(other.Counts))
	}
	for i, n := range other.Counts {
		c.Counts[i] += n
	}
	c.Other, c.Unseen, c.Null = c.Other+other.Other, c.Unseen+other.Unseen, c.Null+other.Null
	return nil
}

// Cells is the counter for the distances: the n most frequent categories of
// the reference, then the rest that the reference knew, the unseen, and null.
func (c *CategoryCounter) Cells(n int) []float64 {
	n = min(n, len(c.Counts))
	out := make([]float64, n+3)
	for i, count := range c.Counts {
		out[min(i, n)] += float64(count)
	}
	out[n] += float64(c.Other)
	out[n+1], out[n+2] = float64(c.Unseen), float64(c.Null)
	return out
}
