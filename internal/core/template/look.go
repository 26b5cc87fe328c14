package template

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/query"
)

// sampleRows is how many rows, from the beginning of the file, are looked at one
// by one. Counts, distinct values and ranges come from all rows.
const sampleRows = 50_000

// minRows is the least number of rows that a project can be made of.
const minRows = 50

// Look is what a file holds.
type Look struct {
	Table  query.Table // reads it as a table named t
	Rows   int64
	Column []Column
	Sample *slipway.Frame
	Whole  bool // the sample is all rows
	Header bool // the file names its columns, or needs no names
	plain  bool // the names can be taken as they stand in the file
	engine *query.Engine
}

// Column is one column of the file.
type Column struct {
	Name     string
	Type     slipway.Type
	Present  int64 // values that are not missing
	Distinct int64 // about
	Min, Max float64
	Mean, SD float64
	Length   float64  // mean length of text
	Formats  []string // in which the text of a date is written
}

// Find finds a column by name, or nil.
func (l *Look) Find(name string) *Column {
	for i := range l.Column {
		if l.Column[i].Name == name {
			return &l.Column[i]
		}
	}
	return nil
}

// Names lists the columns.
func (l *Look) Names() []string {
	var out []string
	for _, c := range l.Column {
		out = append(out, c.Name)
	}
	return out
}

// Examine looks at a data file. names are the columns of a CSV file that has no
// header; without them its columns are called col1, col2 and so on. It fails
// with NotFound when there is no file, and with Invalid when it cannot be read
// as a table, has too few rows, or another number of columns than names.
func Examine(ctx context.Context, engine *query.Engine, path string, names []string) (*Look, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, slipway.Errorf(slipway.NotFound, "%s does not exist", path)
	case !info.Mode().IsRegular():
		return nil, slipway.Errorf(slipway.Invalid, "%s is not a file", path).WithHint("name one CSV, Parquet or JSON file")
	}
	l := &Look{engine: engine, Table: query.Table{Name: "t", Files: []string{path}}, Header: true, plain: true}
	schema, csv, err := engine.Describe(ctx, l.Table)
	if err != nil {
		return nil, err
	}
	if csv.Delimiter != "" {
		if schema, err = l.examineText(ctx, schema, csv, names); err != nil {
			return nil, err
		}
	} else if len(names) > 0 {
		return nil, slipway.Errorf(slipway.Invalid, "%s names its columns itself", path).WithHint("leave --columns out")
	}
	for i := range schema {
		schema[i].Nullable = true
		l.Column = append(l.Column, Column{Name: schema[i].Name, Type: schema[i].Type})
	}
	l.Table.Columns = schema
	if err := l.profile(ctx); err != nil {
		return nil, err
	}
	if l.Rows < minRows {
		return nil, slipway.Errorf(slipway.Invalid, "%s has %d rows, too few to train on and to judge by", path, l.Rows).WithHint("%d are the least", minRows)
	}
	if len(l.Column) < 2 {
		return nil, slipway.Errorf(slipway.Invalid, "%s has one column, and nothing to predict it from", path).
			WithHint("if its columns are not separated by commas, semicolons, tabs or |, rewrite it so")
	}
	if l.Sample, err = engine.Frame(ctx, query.Request{Tables: []query.Table{l.Table}, SQL: fmt.Sprintf("FROM t LIMIT %d", sampleRows)}); err != nil {
		return nil, err
	}
	l.Whole = int64(l.Sample.Rows) == l.Rows
	return l, nil
}

