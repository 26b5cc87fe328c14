package dataset

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/query"
)

// Diff is what differs between two versions, from coarse to fine.
type Diff struct {
	From    string          `json:"from"` // name@vN
	To      string          `json:"to"`
	Files   content.Changes `json:"files"`
	Schema  []SchemaChange  `json:"schema,omitempty"`
	Rows    int64           `json:"rows"` // more or fewer
	Columns []ColumnChange  `json:"columns,omitempty"`
	ByKey   *RowDiff        `json:"byKey,omitempty"` // nil without a key
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

// RowDiff counts rows by their keys. Files that both versions have are not
// looked at again: their rows are the same.
type RowDiff struct {
	Key     []string         `json:"key"`
	Added   int64            `json:"added"`
	Removed int64            `json:"removed"`
	Changed int64            `json:"changed"`
	Columns map[string]int64 `json:"columns,omitempty"` // changed values by column
	Sample  []RowChange      `json:"sample,omitempty"`  // the first few rows that differ
}

// RowChange is one row that differs.
type RowChange struct {
	Key    string `json:"key"`
	Change string `json:"change"` // added, removed or changed
}

// Diff compares two versions; a 0 for from is the one before to, a 0 for to the
// newest. It fails with NotFound.
func (s *Service) Diff(ctx context.Context, project, name string, from, to int) (Diff, error) {
	var d Diff
	b, err := s.find(ctx, project, name, to)
	if err != nil {
		return d, err
	}
	if from == 0 {
		from = b.Number - 1
	}
	if from == 0 {
		return d, slipway.Errorf(slipway.NotFound, "%s is the first version", b.ID()).WithHint("slipway data profile %s shows what is in it", name)
	}
	a, err := s.find(ctx, project, name, from)
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
	if len(b.Spec.Key) > 0 && slices.Equal(a.Spec.Key, b.Spec.Key) {
		d.ByKey, err = s.rowDiff(ctx, a, b, unique(before, after), unique(after, before))
	}
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

// rowDiff joins the rows of two sets of files by key.
func (s *Service) rowDiff(ctx context.Context, a, b Version, before, after []content.Entry) (*RowDiff, error) {
	out := &RowDiff{Key: b.Spec.Key, Columns: map[string]int64{}}
	was, err := s.side(ctx, a, before)
	if err != nil {
		return nil, err
	}
	defer was.close()
	now, err := s.side(ctx, b, after)
	if err != nil {
		return nil, err
	}
	defer now.close()
	switch {
	case was.source.Files == nil && now.source.Files == nil:
		return out, nil
	case was.source.Files == nil:
		out.Added, err = s.count(ctx, now)
		return out, err
	case now.source.Files == nil:
		out.Removed, err = s.count(ctx, was)
		return out, err
	}
	return out, s.joinSides(ctx, was, now, out)
}

func (s *Service) count(ctx context.Context, t *table) (n int64, err error) {
	res, err := s.o.Query.Run(ctx, t.request("SELECT count(*) FROM "+t.ref()))
	if err == nil {
		n = res.Rows[0][0].(int64)
	}
	return n, err
}

// side is the table of some files of a version; without files it has none.
func (s *Service) side(ctx context.Context, v Version, entries []content.Entry) (*table, error) {
	if len(entries) == 0 {
		return &table{}, nil
	}
	return s.open(ctx, v.Name, entries, v.Spec, v.Schema)
}

// joinSides counts keys on one side alone, and the values that differ where a
// key is on both. Repeated keys are counted once.
func (s *Service) joinSides(ctx context.Context, was, now *table, out *RowDiff) error {
	was.source.Name, now.source.Name = "slipway_was", "slipway_now"
	isKey := map[string]bool{}
	var on, keys []string
	for _, k := range out.Key {
		isKey[k] = true
		on = append(on, "a."+quoted(k)+" IS NOT DISTINCT FROM b."+quoted(k))
		keys = append(keys, "coalesce(CAST(a."+quoted(k)+" AS VARCHAR), CAST(b."+quoted(k)+" AS VARCHAR), '')")
	}
	var shared, differs []string
	for _, c := range now.schema {
		i := was.schema.Index(c.Name)
		if i < 0 || isKey[c.Name] {
			continue
		}
		x, y := "a."+quoted(c.Name), "b."+quoted(c.Name)
		if was.schema[i].Type != c.Type {
			x, y = "CAST("+x+" AS VARCHAR)", "CAST("+y+" AS VARCHAR)"
		}
		shared, differs = append(shared, c.Name), append(differs, x+" IS DISTINCT FROM "+y)
	}
	both := "a.slipway_a AND b.slipway_b"
	change := "false"
	if len(differs) > 0 {
		change = "(" + strings.Join(differs, " OR ") + ")"
	}
	list := []string{"count(*) FILTER (WHERE a.slipway_a IS NULL)", "count(*) FILTER (WHERE b.slipway_b IS NULL)", "count(*) FILTER (WHERE " + both + " AND " + change + ")"}
	for _, d := range differs {
		list = append(list, "count(*) FILTER (WHERE "+both+" AND "+d+")")
	}
	key := tuple(out.Key)
	from := fmt.Sprintf(" FROM (SELECT DISTINCT ON (%[1]s) true AS slipway_a, * FROM slipway_was) a FULL OUTER JOIN (SELECT DISTINCT ON (%[1]s) true AS slipway_b, * FROM slipway_now) b ON %[2]s",
		strings.Trim(strings.TrimPrefix(key, "row"), "()"), strings.Join(on, " AND "))
	ask := func(sql string) (query.Result, error) {
		return s.o.Query.Run(ctx, query.Request{Tables: []query.Table{was.source, now.source}, SQL: sql, Timezone: now.spec.Timezone})
	}
	res, err := ask("SELECT " + strings.Join(list, ", ") + from)
	if err != nil {
		return err
	}
	n := func(i int) int64 { v, _ := res.Rows[0][i].(int64); return v }
	out.Added, out.Removed, out.Changed = n(0), n(1), n(2)
	for i, name := range shared {
		if c := n(3 + i); c > 0 {
			out.Columns[name] = c
		}
	}
	if out.Removed+out.Changed == 0 {
		return nil // that rows were added needs no examples
	}
	res, err = ask(fmt.Sprintf("SELECT %s AS k, CASE WHEN b.slipway_b IS NULL THEN 'removed' ELSE 'changed' END%s WHERE b.slipway_b IS NULL OR (%s AND %s) ORDER BY k LIMIT 10",
		strings.Join(keys, " || ', ' || "), from, both, change))
	if err != nil {
		return err
	}
	for _, row := range res.Rows {
		k, _ := row[0].(string)
		c, _ := row[1].(string)
		out.Sample = append(out.Sample, RowChange{k, c})
	}
	return nil
}
