package project

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
)

// input finds out what an input's text means: a dataset, a window of one, or
// an output of a step by its path or as step.output. Brackets after an output
// name a split of its rows, which only gates read.
func (c *checker) input(path string, in *Input, split bool) {
	name, inner, bracket := cutBracket(in.Text)
	if !bracket && strings.ContainsAny(name, "[]") {
		c.fault(path, "write flights[2013-01..2013-03]", "the brackets of %q do not close", short(in.Text))
		return
	}
	_, isDataset := c.project.Data[name]
	found := c.outputs[name]
	switch {
	case isDataset && len(found) > 0:
		c.fault(path, "write the output as "+found[0].String(), "%q is both a dataset and an output", short(name))
	case isDataset:
		in.Dataset = name
		if bracket {
			c.view(path, in, inner, split)
		}
	case len(found) == 0:
		c.noInput(path, name)
	case len(found) > 1:
		c.fault(path, "write "+found[0].String()+" or "+found[1].String(), "%q is an output of two steps", short(name))
	case bracket && !split:
		c.fault(path, "read the whole file and choose rows in the command", "an output of a step has no window")
	default:
		in.Step, in.Output, in.Split = found[0].Step, found[0].Output, inner
		if bracket && inner == "" {
			c.fault(path, "write the split's name, or no brackets", "the brackets of %q are empty", short(in.Text))
		}
	}
}

// index gathers the outputs by every text that can mean them: path and
// step.output, a folder with and without its final /.
func (c *checker) index() {
	c.outputs = map[string][]OutputRef{}
	for _, s := range c.project.Pipeline {
		for _, o := range s.Out {
			ref := OutputRef{s.Name, o.Name}
			for _, text := range []string{o.Path, strings.TrimSuffix(o.Path, "/"), ref.String(), s.Name + "." + o.Path} {
				if !slices.Contains(c.outputs[text], ref) {
					c.outputs[text] = append(c.outputs[text], ref)
				}
			}
		}
	}
}

func (c *checker) noInput(path, name string) {
	known := c.datasets()
	for _, s := range c.project.Pipeline {
		for _, o := range s.Out {
			known = append(known, o.Path, s.Name+"."+o.Name)
		}
	}
	base, _, versioned := strings.Cut(name, "@")
	if _, ok := c.project.Data[base]; versioned && ok {
		c.fault(path, "write "+base+"; slipway.lock pins its version", "an input names no version: %q", short(name))
		return
	}
	if step := c.project.Pipeline.Step(name); step != nil && len(step.Out) > 0 {
		c.fault(path, "did you mean \""+step.Name+"."+step.Out[0].Name+"\"?", "%q is a step; an input is one of its outputs", name)
		return
	}
	hint := suggest(name, known, "known")
	if !strings.HasPrefix(hint, "did you mean") && strings.ContainsAny(name, "./") {
		hint = "a file of data is declared under data; code needs no declaration"
	}
	c.fault(path, hint, "%q is neither a dataset nor an output of a step", short(name))
}

func cutBracket(text string) (name, inner string, ok bool) {
	name, inner, ok = strings.Cut(text, "[")
	if !ok || !strings.HasSuffix(inner, "]") || strings.ContainsAny(inner[:len(inner)-1], "[]") {
		return text, "", false
	}
	return name, strings.TrimSuffix(inner, "]"), true
}

// view reads what stands in brackets: a window, a part of the split, or both
// with a comma between.
func (c *checker) view(path string, in *Input, text string, gate bool) {
	set := c.project.Data[in.Dataset]
	w, part, err := ParseView(text, set.Split, c.project.location)
	if err == nil && !w.IsZero() && set.Time.Expression == "" {
		c.fault(path, "add time to data."+in.Dataset, "dataset %s has no time, so it has no windows", in.Dataset)
		return
	}
	if err != nil {
		e := slipway.AsError(err)
		c.fault(path, e.Hint, "%s", e.Message)
		return
	}
	if part != "" && gate {
		c.fault(path, "name a window, or an output of a step", "only steps and `slipway data` read a part of a dataset's split")
		return
	}
	in.Window, in.Split = w, part
}

// ParseView reads what stands in brackets behind a dataset: a window, a part of
// its split, or both with a comma between. It fails with Invalid.
func ParseView(text string, split *Split, zone *time.Location) (w slipway.Window, part string, err error) {
	var names []string
	if split != nil {
		names = split.PartNames()
	}
	seen := false
	for piece := range strings.SplitSeq(text, ",") {
		piece = strings.TrimSpace(piece)
		switch {
		case slices.Contains(names, piece) && part == "":
			part = piece
		case partName.MatchString(piece):
			if split == nil {
				return w, "", slipway.Errorf(slipway.Invalid, "%q is no window, and the dataset has no split", short(piece)).
					WithHint("add split: {parts: [train 80%%, test 20%%]} to the dataset in slipway.yaml")
			}
			return w, "", slipway.Errorf(slipway.Invalid, "the split has no part %q, or two are named", short(piece)).WithHint("the parts are %s", strings.Join(names, ", "))
		case seen:
			return w, "", slipway.Errorf(slipway.Invalid, "%q names two windows", short(text)).WithHint(windowHint)
		default:
			seen = true
			if w, err = ParseWindow(piece, zone); err != nil {
				return w, "", err
			}
		}
	}
	return w, part, nil
}

var partName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*$`)

const windowHint = "write flights[2013-01..2013-03], flights[2013] or flights[2013-04-01..]"

// ParseWindow reads one period, or two with .. between, of which both are
// included and either may be left out. Periods are years, months, days, hours,
// minutes or seconds of a zone. It fails with Invalid.
func ParseWindow(text string, zone *time.Location) (w slipway.Window, err error) {
	from, to, ranged := strings.Cut(text, "..")
	if !ranged {
		to = from
	}
	from, to = strings.TrimSpace(from), strings.TrimSpace(to)
	for _, bound := range []string{from, to} {
		if bound == "" {
			continue
		}
		begin, end, ok := period(bound, zone)
		if !ok {
			return slipway.Window{}, slipway.Errorf(slipway.Invalid, "%q is not a day, month or year", short(bound)).WithHint(windowHint)
		}
		if bound == from {
			w.From = begin
		}
		if bound == to {
			w.To = end
		}
	}
	if w.IsZero() || !w.From.IsZero() && !w.To.IsZero() && !w.From.Before(w.To) {
		return slipway.Window{}, slipway.Errorf(slipway.Invalid, "the window %q holds no time", short(text)).WithHint(windowHint)
	}
	return w, nil
}

// period reads a year, month, day, hour, minute or second and returns where it
// begins and where the next one does.
func period(text string, zone *time.Location) (begin, end time.Time, ok bool) {
	forms := []struct {
		layout string
		next   func(time.Time) time.Time
	}{
		{"2006", func(t time.Time) time.Time { return t.AddDate(1, 0, 0) }},
		{"2006-01", func(t time.Time) time.Time { return t.AddDate(0, 1, 0) }},
		{"2006-01-02", func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }},
		{"2006-01-02T15", func(t time.Time) time.Time { return t.Add(time.Hour) }},
		{"2006-01-02T15:04", func(t time.Time) time.Time { return t.Add(time.Minute) }},
		{"2006-01-02T15:04:05", func(t time.Time) time.Time { return t.Add(time.Second) }},
	}
	for _, f := range forms {
		if t, err := time.ParseInLocation(f.layout, text, zone); err == nil && t.Year() > 0 {
			return t.UTC(), f.next(t).UTC(), true
		}
	}
	return time.Time{}, time.Time{}, false
}
