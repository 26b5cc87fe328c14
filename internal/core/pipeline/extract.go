package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/query"
	"github.com/slipway-ml/slipway/internal/kit/web"
	"github.com/slipway-ml/slipway/internal/project"
)

// extract cuts the rows of a window out of a dataset version, as one Parquet
// file. Its digest, not the version, is what a step depends on: a version that
// adds April changes nothing for a step that reads January to March.
func (s *Service) extract(ctx context.Context, p *project.Project, v DatasetVersion, w slipway.Window, part string, say func(web.Progress)) (Output, error) {
	set := p.Data[v.Name]
	expression := set.Time.Expression
	identity := []any{v.Tree, w, expression, p.Timezone, v.Format, v.CSV, v.Schema}
	if part != "" {
		identity = append(identity, set.Split, set.Key, part)
	}
	raw, err := json.Marshal(identity)
	if err != nil {
		return Output{}, err
	}
	key := string(slipway.DigestOf(raw))
	out, err := s.extracted(ctx, p.Name, key)
	if err == nil && s.kept(ctx, map[string]Output{"": out}) {
		return out, nil
	}
	if err != nil && !slipway.IsCode(err, slipway.NotFound) {
		return Output{}, err
	}
	say(web.Progress{Topic: v.Name, Message: "cutting out " + viewText(w, part), State: "extract"})
	dir, err := s.path("extract")
	if err != nil {
		return Output{}, err
	}
	dir, err = os.MkdirTemp(dir, "cut-")
	if err != nil {
		return Output{}, err
	}
	defer os.RemoveAll(dir)
	files, err := s.linkTree(ctx, v.Tree, filepath.Join(dir, "in"))
	if err != nil {
		return Output{}, err
	}
	sql, params, err := viewSQL(v.Name, set, w, part)
	if err != nil {
		return Output{}, err
	}
	target := filepath.Join(dir, "out.parquet")
	res, err := s.o.Query.Run(ctx, query.Request{
		Tables: []query.Table{{Name: v.Name, Files: files, Format: v.Format, CSV: v.CSV, Columns: v.Schema}},
		SQL:    sql, Params: params, Output: query.ToParquet(target), Timezone: p.Timezone,
	})
	if err != nil {
		return Output{}, err
	}
	if res.RowCount == 0 {
		return Output{}, slipway.Errorf(slipway.Invalid, "%s@v%d has no rows in %s", v.Name, v.Version, viewText(w, part)).
			WithHint("`slipway data log %s` shows which time each version covers", v.Name)
	}
	if out.Digest, out.Size, err = s.o.Content.PutFile(ctx, target); err != nil {
		return Output{}, err
	}
	return out, s.insertExtract(ctx, p.Name, key, out, res.RowCount)
}

// viewSQL selects the rows of a window, and of those a part of the split.
func viewSQL(table string, set project.Dataset, w slipway.Window, part string) (string, []any, error) {
	if part == "" {
		sql, params := windowSQL(table, set.Time.Expression, w)
		return sql, params, nil
	}
	from, params := quoteName(table), []any(nil)
	if !w.IsZero() {
		from, params = windowSQL(table, set.Time.Expression, w)
		from = "(" + from + ")"
	}
	sql, err := set.Split.SQL(from, instant(set.Time.Expression), set.Key, part)
	return sql, params, err
}

// instant is the SQL of when a row happened, "" for rows without a time.
func instant(expression string) string {
	if expression == "" {
		return ""
	}
	if column().MatchString(expression) {
		expression = quoteName(expression) // a column may be named like a word of SQL
	}
	return "CAST((" + expression + ") AS TIMESTAMPTZ)"
}

// windowSQL selects the rows of a window in the order of the files.
func windowSQL(table, expression string, w slipway.Window) (string, []any) {
	var where []string
	var params []any
	if !w.From.IsZero() {
		where, params = append(where, "t >= ?"), append(params, w.From)
	}
	if !w.To.IsZero() {
		where, params = append(where, "t < ?"), append(params, w.To)
	}
	cast := instant(expression)
	sql := fmt.Sprintf("SELECT * FROM %s WHERE %s", quoteName(table), strings.ReplaceAll(strings.Join(where, " AND "), "t ", cast+" "))
	return sql, params
}

func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// viewText is a window and a part as people write them.
func viewText(w slipway.Window, part string) string {
	switch {
	case part == "":
		return windowText(w)
	case w.IsZero():
		return part
	}
	return windowText(w) + ", " + part
}

func windowText(w slipway.Window) string {
	bound := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.Format("2006-01-02T15:04Z")
	}
	return bound(w.From) + ".." + bound(w.To)
}

// linkTree puts the files of a tree into a folder and returns their paths.
func (s *Service) linkTree(ctx context.Context, d slipway.Digest, dir string) ([]string, error) {
	tree, err := s.o.Content.GetTree(ctx, d)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	files := make([]string, len(tree))
	for i, e := range tree {
		if err := s.o.Content.LinkIn(ctx, e.Digest, dir, e.Path, 0); err != nil {
			return nil, err
		}
		files[i] = filepath.Join(dir, filepath.FromSlash(e.Path))
	}
	return files, nil
}

// read is a small piece of content.
func (s *Service) read(ctx context.Context, d slipway.Digest) ([]byte, error) {
	r, err := s.o.Content.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// fileNumber numbers files of one dataset: "", "-2", "-3".
func fileNumber(n int) string {
	if n < 2 {
		return ""
	}
	return "-" + strconv.Itoa(n)
}
