package project

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/slipway-ml/slipway"
)

func (l *Names) unmarshal(d *decoder, path string, n ast.Node) { *l = d.words(path, n) }

// words reads one text or a list of texts, each once.
func (d *decoder) words(path string, n ast.Node) []string {
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		if _, text := plain(n); !text {
			d.want(n, path, "text or a list of texts")
			return nil
		}
		if s, ok := d.string(path, n); ok {
			return []string{s}
		}
		return nil
	}
	var out []string
	for i, v := range list.Values {
		at := path + "[" + strconv.Itoa(i) + "]"
		if v = d.resolve(at, v); v == nil {
			continue
		}
		d.position[at] = positionOf(v)
		s, ok := d.string(at, v)
		if ok && slices.Contains(out, s) {
			d.fault(v, at, "keep one of them", "%q stands here a second time", s)
		}
		if ok {
			out = append(out, s)
		}
	}
	if len(list.Values) == 0 {
		d.fault(n, path, "name at least one or remove the key", "%q is an empty list", leaf(path))
	}
	return out
}

func (t *EventTime) unmarshal(d *decoder, path string, n ast.Node) {
	if !isMap(n) {
		if _, ok := plain(n); !ok {
			d.want(n, path, "a column, an SQL expression or {order: [columns]}")
			return
		}
		t.Expression, _ = d.string(path, n)
		return
	}
	for _, e := range d.mapping(path, n) {
		if e.key != "order" {
			d.fault(e.at, path, suggest(e.key, []string{"order"}, "known keys"), "unknown key %q", e.key)
			continue
		}
		if v := d.resolve(join(path, "order"), e.value); v != nil {
			t.Order = d.words(join(path, "order"), v)
		}
	}
	if t.IsZero() {
		d.fault(n, path, "write a column, or order: [columns]", "%q names no column", leaf(path))
	}
}

// UnmarshalText reads step.output. The output's name may itself hold dots.
func (r *OutputRef) UnmarshalText(b []byte) error {
	step, output, ok := strings.Cut(string(b), ".")
	if !ok || step == "" || output == "" {
		return slipway.Errorf(slipway.Invalid, "%q is not an output of a step", b).WithHint("write step.output, such as train.model")
	}
	*r = OutputRef{step, output}
	return nil
}

// MarshalText writes step.output.
func (r OutputRef) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

var secretName = regexp.MustCompile(`^\$([A-Za-z_][A-Za-z0-9_]*)$`)

// UnmarshalText reads $NAME. A value in its place is refused and not repeated,
// since it may be the secret itself.
func (s *Secret) UnmarshalText(b []byte) error {
	m := secretName.FindSubmatch(b)
	if m == nil {
		return slipway.Errorf(slipway.Invalid, "a secret is written as its name, never as its value").
			WithHint("write $NAME, and set NAME where the server runs")
	}
	*s = Secret(m[1])
	return nil
}

// MarshalText writes $NAME.
func (s Secret) MarshalText() ([]byte, error) { return []byte("$" + string(s)), nil }

func (c *Command) unmarshal(d *decoder, path string, n ast.Node) {
	if _, ok := n.(*ast.SequenceNode); !ok {
		s, text := plain(n)
		switch {
		case !text:
			d.want(n, path, "a command, as text or as a list")
		case strings.TrimSpace(s) == "":
			d.fault(n, path, "write a command such as python train.py", "%q is empty", leaf(path))
		default:
			c.Shell = strings.TrimSpace(s)
		}
		return
	}
	for i, v := range n.(*ast.SequenceNode).Values {
		at := path + "[" + strconv.Itoa(i) + "]"
		if v = d.resolve(at, v); v == nil {
			continue
		}
		s, ok := plain(v)
		if !ok {
			d.want(v, at, "texts")
			continue
		}
		c.Args = append(c.Args, s)
	}
	if len(c.Args) == 0 || c.Args[0] == "" {
		d.fault(n, path, "write a command such as python train.py", "%q is empty", leaf(path))
	}
}

// unmarshal keeps the text; what it refers to is looked up when the whole
// file is known.
func (i *Input) unmarshal(d *decoder, path string, n ast.Node) {
	i.Text, _ = d.string(path, n)
}

