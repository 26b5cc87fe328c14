package query

import (
	"fmt"
	"path/filepath"
	"strings"

	slipway "github.com/slipway-ml/slipway"
)

// source is a table as SQL: a SELECT over its files that gives the columns of
// schema, in its types.
type source struct {
	sql    string
	schema slipway.Schema
	csv    CSV
}

// source makes a table readable.
func (s *session) source(t Table) (source, error) {
	if len(t.Files) == 0 {
		return source{}, slipway.Errorf(slipway.Invalid, "the table %s has no files", t.Name)
	}
	if t.Format == "" {
		format, err := Detect(t.Files[0])
		if err != nil {
			return source{}, err
		}
		t.Format = format
	}
	var paths []string
	for _, file := range t.Files {
		f, err := openData(file)
		if err != nil {
			return source{}, err
		}
		if len(t.Columns) == 0 { // a file that is new here
			err = checkUnpacked(f, unpackedFree, unpackedRatio)
		}
		f.Close()
		if err != nil {
			return source{}, err
		}
		paths = append(paths, s.files.plain(file))
	}
	switch t.Format {
	case FormatCSV:
		return s.csvSource(t)
	case FormatParquet:
		reader := fmt.Sprintf("read_parquet(%s, union_by_name = %t, hive_partitioning = false)", texts(paths), len(paths) > 1)
		columns, err := s.duck.describe("SELECT * FROM "+reader, nil)
		if err != nil {
			return source{}, s.explain(err, "")
		}
		return s.selected(t, reader, columns)
	case FormatJSON:
		return s.jsonSource(t, paths)
	}
	return source{}, slipway.Errorf(slipway.Invalid, "%q is not a format of tables", t.Format).WithHint("known are csv, parquet and json")
}

// jsonSource reads JSON in two steps, because DuckDB takes a time with an offset
// for one without: first it says what it sees, then times are read as such.
func (s *session) jsonSource(t Table, paths []string) (source, error) {
	options := "union_by_name = true, hive_partitioning = false, sample_size = 1000000"
	reader := fmt.Sprintf("read_json(%s, %s)", texts(paths), options)
	seen, err := s.duck.strings("SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM "+reader+")", 2)
	if err != nil {
		return source{}, s.explain(err, "")
	}
	var spec []string
	for _, row := range seen {
		if row[1] == "TIMESTAMP" {
			row[1] = "TIMESTAMPTZ"
		}
		spec = append(spec, text(row[0])+": "+text(row[1]))
	}
	reader = fmt.Sprintf("read_json(%s, %s, columns = {%s})", texts(paths), options, strings.Join(spec, ", "))
	columns, err := s.duck.describe("SELECT * FROM "+reader, nil)
	if err != nil {
		return source{}, s.explain(err, "")
	}
	return s.selected(t, reader, columns)
}

// selected picks the declared columns from a reader's, or all of them.
func (s *session) selected(t Table, reader string, columns []column) (source, error) {
	schema := t.Columns
	if len(schema) == 0 {
		schema = schemaOf(columns)
	}
	byName := map[string]column{}
	for _, c := range columns {
		byName[strings.ToLower(c.name)] = c
	}
	var list []string
	for _, want := range schema {
		c, ok := byName[strings.ToLower(want.Name)]
		if !ok {
			return source{}, slipway.Errorf(slipway.Invalid, "%s has no column %s", filepath.Base(t.Files[0]), want.Name).
				WithHint("it has %s", strings.Join(schemaOf(columns).Names(), ", "))
		}
		value := name(c.name)
		if len(t.Columns) > 0 || c.duck.name == "TIMESTAMP" {
			value = cast(value, c.duck, want, s.request.Timezone)
		}
		list = append(list, value+" AS "+name(want.Name))
	}
	return source{sql: "SELECT " + strings.Join(list, ", ") + " FROM " + reader, schema: schema}, nil
}

// cast turns a value into a declared type without losing any of it: a fraction
// is no whole number, and NaN, which pandas writes for a missing one, is null.
func cast(value string, from duckType, to slipway.Column, zone string) string {
	logical := from.logical()
	switch {
	case to.Type == slipway.Int && logical == slipway.Float:
		return wholeNumber(value, to.Name)
	case logical == to.Type || to.Type == slipway.Text:
		return plainly(value, from, zone)
	case to.Type == slipway.Time && from.name == "DATE":
		return "timezone(" + text(zone) + ", " + value + "::TIMESTAMP)"
	case logical == slipway.Time:
		return plainly(value, from, zone) + "::" + duckOfType[to.Type]
	}
	return value + "::" + duckOfType[to.Type]
}

// wholeNumber casts a number with a fraction of zero, and fails for others.
func wholeNumber(value, column string) string {
	message := text("column " + column + " holds ")
	return fmt.Sprintf("CASE WHEN isnan(%[1]s::DOUBLE) THEN NULL WHEN %[1]s = trunc(%[1]s) THEN %[1]s::BIGINT ELSE error(%[2]s || %[1]s || ', which is not a whole number') END", value, message)
}
