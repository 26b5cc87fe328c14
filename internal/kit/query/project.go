package query

import (
	"fmt"
	"strings"

	slipway "github.com/slipway-ml/slipway"
)

// typeOfDuck is the logical type of a DuckDB type. Whatever is not listed is
// text: ENUM by its value, lists and structs as JSON.
var typeOfDuck = map[string]slipway.Type{
	"BOOLEAN":     slipway.Bool,
	"BIGINT":      slipway.Int,
	"DOUBLE":      slipway.Float,
	"DATE":        slipway.Date,
	"TIMESTAMP":   slipway.Time,
	"TIMESTAMPTZ": slipway.Time,
	"BLOB":        slipway.Binary,
}

// duckOfType is the DuckDB type that holds a logical type.
var duckOfType = map[slipway.Type]string{
	slipway.Bool:   "BOOLEAN",
	slipway.Int:    "BIGINT",
	slipway.Float:  "DOUBLE",
	slipway.Date:   "DATE",
	slipway.Time:   "TIMESTAMPTZ",
	slipway.Binary: "BLOB",
	slipway.Text:   "VARCHAR",
}

func (t duckType) logical() slipway.Type {
	if known, ok := typeOfDuck[t.name]; ok {
		return known
	}
	return slipway.Text
}

// schemaOf describes columns, giving columns of the same name names of their
// own.
func schemaOf(columns []column) slipway.Schema {
	out := make(slipway.Schema, len(columns))
	names := unique{}
	for i, c := range columns {
		out[i] = slipway.Column{Name: names.of(c.name), Type: c.duck.logical(), Nullable: true, Categories: c.duck.categories}
	}
	return out
}

// unique tells names apart as DuckDB does, without regard to case.
type unique map[string]bool

func (u unique) of(name string) string {
	out := name
	for i := 1; u[strings.ToLower(out)]; i++ {
		out = fmt.Sprintf("%s_%d", name, i)
	}
	u[strings.ToLower(out)] = true
	return out
}

// project wraps sql so that every column comes in one of the seven types.
func project(columns []column, sql string, r wireRequest) (slipway.Schema, string) {
	schema := schemaOf(columns)
	var alias, list []string
	for i, c := range columns {
		alias = append(alias, fmt.Sprintf("c%d", i))
		value := plainly(fmt.Sprintf("c%d", i), c.duck, r.Timezone)
		if r.Format == FormatCSV && r.Verb == verbWrite && schema[i].Type == slipway.Time {
			value = "strftime(timezone('UTC', " + value + "), '%Y-%m-%dT%H:%M:%S.%fZ')"
		}
		list = append(list, value+" AS "+name(schema[i].Name))
	}
	out := fmt.Sprintf("SELECT %s FROM (\n%s\n) AS q(%s)", strings.Join(list, ", "), sql, strings.Join(alias, ", "))
	if r.Limit > 0 {
		out += fmt.Sprintf(" LIMIT %d", r.Limit)
	}
	return schema, out
}

// plainly turns a value of any DuckDB type into one of the type that holds its
// logical type. A time without an offset is read in the given zone.
func plainly(value string, t duckType, zone string) string {
	switch t.name {
	case "TIMESTAMP":
		return "timezone(" + text(zone) + ", " + value + "::TIMESTAMP)"
	case "TIMESTAMPTZ", "DATE", "BLOB", "BOOLEAN", "VARCHAR":
		return value
	case "NESTED":
		return "to_json(" + value + ")::VARCHAR"
	}
	return value + "::" + duckOfType[t.logical()]
}

// text quotes a string for SQL.
func text(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// name quotes an identifier for SQL.
func name(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// texts writes a list of strings in SQL.
func texts(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = text(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// statement cuts sql off before the first semicolon that ends a statement, so
// that it can stand in parentheses. What follows would be a second statement,
// which DuckDB refuses, unless it is only space and comments.
func statement(sql string) string {
	end := endOfStatement(sql)
	if end < 0 || strings.TrimSpace(withoutComments(sql[end+1:])) != "" {
		return sql
	}
	return sql[:end]
}

// endOfStatement finds the first semicolon outside quotes and comments, or -1.
func endOfStatement(sql string) int {
	for i := 0; i < len(sql); {
		if sql[i] == ';' {
			return i
		}
		i += token(sql[i:])
	}
	return -1
}

func withoutComments(sql string) string {
	var out strings.Builder
	for i := 0; i < len(sql); {
		n := token(sql[i:])
		if !strings.HasPrefix(sql[i:], "--") && !strings.HasPrefix(sql[i:], "/*") {
			out.WriteString(sql[i : i+n])
		}
		i += n
	}
	return out.String()
}

// token is the length of what starts sql: a quoted text or name, a comment, a
// dollar-quoted text, or one byte.
func token(sql string) int {
	until := func(start int, end string) int {
		if i := strings.Index(sql[start:], end); i >= 0 {
			return start + i + len(end)
		}
		return len(sql)
	}
	switch {
	case sql[0] == '\'' || sql[0] == '"':
		return until(1, sql[:1])
	case strings.HasPrefix(sql, "--"):
		return until(2, "\n")
	case strings.HasPrefix(sql, "/*"):
		return until(2, "*/")
	case sql[0] == '$':
		if tag := strings.IndexByte(sql[1:], '$'); tag >= 0 && isTag(sql[1:1+tag]) {
			return until(tag+2, sql[:tag+2])
		}
	}
	return 1
}

func isTag(s string) bool {
	for _, c := range []byte(s) {
		if c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}
