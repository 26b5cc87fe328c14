package project

import (
	"strconv"
	"strings"
)

func (c *checker) pipeline(steps Pipeline) {
	writer := map[string]string{}
	for i := range steps {
		s := &steps[i]
		at := "pipeline." + s.Name
		c.name(at, s.Name)
		c.write(at, s, writer)
		if r := s.Resources; r != nil && r.CPU > 1024 {
			c.fault(at+".resources.cpu", "", "no machine has %v processor cores", r.CPU)
		}
	}
	c.nested(steps)
	c.index()
	for i := range steps {
		for j := range steps[i].In {
			c.input(item("pipeline."+steps[i].Name+".in", j), &steps[i].In[j], false)
		}
	}
	if cycle := steps.cycle(); cycle != nil {
		c.fault("pipeline."+cycle[0], "", "steps wait for each other: %s", strings.Join(cycle, " -> "))
	}
}

// write checks the outputs of a step, and that nothing else writes them.
func (c *checker) write(at string, s *Step, writer map[string]string) {
	for j := range s.Out {
		o := &s.Out[j]
		where := at + ".out." + o.Name
		if o.Name == o.Path {
			where = item(at+".out", j)
		}
		if _, ok := c.position[where]; !ok {
			where = at + ".out"
		}
		named := o.Name != o.Path
		o.Path = c.path(where, o.Path)
		if named {
			c.name(where, o.Name)
		} else {
			o.Name = o.Path
		}
		if strings.ContainsAny(o.Path, "*?[]{}") {
			c.fault(where, "write the folder, with a / at its end", "an output is one file or folder, not a pattern: %q", short(o.Path))
		}
		if o.Path == "." || o.Path == "./" {
			c.fault(where, "write a folder inside it, such as out/", "the project's own folder cannot be an output")
		}
		key := strings.TrimSuffix(o.Path, "/")
		if other, ok := writer[key]; ok {
			c.fault(where, "", "%q is written by step %s already", short(o.Path), other)
			continue
		}
		writer[key] = s.Name
		if key == FileName || key == "slipway.lock" {
			c.fault(where, "", "no step may write %s", key)
		}
	}
}

// nested refuses an output inside another: which of the two a file belongs to
// would depend on who wrote last.
func (c *checker) nested(steps Pipeline) {
	owner := map[string]string{}
	for _, s := range steps {
		for _, o := range s.Out {
			owner[strings.TrimSuffix(o.Path, "/")] = s.Name
		}
	}
	for _, s := range steps {
		for _, o := range s.Out {
			p := strings.TrimSuffix(o.Path, "/")
			for i := len(p) - 1; i > 0; i-- {
				if other, ok := owner[p[:i]]; ok && p[i] == '/' {
					c.fault("pipeline."+s.Name+".out", "give each output a place of its own", "%q lies inside %q, an output of step %s", short(o.Path), p[:i]+"/", other)
					break
				}
			}
		}
	}
}

func item(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }
