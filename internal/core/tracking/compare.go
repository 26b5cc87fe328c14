package tracking

import (
	"cmp"
	"slices"
	"strconv"
)

// Comparison is several runs side by side.
type Comparison struct {
	Runs    []RunHead `json:"runs"`
	Params  []Row     `json:"params"`
	Metrics []Row     `json:"metrics"`
}

// RunHead is what names a run in a comparison.
type RunHead struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Status Status `json:"status"`
}

// Row is one param or metric of every run; an empty value is absent.
type Row struct {
	Key       string   `json:"key"`
	Value     []string `json:"value"`
	Different bool     `json:"different"`
}

// Compare puts the params and metrics of runs side by side, by key.
func Compare(runs []*Run) Comparison {
	c := Comparison{Runs: []RunHead{}}
	params, metrics := newRows(len(runs)), newRows(len(runs))
	for i, r := range runs {
		c.Runs = append(c.Runs, RunHead{r.ID, r.Name, r.Status})
		for _, p := range r.Params {
			params.set(p.Key, i, p.Value)
		}
		for _, m := range r.Metrics {
			metrics.set(m.Key, i, strconv.FormatFloat(float64(m.Value), 'g', -1, 64))
		}
	}
	c.Params, c.Metrics = params.sorted(), metrics.sorted()
	return c
}

type rows struct {
	n   int
	row map[string]*Row
}

func newRows(n int) rows { return rows{n, map[string]*Row{}} }

func (rs rows) set(key string, i int, value string) {
	row := rs.row[key]
	if row == nil {
		row = &Row{Key: key, Value: make([]string, rs.n)}
		rs.row[key] = row
	}
	row.Value[i] = value
}

func (rs rows) sorted() []Row {
	out := []Row{}
	for _, r := range rs.row {
		for _, v := range r.Value {
			r.Different = r.Different || v != r.Value[0]
		}
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b Row) int { return cmp.Compare(a.Key, b.Key) })
	return out
}
