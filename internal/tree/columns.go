package tree

import (
	"math"
	"slices"
)

// The fast kernels know one rule: go right where v >= threshold. Everything
// else (missing values, default directions, zero as missing, categories) is
// settled once per row, by laying the row out as columns: a feature has one
// column for each way in which the splits of the model look at it. A default to
// the left is a NaN in the column, since v >= threshold is then false; a default
// to the right is +Inf.

// view says how a column shows its feature.
type view uint8

const (
	viewNaNLeft   view = iota // as it is
	viewNaNRight              // NaN → +Inf
	viewNaNZero               // NaN → 0
	viewZeroLeft              // NaN and 0 → NaN
	viewZeroRight             // NaN and 0 → +Inf
	viewCategory              // always NaN; the decisions stand in a table
)

type column struct {
	feature int32
	view    view
}

// columns lays out rows for the kernels. Column 0 is always NaN: leaves and
// padding look at it and go left.
type columns struct {
	float32 bool
	round32 bool // see Ensemble.Round32
	plain   bool // see Ensemble.Plain
	list    []column
	index   map[column]int32

	// A categorical split owns one bit in the lines of its column: bit k of the
	// line of category c says whether c goes right there. Line 0 is all zero and
	// serves the numerical columns.
	cats    []*category // by column, nil for numerical ones
	bits    []uint64
	ordinal map[*Node]uint32
}

// category is the table of one categorical column.
type category struct {
	codes   []int32 // sorted: those in any set
	dense   []int32 // by code, its position in codes or -1; nil where codes are sparse
	missing uint32  // the line of a missing value
	unseen  uint32  // the line of a code in no set; codes[i] has the i-th line after it
	words   uint32  // length of a line
	nodes   []*Node
	sets    [][]int32
}

const (
	maxColumns   = 1 << 16
	maxBits      = 1 << 16 // categorical splits of one column
	maxTableSize = 8 << 20 // words of all category tables together
)

// newColumns collects the columns of e; nil says that the model is too wide or
// its categories are too many for the fast kernels.
func newColumns(e *Ensemble) *columns {
	c := &columns{float32: e.Float32, round32: e.Float32 || e.Round32, plain: e.Plain, list: []column{{-1, viewNaNLeft}}, cats: []*category{nil},
		index: map[column]int32{}, ordinal: map[*Node]uint32{}}
	for i := range e.Trees {
		t := &e.Trees[i]
		for j := range t.Nodes {
			n := &t.Nodes[j]
			if n.Leaf() {
				continue
			}
			key := columnOf(n)
			at, found := c.index[key]
			if !found {
				at = int32(len(c.list))
				c.index[key] = at
				c.list = append(c.list, key)
				c.cats = append(c.cats, nil)
			}
			if n.Set == 0 {
				continue
			}
			if c.cats[at] == nil {
				c.cats[at] = &category{}
			}
			cat := c.cats[at]
			c.ordinal[n] = uint32(len(cat.nodes))
			cat.nodes = append(cat.nodes, n)
			cat.sets = append(cat.sets, t.Sets[n.Set-1])
		}
	}
	if len(c.list) > maxColumns || !c.table() {
		return nil
	}
	return c
}

func columnOf(n *Node) column {
	switch {
	case n.Set != 0:
		return column{n.Feature, viewCategory}
	case n.Missing == MissingNone:
		return column{n.Feature, viewNaNZero}
	case n.Missing == MissingZero && n.DefaultLeft:
		return column{n.Feature, viewZeroLeft}
	case n.Missing == MissingZero:
		return column{n.Feature, viewZeroRight}
	case n.DefaultLeft:
		return column{n.Feature, viewNaNLeft}
	}
	return column{n.Feature, viewNaNRight}
}

// threshold is the value t for which the split goes right exactly where
// v >= t: for a split that sends v <= s to the left, the number after s. LightGBM
// takes all of ±1e-35 for zero, so a threshold in there moves to the end that
// keeps them together.
func (c *columns) threshold(n *Node) float64 {
	s := n.Threshold
	switch {
	case c.float32:
		return s
	case c.plain:
	case s >= -zeroThreshold && s < 0:
		return -zeroThreshold
	case s >= 0 && s < zeroThreshold:
		s = zeroThreshold
	}
	return math.Nextafter(s, math.Inf(1))
}

// ZeroMoved is the threshold t for which x <= t says of a plain number what
// LightGBM says of threshold, which takes all of ±1e-35 for zero.
func (e *Ensemble) ZeroMoved(threshold float64) float64 {
	switch {
	case threshold >= -zeroThreshold && threshold < 0:
		return math.Nextafter(-zeroThreshold, math.Inf(-1))
	case threshold >= 0 && threshold < zeroThreshold:
		return zeroThreshold
	}
	return threshold
}

