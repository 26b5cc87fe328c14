package filter

import "strings"

// SQL is the comparison of a column with what a condition says, and its
// arguments. The column's name must come from the program, never from a user.
// It has no SQL for IS NULL and IS NOT NULL, which ask whether a row is there.
func (c Condition) SQL(column string) (string, []any) {
	switch {
	case len(c.Text) == 0:
		return column + ` ` + c.Op + ` ?`, []any{c.Number}
	case c.Op == "LIKE":
		return column + ` LIKE ? ESCAPE '\'`, []any{likePattern(c.Text[0])}
	case c.Op == "ILIKE":
		return `LOWER(` + column + `) LIKE LOWER(?) ESCAPE '\'`, []any{likePattern(c.Text[0])}
	case c.Op == "IN" || c.Op == "NOT IN":
		args := make([]any, len(c.Text))
		for i, t := range c.Text {
			args[i] = t
		}
		return column + ` ` + c.Op + ` (?` + strings.Repeat(`, ?`, len(args)-1) + `)`, args
	}
	return column + ` ` + c.Op + ` ?`, []any{c.Text[0]}
}

// likePattern keeps a backslash from escaping: the grammar has no escape.
func likePattern(s string) string { return strings.ReplaceAll(s, `\`, `\\`) }
