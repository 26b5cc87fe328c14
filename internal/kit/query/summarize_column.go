package query

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"

	slipway "github.com/slipway-ml/slipway"
)

// columnCounter counts the values of one column.
type columnCounter struct {
	column   slipway.Column
	options  summaryOptions
	missing  int64
	infinite int64
	present  int64
	rising   bool
	last     float64

	distinct hyperLogLog
	few      *numberTable // nil once there are too many different numbers
	words    *textTable   // of text columns
	whole    bool         // few or words still has every value

	low, high, sum, sumSquares, origin float64
	binLow, binScale                   float64
	bins                               []int64

	shortest, longest, padded, numbers int64
	days                               map[int64]int64
	lastDay, lastDayRows               int64
}

func newColumnCounter(c slipway.Column, bounds [2]float64, o summaryOptions) *columnCounter {
	out := &columnCounter{column: c, options: o, rising: true, last: math.Inf(-1), low: math.Inf(1), high: math.Inf(-1), whole: true, shortest: math.MaxInt64}
	switch c.Type {
	case slipway.Text, slipway.Binary:
		out.words = newTextTable()
	default:
		out.few = newNumberTable()
	}
	if c.Name == o.Days && o.Days != "" {
		out.days = map[int64]int64{}
	}
	if w := bounds[1] - bounds[0]; w > 0 && !math.IsInf(w, 0) && o.Bins > 0 && (c.Type == slipway.Int || c.Type == slipway.Float) {
		out.bins, out.binLow, out.binScale = make([]int64, o.Bins), bounds[0], float64(o.Bins)/w
	}
	// Sums are of differences from about the middle, which keeps their squares
	// exact enough (the shifted form of the textbook's variance).
	if !math.IsNaN(bounds[0]) && !math.IsNaN(bounds[1]) {
		out.origin = bounds[0]/2 + bounds[1]/2
	}
	return out
}

func (c *columnCounter) add(rows int, v *vector) {
	switch {
	case v.text != nil:
		c.addTexts(rows, v)
	case v.floats != nil:
		for i := range rows {
			f := v.floats[i]
			if v.null(i) || math.IsNaN(f) {
				c.miss()
			} else if math.IsInf(f, 0) {
				c.infinite++
				c.miss()
			} else {
				c.addNumber(f, math.Float64bits(f+0)) // -0 is 0
			}
		}
	case v.ints != nil && c.days != nil:
		for i := range rows {
			if v.null(i) {
				c.miss()
				continue
			}
			c.addDay(v.ints[i])
			c.addNumber(float64(v.ints[i]), uint64(v.ints[i]))
		}
	case v.ints != nil:
		for i := range rows {
			if v.null(i) {
				c.miss()
			} else {
				c.addNumber(float64(v.ints[i]), uint64(v.ints[i]))
			}
		}
	case v.days != nil:
		for i := range rows {
			if v.null(i) {
				c.miss()
				continue
			}
			at := int64(v.days[i]) * microsPerDay
			if c.days != nil {
				c.addDay(at)
			}
			c.addNumber(float64(at), uint64(at))
		}
	case v.bools != nil:
		for i := range rows {
			if v.null(i) {
				c.miss()
			} else {
				c.addNumber(float64(v.bools[i]), uint64(v.bools[i]))
			}
		}
	}
}

func (c *columnCounter) miss() { c.missing++; c.rising = false }

func (c *columnCounter) addNumber(f float64, bits uint64) {
	c.present++
	if f <= c.last {
		c.rising = false
	}
	c.last = f
	c.low, c.high = min(c.low, f), max(c.high, f)
	d := f - c.origin
	c.sum += d
	c.sumSquares += d * d
	if c.bins != nil {
		c.bins[min(max(int((f-c.binLow)*c.binScale), 0), len(c.bins)-1)]++
	}
	if c.few == nil {
		c.distinct.add(mix(bits))
		return
	}
	if !c.few.add(bits) {
		c.few.each(func(bits uint64, _ int64) { c.distinct.add(mix(bits)) })
		c.distinct.add(mix(bits))
		c.few, c.whole = nil, false
	}
}

func (c *columnCounter) addDay(micros int64) {
	day := micros / microsPerDay
	if micros%microsPerDay < 0 {
		day--
	}
	if day != c.lastDay || c.lastDayRows == 0 {
		if c.lastDayRows > 0 && len(c.days) <= maxDays {
			c.days[c.lastDay] += c.lastDayRows
		}
		c.lastDay, c.lastDayRows = day, 0
	}
	c.lastDayRows++
}

func (c *columnCounter) addTexts(rows int, v *vector) {
	for i := range rows {
		if v.null(i) {
			c.miss()
			continue
		}
		c.present++
		b := v.text(i)
		h := xxhash.Sum64(b)
		if !c.whole {
			c.distinct.add(h)
		}
		if c.words == nil {
			c.measure(b, 1)
			continue
		}
		if c.words.add(h, b) {
			continue
		}
		c.overflow()
		if c.words == nil {
			c.measure(b, 1)
		} else {
			c.words.add(h, b)
		}
		c.distinct.add(h)
	}
}

