package query

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	slipway "github.com/slipway-ml/slipway"
)

// sniffBytes is how much text is looked at to find out the types of columns,
// shared by the files of a table.
const sniffBytes = 64 << 20

// knownBytes is how much of each file is looked at when its columns and its
// dialect are known already: enough to tell its header and its lines' ends.
const knownBytes = 4 << 20

// csvTable is what is known of a table of CSV files while it is looked at.
type csvTable struct {
	csv     CSV
	null    map[string]bool
	files   []csvFile
	whole   bool // every value has been looked at
	guesses []*guess
	index   map[string]int // of a guess by the column's name in lower case
}

// csvFile is one file and the names of its columns.
type csvFile struct {
	text    *textFile
	names   []string
	newline string // how its lines end, as DuckDB writes it
}

// csvSource finds out how the files of t are written and makes the SQL that
// reads them.
func (s *session) csvSource(t Table) (source, error) {
	c := &csvTable{csv: t.CSV, null: map[string]bool{}, index: map[string]int{}}
	for _, n := range t.CSV.null() {
		c.null[n] = true
	}
	known := len(t.Columns) > 0 && t.CSV.Delimiter != "" && t.CSV.Header != nil
	c.whole = true
	for _, path := range t.Files {
		limit := max(1<<20, sniffBytes/len(t.Files))
		if known {
			limit = knownBytes
		}
		file, err := openText(path, t.CSV.Encoding, s.request.TempDir, limit)
		if err != nil {
			return source{}, err
		}
		if err := c.look(file, t.Columns, s.request.TempDir); err != nil {
			return source{}, err
		}
		c.whole = c.whole && file.whole
		file.head = nil
	}
	c.csv.Null = t.CSV.null()
	if c.csv.Quote == "" {
		c.csv.Quote = `"`
	}
	if c.csv.Decimal == "" {
		c.csv.Decimal = c.decimal()
	}
	columns := t.Columns
	if len(columns) == 0 {
		columns = c.schema()
	}
	sql, err := c.sql(s, columns)
	return source{sql: sql, schema: columns, csv: c.csv}, err
}

// look reads the beginning of one file: its dialect when it is the first, its
// columns, and what their values can be.
func (c *csvTable) look(file *textFile, declared slipway.Schema, folder string) error {
	shown := filepath.Base(file.shown)
	if c.csv.Encoding == "" {
		c.csv.Encoding = file.encoding
	}
	if c.csv.Delimiter == "" {
		c.csv.Delimiter = guessDelimiter(file.head, c.csv)
	}
	r := newRecords(file.head, c.csv)
	first := cloned(r.next())
	if first == nil {
		if r.fault != "" {
			return faultError(shown, r)
		}
		return slipway.Errorf(slipway.Invalid, "%s is empty", shown)
	}
	start := r.line
	out := csvFile{text: file, names: columnNames(first)}
	positional := make([]*guess, len(first))
	for i := range positional {
		positional[i] = newGuess("")
	}
	repeats, err := c.observe(shown, r, first, positional, file.whole)
	if err != nil {
		return err
	}
	out.newline = `\n`
	if r.crlf > 0 && r.lf > 0 {
		if err := file.copyTo(folder, crlfToLF); err != nil {
			return fmt.Errorf("convert the lines of %s: %w", file.shown, err)
		}
	} else if r.crlf > 0 {
		out.newline = `\r\n`
	}
	if c.csv.Header == nil {
		header := c.isHeader(first, positional, repeats)
		c.csv.Header = &header
	}
	if !*c.csv.Header {
		for i := range out.names {
			out.names[i] = fmt.Sprintf("column%d", i)
			if !c.null[string(first[i])] {
				positional[i].observe(first[i], start)
			}
		}
		if len(declared) > 0 {
			if len(declared) != len(first) {
				return raggedError(fmt.Sprintf("%s line %d", shown, start), len(declared), len(first))
			}
			out.names = declared.Names()
		}
	}
	for i, g := range positional {
		g.name = out.names[i]
		if at := declared.Index(g.name); at >= 0 && declared[at].Type == slipway.Int && g.line > 0 {
			return typeError(fmt.Sprintf("%s line %d", shown, g.line), g.name, g.value, slipway.Int)
		}
		c.merge(g)
	}
	c.files = append(c.files, out)
	return nil
}

