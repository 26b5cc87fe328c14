package registry

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/project"
)

// describe finds out what a version takes: what its file says, merged with the
// schema of its rows less target, key and time. A version that cannot be opened
// is described by nothing: its gate will say why.
func (s *Service) describe(ctx context.Context, p *project.Project, v *slipway.ModelVersion) error {
	rows, err := s.reference(ctx, p, v)
	if err != nil {
		return err
	}
	m, err := s.o.Loader.Load(ctx, v.Project, v.Content, nil)
	if err != nil {
		return unopened(err)
	}
	file := m.Signature()
	if err := m.Close(); err != nil {
		return err
	}
	if rows == nil {
		v.Signature = file
		return nil
	}
	want := merged(file, p, rows)
	if m, err = s.o.Loader.Load(ctx, v.Project, v.Content, &want); err != nil {
		return unopened(err)
	}
	v.Signature = m.Signature()
	if v.Signature.Task == "" {
		v.Signature.Task = slipway.Task(p.Model.Task)
	}
	v.Range = ranges(v.Signature.Input, rows)
	return m.Close()
}

// unopened lets a version be registered whose file nobody can read: trying
// again would not help, and its gate shows the reason. Other errors may pass.
func unopened(err error) error {
	if slipway.IsCode(err, slipway.Invalid) {
		return nil
	}
	return err
}

// reference reads the rows that describe a version's input: those that it was
// trained on, else those that its gate judges it by. It is nil where neither
// is known.
func (s *Service) reference(ctx context.Context, p *project.Project, v *slipway.ModelVersion) (*slipway.Frame, error) {
	rows, err := s.Training(ctx, *v, nil)
	if err == nil {
		v.Rows = rows.Rows
	}
	if slipway.IsCode(err, slipway.NotFound) && p.Gates != nil {
		rows, err = s.Input(ctx, *v, p.Gates.Data, nil)
	}
	if slipway.IsCode(err, slipway.NotFound) || slipway.IsCode(err, slipway.Invalid) {
		return nil, nil
	}
	return rows, err
}

// merged is the signature that rows suggest for a model file: the file's own
// columns with the rows' types, or, where the file names none, every column
// that is neither target, key nor time.
func merged(file slipway.Signature, p *project.Project, rows *slipway.Frame) slipway.Signature {
	out := slipway.Signature{Task: slipway.Task(p.Model.Task), Classes: classes(file, p, rows)}
	for _, c := range file.Input {
		if r := named(rows, c.Name); r != nil {
			out.Input = append(out.Input, slipway.Column{Name: r.Name, Type: typeOf(c, r), Nullable: c.Nullable || missing(r), Categories: c.Categories})
		}
	}
	switch known := len(out.Input); {
	case known > 0 && known == len(file.Input):
		return out
	case known > 0:
		out.Input = slices.Clone(file.Input) // some columns are not among the rows: believe the file
		return out
	}
	leave := special(p)
	for i := range rows.Series {
		r := &rows.Series[i]
		if !leave[r.Name] {
			out.Input = append(out.Input, slipway.Column{Name: r.Name, Type: r.Type, Nullable: true})
		}
	}
	if len(file.Input) > 0 && len(out.Input) != len(file.Input) {
		out.Input = slices.Clone(file.Input)
	}
	return out
}

// named finds the column of a model's feature. LightGBM writes "_" for a space.
func named(rows *slipway.Frame, feature string) *slipway.Series {
	if s := rows.Column(feature); s != nil {
		return s
	}
	for i := range rows.Series {
		if strings.ReplaceAll(rows.Series[i].Name, " ", "_") == feature {
			return &rows.Series[i]
		}
	}
	return nil
}

// typeOf is the type of a model's column. Categories that are text in the model
// stay text, whatever the rows say.
func typeOf(c slipway.Column, r *slipway.Series) slipway.Type {
	if c.Type == slipway.Text && r.Text == nil {
		return c.Type
	}
	return r.Type
}

// special are the columns that no model takes: target, keys, times, subjects
// and the split.
func special(p *project.Project) map[string]bool {
	out := map[string]bool{p.Model.Target: true, splitColumn: true}
	for _, d := range p.Data {
		out[d.Time.Expression], out[d.Subject] = true, true
		for _, k := range d.Key {
			out[k] = true
		}
	}
	return out
}

// classes are the labels of a text target, in order, where the file knows none
// of its own: a tree model of several classes knows only their numbers.
func classes(file slipway.Signature, p *project.Project, rows *slipway.Frame) []string {
	target := rows.Column(p.Model.Target)
	if target == nil || target.Text == nil || p.Model.Task == string(slipway.Regression) || !counted(file.Classes) {
		return nil
	}
	seen := map[string]bool{}
	var out []string
	for i, label := range target.Text {
		if !target.Missing(i) && !seen[label] {
			seen[label] = true
			out = append(out, label)
		}
	}
	if n := len(file.Classes); n > 0 && n != len(out) {
		return nil
	}
	slices.Sort(out)
	return out
}

// counted reports whether classes are 0, 1, 2 and so on, or none.
func counted(classes []string) bool {
	for i, c := range classes {
		if c != strconv.Itoa(i) {
			return false
		}
	}
	return true
}

func missing(s *slipway.Series) bool {
	for i := range max(len(s.Float), len(s.Text)) {
		if s.Missing(i) {
			return true
		}
	}
	return false
}

// ranges are the least and the largest finite value of each numeric input that
// has no categories.
func ranges(input slipway.Schema, rows *slipway.Frame) []slipway.Range {
	var out []slipway.Range
	for _, c := range input {
		s := rows.Column(c.Name)
		if s == nil || s.Text != nil || c.Categories != nil || !c.Type.Numeric() || c.Type == slipway.Bool {
			continue
		}
		r := slipway.Range{Feature: c.Name, Min: math.Inf(1), Max: math.Inf(-1)}
		for _, v := range s.Float {
			if !math.IsNaN(v) && !math.IsInf(v, 0) {
				r.Min, r.Max = min(r.Min, v), max(r.Max, v)
			}
		}
		if r.Min <= r.Max {
			out = append(out, r)
		}
	}
	return out
}
