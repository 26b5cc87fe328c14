package dataset

import (
	"context"
	"slices"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
)

// Diff is what differs between two versions, from coarse to fine.
type Diff struct {
	From    string          `json:"from"` // name@vN
	To      string          `json:"to"`
	Files   content.Changes `json:"files"`
	Schema  []SchemaChange  `json:"schema,omitempty"`
	Rows    int64           `json:"rows"` // more or fewer
	Columns []ColumnChange  `json:"columns,omitempty"`
	ByKey   *RowDiff        `json:"byKey,omitempty"` // nil where the files are no table
}

// SchemaChange is a column that came, went or changed its type; the type is ""
// where the column was not.
type SchemaChange struct {
	Column string       `json:"column"`
	From   slipway.Type `json:"from,omitempty"`
	To     slipway.Type `json:"to,omitempty"`
}

// ColumnChange is how the statistics of a column moved.
type ColumnChange struct {
	Column  string     `json:"column"`
	Missing [2]float64 `json:"missing"` // share, before and after
	Mean    []float64  `json:"mean,omitempty"`
	Median  []float64  `json:"median,omitempty"`
	// Shift is how far the mean moved in standard deviations of the first
	// version (Cohen's d), for numbers.
	Shift *float64 `json:"shift,omitempty"`
	New   []string `json:"new,omitempty"`  // frequent values that were not there
	Gone  []string `json:"gone,omitempty"` // frequent values that are not there any more
}

// Compare says which versions Diff compares and how closely.
type Compare struct {
	From      int      // 0 is the one before To
	To        int      // 0 is the newest
	Key       []string // columns that tell one row from all others; by default the version's own
	Ignore    []string // columns whose changes do not matter
	Tolerance float64  // numbers x and y are alike up to Tolerance × max(1, |x|, |y|)
	Sample    int      // rows to show; 0 is 10
	Coarse    bool     // leave the rows out
	Keep      bool     // put every row that differs into content, as Parquet
}

// Diff compares two versions, from files to rows. It fails with NotFound, and
// with Invalid for a key that is not one.
func (s *Service) Diff(ctx context.Context, project, name string, q Compare) (Diff, error) {
	var d Diff
	b, err := s.find(ctx, project, name, q.To)
	if err != nil {
		return d, err
	}
	if q.From == 0 {
		q.From = b.Number - 1
	}
	if q.From == 0 {
		return d, slipway.Errorf(slipway.NotFound, "%s is the first version", b.ID()).WithHint("slipway data profile %s shows what is in it", name)
	}
	a, err := s.find(ctx, project, name, q.From)
	if err != nil {
		return d, err
	}
	before, err := s.o.Content.GetTree(ctx, a.Tree)
	if err != nil {
		return d, err
	}
	after, err := s.o.Content.GetTree(ctx, b.Tree)
	if err != nil {
		return d, err
	}
	d = Diff{From: a.ID(), To: b.ID(), Files: content.Diff(before, after), Rows: b.Rows - a.Rows, Schema: schemaDiff(a.Schema, b.Schema)}
	if !a.Table() || !b.Table() {
		return d, nil
	}
	if d.Columns, err = s.columnDiff(ctx, a, b); err != nil {
		return d, err
	}
	if q.Coarse {
		return d, nil
	}
	d.ByKey, err = s.rowDiff(ctx, a, b, unique(before, after), unique(after, before), q)
	return d, err
}

// unique is the entries whose content the other tree does not have.
func unique(tree, other content.Tree) []content.Entry {
	has := map[slipway.Digest]bool{}
	for _, e := range other {
		has[e.Digest] = true
	}
	return slices.DeleteFunc(slices.Clone(tree), func(e content.Entry) bool { return has[e.Digest] })
}

func schemaDiff(a, b slipway.Schema) (out []SchemaChange) {
	for _, c := range a {
		if i := b.Index(c.Name); i < 0 {
			out = append(out, SchemaChange{Column: c.Name, From: c.Type})
		} else if b[i].Type != c.Type {
			out = append(out, SchemaChange{c.Name, c.Type, b[i].Type})
		}
	}
	for _, c := range b {
		if a.Index(c.Name) < 0 {
			out = append(out, SchemaChange{Column: c.Name, To: c.Type})
		}
	}
	return out
}

// columnDiff compares the profiles of two versions.
func (s *Service) columnDiff(ctx context.Context, a, b Version) ([]ColumnChange, error) {
	var before, after Profile
	if err := s.recall(ctx, a.Profile, &before); err != nil {
		return nil, err
	}
	if err := s.recall(ctx, b.Profile, &after); err != nil {
		return nil, err
	}
	var out []ColumnChange
	for _, now := range after.Columns {
		was := before.Column(now.Name)
		if was == nil || was.Type != now.Type {
			continue
		}
		c := ColumnChange{Column: now.Name, Missing: [2]float64{ratio(was.Missing, before.Rows), ratio(now.Missing, after.Rows)}}
		if was.Mean != nil && now.Mean != nil {
			c.Mean = []float64{*was.Mean, *now.Mean}
			if was.SD != nil && *was.SD > 0 {
				d := (*now.Mean - *was.Mean) / *was.SD
				c.Shift = &d
			}
		}
		if len(was.Quantiles) == len(QuantileLevels) && len(now.Quantiles) == len(QuantileLevels) {
			c.Median = []float64{was.Quantiles[3], now.Quantiles[3]}
		}
		if now.Type == slipway.Text || now.Type == slipway.Bool {
			c.New, c.Gone = others(now, *was), others(*was, now)
		}
		out = append(out, c)
	}
	return out, nil
}

func ratio(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// others lists values of a that b, all of whose values are known, does not have.
func others(a, b ColumnProfile) (out []string) {
	if int64(len(b.Top)) < b.Distinct {
		return nil
	}
	for _, v := range a.Top {
		if !slices.ContainsFunc(b.Top, func(o ValueCount) bool { return o.Value == v.Value }) {
			out = append(out, v.Value)
		}
	}
	return out
}