// table fills the lines of all categorical columns.
func (c *columns) table() bool {
	for _, cat := range c.cats {
		if cat == nil {
			continue
		}
		if len(cat.nodes) > maxBits {
			return false
		}
		cat.words = uint32(len(cat.nodes)+63) / 64
		seen := map[*int32]bool{} // several splits may share a set
		for _, set := range cat.sets {
			if len(set) > 0 && !seen[&set[0]] {
				seen[&set[0]] = true
				cat.codes = append(cat.codes, set...)
			}
		}
		slices.Sort(cat.codes)
		cat.codes = slices.Clip(slices.Compact(cat.codes))
	}
	size := 1
	for _, cat := range c.cats {
		if cat == nil {
			continue
		}
		cat.missing = uint32(size)
		cat.unseen = cat.missing + cat.words
		if size += (2 + len(cat.codes)) * int(cat.words); size > maxTableSize {
			return false
		}
	}
	c.bits = make([]uint64, size)
	for _, cat := range c.cats {
		if cat != nil {
			cat.fill(c.bits)
		}
	}
	return true
}

func (cat *category) fill(bits []uint64) {
	if n := len(cat.codes); n > 0 && int(cat.codes[n-1]) < 4*n+4096 {
		cat.dense = make([]int32, cat.codes[n-1]+1)
		for i := range cat.dense {
			cat.dense[i] = -1
		}
		for i, c := range cat.codes {
			cat.dense[c] = int32(i)
		}
	}
	for k, n := range cat.nodes {
		word, bit := uint32(k/64), uint64(1)<<(k%64)
		if !n.DefaultLeft {
			bits[cat.missing+word] |= bit
		}
		if !n.SetRight { // all but the set go right
			for line := range len(cat.codes) + 1 {
				bits[cat.unseen+uint32(line)*cat.words+word] |= bit
			}
		}
		for _, code := range cat.sets[k] {
			i, _ := slices.BinarySearch(cat.codes, code)
			at := cat.unseen + uint32(i+1)*cat.words + word
			if n.SetRight {
				bits[at] |= bit
			} else {
				bits[at] &^= bit
			}
		}
	}
}

// line is where the decisions for x stand in columns.bits.
func (cat *category) line(x float64, float32Codes bool) uint32 {
	if x != x {
		return cat.missing
	}
	if !(x > -1 && x < math.MaxInt32) || float32Codes && x < 0 {
		return cat.unseen
	}
	code := int32(x)
	if cat.dense != nil {
		if int(code) >= len(cat.dense) || cat.dense[code] < 0 {
			return cat.unseen
		}
		return cat.unseen + uint32(cat.dense[code]+1)*cat.words
	}
	if i, found := slices.BinarySearch(cat.codes, code); found {
		return cat.unseen + uint32(i+1)*cat.words
	}
	return cat.unseen
}

// fillRow lays out one row: v gets the value of each column, and lines, where
// not nil, the line of each categorical column.
func fillRow[T float32 | float64](c *columns, x []float64, v []T, lines []uint32) {
	v[0] = T(math.NaN())
	// LightGBM divides missing values from all others at +Inf, which then must
	// not go the way of a missing value.
	largest := T(math.Inf(1))
	if !c.float32 {
		limit := math.MaxFloat64
		largest = T(limit)
		if math.IsInf(float64(largest), 1) { // rows of float32 under thresholds of float64
			largest = T(math.MaxFloat32)
		}
	}
	list := c.list[:len(v)]
	for i := 1; i < len(list); i++ {
		k := list[i]
		y := T(x[k.feature])
		if c.round32 {
			y = T(float32(y))
		}
		if y > largest {
			y = largest
		}
		switch k.view {
		case viewNaNLeft:
		case viewNaNRight:
			if y != y {
				y = T(math.Inf(1))
			}
		case viewNaNZero:
			if y != y {
				y = 0
			}
		case viewZeroLeft, viewZeroRight:
			if y != y || math.Abs(float64(y)) <= zeroThreshold {
				y = T(math.NaN())
				if k.view == viewZeroRight {
					y = T(math.Inf(1))
				}
			}
		case viewCategory:
			lines[i] = c.cats[i].line(float64(y), c.float32)
			y = T(math.NaN())
		}
		v[i] = y
	}
}

// bit is 1 where b holds; the compiler makes it one SETcc instruction.
func bit(b bool) uint32 {
	var i uint32
	if b {
		i = 1
	}
	return i
}
