package dataset

import (
	"fmt"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/query"
)

// guessTime takes the first column of times that are nearly all there for the
// time of the rows, where nobody said which it is, and reports whether it did.
func (p *Profile) guessTime(t *table) bool {
	if len(t.spec.Order) > 0 {
		return false
	}
	for _, c := range p.Columns {
		if c.From == nil || c.Missing*100 > p.Rows || c.Distinct < 2 {
			continue
		}
		t.spec.Time, t.spec.Guessed = quoted(c.Name), true
		return true
	}
	return false
}

// covers is the window of event time that holds every row.
func (p *Profile) covers() slipway.Window {
	if p.Time == nil || p.Time.From.IsZero() {
		return slipway.Window{}
	}
	return slipway.Window{From: p.Time.From, To: p.Time.To.Add(time.Microsecond)}
}

// maxOdd is how many oddities one screen takes.
const maxOdd = 6

// odd lists what a person should look at before trusting the rows, the most
// serious first.
func (p *Profile) odd(t *table) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if p.Rows == 0 {
		return []string{"there are no rows"}
	}
	if p.Keys != nil && *p.Keys < p.Rows {
		say("the key %s is not unique: %d rows repeat one or have none", strings.Join(t.spec.Key, ", "), p.Rows-*p.Keys)
	}
	if p.Time != nil && p.Time.Missing > 0 {
		say("%d rows have no time", p.Time.Missing)
	}
	if n := p.gap(); n > 0 {
		say("%d days between the first and the last have no rows", n)
	}
	if t.others > 0 {
		say("%d files beside the %s ones are kept but are no part of the table", t.others, t.spec.Format)
	}
	if h := t.spec.CSV.Header; h != nil && !*h && len(t.spec.Columns) == 0 && t.spec.Format == query.FormatCSV {
		say("the file has no header: name its columns under columns in slipway.yaml")
	}
	groups := []struct {
		what string
		is   func(ColumnProfile) bool
	}{
		{"empty", func(c ColumnProfile) bool { return c.Missing == p.Rows }},
		{"always the same", func(c ColumnProfile) bool { return c.Distinct == 1 && c.Missing == 0 && p.Rows > 1 }},
		{"infinite in places", func(c ColumnProfile) bool { return c.Infinite > 0 }},
		{"text with space around it", func(c ColumnProfile) bool { return c.Padded > 0 }},
		{"text, but nearly all numbers", func(c ColumnProfile) bool {
			there := p.Rows - c.Missing
			return c.Type == slipway.Text && c.Numbers*100 > there*95 && c.Numbers < there
		}},
	}
	for _, g := range groups {
		var names []string
		for _, c := range p.Columns {
			if g.is(c) {
				names = append(names, c.Name)
			}
		}
		if len(names) > 0 {
			say("%s: %s", g.what, some(names, 4))
		}
	}
	var about []string
	for _, c := range p.Columns {
		if c.Personal != "" {
			about = append(about, c.Name+" ("+c.Personal+")")
		}
	}
	if len(about) > 0 {
		say("perhaps about persons: %s", some(about, 4))
	}
	var missing []string
	for _, c := range p.Columns {
		if c.Missing*5 > p.Rows && c.Missing < p.Rows {
			missing = append(missing, c.Name+" "+share(c.Missing, p.Rows))
		}
	}
	if len(missing) > 0 {
		say("often missing: %s", some(missing, 4))
	}
	return out[:min(len(out), maxOdd)]
}

// some joins the first n words and says how many are left out.
func some(words []string, n int) string {
	if len(words) <= n {
		return strings.Join(words, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(words[:n], ", "), len(words)-n)
}

// gap counts days without rows between the first and the last, where rows come
// on most days.
func (p *Profile) gap() int {
	if p.Time == nil || len(p.Time.Days) < 5 {
		return 0
	}
	first, err := time.Parse(time.DateOnly, p.Time.Days[0].Value)
	if err != nil {
		return 0
	}
	last, err := time.Parse(time.DateOnly, p.Time.Days[len(p.Time.Days)-1].Value)
	if err != nil {
		return 0
	}
	all := int(last.Sub(first).Hours()/24) + 1
	if gap := all - len(p.Time.Days); gap*4 < all {
		return gap
	}
	return 0
}
