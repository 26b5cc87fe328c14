package dataset

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/query"
)

// The limits of SQL that somebody types.
const (
	askRows    = 1000 // rows that are returned where nobody says how many
	askMost    = 10_000
	askTimeout = 60 * time.Second
	askMemory  = 1 << 30
	askTables  = 16
)

// Ask answers one SELECT over versions of datasets: flights is the newest
// version, flights@v3 another. It reads and writes nothing, for at most a
// minute, in at most a gigabyte. It fails with Invalid, NotFound or Unavailable.
func (s *Service) Ask(ctx context.Context, project, sql string, limit int, views map[string]View) (Rows, error) {
	if limit <= 0 {
		limit = askRows
	}
	sql, names, err := s.mentioned(ctx, project, sql)
	if err != nil {
		return Rows{}, err
	}
	r := query.Request{SQL: sql, Limit: min(limit, askMost), Timeout: askTimeout, Memory: askMemory}
	for _, name := range names {
		plain, _, _ := strings.Cut(name, "[")
		of, n, err := parseVersion(plain)
		if err != nil {
			return Rows{}, err
		}
		v, err := s.find(ctx, project, of, n)
		if err != nil {
			return Rows{}, err
		}
		t, err := s.openVersion(ctx, v)
		if err != nil {
			return Rows{}, err
		}
		defer t.close()
		if view, ok := views[name]; ok {
			if err := s.narrow(ctx, t, view); err != nil {
				return Rows{}, err
			}
		} else if plain != name {
			return Rows{}, slipway.Errorf(slipway.Invalid, "the view %s is not described", name)
		}
		t.source.Name = name
		r.Tables, r.Timezone = append(r.Tables, t.source), v.Spec.Timezone
	}
	res, err := s.o.Query.Run(ctx, r)
	if err != nil {
		return Rows{}, err
	}
	jsonable(res.Rows)
	return Rows{Schema: res.Schema, Rows: res.Rows, Truncated: res.Truncated}, nil
}

// jsonable replaces numbers that JSON does not have by their names.
func jsonable(rows [][]any) {
	for _, row := range rows {
		for i, value := range row {
			if f, ok := value.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
				row[i] = fmt.Sprint(f)
			}
		}
	}
}

// A piece of SQL: a text, a quoted name, a comment, or a word that may name a
// version.
var (
	pieces  = regexp.MustCompile(`(?s)'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/|[A-Za-z_][\w.-]*@(?:v?\d+|latest)\b(?:\[[^\]]*\])?|[A-Za-z_][\w-]*(?:\[[^\]]*\])?`)
	version = regexp.MustCompile(`^[A-Za-z_][\w.-]*@`)
)

// mentioned finds the datasets that SQL names, and quotes names with a version.
func (s *Service) mentioned(ctx context.Context, project, sql string) (string, []string, error) {
	all, err := s.List(ctx, project)
	if err != nil {
		return "", nil, err
	}
	known := map[string]bool{}
	for _, v := range all {
		known[v.Name] = v.Table()
	}
	var names []string
	seen := func(name string) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	sql = pieces.ReplaceAllStringFunc(sql, func(p string) string {
		name, quote := p, false
		base, _, bracket := strings.Cut(p, "[")
		switch {
		case bracket && !strings.ContainsAny(p[:1], `'"-/`) && !version.MatchString(p):
			if !known[base] { // an element of a list
				return p
			}
			quote = true
		case version.MatchString(p):
			quote = true
		case strings.HasPrefix(p, `"`):
			name = strings.ReplaceAll(strings.Trim(p, `"`), `""`, `"`)
			if !known[name] && !version.MatchString(name) {
				return p
			}
		case !known[p]:
			// flights-2013 is a difference unless a dataset is called that.
			return p
		default:
			quote = strings.ContainsAny(p, "-.")
		}
		seen(name)
		if quote {
			return quoted(p)
		}
		return p
	})
	if len(names) > askTables {
		return "", nil, slipway.Errorf(slipway.Invalid, "the SQL names %d versions; it may name %d", len(names), askTables)
	}
	return sql, names, nil
}