// overflow makes room for more texts: the rarer half is forgotten, and what is
// left is off by at most words.lost (lossy counting, Manku and Motwani 2002).
// Where most texts are different, none is frequent, and counting them ends.
func (c *columnCounter) overflow() {
	if c.whole {
		for _, e := range c.words.entries {
			c.distinct.add(e.hash)
		}
		c.whole = false
	}
	gone := c.words.forget()
	for _, e := range gone {
		c.measure([]byte(e.text), e.count)
	}
	if c.distinct.count()*2 > float64(c.present) {
		for _, e := range c.words.entries {
			c.measure([]byte(e.text), e.count)
		}
		c.words = nil
	}
}

// measure counts what a text looks like.
func (c *columnCounter) measure(b []byte, times int64) {
	n := int64(utf8.RuneCount(b))
	c.shortest, c.longest = min(c.shortest, n), max(c.longest, n)
	if len(b) > 0 && (b[0] == ' ' || b[len(b)-1] == ' ') {
		c.padded += times
	}
	if looksNumeric(b) {
		c.numbers += times
	}
}

func looksNumeric(b []byte) bool {
	b = bytes.TrimSpace(b)
	if len(b) == 0 || len(b) > 40 || (b[0] < '0' || b[0] > '9') && b[0] != '-' && b[0] != '+' && b[0] != '.' || bytes.ContainsAny(b, "xX_pP") {
		return false
	}
	_, err := strconv.ParseFloat(string(b), 64)
	return err == nil
}

// summary ends the count of a column.
func (c *columnCounter) summary(rows int64) ColumnSummary {
	out := ColumnSummary{Name: c.column.Name, Type: c.column.Type, Missing: c.missing, Infinite: c.infinite, Rising: c.rising && c.present > 1}
	if c.present == 0 {
		return out
	}
	if c.words != nil {
		for _, e := range c.words.entries {
			c.measure([]byte(e.text), e.count)
		}
	}
	switch {
	case c.whole && c.words != nil:
		out.Distinct = int64(len(c.words.entries))
	case c.whole:
		out.Distinct = int64(c.few.used)
	default:
		out.Distinct, out.Estimated = min(int64(c.distinct.count()+0.5), c.present), true
		if c.rising {
			out.Distinct, out.Estimated = c.present, false
		}
	}
	switch c.column.Type {
	case slipway.Int, slipway.Float, slipway.Bool:
		c.numbersInto(&out)
	case slipway.Time, slipway.Date:
		from, to := time.UnixMicro(int64(c.low)).UTC(), time.UnixMicro(int64(c.high)).UTC()
		out.From, out.To = &from, &to
	default:
		out.Text = &TextSummary{Shortest: c.shortest, Longest: c.longest, Padded: c.padded, Numbers: c.numbers}
	}
	c.top(&out)
	c.daysInto(&out)
	return out
}

func (c *columnCounter) numbersInto(out *ColumnSummary) {
	n := float64(c.present)
	s := &NumberSummary{Min: c.low, Max: c.high, Mean: c.origin + c.sum/n, Bins: c.bins}
	if c.present > 1 {
		s.SD = math.Sqrt(max(0, (c.sumSquares-c.sum*c.sum/n)/(n-1)))
	}
	if c.whole {
		s.Quantiles = c.few.quantiles(c.column.Type, c.present, c.options.Levels)
	}
	out.Number = s
}

// top lists the frequent values.
func (c *columnCounter) top(out *ColumnSummary) {
	var all []ValueCount
	switch {
	case c.column.Type == slipway.Binary:
		return
	case c.words != nil:
		for _, e := range c.words.entries {
			// A count may be short by what was forgotten.
			if e.count > 1 && e.count >= 10*c.words.lost || c.whole {
				all = append(all, ValueCount{e.text, e.count})
			}
		}
		out.LooksLike = looksLike(c.words.entries)
	case c.few != nil && c.column.Type != slipway.Time:
		c.few.each(func(bits uint64, n int64) { all = append(all, ValueCount{c.written(bits), n}) })
	}
	slices.SortFunc(all, func(a, b ValueCount) int {
		if a.Count != b.Count {
			return cmp.Compare(b.Count, a.Count)
		}
		return cmp.Compare(a.Value, b.Value)
	})
	if len(all) > 0 && all[0].Count == 1 && len(all) > c.options.Top {
		return // every value is different: none is frequent
	}
	out.Complete = c.whole && len(all) <= c.options.Top
	out.Top = all[:min(len(all), c.options.Top)]
}

// written is a number as text, as SQL writes it.
func (c *columnCounter) written(bits uint64) string {
	switch c.column.Type {
	case slipway.Float:
		text := strconv.FormatFloat(math.Float64frombits(bits), 'f', -1, 64)
		if !bytes.ContainsRune([]byte(text), '.') {
			text += ".0"
		}
		return text
	case slipway.Bool:
		return strconv.FormatBool(bits != 0)
	case slipway.Date:
		return time.UnixMicro(int64(bits)).UTC().Format(time.DateOnly)
	}
	return strconv.FormatInt(int64(bits), 10)
}

func (c *columnCounter) daysInto(out *ColumnSummary) {
	if c.days == nil {
		return
	}
	if c.lastDayRows > 0 {
		c.days[c.lastDay] += c.lastDayRows
	}
	if len(c.days) > maxDays {
		return
	}
	for day, n := range c.days {
		out.Days = append(out.Days, ValueCount{time.UnixMicro(day * microsPerDay).UTC().Format(time.DateOnly), n})
	}
	slices.SortFunc(out.Days, func(a, b ValueCount) int { return cmp.Compare(a.Value, b.Value) })
}
