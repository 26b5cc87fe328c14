package gate

import (
	"math"
	"slices"

	"github.com/slipway-ml/slipway"
)

// pick chooses golden rows among those that were scored: always the same ones.
// First come rows that show each category of each input, a missing value of
// each, and its least and largest number; then rows at even distances. It is
// nil where the rows do not have every input.
func pick(rows *slipway.Frame, input slipway.Schema) *slipway.Frame {
	if rows == nil || rows.Rows == 0 || len(input) == 0 {
		return nil
	}
	f := rows.Select(input.Names())
	if len(f.Series) < len(input) {
		return nil
	}
	var chosen []int
	taken := map[int]bool{}
	take := func(i int) {
		if i >= 0 && !taken[i] && len(chosen) < goldenRows {
			taken[i] = true
			chosen = append(chosen, i)
		}
	}
	// Every column gets its first telling rows before any gets its rarer ones,
	// so that a column with thousands of values crowds nobody out.
	telling := make([][]int, len(f.Series))
	longest := 0
	for k := range f.Series {
		telling[k] = tellingRows(&f.Series[k], f.Rows)
		longest = max(longest, len(telling[k]))
	}
	const evenly = goldenRows / 4
	for n := range longest {
		for k := range telling {
			if n < len(telling[k]) && len(chosen) < goldenRows-evenly {
				take(telling[k][n])
			}
		}
	}
	left := goldenRows - len(chosen)
	for i := range left {
		take(i * f.Rows / left)
	}
	for i := 0; i < f.Rows && len(chosen) < goldenRows; i++ {
		take(i)
	}
	slices.Sort(chosen)
	return f.Take(chosen)
}

// tellingRows are the first rows with a missing value, with the least and the
// largest number, and with each text, in the order in which they come.
func tellingRows(s *slipway.Series, rows int) []int {
	gap, least, most := -1, -1, -1
	var first []int
	seen := map[string]bool{}
	for i := range rows {
		switch {
		case s.Missing(i):
			if gap < 0 {
				gap = i
			}
		case s.Text != nil:
			if !seen[s.Text[i]] {
				seen[s.Text[i]] = true
				first = append(first, i)
			}
		default:
			if least < 0 || s.Float[i] < s.Float[least] {
				least = i
			}
			if most < 0 || s.Float[i] > s.Float[most] {
				most = i
			}
		}
	}
	out := []int{gap, least, most}
	return slices.DeleteFunc(append(out, first...), func(i int) bool { return i < 0 })
}

// synthesize makes rows from a signature alone, for a model that came without
// any: numbers over many magnitudes, and every category that it names.
func synthesize(input slipway.Schema) *slipway.Frame {
	f := &slipway.Frame{Rows: goldenRows, Series: make([]slipway.Series, len(input))}
	for k, c := range input {
		s := slipway.Series{Name: c.Name, Type: c.Type}
		if s.Type == "" {
			s.Type = slipway.Float
		}
		text := s.Type == slipway.Text || s.Type == slipway.Binary
		for i := range f.Rows {
			// A different stride a column, so that columns do not move together.
			step := (i*(2*k+1) + k) % f.Rows
			switch {
			case text:
				value, missing := "", true
				if n := len(c.Categories); n > 0 && step%(n+1) < n {
					value, missing = c.Categories[step%(n+1)], false
				}
				s.Text, s.Null = append(s.Text, value), append(s.Null, missing)
			case step%50 == 49:
				s.Float = append(s.Float, math.NaN())
			case s.Type == slipway.Bool:
				s.Float = append(s.Float, float64(step%2))
			default:
				sign := float64(1 - 2*(step%2))
				s.Float = append(s.Float, math.Trunc(sign*math.Pow(10, float64(step)/40)))
			}
		}
		f.Series[k] = s
	}
	return f
}
