package monitor

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"slices"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/stat"
)

const (
	numberCells   = 10 // into which the fine bins of a number are rolled up for a decision
	categoryCells = 20 // categories that a decision tells apart
)

// reference is what the training rows of a model version looked like: the bins
// to count in, and their counts by day.
type reference struct {
	Signature slipway.Signature `json:"signature"`
	Zone      string            `json:"zone"` // by which days were cut
	Day       []int64           `json:"day"`  // starts of the days, UTC microseconds, ascending
	Rows      []int64           `json:"rows"` // of each day
	Feature   []feature         `json:"feature"`
	index     map[string]int
}

// feature is one input column of a reference. It has Edges when it is a number,
// else a Vocabulary.
type feature struct {
	Name       string          `json:"name"`
	Edges      []float64       `json:"edges,omitempty"`
	Vocabulary stat.Vocabulary `json:"vocabulary,omitzero"`
	Total      []int64         `json:"total"` // fine counts over all days
	Cell       []int           `json:"cell,omitempty"`
	Day        [][]float64     `json:"by_day"` // cells of each day
	Run        [][]float64     `json:"run"`    // longest runs of each day, in minutes, by memory
	category   map[string]int
	longest    []float64 // of Run, by memory
}

// newReference counts training rows. Without rows it knows the signature only,
// and drift has nothing to be measured against.
func newReference(t Training, zone *time.Location) (*reference, error) {
	r := &reference{Signature: t.Signature, Zone: zone.String()}
	if t.Rows != nil && t.Rows.Rows > 0 {
		at := t.Rows.Column(t.Time)
		if t.Time == "" {
			at = &slipway.Series{Float: make([]float64, t.Rows.Rows)} // all on one day
		}
		if at == nil || at.Text != nil {
			return nil, slipway.Errorf(slipway.Invalid, "the training rows have no time in the column %q", t.Time)
		}
		order := byTime(at)
		block := r.cut(at, order, zone)
		for _, c := range t.Signature.Input {
			if s := t.Rows.Column(c.Name); s != nil {
				r.Feature = append(r.Feature, newFeature(s, at, order, block, len(r.Day)))
			}
		}
	}
	r.ready()
	return r, nil
}

// byTime lists the rows that have a time, in its order.
func byTime(at *slipway.Series) []int {
	order := make([]int, 0, len(at.Float))
	for i := range at.Float {
		if !at.Missing(i) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case at.Float[a] < at.Float[b]:
			return -1
		case at.Float[a] > at.Float[b]:
			return 1
		}
		return 0
	})
	return order
}

// cut finds the days and returns the day of each row of order. Days without
// rows between others count too: a hole is part of what is usual.
func (r *reference) cut(at *slipway.Series, order []int, zone *time.Location) []int {
	block := make([]int, len(order))
	var next time.Time
	for i, row := range order {
		t := time.UnixMicro(int64(at.Float[row])).UTC()
		for len(r.Day) == 0 || !t.Before(next) {
			start := next
			if len(r.Day) == 0 {
				start = dayOf(t, zone)
			}
			r.Day, r.Rows = append(r.Day, start.UnixMicro()), append(r.Rows, 0)
			next = addDays(start, 1, zone)
		}
		block[i] = len(r.Day) - 1
		r.Rows[block[i]]++
	}
	return block
}

func newFeature(s, at *slipway.Series, order, block []int, days int) feature {
	f := feature{Name: s.Name}
	if s.Text == nil {
		f.Edges = stat.Edges(s.Float, stat.FineBins)
	} else {
		counts := map[string]int64{}
		for i, v := range s.Text {
			if !s.Missing(i) {
				counts[v]++
			}
		}
		f.Vocabulary = stat.Categories(counts, stat.TopCategories)
	}
	f.ready()
	byDay := make([]counter, days)
	for d := range byDay {
		byDay[d] = f.counter()
	}
	f.Total = make([]int64, f.width())
	times, values := make([]int64, len(order)), make([]float64, len(order))
	for i, row := range order {
		byDay[block[i]].add(s, row)
		times[i], values[i] = int64(at.Float[row])/runUnit, code(s, row)
	}
	for d := range byDay {
		for i, n := range byDay[d].fine() {
			f.Total[i] += n
		}
	}
	if f.Edges != nil {
		f.Cell = stat.Rollup(f.Total[:len(f.Edges)-1], numberCells)
	}
	for d := range byDay {
		f.Day = append(f.Day, f.cells(byDay[d].fine()))
	}
	// A day without rows has no run and is no block of runs.
	f.Run = stat.LongestRuns(times, values, block)
	return f
}

