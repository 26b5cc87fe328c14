package project

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// rule is what a field's tag demands of its value. The schema is made from the
// same tag.
type rule struct {
	required                  bool
	enum                      []string
	later                     []string // words that are planned and not built yet
	least, most, above, below float64
	hasLeast, hasMost         bool
	hasAbove, hasBelow        bool
}

func ruleOf(f reflect.StructField) rule {
	var r rule
	if words := f.Tag.Get("later"); words != "" {
		r.later = strings.Split(words, ",")
	}
	for part := range strings.SplitSeq(f.Tag.Get("jsonschema"), ",") {
		key, value, _ := strings.Cut(part, "=")
		number, _ := strconv.ParseFloat(value, 64)
		switch key {
		case "required":
			r.required = true
		case "enum":
			r.enum = append(r.enum, value)
		case "minimum":
			r.least, r.hasLeast = number, true
		case "maximum":
			r.most, r.hasMost = number, true
		case "exclusiveMinimum":
			r.above, r.hasAbove = number, true
		case "exclusiveMaximum":
			r.below, r.hasBelow = number, true
		}
	}
	return r
}

// broken says what a number must be to keep the rule, or "".
func (r rule) broken(v float64) string {
	switch {
	case r.hasLeast && v < r.least:
		return fmt.Sprintf("at least %v", r.least)
	case r.hasMost && v > r.most:
		return fmt.Sprintf("at most %v", r.most)
	case r.hasAbove && v <= r.above:
		return fmt.Sprintf("greater than %v", r.above)
	case r.hasBelow && v >= r.below:
		return fmt.Sprintf("less than %v", r.below)
	}
	return ""
}

func (r rule) allows(word string) bool { return len(r.enum) == 0 || slices.Contains(r.enum, word) }
