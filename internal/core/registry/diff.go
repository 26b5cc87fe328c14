package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
)

// Diff is what differs between two versions.
type Diff struct {
	From   string          `json:"from"` // name@vN
	To     string          `json:"to"`
	Fields []FieldChange   `json:"fields"`
	Files  content.Changes `json:"files"`
}

// FieldChange is one thing that is not the same. An empty side has none of it.
type FieldChange struct {
	Field string `json:"field"` // such as "input carrier", "range dep_hour", "dataset"
	From  string `json:"from"`
	To    string `json:"to"`
}

// Diff compares two versions: what they take and give, what they were made
// from, and their files.
func (s *Service) Diff(ctx context.Context, a, b slipway.ModelVersion) (Diff, error) {
	d := Diff{From: a.ID(), To: b.ID()}
	from, err := s.o.Content.GetTree(ctx, a.Content)
	if err != nil {
		return d, err
	}
	to, err := s.o.Content.GetTree(ctx, b.Content)
	if err != nil {
		return d, err
	}
	d.Files = content.Diff(from, to)
	x, y := fields(a), fields(b)
	for _, k := range x.order {
		if x.value[k] != y.value[k] {
			d.Fields = append(d.Fields, FieldChange{k, x.value[k], y.value[k]})
		}
	}
	for _, k := range y.order {
		if _, ok := x.value[k]; !ok {
			d.Fields = append(d.Fields, FieldChange{k, "", y.value[k]})
		}
	}
	return d, nil
}

// facts are a version's fields as text, in order.
type facts struct {
	order []string
	value map[string]string
}

func (f *facts) add(field, format string, args ...any) {
	f.order = append(f.order, field)
	f.value[field] = fmt.Sprintf(format, args...)
}

func fields(v slipway.ModelVersion) facts {
	f := facts{value: map[string]string{}}
	f.add("source", "%s", v.Source)
	f.add("run", "%s", v.Run)
	for _, d := range v.Dataset {
		name, _ := d.Version()
		f.add("dataset "+name, "%s", d.ID)
	}
	f.add("commit", "%s", v.Commit)
	f.add("environment", "%s", v.Environment)
	f.add("training rows", "%d", v.Rows)
	f.add("task", "%s", v.Signature.Task)
	f.add("classes", "%s", strings.Join(v.Signature.Classes, ", "))
	for i, c := range v.Signature.Input {
		f.add("input "+c.Name, "%s", column(i, c))
	}
	for i, c := range v.Signature.Output {
		f.add("output "+c.Name, "%s", column(i, c))
	}
	for _, r := range v.Range {
		f.add("range "+r.Feature, "%v to %v", r.Min, r.Max)
	}
	return f
}

// column describes a column with its place, since two that were swapped differ
// in nothing else.
func column(at int, c slipway.Column) string {
	text := fmt.Sprintf("%s at %d", c.Type, at+1)
	if c.Nullable {
		text += ", may be missing"
	}
	if c.Categories != nil {
		sorted := slices.Sorted(slices.Values(c.Categories))
		text += fmt.Sprintf(", %d categories (%.200s)", len(sorted), strings.Join(sorted, " "))
	}
	return text
}
