package template

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/slipway-ml/slipway"
)

// maxWords is how many words of a categorical column the model tells apart.
const maxWords = 100

// protected are words for what people must not be judged by.
var protected = []string{"sex", "gender", "race", "ethnicity", "ethnic", "religion", "disability", "nationality", "age", "orientation"}

// chooseFeatures decides what every column is to the model.
func (l *Look) chooseFeatures(ctx context.Context, p *Plan) error {
	var candidates []string
	for i := range l.Column {
		c := &l.Column[i]
		// What is learned from the time itself does not come again.
		moment := slices.Contains(p.Time.Part, c.Name) && (c.dated() || len(p.Time.Order) > 0)
		if c.Name == p.Target.Column || c.Name == p.Key || moment {
			continue
		}
		why, err := l.useless(ctx, c)
		if err != nil {
			return err
		}
		if why != "" {
			p.Dropped = append(p.Dropped, Dropped{c.Name, why})
			continue
		}
		candidates = append(candidates, c.Name)
	}
	leaks := l.leaks(p.Target, candidates)
	p.Dropped = append(p.Dropped, leaks...)
	for _, name := range candidates {
		if slices.ContainsFunc(leaks, func(d Dropped) bool { return d.Column == name }) {
			continue
		}
		c := l.Find(name)
		switch {
		case c.dated():
			p.Feature = append(p.Feature, Feature{Column: name, Kind: Dated, Formats: c.Formats})
		case c.Type == slipway.Text:
			p.Feature = append(p.Feature, Feature{Column: name, Kind: Categorical})
		default:
			p.Feature = append(p.Feature, Feature{Column: name, Kind: Numeric})
		}
	}
	if len(p.Feature) == 0 {
		return slipway.Errorf(slipway.Invalid, "no column is left to predict %s from: %s", p.Target.Column, why(p.Dropped)).
			WithHint("name another column with --target, or bring columns with numbers or repeating words")
	}
	return nil
}

func why(dropped []Dropped) string {
	var out []string
	for _, d := range dropped {
		out = append(out, d.Column+": "+d.Why)
	}
	return strings.Join(out, "; ")
}

// useless says why the model does not see a column, "" when it does.
func (l *Look) useless(ctx context.Context, c *Column) (string, error) {
	switch {
	case c.Present == 0:
		return "it is empty", nil
	case c.Distinct < 2:
		return "it always holds the same", nil
	case l.consecutive(c):
		return "it numbers the rows", nil
	case c.Type == slipway.Binary:
		return "it holds bytes", nil
	case c.dated() || c.Type != slipway.Text || c.Distinct <= maxWords && 2*c.Distinct <= c.Present:
		return "", nil
	}
	if 2*c.Distinct > c.Present {
		return strangeTexts(c), nil
	}
	_, covered, err := l.values(ctx, c.Name, maxWords)
	if err != nil || float64(covered) >= 0.6*float64(c.Present) {
		return "", err
	}
	return strangeTexts(c), nil
}

func strangeTexts(c *Column) string {
	return fmt.Sprintf("about %d different texts in %d rows say little about the next one", min(c.Distinct, c.Present), c.Present)
}

// chooseSlices finds the features that say which people a row is about, and
// proposes to judge the model in each of their groups.
func (l *Look) chooseSlices(ctx context.Context, p *Plan) error {
	for _, f := range p.Feature {
		c := l.Find(f.Column)
		words := wordsOf(f.Column)
		if f.Kind == Numeric && slices.Contains(words, "age") && c.Min >= 0 && c.Max <= 130 && c.Distinct > 10 {
			p.Group = append(p.Group, Group{f.Column, []float64{0, 25, 45, 65, math.Ceil(max(c.Max, 130)) + 1}})
			continue
		}
		if f.Kind == Dated || c.Distinct > 20 {
			continue
		}
		if slices.ContainsFunc(words, func(w string) bool { return slices.Contains(protected, w) }) {
			p.Slice = append(p.Slice, f.Column)
			continue
		}
		speaks, err := l.speaksOfPeople(ctx, c)
		if err != nil {
			return err
		}
		if speaks {
			p.Slice = append(p.Slice, f.Column)
		}
	}
	return nil
}

// speaksOfPeople recognises sex and race by their words, in columns whose names
// do not tell.
func (l *Look) speaksOfPeople(ctx context.Context, c *Column) (bool, error) {
	if c.Type != slipway.Text {
		return false, nil
	}
	values, _, err := l.values(ctx, c.Name, 20)
	if err != nil {
		return false, err
	}
	has := map[string]bool{}
	for _, v := range values {
		has[strings.ToLower(v.Text)] = true
	}
	return has["male"] && has["female"] || has["white"] && has["black"] && (has["asian"] || has["other"] || has["hispanic"]), nil
}

// rules says what the contract demands of every column: what is plain from all
// rows, with some slack.
func (l *Look) rules(ctx context.Context, p *Plan) error {
	for _, c := range l.Column {
		r := Rule{Name: c.Name, Type: c.Type, Required: c.Present == l.Rows}
		if !r.Required && c.Name != p.Target.Column {
			share := 100 * float64(l.Rows-c.Present) / float64(l.Rows)
			r.MaxNull = min(100, int(math.Ceil(share*1.5+1)))
			if r.MaxNull > 60 {
				r.MaxNull = 0
			}
		}
		r.NotNegative = c.Type.Numeric() && c.Type != slipway.Bool && c.Min >= 0
		if c.Type == slipway.Text && c.Distinct <= 20 && c.Distinct*20 <= l.Rows && !c.dated() {
			values, _, err := l.values(ctx, c.Name, 20)
			if err != nil {
				return err
			}
			for _, v := range values {
				r.Values = append(r.Values, v.Text)
			}
			slices.Sort(r.Values)
		}
		p.Column = append(p.Column, r)
	}
	return nil
}
