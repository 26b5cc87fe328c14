package template

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/slipway-ml/slipway"
)

// quote writes a text as a literal that JSON, Python and YAML all read.
func quote(s string) string {
	var out strings.Builder
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if e.Encode(s) != nil {
		return `""` // a string always encodes
	}
	return strings.TrimSuffix(out.String(), "\n")
}

// pythonList writes a list of texts in Python.
func pythonList(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = quote(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// pythonValue writes a value of the file as pandas reads it.
func pythonValue(t slipway.Type, s string) string {
	switch {
	case t == slipway.Bool && s == "true":
		return "True"
	case t == slipway.Bool:
		return "False"
	case t.Numeric():
		return s
	}
	return quote(s)
}

var plainYAML = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_./-]*$`)

// yamlText writes a text in YAML, in quotes where it would be read as something
// else.
func yamlText(s string) string {
	if !plainYAML.MatchString(s) || slices.Contains([]string{"true", "false", "yes", "no", "on", "off", "null", "y", "n"}, strings.ToLower(s)) {
		return quote(s)
	}
	return s
}

func yamlList(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = yamlText(s)
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// words makes a text harmless in a comment, a docstring and a Markdown table.
func words(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || strings.ContainsRune("\\\"`|", r) {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 200 {
		return string(r[:199]) + "…"
	}
	return s
}

var unsafeRunes = regexp.MustCompile(`[^\p{L}\p{N}_]+`)

// featureName makes a name that LightGBM takes and that none of used has.
func featureName(name string, used map[string]bool) string {
	safe := strings.Trim(unsafeRunes.ReplaceAllString(name, "_"), "_")
	if safe == "" {
		safe = "column"
	}
	for used[safe] {
		safe += "_"
	}
	return safe
}
