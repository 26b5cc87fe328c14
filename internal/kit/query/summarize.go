package query

import (
	"fmt"
	"math"
	"strings"

	slipway "github.com/slipway-ml/slipway"
)

// summarize answers verbSummary.
func (s *session) summarize(schema slipway.Schema, sql string) error {
	bounds, err := s.bounds(schema, sql)
	if err != nil {
		return err
	}
	types := make([]slipway.Type, len(schema))
	m := newSummarizer(schema, bounds, *s.request.Summary)
	for i, c := range schema {
		types[i] = c.Type
	}
	err = s.duck.stream(sql, s.request.Params, types, func(rows int, vectors []vector) error {
		m.add(rows, vectors)
		return nil
	})
	if err != nil {
		return s.explain(err, "")
	}
	if err := writeJSON(s.out, tagSummary, m.summary()); err != nil {
		return err
	}
	return writeJSON(s.out, tagDone, done{Rows: m.rows, Memory: resident()})
}

// bounds finds the least and the greatest number of each column, so that its
// histogram can be counted in one go. Statistics in Parquet files answer this
// unless a column holds numbers that are not finite.
func (s *session) bounds(schema slipway.Schema, sql string) ([][2]float64, error) {
	ask := func(value func(c slipway.Column) string, of []int, into [][2]float64) error {
		var list []string
		for _, i := range of {
			v := value(schema[i])
			list = append(list, "CAST(min("+v+") AS DOUBLE)", "CAST(max("+v+") AS DOUBLE)")
		}
		types := make([]slipway.Type, len(list))
		for i := range types {
			types[i] = slipway.Float
		}
		return s.duck.stream("SELECT "+strings.Join(list, ", ")+" FROM (\n"+sql+"\n)", s.request.Params, types, func(_ int, v []vector) error {
			for j, i := range of {
				if v[2*j].null(0) {
					into[i] = [2]float64{math.NaN(), math.NaN()}
				} else {
					into[i] = [2]float64{v[2*j].floats[0], v[2*j+1].floats[0]}
				}
			}
			return nil
		})
	}
	out := make([][2]float64, len(schema))
	var numbers, again []int
	for i, c := range schema {
		if c.Type == slipway.Int || c.Type == slipway.Float {
			numbers = append(numbers, i)
		}
	}
	if len(numbers) == 0 {
		return out, nil
	}
	if err := ask(func(c slipway.Column) string { return name(c.Name) }, numbers, out); err != nil {
		return nil, s.explain(err, "")
	}
	for _, i := range numbers {
		if w := out[i][1] - out[i][0]; math.IsNaN(w) || math.IsInf(w, 0) {
			again = append(again, i)
		}
	}
	if len(again) == 0 {
		return out, nil
	}
	err := ask(func(c slipway.Column) string {
		return fmt.Sprintf("CASE WHEN isfinite(CAST(%[1]s AS DOUBLE)) THEN %[1]s END", name(c.Name))
	}, again, out)
	if err != nil {
		return nil, s.explain(err, "")
	}
	return out, nil
}

// The sizes of a summarizer.
const (
	sampleRows   = 131_072    // most rows of the sample
	sampleValues = 16_000_000 // most values of it
	numberValues = 4096       // different numbers of a column that are all counted
	textValues   = 65_536     // different texts of a column that are counted at a time
	maxDays      = 36_600     // a century
)

// summarizer counts rows as they come.
type summarizer struct {
	options summaryOptions
	rows    int64
	columns []*columnCounter

	// A row is in the sample when the hash of its number is below the threshold,
	// which halves when the sample is full: the same rows give the same sample.
	threshold uint64
	limit     int
	sampled   []int64 // numbers of the rows in it
	picked    []int   // rows of the chunk at hand that are in it
	numeric   []int   // columns that are in it
	values    [][]float64
}

func newSummarizer(schema slipway.Schema, bounds [][2]float64, o summaryOptions) *summarizer {
	m := &summarizer{options: o, threshold: math.MaxUint64}
	for i, c := range schema {
		m.columns = append(m.columns, newColumnCounter(c, bounds[i], o))
		if c.Type.Numeric() {
			m.numeric = append(m.numeric, i)
		}
	}
	m.values = make([][]float64, len(m.numeric))
	m.limit = min(sampleRows, sampleValues/max(1, len(m.numeric)))
	return m
}

func (m *summarizer) add(rows int, vectors []vector) {
	m.picked = m.picked[:0]
	for i := range rows {
		if n := m.rows + int64(i); mix(uint64(n)) <= m.threshold {
			m.picked = append(m.picked, i)
			m.sampled = append(m.sampled, n)
		}
	}
	for i, c := range m.columns {
		c.add(rows, &vectors[i])
	}
	for j, i := range m.numeric {
		v := &vectors[i]
		for _, row := range m.picked {
			m.values[j] = append(m.values[j], v.number(row))
		}
	}
	m.rows += int64(rows)
	for len(m.sampled) > m.limit {
		m.thin()
	}
}

// thin halves the sample.
func (m *summarizer) thin() {
	m.threshold /= 2
	keep := 0
	for i, n := range m.sampled {
		if mix(uint64(n)) > m.threshold {
			continue
		}
		m.sampled[keep] = n
		for j := range m.values {
			m.values[j][keep] = m.values[j][i]
		}
		keep++
	}
	m.sampled = m.sampled[:keep]
	for j := range m.values {
		m.values[j] = m.values[j][:keep]
	}
}

// number is a value as a float64, NaN where it is missing.
func (v *vector) number(row int) float64 {
	switch {
	case v.null(row):
		return math.NaN()
	case v.floats != nil:
		return v.floats[row]
	case v.ints != nil:
		return float64(v.ints[row])
	case v.bools != nil:
		return float64(v.bools[row])
	}
	return math.NaN()
}

// summary ends the count.
func (m *summarizer) summary() *Summary {
	out := &Summary{Rows: m.rows, Sampled: len(m.sampled)}
	for _, c := range m.columns {
		out.Columns = append(out.Columns, c.summary(m.rows))
	}
	for j, i := range m.numeric {
		if n := out.Columns[i].Number; n != nil && n.Quantiles == nil {
			n.Quantiles = quantiles(m.values[j], m.options.Levels)
		}
	}
	out.Correlation = correlations(m, out)
	return out
}
