package query

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	slipway "github.com/slipway-ml/slipway"
)

// fault is an error as DuckDB tells it with errors_as_json.
type fault struct {
	Type     string `json:"exception_type"`
	Message  string `json:"exception_message"`
	Position string `json:"position"` // bytes into the SQL; "" when there is none
}

func (f *fault) Error() string { return "duckdb: " + f.Type + ": " + f.Message }

// duckError reads a message of DuckDB: "Parser Error: {json}", "{json}", or,
// from before the setting is in force, plain text.
func duckError(message string) error {
	f := &fault{}
	if i := strings.IndexByte(message, '{'); i >= 0 && json.Unmarshal([]byte(message[i:]), f) == nil && f.Type != "" {
		return f
	}
	kind, rest, ok := strings.Cut(message, " Error: ")
	if !ok || strings.ContainsRune(kind, '\n') {
		return &fault{Type: "Unknown", Message: message}
	}
	return &fault{Type: kind, Message: rest}
}

var (
	csvLine    = regexp.MustCompile(`(?s)^CSV Error on Line: (\d+)\n`)
	csvColumns = regexp.MustCompile(`Expected Number of Columns: (\d+) Found: (\d+)`)
	csvValue   = regexp.MustCompile(`Error when converting column "(.*?)"\. Could not convert string "(.*?)" to '(\w+)`)
	faultFile  = regexp.MustCompile(`(?m)^\s*file = (.*)$`)
)

// explain says a fault in the user's words. sql is the text that Position
// points into, or "". shown undoes what was done to the names of files.
func (f *fault) explain(sql string, shown func(string) string, memory int64) error {
	message := shown(f.Message)
	if line := csvLine.FindStringSubmatch(message); line != nil {
		return f.explainCSV(message, line[1])
	}
	first, rest, _ := strings.Cut(message, "\n")
	first = strings.TrimRight(first, " !.")
	switch f.Type {
	case "Parser", "Syntax", "Binder", "Catalog", "Not implemented", "Parameter Not Resolved", "Parameter Not Allowed":
		out := slipway.Errorf(slipway.Invalid, "SQL: %s", first)
		if at := place(sql, f.Position); at != "" {
			out = slipway.Errorf(slipway.Invalid, "SQL %s: %s", at, first)
		}
		if hint := strings.TrimSpace(firstLine(rest)); hint != "" && !strings.HasPrefix(hint, "LINE ") {
			out = out.WithHint("%s", hint)
		}
		return out
	case "Out of Memory":
		return memoryError(memory)
	case "IO":
		if strings.Contains(first, "No files found") || strings.Contains(first, "No such file") {
			return slipway.Errorf(slipway.NotFound, "%s", first)
		}
		return slipway.Errorf(slipway.Invalid, "%s", first)
	case "Permission":
		return slipway.Errorf(slipway.Denied, "the SQL may read its tables and nothing else: %s", first)
	case "Conversion", "Invalid Input", "Out of Range", "Mismatch Type", "Divide by Zero", "Invalid", "Constraint", "Decimal", "Expression", "Serialization", "Sequence", "Object Size", "Settings", "Unknown Type", "Invalid type":
		return slipway.Errorf(slipway.Invalid, "%s", first)
	case "INTERRUPT":
		return slipway.Errorf(slipway.Interrupted, "interrupted")
	}
	return f
}

// explainCSV says what is wrong with a line of a CSV file.
func (f *fault) explainCSV(message, line string) error {
	where := "line " + line
	if file := faultFile.FindStringSubmatch(message); file != nil {
		where = fmt.Sprintf("%s line %s", filepath.Base(file[1]), line)
	}
	if n := csvColumns.FindStringSubmatch(message); n != nil {
		return raggedError(where, n[1], n[2])
	}
	if v := csvValue.FindStringSubmatch(message); v != nil {
		t := slipway.Type(strings.ToLower(v[3]))
		if known, ok := typeOfDuck[v[3]]; ok {
			t = known
		}
		return typeError(where, v[1], v[2], t)
	}
	if strings.Contains(message, "not utf-8 encoded") {
		return slipway.Errorf(slipway.Invalid, "%s: the file is not in UTF-8", where).WithHint("say encoding: windows-1252 (or utf-16)")
	}
	for part := range strings.SplitSeq(message, "\n") {
		if !strings.HasPrefix(part, "CSV Error") && !strings.HasPrefix(part, "Original Line") && part != "" {
			return slipway.Errorf(slipway.Invalid, "%s: %s", where, strings.TrimRight(part, " ."))
		}
	}
	return slipway.Errorf(slipway.Invalid, "%s cannot be read", where)
}

func typeError(where, column, value string, t slipway.Type) error {
	return slipway.Errorf(slipway.Invalid, "%s: column %s holds %q, which is not of type %s", where, column, value, t).
		WithHint("if it stands for a missing value, list it under null; if the column is text, say so in its type")
}

func raggedError(where string, want, got any) error {
	return slipway.Errorf(slipway.Invalid, "%s: %v columns expected, %v found", where, want, got).
		WithHint("correct the line; a delimiter or a line break inside a value needs quotes around the value")
}

// place names the line and column of a byte position in sql.
func place(sql, position string) string {
	at, err := strconv.Atoi(position)
	if err != nil || at < 0 || at > len(sql) || sql == "" {
		return ""
	}
	before := sql[:at]
	line := strings.Count(before, "\n") + 1
	start := strings.LastIndexByte(before, '\n') + 1
	return fmt.Sprintf("line %d, column %d", line, len([]rune(before[start:]))+1)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}
