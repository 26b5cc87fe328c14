package dataset

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/query"
)

// table is the rows of some files, ready to be asked.
type table struct {
	name   string
	dir    string // holds the files under their own names
	source query.Table
	spec   Spec
	schema slipway.Schema
	others int // files beside the table
	around *around
	view   string // the rows as a contract sees them; "" where they are that already
}

// close takes the files away; the content stays.
func (t *table) close() {
	if t.dir != "" {
		_ = os.RemoveAll(t.dir)
	}
}

// ref is the table in SQL.
func (t *table) ref() string { return quoted(t.name) }

// rows is what a contract's checks are asked of.
func (t *table) rows() string {
	if t.view != "" {
		return t.view
	}
	return t.ref()
}

// time is the SQL of when a row happened, an instant; "" when rows have none.
func (t *table) time() string {
	if t.spec.Time == "" {
		return ""
	}
	expression := t.spec.Time
	if t.schema.Index(expression) >= 0 {
		expression = quoted(expression)
	}
	return "CAST((" + expression + ") AS TIMESTAMPTZ)"
}

// request is a query on the table.
func (t *table) request(sql string, params ...any) query.Request {
	return query.Request{Tables: append([]query.Table{t.source}, t.around.others()...), SQL: sql, Params: params, Timezone: t.spec.Timezone}
}

// quoted writes a name in SQL, literal a text.
func quoted(name string) string   { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
func literal(value string) string { return "'" + strings.ReplaceAll(value, "'", "''") + "'" }

// open lays the files of entries out and finds out how they are read. A table
// whose schema is known is taken at its word. The table of entries that are
// none has the format FilesOnly. It fails with Invalid, naming file and line,
// for a file that is malformed.
func (s *Service) open(ctx context.Context, name string, entries []content.Entry, spec Spec, known slipway.Schema) (*table, error) {
	chosen, format, err := s.choose(ctx, entries, spec.Format)
	if err != nil {
		return nil, err
	}
	t := &table{name: name, spec: spec, others: len(entries) - len(chosen)}
	t.spec.Format = format
	if format == FilesOnly {
		return t, nil
	}
	paths, err := s.lay(ctx, t, chosen)
	if err != nil {
		t.close()
		return nil, err
	}
	t.source = query.Table{Name: name, Files: paths, Format: format, CSV: spec.CSV, Columns: known}
	if len(known) == 0 {
		err = s.describe(ctx, t)
	}
	if err != nil {
		t.close()
		return nil, err
	}
	t.schema = t.source.Columns
	return t, nil
}

// describe finds out the columns of t and names them as the spec says.
func (s *Service) describe(ctx context.Context, t *table) error {
	source := t.source
	if len(t.spec.Columns) > 0 && source.CSV.Header == nil {
		no := false
		source.CSV.Header = &no
	}
	schema, csv, err := s.o.Query.Describe(ctx, source)
	if err != nil {
		return err
	}
	if names := t.spec.Columns; len(names) > 0 && t.source.Format == query.FormatCSV {
		if len(names) != len(schema) {
			return slipway.Errorf(slipway.Invalid, "the files have %d columns, but %d are named under columns", len(schema), len(names))
		}
		for i, n := range names {
			if format, ok := csv.Time[schema[i].Name]; ok {
				delete(csv.Time, schema[i].Name)
				csv.Time[n] = format
			}
			schema[i].Name = n
		}
	}
	for _, want := range t.spec.Types { // a code such as 007 is text, whatever it looks like
		if i := schema.Index(want.Name); i >= 0 && want.Type == slipway.Text {
			schema[i].Type = slipway.Text
			delete(csv.Time, want.Name)
		}
	}
	t.source.CSV, t.source.Columns, t.spec.CSV = csv, schema, csv
	return t.checkSpec(schema)
}

// checkSpec refuses a spec that names columns which are not there.
func (t *table) checkSpec(schema slipway.Schema) error {
	named := slices.Concat(t.spec.Key, t.spec.Order)
	if t.spec.Subject != "" {
		named = append(named, t.spec.Subject)
	}
	for _, n := range named {
		if schema.Index(n) < 0 {
			return slipway.Errorf(slipway.Invalid, "dataset %s has no column %s, which is its key, order or subject", t.name, n).
				WithHint("it has %s", strings.Join(schema.Names(), ", "))
		}
	}
	return nil
}

// lay puts entries into a folder of t's own under their paths, so that a
// message about a file names it.
func (s *Service) lay(ctx context.Context, t *table, entries []content.Entry) (paths []string, err error) {
	if err := os.MkdirAll(s.o.Dir, 0o700); err != nil {
		return nil, diskError(err)
	}
	if t.dir, err = os.MkdirTemp(s.o.Dir, "table-"); err != nil {
		return nil, diskError(err)
	}
	for _, e := range entries {
		if err := s.o.Content.LinkIn(ctx, e.Digest, t.dir, e.Path, content.ReadOnly); err != nil {
			return nil, err
		}
		paths = append(paths, filepath.Join(t.dir, filepath.FromSlash(e.Path)))
	}
	return paths, nil
}

// diskError says what a full or broken disk means to the user.
func diskError(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return slipway.Errorf(slipway.Unavailable, "the disk is full: %v", err).WithHint("free some space and try again")
	}
	return slipway.Errorf(slipway.Unavailable, "%v", err)
}