func (l *Inputs) unmarshal(d *decoder, path string, n ast.Node) {
	for i, s := range d.words(path, n) {
		*l = append(*l, Input{Text: s})
		if _, ok := d.position[path+"["+strconv.Itoa(i)+"]"]; !ok {
			d.position[path+"["+strconv.Itoa(i)+"]"] = positionOf(n)
		}
	}
}

func (l *Outputs) unmarshal(d *decoder, path string, n ast.Node) {
	if !isMap(n) {
		for _, s := range d.words(path, n) {
			*l = append(*l, Output{Name: s, Path: s})
		}
		return
	}
	for _, e := range d.mapping(path, n) {
		at := join(path, e.key)
		v := d.resolve(at, e.value)
		if v == nil {
			continue
		}
		d.position[at] = positionOf(v)
		if s, ok := d.string(at, v); ok {
			*l = append(*l, Output{Name: e.key, Path: s})
		}
	}
}

func (m *Params) unmarshal(d *decoder, path string, n ast.Node) {
	if !isMap(n) {
		d.want(n, path, "a map of names to values")
		return
	}
	*m = Params{}
	for _, e := range d.mapping(path, n) {
		d.place(join(path, e.key), e)
		(*m)[e.key] = d.free(join(path, e.key), e.value)
	}
}

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (m *Env) unmarshal(d *decoder, path string, n ast.Node) {
	if !isMap(n) {
		d.want(n, path, "a map of variables to texts")
		return
	}
	*m = Env{}
	for _, e := range d.mapping(path, n) {
		at := join(path, e.key)
		v := d.resolve(at, e.value)
		if v == nil {
			continue
		}
		if !variable.MatchString(e.key) || strings.HasPrefix(e.key, "SLIPWAY_") {
			d.fault(e.at, at, "use letters, digits and _, and no name that starts with SLIPWAY_", "%q cannot be set as an environment variable", e.key)
			continue
		}
		// OMP_NUM_THREADS: 1 can mean only the text 1, so that quotes are not asked for.
		s, ok := plain(v)
		if !ok && isScalar(v) {
			s, ok = v.GetToken().Value, true
		}
		if !ok || strings.ContainsRune(s, 0) {
			d.want(v, at, "text")
			continue
		}
		if strings.HasPrefix(s, "$") && !secretName.MatchString(s) {
			d.fault(v, at, "write $NAME alone", "a secret is the whole value of a variable")
		}
		(*m)[e.key] = s
	}
}

func (f *Features) unmarshal(d *decoder, path string, n ast.Node) {
	if s, ok := plain(n); ok && s == "all" {
		*f = Features{All: true}
		return
	}
	if _, ok := n.(*ast.SequenceNode); !ok {
		d.want(n, path, "all or a list of features")
		return
	}
	*f = Features{Names: d.words(path, n)}
}

func (l *Pipeline) unmarshal(d *decoder, path string, n ast.Node) {
	decodeNamed(d, path, n, "steps by name", func(name string) *Step {
		*l = append(*l, Step{Name: name})
		return &(*l)[len(*l)-1]
	})
}

func (l *Deploy) unmarshal(d *decoder, path string, n ast.Node) {
	decodeNamed(d, path, n, "environments by name", func(name string) *DeployEnvironment {
		*l = append(*l, DeployEnvironment{Name: name})
		return &(*l)[len(*l)-1]
	})
}

// decodeNamed reads a map of names to structures whose order is kept.
func decodeNamed[T any](d *decoder, path string, n ast.Node, what string, add func(name string) *T) {
	if !isMap(n) {
		hint := ""
		if _, ok := n.(*ast.SequenceNode); ok {
			hint = "write the name as a key instead of a list's dash"
		}
		d.fault(n, path, hint, "%q wants a map of %s, not %s", leaf(path), what, describe(n))
		return
	}
	for _, e := range d.mapping(path, n) {
		at := join(path, e.key)
		d.position[at] = positionOf(e.at)
		into := add(e.key)
		if s, ok := e.value.(*ast.StringNode); ok && what == "steps by name" {
			d.fault(e.value, at, fmt.Sprintf("write %s: {run: %s}", e.key, short(s.Value)), "step %q wants a map of keys to values, not text", e.key)
			continue
		}
		d.decode(at, e.value, valueOf(into), rule{})
	}
}
