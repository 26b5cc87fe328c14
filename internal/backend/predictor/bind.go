package predictor

import (
	"math"
	"os"
	"slices"
	"strings"

	"github.com/slipway-ml/slipway"
)

// SplitClass takes the class off a Python path: "dir/model.py:Churn" gives
// "dir/model.py" and "Churn". Any other path comes back whole.
func SplitClass(path string) (file, class string) {
	if i := strings.LastIndex(path, ".py:"); i >= 0 {
		return path[:i+3], path[i+4:]
	}
	return path, ""
}

func exists(path string) error {
	file, _ := SplitClass(path)
	if _, err := os.Stat(file); err != nil {
		return slipway.Errorf(slipway.NotFound, "there is no model at %s", file)
	}
	return nil
}

// Merge joins what a model's file says with what was registered for it. The
// file decides names, order, categories and classes; the registered signature
// decides types and fills what the file leaves open. It fails with Invalid
// when both name their columns and one has a column that the other lacks.
func Merge(file slipway.Signature, registered *slipway.Signature) (slipway.Signature, error) {
	if registered == nil {
		return file, nil
	}
	out := file
	if out.Task == "" {
		out.Task = registered.Task
	}
	if len(out.Classes) == 0 {
		out.Classes = registered.Classes
	}
	if len(out.Output) == 0 {
		out.Output = registered.Output
	}
	if len(file.Input) == 0 || len(registered.Input) == 0 {
		if len(file.Input) == 0 {
			out.Input = registered.Input
		}
		return out, nil
	}
	out.Input = slices.Clone(file.Input)
	for i := range out.Input {
		c := &out.Input[i]
		j := registered.Input.Index(c.Name)
		if j < 0 {
			return out, slipway.Errorf(slipway.Invalid, "the model takes column %q, which its registered signature does not have", c.Name)
		}
		reg := registered.Input[j]
		if reg.Type != "" {
			c.Type, c.Nullable = reg.Type, reg.Nullable
		}
		if len(c.Categories) == 0 {
			c.Categories = reg.Categories
		}
	}
	for _, c := range registered.Input {
		if file.Input.Index(c.Name) < 0 {
			return out, slipway.Errorf(slipway.Invalid, "the registered signature has column %q, which the model does not take", c.Name)
		}
	}
	return out, nil
}

// Check refuses a frame whose columns have no name or do not all have Rows
// values.
func Check(in *slipway.Frame) error {
	if in == nil || in.Rows < 0 {
		return slipway.Errorf(slipway.Invalid, "there are no rows")
	}
	for i := range in.Series {
		s := &in.Series[i]
		if s.Name == "" {
			return slipway.Errorf(slipway.Invalid, "column %d has no name", i+1)
		}
		n := len(s.Float)
		if isText(s) {
			n = len(s.Text)
			if s.Null != nil && len(s.Null) != n {
				return slipway.Errorf(slipway.Invalid, "column %q has %d values and %d null marks", s.Name, n, len(s.Null))
			}
		}
		if n != in.Rows {
			return slipway.Errorf(slipway.Invalid, "column %q has %d values for %d rows", s.Name, n, in.Rows)
		}
	}
	return nil
}

// Unique refuses a frame that has a name twice; Bind does so by itself.
func Unique(in *slipway.Frame) error {
	seen := make(map[string]bool, len(in.Series))
	for i := range in.Series {
		if seen[in.Series[i].Name] {
			return slipway.Errorf(slipway.Invalid, "column %q is there twice", in.Series[i].Name)
		}
		seen[in.Series[i].Name] = true
	}
	return nil
}

// Bind matches a checked frame's columns with input by name, appending to at
// the position in in.Series of each of input's columns. It fails with Invalid
// that names the column when one is absent, unknown, or of the wrong type; a
// column of nothing but missing values fits every type.
func Bind(at []int, input slipway.Schema, in *slipway.Frame) ([]int, error) {
	for i := range input {
		c := &input[i]
		j := i // most callers send the model's own order
		if j >= len(in.Series) || in.Series[j].Name != c.Name {
			j = slices.IndexFunc(in.Series, func(s slipway.Series) bool { return s.Name == c.Name })
		}
		if j < 0 {
			return at, slipway.Errorf(slipway.Invalid, "column %q is missing", c.Name).
				WithHint("the model takes %s", list(input.Names()))
		}
		if err := fits(c, &in.Series[j]); err != nil {
			return at, err
		}
		at = append(at, j)
	}
	if len(in.Series) == len(input) {
		return at, nil
	}
	if err := Unique(in); err != nil {
		return at, err
	}
	for i := range in.Series {
		if input.Index(in.Series[i].Name) < 0 {
			return at, slipway.Errorf(slipway.Invalid, "the model does not take column %q", in.Series[i].Name).
				WithHint("the model takes %s", list(input.Names()))
		}
	}
	return at, nil
}

func fits(c *slipway.Column, s *slipway.Series) error {
	switch {
	case c.Type == "" || group(c.Type) == group(s.Type):
	case allMissing(s):
		return nil
	default:
		return slipway.Errorf(slipway.Invalid, "column %q takes %s, not %s", c.Name, c.Type, s.Type)
	}
	if c.Type == slipway.Int && s.Type != slipway.Int {
		for i, v := range s.Float {
			if v != math.Trunc(v) && !math.IsNaN(v) {
				return slipway.Errorf(slipway.Invalid, "column %q takes whole numbers, and row %d has %v", c.Name, i+1, v)
			}
		}
	}
	return nil
}

// group is the types that may stand for one another.
func group(t slipway.Type) slipway.Type {
	switch t {
	case slipway.Int, slipway.Bool:
		return slipway.Float
	case slipway.Date:
		return slipway.Time
	}
	return t
}

func isText(s *slipway.Series) bool { return s.Type == slipway.Text || s.Type == slipway.Binary }

func allMissing(s *slipway.Series) bool {
	if isText(s) {
		for i := range s.Text {
			if s.Null == nil || !s.Null[i] {
				return false
			}
		}
		return true
	}
	for _, v := range s.Float {
		if !math.IsNaN(v) {
			return false
		}
	}
	return true
}

func list(names []string) string {
	const most = 40
	if len(names) > most {
		return strings.Join(names[:most], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}