// observe narrows the guesses by every record after the first. It fails when a
// record has another number of fields than the first, which is why nothing
// after it could be believed. repeats says which columns hold their first
// value again.
func (c *csvTable) observe(shown string, r *records, first [][]byte, guesses []*guess, whole bool) (repeats []bool, err error) {
	repeats = make([]bool, len(first))
	for fields := r.next(); fields != nil; fields = r.next() {
		if len(fields) != len(first) {
			return nil, raggedError(fmt.Sprintf("%s line %d", shown, r.line), len(first), len(fields))
		}
		for i, f := range fields {
			if c.null[string(f)] {
				continue
			}
			guesses[i].observe(f, r.line)
			if !repeats[i] && bytes.Equal(f, first[i]) {
				repeats[i] = true
			}
		}
	}
	// What was read of a larger file may end inside a value.
	if r.fault != "" && whole {
		return nil, faultError(shown, r)
	}
	return repeats, nil
}

func faultError(shown string, r *records) error {
	return slipway.Errorf(slipway.Invalid, "%s line %d: %s", shown, r.line, r.fault).
		WithHint("a quote inside a value is written twice, in quotes; quote: none reads quotes as they are")
}

// isHeader decides whether a first line names the columns: where the values
// below are numbers or times, a name is not one of them; where all is text, a
// name does not come again below.
func (c *csvTable) isHeader(first [][]byte, below []*guess, repeats []bool) bool {
	yes, no, again := 0, 0, false
	distinct := map[string]bool{}
	for i, f := range first {
		distinct[string(f)] = true
		again = again || repeats[i]
		t, _ := below[i].result("")
		if t == slipway.Text || c.null[string(f)] {
			continue
		}
		if below[i].fits(f) {
			no++
		} else {
			yes++
		}
	}
	switch {
	case yes != no:
		return yes > no
	case yes > 0:
		return false
	}
	numbers := slices.ContainsFunc(first, func(f []byte) bool { return numberShape(bytes.TrimSpace(f)) != 0 })
	return !again && !numbers && len(distinct) == len(first)
}

// columnNames makes the names of a header fit for SQL: trimmed, not empty, not
// twice.
func columnNames(header [][]byte) []string {
	names := unique{}
	out := make([]string, len(header))
	for i, f := range header {
		one := strings.TrimSpace(string(f))
		if one == "" {
			one = fmt.Sprintf("column%d", i)
		}
		out[i] = names.of(one)
	}
	return out
}

func cloned(fields [][]byte) [][]byte {
	if fields == nil {
		return nil
	}
	out := make([][]byte, len(fields))
	for i, f := range fields {
		out[i] = bytes.Clone(f)
	}
	return out
}

// merge joins the guess about a column of one file to that about the column of
// the same name in the files before.
func (c *csvTable) merge(g *guess) {
	key := strings.ToLower(g.name)
	i, ok := c.index[key]
	if !ok {
		c.index[key] = len(c.guesses)
		c.guesses = append(c.guesses, g)
		return
	}
	old := c.guesses[i]
	if !g.seen {
		return
	}
	if !old.seen {
		g.name = old.name
		c.guesses[i] = g
		return
	}
	old.can &= g.can
	old.formats = slices.DeleteFunc(slices.Clone(old.formats), func(f timeFormat) bool { return !slices.Contains(g.formats, f) })
	if len(old.formats) == 0 {
		old.can &^= isOther
	}
}

// decimal is "," when a column is made of numbers with decimal commas and none
// needs a point.
func (c *csvTable) decimal() string {
	comma := false
	for _, g := range c.guesses {
		switch g.can & (isInt | isFloat | isComma) {
		case isComma:
			comma = true
		case isFloat:
			return "."
		}
	}
	if comma {
		return ","
	}
	return "."
}

// schema is what the values have been seen to be. It notes the formats of dates
// that need one in csv.
func (c *csvTable) schema() slipway.Schema {
	out := make(slipway.Schema, len(c.guesses))
	for i, g := range c.guesses {
		t, format := g.result(c.csv.Decimal)
		out[i] = slipway.Column{Name: g.name, Type: t, Nullable: true}
		if _, given := c.csv.Time[g.name]; format != "" && !given {
			if c.csv.Time == nil {
				c.csv.Time = map[string]string{}
			}
			c.csv.Time[g.name] = format
		}
	}
	return out
}