// examineText finds out the names and the missing values of a CSV file.
func (l *Look) examineText(ctx context.Context, schema slipway.Schema, csv query.CSV, names []string) (slipway.Schema, error) {
	l.Header = csv.Header == nil || *csv.Header
	if l.Header && len(names) > 0 {
		// The user knows better: a first line of words may be a row.
		no := false
		csv.Header, l.Header = &no, false
	}
	raw := query.CSV{Delimiter: csv.Delimiter, Quote: csv.Quote, Header: csv.Header, Encoding: csv.Encoding, Decimal: csv.Decimal, Null: []string{""}}
	columns := make([]string, len(schema))
	for i := range schema {
		columns[i] = schema[i].Name
		if !l.Header {
			columns[i] = fmt.Sprintf("col%d", i+1)
		}
	}
	if len(names) > 0 {
		if len(names) != len(columns) {
			return nil, slipway.Errorf(slipway.Invalid, "%d names are given, and %s has %d columns", len(names), l.Table.Files[0], len(columns))
		}
		columns = names
	}
	if l.Header {
		if err := l.readHeader(ctx, raw, columns); err != nil {
			return nil, err
		}
	}
	missing, err := l.missing(ctx, raw, columns)
	if err != nil {
		return nil, err
	}
	l.Table.CSV = query.CSV{Delimiter: csv.Delimiter, Quote: csv.Quote, Header: csv.Header, Encoding: csv.Encoding, Null: append([]string{""}, missing...)}
	schema, csv, err = l.engine.Describe(ctx, l.Table)
	if err != nil {
		return nil, err
	}
	times := map[string]string{}
	for i := range schema {
		if format, ok := csv.Time[schema[i].Name]; ok {
			times[columns[i]] = format
		}
		schema[i].Name = columns[i]
	}
	csv.Time = times
	l.Table.CSV = csv
	return schema, nil
}

// readHeader notes whether pandas would give the columns other names than we.
func (l *Look) readHeader(ctx context.Context, raw query.CSV, columns []string) error {
	no := false
	raw.Header = &no
	first, err := l.engine.Run(ctx, query.Request{Tables: []query.Table{l.text(raw, columns)}, SQL: "FROM t LIMIT 1", Limit: 1})
	if err != nil || len(first.Rows) == 0 {
		return err
	}
	for i, v := range first.Rows[0] {
		l.plain = l.plain && v == columns[i]
	}
	return nil
}

// text is the table with all values as they are written.
func (l *Look) text(csv query.CSV, columns []string) query.Table {
	schema := make(slipway.Schema, len(columns))
	for i, name := range columns {
		schema[i] = slipway.Column{Name: name, Type: slipway.Text, Nullable: true}
	}
	return query.Table{Name: "t", Files: l.Table.Files, Format: query.FormatCSV, CSV: csv, Columns: schema}
}

// missing lists the texts that stand for a missing value: the usual ones that
// occur, and those that keep a column of numbers or dates from being one.
func (l *Look) missing(ctx context.Context, raw query.CSV, columns []string) ([]string, error) {
	table := l.text(raw, columns)
	quoted := make([]string, len(columns))
	for i, name := range columns {
		quoted[i] = identifier(name)
	}
	usual := slices.DeleteFunc(slices.Clone(query.DefaultNull), func(s string) bool { return s == "" })
	found, err := l.engine.Run(ctx, query.Request{
		Tables: []query.Table{table}, Params: []any{usual},
		SQL: "SELECT DISTINCT v FROM (SELECT unnest([" + strings.Join(quoted, ", ") + "]) AS v FROM t) WHERE list_contains(?, v) ORDER BY v",
	})
	if err != nil {
		return nil, err
	}
	var out []string
	for _, row := range found.Rows {
		out = append(out, fmt.Sprint(row[0]))
	}
	sample, err := l.engine.Frame(ctx, query.Request{Tables: []query.Table{table}, SQL: fmt.Sprintf("FROM t LIMIT %d", sampleRows)})
	if err != nil {
		return nil, err
	}
	for i := range sample.Series {
		for _, token := range strangers(&sample.Series[i], raw.Decimal, out) {
			if !slices.Contains(out, token) {
				out = append(out, token)
			}
		}
	}
	return out, nil
}

// identifier quotes a name for SQL.
func identifier(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// literal quotes a text for SQL.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
