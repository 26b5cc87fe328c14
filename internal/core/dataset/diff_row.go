package dataset

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/query"
)

// RowDiff is which rows differ. Files that both versions have are not looked at
// again: their rows are the same. Without a key rows are compared whole, as a
// multiset: a row that changed was removed and another added.
type RowDiff struct {
	Key     []string         `json:"key"`
	Added   int64            `json:"added"`
	Removed int64            `json:"removed"`
	Changed int64            `json:"changed"`
	Columns map[string]int64 `json:"columns,omitempty"` // changed values by column
	Sample  []RowChange      `json:"sample,omitempty"`  // the first few rows that differ
	Note    string           `json:"note,omitempty"`    // why rows were not compared by the version's key
	Rows    slipway.Digest   `json:"rows,omitempty"`    // every row that differs, as Parquet; see Compare.Keep
}

// RowChange is one row that differs.
type RowChange struct {
	Key    string       `json:"key"`
	Change string       `json:"change"`          // added, removed or changed
	Times  int64        `json:"times,omitempty"` // how many rows alike came or went, without a key
	Cells  []CellChange `json:"cells,omitempty"`
}

// CellChange is a value that differs; of an added row there is only To, of a
// removed one only From.
type CellChange struct {
	Column string  `json:"column"`
	From   *string `json:"from"`
	To     *string `json:"to"`
}

// diffMemory keeps the worker under a gigabyte: DuckDB's own account, on which
// it begins to spill, leaves out what its allocator and the reader hold.
const diffMemory = 850 << 20

// sides are the rows of two versions that are to be compared, and how.
type sides struct {
	was, now *table
	key      []string
	shared   []string // columns of both that are compared
	ask      Compare
}

// rowDiff compares the rows of two sets of files.
func (s *Service) rowDiff(ctx context.Context, a, b Version, before, after []content.Entry, q Compare) (*RowDiff, error) {
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
	out := &RowDiff{Key: []string{}, Columns: map[string]int64{}}
	p := &sides{was: was, now: now, ask: q}
	p.was.source.Name, p.now.source.Name = "slipway_was", "slipway_now"
	if err := s.chooseKey(ctx, p, a, b, out); err != nil {
		return nil, err
	}
	if was.source.Files == nil && now.source.Files == nil {
		return out, nil
	}
	p.choose(a.Schema, b.Schema)
	return out, s.differ(ctx, p, out)
}

// side is the table of some files of a version; without files it has none.
func (s *Service) side(ctx context.Context, v Version, entries []content.Entry) (*table, error) {
	if len(entries) == 0 {
		return &table{spec: v.Spec, schema: v.Schema}, nil
	}
	return s.open(ctx, v.Name, entries, v.Spec, v.Schema)
}

// choose finds the columns that are compared.
func (p *sides) choose(was, now slipway.Schema) {
	for _, c := range now {
		if was.Index(c.Name) >= 0 && !slices.Contains(p.key, c.Name) && !slices.Contains(p.ask.Ignore, c.Name) {
			p.shared = append(p.shared, c.Name)
		}
	}
}

// chooseKey finds by what rows are told apart. A key that somebody asked for has
// to be one; where the version's own is not, rows are compared whole.
func (s *Service) chooseKey(ctx context.Context, p *sides, a, b Version, out *RowDiff) error {
	for _, c := range slices.Concat(p.ask.Key, p.ask.Ignore) {
		if a.Schema.Index(c) < 0 && b.Schema.Index(c) < 0 {
			return slipway.Errorf(slipway.Invalid, "%s has no column %s", b.ID(), c).WithHint("it has %s", strings.Join(b.Schema.Names(), ", "))
		}
	}
	key := p.ask.Key
	if len(key) == 0 {
		key = b.Spec.Key
	}
	if len(key) == 0 || len(p.ask.Key) == 0 && !slices.Equal(a.Spec.Key, key) {
		return nil
	}
	for _, side := range []struct {
		v Version
		t *table
	}{{a, p.was}, {b, p.now}} {
		repeated, err := s.repeatedKeys(ctx, side.v, side.t, key)
		if err != nil {
			return err
		}
		if repeated == 0 {
			continue
		}
		text := fmt.Sprintf("%s is not a key of %s: %s repeat one or have none", strings.Join(key, ", "), side.v.ID(), plural(repeated, "row"))
		if len(p.ask.Key) > 0 {
			return slipway.Errorf(slipway.Invalid, "%s", text).WithHint("name more columns after --key")
		}
		out.Note = text + ", so rows are compared whole"
		return nil
	}
	p.key, out.Key = key, key
	return nil
}