// sql reads the files. Those that follow each other with the same columns are
// read together; where the columns differ, by name, with nulls for the missing
// ones unless they were declared.
func (c *csvTable) sql(s *session, columns slipway.Schema) (string, error) {
	var parts []string
	for i := 0; i < len(c.files); {
		end := i + 1
		for end < len(c.files) && c.files[end].readsAs(c.files[i]) {
			end++
		}
		part, err := c.part(s, c.files[i:end], columns)
		if err != nil {
			return "", err
		}
		parts = append(parts, part)
		i = end
	}
	return strings.Join(parts, "\nUNION ALL\n"), nil
}

// readsAs reports whether one reader can read both files.
func (f csvFile) readsAs(other csvFile) bool {
	return slices.Equal(f.names, other.names) && f.text.gzip == other.text.gzip && f.newline == other.newline
}

func (c *csvTable) part(s *session, files []csvFile, columns slipway.Schema) (string, error) {
	wanted := map[string]slipway.Column{}
	for _, col := range columns {
		wanted[strings.ToLower(col.Name)] = col
	}
	var spec, list []string
	has := map[string]string{}
	for _, n := range files[0].names {
		col, ok := wanted[strings.ToLower(n)]
		has[strings.ToLower(n)] = n
		t := "VARCHAR"
		if ok {
			t = c.csvType(col)
		}
		spec = append(spec, text(n)+": "+text(t))
	}
	for _, col := range columns {
		n, ok := has[strings.ToLower(col.Name)]
		switch {
		case ok:
			list = append(list, c.value(name(n), col, s.request.Timezone)+" AS "+name(col.Name))
		case slices.ContainsFunc(c.guesses, func(g *guess) bool { return strings.EqualFold(g.name, col.Name) }):
			list = append(list, "NULL::"+duckOfType[col.Type]+" AS "+name(col.Name))
		default:
			return "", slipway.Errorf(slipway.Invalid, "%s has no column %s", filepath.Base(files[0].text.shown), col.Name).
				WithHint("it has %s", strings.Join(files[0].names, ", "))
		}
	}
	var paths []string
	for _, f := range files {
		paths = append(paths, s.files.plain(f.text.path))
	}
	quote := c.csv.Quote
	if quote == "none" {
		quote = ""
	}
	compression := "none"
	if files[0].text.gzip {
		compression = "gzip"
	}
	return fmt.Sprintf("SELECT %s FROM read_csv(%s, auto_detect = false, delim = %s, quote = %s, escape = %s, header = %t, skip = %d, nullstr = %s, decimal_separator = %s, new_line = %s, compression = %s, columns = {%s})",
		strings.Join(list, ", "), texts(paths), text(c.csv.Delimiter), text(quote), text(quote), *c.csv.Header, c.csv.Skip,
		texts(c.csv.Null), text(c.csv.Decimal), text(files[0].newline), text(compression), strings.Join(spec, ", ")), nil
}

// csvType is the type in which DuckDB reads the text of a column. Its reader
// rounds 3.7 to the whole number 4, so unless every value has been looked at,
// whole numbers are read as text and cast by value.
func (c *csvTable) csvType(col slipway.Column) string {
	if c.csv.Time[col.Name] != "" || (col.Type == slipway.Int && !c.whole) {
		return "VARCHAR"
	}
	return duckOfType[col.Type]
}

// value turns what was read into the column's type.
func (c *csvTable) value(read string, col slipway.Column, zone string) string {
	format := c.csv.Time[col.Name]
	switch {
	case format == "" && col.Type == slipway.Int && !c.whole:
		return fmt.Sprintf("CASE WHEN %[1]s IS NULL OR regexp_full_match(%[1]s, '\\s*[+-]?[0-9]+\\s*') THEN %[1]s::BIGINT ELSE error(%[2]s || %[1]s || %[3]s) END",
			read, text("column "+col.Name+" holds \""), text("\", which is not of type int"))
	case format == "":
		return read
	case col.Type == slipway.Date:
		return fmt.Sprintf("strptime(trim(%s), %s)::DATE", read, text(format))
	case col.Type == slipway.Time:
		return fmt.Sprintf("timezone(%s, strptime(trim(%s), %s))", text(zone), read, text(format))
	}
	return read
}
