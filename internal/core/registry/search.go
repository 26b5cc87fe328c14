package registry

import (
	"encoding/base64"
	"encoding/json"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/filter"
)

// Search asks for models or versions.
type Search struct {
	Project string   // "" is every project
	Filter  string   // MLflow's grammar: name LIKE 'fl%' AND tags.team = 'ops'
	Order   []string // such as "last_updated_timestamp DESC"
	Limit   int      // 0 is the default of what is searched
	Page    string   // the token of the page before
}

// promptTag marks the registered models of MLflow that are prompts. Searches
// leave them out unless they ask for them.
const promptTag = "mlflow.prompt.is_prompt"

// searched is one kind of thing that can be searched.
type searched struct {
	grammar       filter.Grammar
	column        map[string]string // of an attribute
	order         []string          // when the caller gives none, and after the caller's keys
	limit, limit0 int               // the most, and the default
}

var modelSearch = searched{
	grammar: filter.Grammar{
		Attributes: map[string]filter.Attribute{
			"name":                   {Name: "name", List: true},
			"creation_timestamp":     {Name: "creation_timestamp", Number: true, Sorts: true},
			"last_updated_timestamp": {Name: "last_updated_timestamp", Number: true, Sorts: true},
			"timestamp":              {Name: "last_updated_timestamp", Number: true, Sorts: true},
		},
		Entities: []filter.Entity{filter.OfTag, filter.OfAttribute},
		Prefer:   filter.OfAttribute,
	},
	column: map[string]string{"name": "m.name", "creation_timestamp": "m.created", "last_updated_timestamp": "m.updated"},
	order:  []string{"name"},
	limit:  1000, limit0: 100,
}

var versionSearch = searched{
	grammar: filter.Grammar{
		Attributes: map[string]filter.Attribute{
			"name":                   {Name: "name", List: true},
			"run_id":                 {Name: "run_id", List: true},
			"source_path":            {Name: "source_path"},
			"version_number":         {Name: "version_number", Number: true},
			"creation_timestamp":     {Name: "creation_timestamp", Number: true, Sorts: true},
			"last_updated_timestamp": {Name: "last_updated_timestamp", Number: true, Sorts: true},
		},
		Entities: []filter.Entity{filter.OfTag, filter.OfAttribute},
		Prefer:   filter.OfAttribute,
	},
	column: map[string]string{"name": "v.name", "run_id": "v.run", "source_path": "v.origin", "version_number": "v.version",
		"creation_timestamp": "v.created", "last_updated_timestamp": "v.updated"},
	order: []string{"last_updated_timestamp DESC", "name", "version_number DESC"},
	limit: 200_000, limit0: 10_000,
}

// page is what a token holds. Query ties it to the search that made it.
type page struct {
	Query  string `json:"q"`
	Offset int    `json:"o"`
}

func (q Search) fingerprint() string {
	q.Page, q.Limit = "", 0
	b, _ := json.Marshal(q) // strings always marshal
	return slipway.DigestOf(b).Short()
}

func (q Search) token(offset int) string {
	b, _ := json.Marshal(page{q.fingerprint(), offset})
	return base64.RawURLEncoding.EncodeToString(b)
}

// window is how many a page has and where it begins. It fails with Invalid.
func (q Search) window(kind searched) (limit, offset int, err error) {
	limit = q.Limit
	if limit == 0 {
		limit = kind.limit0
	}
	if limit < 0 || limit > kind.limit {
		return 0, 0, slipway.Errorf(slipway.Invalid, "Invalid value for request parameter max_results. It must be a positive integer at most %d, but got value %d", kind.limit, q.Limit)
	}
	if q.Page == "" {
		return limit, 0, nil
	}
	var p page
	b, err := base64.RawURLEncoding.DecodeString(q.Page)
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err != nil || p.Offset < 0 {
		return 0, 0, slipway.Errorf(slipway.Invalid, "Invalid page token, could not decode it")
	}
	if p.Query != q.fingerprint() {
		return 0, 0, slipway.Errorf(slipway.Invalid, "Invalid page token: it belongs to another search")
	}
	return limit, p.Offset, nil
}

// ordering is the ORDER BY of a search: the caller's keys, then what makes the
// order total.
func (kind searched) ordering(keys []string) (string, error) {
	order, err := kind.grammar.Order(keys)
	if err != nil {
		return "", err
	}
	given := map[string]bool{}
	for _, o := range order {
		given[o.Key] = true
		if o.Of != filter.OfAttribute || kind.column[o.Key] == "" || o.Key == "run_id" || o.Key == "source_path" {
			return "", slipway.Errorf(slipway.Invalid, "Invalid order_by entity: %s '%s'", o.Of, o.Key)
		}
	}
	rest := kind.order
	if len(order) > 0 && len(rest) > 1 {
		rest = rest[1:] // what only stands for "newest first"
	}
	more, err := kind.grammar.Order(rest)
	if err != nil {
		return "", err
	}
	for _, o := range more {
		if !given[o.Key] {
			order = append(order, o)
		}
	}
	sql := ""
	for _, o := range order {
		if sql != "" {
			sql += ", "
		}
		sql += kind.column[o.Key]
		if o.Descending {
			sql += " DESC"
		}
	}
	return sql, nil
}

// where is the condition of a search and its arguments. tags is the table of
// the tags, of ties it to the searched row, which is called row.
func (kind searched) where(text, tags, of, row string) (sql string, args []any, err error) {
	conditions, err := kind.grammar.Parse(text)
	if err != nil {
		return "", nil, err
	}
	prompts := false
	for _, c := range conditions {
		if c.Of == filter.OfTag && c.Key == promptTag && len(c.Text) == 1 {
			prompts = c.Op == "=" && c.Text[0] == "true" || c.Op == "!=" && c.Text[0] == "false"
			if !prompts {
				continue
			}
		}
		part, more := ``, []any(nil)
		switch {
		case c.Of != filter.OfTag:
			part, more = c.SQL(kind.column[c.Key])
		default:
			part, more = tagged(c, tags, of)
		}
		sql, args = sql+` AND `+part, append(args, more...)
	}
	if !prompts {
		sql += ` AND NOT EXISTS (SELECT 1 FROM model_tag p WHERE p.project = ` + row + `.project AND p.name = ` + row + `.name AND p.key = '` + promptTag + `' AND p.value = 'true')`
	}
	return sql, args, nil
}

// tagged is a condition on a tag. != does not match what has no such tag.
func tagged(c filter.Condition, table, of string) (string, []any) {
	exists := `EXISTS (SELECT 1 FROM ` + table + ` t WHERE ` + of + ` AND t.key = ?`
	switch c.Op {
	case "IS NULL":
		return `NOT ` + exists + `)`, []any{c.Key}
	case "IS NOT NULL":
		return exists + `)`, []any{c.Key}
	}
	sql, args := c.SQL("t.value")
	return exists + ` AND ` + sql + `)`, append([]any{c.Key}, args...)
}