// repeatedKeys counts rows whose key another row has too, or that have none.
// For the key that the version declares, its profile knows.
func (s *Service) repeatedKeys(ctx context.Context, v Version, t *table, key []string) (int64, error) {
	if slices.Equal(key, v.Spec.Key) && v.Profile != "" {
		var p Profile
		if err := s.recall(ctx, v.Profile, &p); err != nil {
			return 0, err
		}
		if p.Keys != nil && *p.Keys == p.Rows {
			return 0, nil
		}
	}
	if t.source.Files == nil {
		return 0, nil
	}
	for _, k := range key {
		if t.schema.Index(k) < 0 {
			return 0, slipway.Errorf(slipway.Invalid, "%s has no column %s", v.ID(), k)
		}
	}
	r := query.Request{Tables: []query.Table{t.source}, SQL: "SELECT count(*) - count(DISTINCT " + tuple(key) + ") FROM " + quoted(t.source.Name), Timezone: t.spec.Timezone, Memory: diffMemory}
	res, err := s.o.Query.Run(ctx, r)
	if err != nil {
		return 0, err
	}
	n, _ := res.Rows[0][0].(int64)
	return n, nil
}

// differ writes the rows that differ to a file, in one query that holds keys and
// hashes of rows only, and counts what is in the file.
func (s *Service) differ(ctx context.Context, p *sides, out *RowDiff) error {
	if err := os.MkdirAll(s.o.Dir, 0o700); err != nil {
		return diskError(err)
	}
	dir, err := os.MkdirTemp(s.o.Dir, "diff-")
	if err != nil {
		return diskError(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "rows.parquet")
	sql := p.byRow()
	if len(p.key) > 0 {
		sql = p.byKey()
	}
	r := query.Request{SQL: sql, Timezone: p.now.spec.Timezone, Output: query.ToParquet(file), Threads: 2, Memory: diffMemory}
	for _, t := range []*table{p.was, p.now} {
		if t.source.Files != nil {
			r.Tables = append(r.Tables, t.source)
		}
	}
	if _, err := s.o.Query.Run(ctx, r); err != nil {
		return err
	}
	if err := s.countRows(ctx, p, file, out); err != nil {
		return err
	}
	if p.ask.Keep {
		if out.Rows, _, err = s.o.Content.PutFile(ctx, file); err != nil {
			return err
		}
	}
	return nil
}

// countRows sums up the file of rows that differ.
func (s *Service) countRows(ctx context.Context, p *sides, file string, out *RowDiff) error {
	ask := func(sql string) (query.Result, error) {
		t := query.Table{Name: "d", Files: []string{file}, Format: query.FormatParquet}
		return s.o.Query.Run(ctx, query.Request{Tables: []query.Table{t}, SQL: sql, Timezone: p.now.spec.Timezone})
	}
	weight := func(change string) string {
		return "coalesce(CAST(sum(slipway_rows) FILTER (WHERE slipway_change = " + literal(change) + ") AS BIGINT), 0)"
	}
	list := []string{weight("added"), weight("removed"), weight("changed")}
	if len(p.key) > 0 {
		for _, c := range p.shared {
			list = append(list, "count(*) FILTER (WHERE slipway_change = 'changed' AND "+p.differs(c, quoted("old."+c), quoted("new."+c))+")")
		}
	}
	res, err := ask("SELECT " + strings.Join(list, ", ") + " FROM d")
	if err != nil {
		return err
	}
	n := func(i int) int64 { v, _ := res.Rows[0][i].(int64); return v }
	out.Added, out.Removed, out.Changed = n(0), n(1), n(2)
	for i := range list[3:] {
		if c := n(3 + i); c > 0 {
			out.Columns[p.shared[i]] = c
		}
	}
	if p.ask.Sample <= 0 {
		p.ask.Sample = 10
	}
	if out.Added+out.Removed+out.Changed == 0 {
		return nil
	}
	order := "slipway_change = 'added'"
	for _, k := range p.key {
		order += ", " + quoted(k)
	}
	all, err := ask(fmt.Sprintf("SELECT COLUMNS(*)::VARCHAR FROM d ORDER BY %s LIMIT %d", order, p.ask.Sample))
	if err != nil {
		return err
	}
	for _, row := range all.Rows {
		out.Sample = append(out.Sample, p.change(all.Schema, row))
	}
	return nil
}

// change reads a row of the file of rows that differ.
func (p *sides) change(schema slipway.Schema, row []any) RowChange {
	value := func(name string) *string {
		if i := schema.Index(name); i >= 0 {
			if v, ok := row[i].(string); ok {
				short := shorten(v)
				return &short
			}
		}
		return nil
	}
	out := RowChange{Change: *value("slipway_change")}
	var key []string
	for _, k := range p.key {
		if v := value(k); v != nil {
			key = append(key, *v)
		} else {
			key = append(key, "")
		}
	}
	out.Key = strings.Join(key, ", ")
	if len(p.key) == 0 {
		if _, err := fmt.Sscan(*value("slipway_rows"), &out.Times); err != nil {
			out.Times = 1
		}
	}
	seen := map[string]bool{}
	for _, c := range schema {
		name, isOld := strings.CutPrefix(c.Name, "old.")
		name, isNew := strings.CutPrefix(name, "new.")
		if !isOld && !isNew || seen[name] {
			continue
		}
		seen[name] = true
		from, to := value("old."+name), value("new."+name)
		same := from == nil && to == nil || from != nil && to != nil && *from == *to
		if !same && !(out.Change == "changed" && !slices.Contains(p.shared, name)) {
			out.Cells = append(out.Cells, CellChange{name, from, to})
		}
	}
	return out
}
