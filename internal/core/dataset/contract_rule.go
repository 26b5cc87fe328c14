package dataset

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
)

// operator is the comparison of a rule.
type operator struct {
	text string // "less than 4"
	ok   func(float64) bool
}

// operator finds the one comparison that a rule has. It fails with Invalid,
// since a rule without one, or with a misspelled one, would never say no.
func (r rule) operator() (operator, error) {
	var found []operator
	one := func(limit *float64, text string, ok func(v, limit float64) bool) {
		if limit != nil {
			l := *limit
			found = append(found, operator{text + number(l), func(v float64) bool { return ok(v, l) }})
		}
	}
	one(r.MustBe, "", func(v, l float64) bool { return v == l })
	one(r.MustNotBe, "not ", func(v, l float64) bool { return v != l })
	one(r.MustBeGreaterThan, "more than ", func(v, l float64) bool { return v > l })
	one(r.MustBeGreaterOrEqualTo, "at least ", func(v, l float64) bool { return v >= l })
	one(r.MustBeLessThan, "less than ", func(v, l float64) bool { return v < l })
	one(r.MustBeLessOrEqualTo, "at most ", func(v, l float64) bool { return v <= l })
	for _, b := range []struct {
		bounds []float64
		text   string
		in     bool
	}{{r.MustBeBetween, "between ", true}, {r.MustNotBeBetween, "not between ", false}} {
		if b.bounds == nil {
			continue
		}
		if len(b.bounds) != 2 || b.bounds[0] > b.bounds[1] {
			return operator{}, slipway.Errorf(slipway.Invalid, "%sneeds a lower and an upper bound", b.text)
		}
		low, high, in := b.bounds[0], b.bounds[1], b.in
		found = append(found, operator{b.text + number(low) + " and " + number(high), func(v float64) bool { return (v >= low && v <= high) == in }})
	}
	if len(found) != 1 {
		return operator{}, slipway.Errorf(slipway.Invalid, "it has %d comparisons where one is needed", len(found)).
			WithHint("mustBe, mustNotBe, mustBeGreaterThan, mustBeGreaterOrEqualTo, mustBeLessThan, mustBeLessOrEqualTo, mustBeBetween or mustNotBeBetween")
	}
	return found[0], nil
}

// none is the comparison of what must not happen at all.
var none = operator{"0", func(v float64) bool { return v == 0 }}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// Severity says what a failed check means.
type Severity string

// The severities: an error refuses the version.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Info    Severity = "info"
)

func (r rule) severity() (Severity, error) {
	switch strings.ToLower(r.Severity) {
	case "", "error", "critical", "high":
		return Error, nil
	case "warn", "warning", "medium":
		return Warning, nil
	case "info", "low":
		return Info, nil
	}
	return "", slipway.Errorf(slipway.Invalid, "%q is not a severity", r.Severity).WithHint("error, warning or info")
}

var (
	placeholder = regexp.MustCompile(`\$?\{\s*(object|table|property|column)\s*\}`)
	simple      = regexp.MustCompile(`(?is)^\s*SELECT\s+(.+?)\s+FROM\s+\{object\}(?:\s+WHERE\s+(.+?))?\s*;?\s*$`)
	notSimple   = regexp.MustCompile(`(?i)\b(FROM|JOIN|GROUP|HAVING|ORDER|LIMIT|UNION|EXCEPT|INTERSECT|OVER|DISTINCT|QUALIFY|SAMPLE)\b|--|/\*|;`)
	aggregate   = regexp.MustCompile(`(?i)^(avg|sum|min|max|count|median|mode|mad|stddev\w*|var\w*|quantile\w*|approx_\w+|corr|skewness|kurtosis)\s*\(`)
)

// sql turns a rule's query into what the scan can hold: the condition that a
// failing row meets, an aggregate, or, where it is neither, a query of its own
// within the same statement.
func (r rule) sql(table, column string) (predicate, value string, err error) {
	query := placeholder.ReplaceAllStringFunc(r.Query, func(p string) string {
		if strings.Contains(p, "object") || strings.Contains(p, "table") {
			return "{object}"
		}
		return quoted(column)
	})
	if strings.TrimSpace(query) == "" {
		return "", "", slipway.Errorf(slipway.Invalid, "it has no query")
	}
	m := simple.FindStringSubmatch(query)
	if m != nil && !notSimple.MatchString(m[1]) && !notSimple.MatchString(m[2]) {
		if m[2] != "" && strings.EqualFold(strings.ReplaceAll(m[1], " ", ""), "count(*)") {
			return "(" + m[2] + ")", "", nil
		}
		if m[2] == "" && aggregate.MatchString(m[1]) {
			return "", m[1], nil
		}
	}
	return "", "(" + strings.TrimRight(strings.ReplaceAll(query, "{object}", table), "; \n\t") + ")", nil
}

// relative is an instant from now on: now, now-1d, now + 2h.
var relative = regexp.MustCompile(`^now(?:\s*([+-])\s*(\w+))?$`)

// bound is a limit on a column's values as a condition that failing values meet.
func bound(value string, t slipway.Type, limit any, compare string) (string, error) {
	switch t {
	case slipway.Time, slipway.Date:
		if m := relative.FindStringSubmatch(fmt.Sprint(limit)); m != nil {
			var d time.Duration
			if m[2] != "" {
				var err error
				if d, err = slipway.ParseDuration(m[2]); err != nil {
					return "", err
				}
			}
			if m[1] == "-" {
				d = -d
			}
			return fmt.Sprintf("%s::TIMESTAMPTZ %s now() + to_seconds(%d)", value, compare, int64(d.Seconds())), nil
		}
		return fmt.Sprintf("%s::TIMESTAMPTZ %s %s::TIMESTAMPTZ", value, compare, literal(fmt.Sprint(limit))), nil
	case slipway.Text:
		return fmt.Sprintf("%s %s %s", value, compare, literal(fmt.Sprint(limit))), nil
	}
	f, err := strconv.ParseFloat(fmt.Sprint(limit), 64)
	if err != nil {
		return "", slipway.Errorf(slipway.Invalid, "%v is not a number", limit)
	}
	return fmt.Sprintf("%s %s %s", value, compare, number(f)), nil
}

// isTrue is the boolean form of exclusiveMinimum and exclusiveMaximum.
func isTrue(v any) bool {
	b, ok := v.(bool)
	return ok && b
}