// runUnit is a minute in microseconds: runs are measured in minutes.
const runUnit = int64(time.Minute / time.Microsecond)

// code is a value as runs see it: equal values have equal codes.
func code(s *slipway.Series, i int) float64 {
	if s.Text == nil {
		return s.Float[i]
	}
	if s.Missing(i) {
		return nan
	}
	h := fnv.New64a()
	_, _ = io.WriteString(h, s.Text[i])
	return float64(h.Sum64() >> 11) // 53 bits, which a float holds exactly
}

// ready makes what is not stored.
func (r *reference) ready() {
	r.index = map[string]int{}
	for i := range r.Feature {
		r.index[r.Feature[i].Name] = i
		r.Feature[i].ready()
	}
}

// ready makes what is not stored of a feature.
func (f *feature) ready() {
	f.longest = make([]float64, len(stat.Memories))
	for _, r := range f.Run {
		for m, age := range r {
			f.longest[m] = max(f.longest[m], age)
		}
	}
	if f.Edges == nil {
		f.category = f.Vocabulary.CategoryIndex()
	}
}

// numeric reports whether the feature is counted in bins. A number that was
// never there in training has neither bins nor categories.
func (f *feature) numeric() bool { return f.Edges != nil }

// counter counts values of one feature.
type counter struct {
	number   *stat.Counter
	category *stat.CategoryCounter
}

func (f *feature) counter() counter {
	if f.numeric() {
		return counter{number: stat.NewCounter(f.Edges)}
	}
	return counter{category: stat.NewCategoryCounter(len(f.Vocabulary.Top), f.category)}
}

// add counts value i of a series. A number where training had text, or the
// other way round, is a value that training never saw.
func (c counter) add(s *slipway.Series, i int) {
	switch {
	case s.Missing(i) && c.number != nil:
		c.number.AddNull(1)
	case s.Missing(i):
		c.category.AddNull(1)
	case c.number != nil && s.Text != nil:
		c.number.NaN++
	case c.number != nil:
		c.number.Add(s.Float[i])
	case s.Text == nil:
		c.category.Unseen++
	default:
		c.category.Add(s.Text[i])
	}
}

// fine is everything counted as one row of counts: the bins, then null, NaN,
// below and above; or the categories, then other, unseen and null.
func (c counter) fine() []int64 {
	if n := c.number; n != nil {
		return append(slices.Clone(n.Counts), n.Null, n.NaN, n.Below, n.Above)
	}
	n := c.category
	return append(slices.Clone(n.Counts), n.Other, n.Unseen, n.Null)
}

// width is the length of a row of fine counts.
func (f *feature) width() int {
	if f.numeric() {
		return len(f.Edges) - 1 + 4
	}
	return len(f.Vocabulary.Top) + 3
}

// cells rolls fine counts up into what decisions compare.
func (f *feature) cells(fine []int64) []float64 {
	if f.numeric() {
		k := len(f.Edges) - 1
		c := stat.Counter{Edges: f.Edges, Counts: fine[:k], Null: fine[k], NaN: fine[k+1], Below: fine[k+2], Above: fine[k+3]}
		return c.Cells(f.Cell)
	}
	k := len(f.Vocabulary.Top)
	c := stat.CategoryCounter{Counts: fine[:k], Other: fine[k], Unseen: fine[k+1], Null: fine[k+2]}
	return c.Cells(categoryCells)
}

// pack writes a reference as compressed JSON.
func (r *reference) pack() ([]byte, error) {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		return nil, err
	}
	if err := json.NewEncoder(w).Encode(r); err != nil {
		return nil, fmt.Errorf("write a reference: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func unpackReference(b []byte) (*reference, error) {
	r := &reference{}
	if err := json.NewDecoder(flate.NewReader(bytes.NewReader(b))).Decode(r); err != nil {
		return nil, fmt.Errorf("read a reference: %w", err)
	}
	r.ready()
	return r, nil
}