// extensions say what a file is by its name.
var extensions = map[string]query.Format{
	".csv": query.FormatCSV, ".tsv": query.FormatCSV, ".parquet": query.FormatParquet, ".pq": query.FormatParquet,
	".json": query.FormatJSON, ".jsonl": query.FormatJSON, ".ndjson": query.FormatJSON,
}

func formatOf(name string) query.Format {
	return extensions[path.Ext(strings.TrimSuffix(strings.ToLower(name), ".gz"))]
}

// choose finds the entries that make up the table: those of the declared
// format, else of the format that most bytes are in. A single file is looked
// into when its name says nothing.
func (s *Service) choose(ctx context.Context, entries []content.Entry, declared query.Format) ([]content.Entry, query.Format, error) {
	if declared == FilesOnly {
		return nil, FilesOnly, nil
	}
	bytesOf := map[query.Format]int64{}
	for _, e := range entries {
		if f := formatOf(e.Path); f != "" {
			bytesOf[f] += e.Size + 1
		}
	}
	format := declared
	if format == "" && len(bytesOf) > 0 {
		formats := []query.Format{query.FormatParquet, query.FormatCSV, query.FormatJSON}
		format = slices.MaxFunc(formats, func(a, b query.Format) int { return cmp.Compare(bytesOf[a], bytesOf[b]) })
	}
	if format == "" || bytesOf[format] == 0 {
		return s.chooseUnnamed(ctx, entries, format)
	}
	var chosen []content.Entry
	for _, e := range entries {
		if formatOf(e.Path) == format && e.Size > 0 {
			chosen = append(chosen, e)
		}
	}
	if len(chosen) == 0 {
		return nil, "", slipway.Errorf(slipway.Invalid, "%s is empty", entries[0].Path)
	}
	return chosen, format, nil
}

// chooseUnnamed decides about files whose names do not say what they are.
func (s *Service) chooseUnnamed(ctx context.Context, entries []content.Entry, declared query.Format) ([]content.Entry, query.Format, error) {
	if declared != "" {
		return entries, declared, nil
	}
	if len(entries) != 1 {
		return nil, FilesOnly, nil
	}
	r, err := s.o.Content.Open(ctx, entries[0].Digest)
	if err != nil {
		return nil, "", err
	}
	defer r.Close()
	head := make([]byte, 8192)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, "", err
	}
	head = head[:n]
	switch {
	case bytes.HasPrefix(head, []byte("PAR1")):
		return entries, query.FormatParquet, nil
	case bytes.IndexByte(head, 0) < 0 && bytes.ContainsAny(head, ",;\t|") && bytes.IndexByte(head, '\n') > 0:
		return entries, query.FormatCSV, nil
	}
	return nil, FilesOnly, nil
}
