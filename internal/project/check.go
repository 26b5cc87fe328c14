package project

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // zones are the same on every machine, also on one without a zone database
)

// checker judges a file as a whole, after each value was understood. Beside
// judging, it resolves references and cleans paths.
type checker struct {
	*decoder
	project *Project
	outputs map[string][]OutputRef
}

func (c *checker) fault(path, hint, format string, args ...any) {
	c.faultAt(nearest(c.position, path), path, hint, format, args...)
}

func (c *checker) run() {
	p := c.project
	if p.Name == "" {
		p.Name = defaultName(p.Dir)
	}
	c.name("project", p.Name)
	location, err := time.LoadLocation(p.Timezone)
	if err != nil || p.Timezone == "Local" {
		c.fault("timezone", "write an IANA name such as Europe/Berlin, or UTC", "the time zone %q does not exist", short(p.Timezone))
		location = time.UTC
	}
	p.location = location
	c.data(p.Data)
	c.pipeline(p.Pipeline)
	if p.Environment != nil {
		p.Environment.check(c)
	}
	if p.Model != nil {
		p.Model.check(c)
	}
	if p.Gates != nil {
		p.Gates.check(c)
	}
	p.Deploy.check(c)
	if p.Monitor != nil {
		p.Monitor.check(c)
	}
	if p.Retrain != nil {
		p.Retrain.check(c)
	}
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

// name checks a name that becomes part of addresses and references.
func (c *checker) name(path, name string) {
	if !nameForm.MatchString(name) {
		c.fault(path, "use up to 64 letters, digits, - and _, and begin with a letter or a digit", "%q cannot be a name", short(name))
	}
}

// path checks that a path stays inside the project, and cleans it. A folder
// keeps its final /.
func (c *checker) path(at, p string) string {
	clean := path.Clean(strings.ReplaceAll(p, `\`, "/"))
	switch {
	case strings.Contains(p, "://"):
		c.fault(at, "write a path inside the project", "%q is an address; only files inside the project can be read here", short(p))
	case path.IsAbs(clean) || len(clean) > 1 && clean[1] == ':':
		c.fault(at, "write it relative to the folder of "+FileName, "%q is an absolute path", short(p))
	case strings.HasPrefix(p, "~"):
		c.fault(at, "write it relative to the folder of "+FileName, "%q lies outside the project", short(p))
	case clean == ".." || strings.HasPrefix(clean, "../"):
		c.fault(at, "move the file into the project", "%q lies outside the project", short(p))
	case strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f }):
		c.fault(at, "", "%q holds a control character", short(p))
	}
	if strings.HasSuffix(p, "/") {
		clean += "/"
	}
	return clean
}

// limits checks that a lower and an upper limit leave something between.
func (c *checker) limits(path string, least, most *float64) {
	if least != nil && most != nil && *least > *most {
		c.fault(path+".max", "", "max %v is below min %v", *most, *least)
	}
}

// dataset checks that a dataset is declared.
func (c *checker) dataset(path, name string) {
	if _, ok := c.project.Data[name]; !ok {
		c.fault(path, suggest(name, c.datasets(), "datasets"), "no dataset %q under data", short(name))
	}
}

func (c *checker) datasets() []string {
	var names []string
	for name := range c.project.Data {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// output resolves step.output, also when the output is written by its path.
func (c *checker) output(path string, ref *OutputRef) {
	step := c.project.Pipeline.Step(ref.Step)
	if step == nil {
		var names []string
		for _, s := range c.project.Pipeline {
			names = append(names, s.Name)
		}
		c.fault(path, suggest(ref.Step, names, "steps"), "no step %q in pipeline", short(ref.Step))
		return
	}
	out := step.Output(ref.Output)
	if out == nil {
		hint := suggest(ref.Output, step.outputs(), "its outputs")
		if len(step.Out) == 0 {
			hint = fmt.Sprintf("give it one: out: {%s: path}", ref.Output)
		}
		c.fault(path, hint, "step %s has no output %q", ref.Step, short(ref.Output))
		return
	}
	ref.Output = out.Name
}

func (s *Step) outputs() []string {
	var names []string
	for _, o := range s.Out {
		names = append(names, o.Name)
	}
	return names
}

func (c *checker) data(data map[string]Dataset) {
	for _, name := range c.datasets() {
		set := data[name]
		at := "data." + name
		c.name(at, name)
		switch {
		case strings.Contains(set.Path, "://"):
			c.fault(at+".path", "write it under source: {bucket: …}; path is where the files lie in the project", "the address %q is no path", short(set.Path))
		case set.Path != "":
			set.Path = c.path(at+".path", set.Path)
			if _, err := path.Match(set.Path, ""); err != nil {
				c.fault(at+".path", "close the bracket, or write [[] for a bracket itself", "%q is not a pattern", short(set.Path))
			}
		}
		if set.Contract != "" {
			set.Contract = c.path(at+".contract", set.Contract)
		}
		c.source(at, set)
		c.split(at, set)
		c.csv(at, set)
		data[name] = set
	}
}

// csv checks what only text files have.
func (c *checker) csv(at string, set Dataset) {
	if r := []rune(set.Delimiter); set.Delimiter != "" && (len(r) != 1 || strings.ContainsAny(set.Delimiter, "\r\n\"")) {
		c.fault(at+".delimiter", `write ",", ";", "|" or "\t"`, "%q is not one character", short(set.Delimiter))
	}
	if set.Columns != nil && (set.Header == nil || *set.Header) {
		c.fault(at+".columns", "add header: false, or rename the columns in a step", "columns names the columns of a file without a header")
	}
	if set.Format != "" && set.Format != "csv" {
		for key, given := range map[string]bool{"delimiter": set.Delimiter != "", "header": set.Header != nil, "missing": set.Missing != nil} {
			if given {
				c.fault(at+"."+key, "", "%q belongs to CSV files, and format is %s", key, set.Format)
			}
		}
	}
	if set.Columns != nil && len(slices.Compact(slices.Sorted(slices.Values(set.Columns)))) != len(set.Columns) {
		c.fault(at+".columns", "", "two columns have one name")
	}
}
