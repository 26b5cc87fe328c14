package project

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-ml/slipway"
)

// Marshal writes the project in its normal form, which is recorded with each
// revision: JSON with every default written out, paths cleaned and references
// resolved. JSON is YAML too, so that Parse reads it back to the same project.
// Two files that differ only in comments, layout or spelled-out defaults have
// the same normal form.
func (p *Project) Marshal() ([]byte, error) { return encode(p, "  ") }

// Digest is the hash of the normal form.
func (p *Project) Digest() (slipway.Digest, error) {
	b, err := p.Marshal()
	if err != nil {
		return "", err
	}
	return slipway.DigestOf(b), nil
}

func encode(v any, indent string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("write the normal form of a project: %w", err)
	}
	return b.Bytes(), nil
}

// object writes a JSON object whose keys keep their order.
func object(n int, at func(i int) (string, any)) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i := range n {
		key, value := at(i)
		k, err := encode(key, "")
		if err != nil {
			return nil, err
		}
		v, err := encode(value, "")
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(k)
		b.WriteByte(':')
		b.Write(v)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// MarshalJSON writes a map of names to steps, in the order of the file.
func (p Pipeline) MarshalJSON() ([]byte, error) {
	return object(len(p), func(i int) (string, any) { return p[i].Name, p[i] })
}

// MarshalJSON writes a map of names to environments, in the order of the file.
func (d Deploy) MarshalJSON() ([]byte, error) {
	return object(len(d), func(i int) (string, any) { return d[i].Name, d[i] })
}

// MarshalJSON writes a list of paths, or a map where outputs have names.
func (l Outputs) MarshalJSON() ([]byte, error) {
	if slices.ContainsFunc(l, func(o Output) bool { return o.Name != o.Path }) {
		return object(len(l), func(i int) (string, any) { return l[i].Name, l[i].Path })
	}
	paths := make([]string, len(l))
	for i, o := range l {
		paths[i] = o.Path
	}
	return encode(paths, "")
}

// MarshalJSON writes the expression, or {order: [columns]}.
func (t EventTime) MarshalJSON() ([]byte, error) {
	if len(t.Order) > 0 {
		return encode(map[string][]string{"order": t.Order}, "")
	}
	return encode(t.Expression, "")
}

// MarshalJSON writes the line, or the list of arguments.
func (c Command) MarshalJSON() ([]byte, error) {
	if c.Shell != "" {
		return encode(c.Shell, "")
	}
	return encode(c.Args, "")
}

// MarshalText writes the input as it was written.
func (i Input) MarshalText() ([]byte, error) { return []byte(i.Text), nil }

// MarshalJSON writes all, or the list of names.
func (f Features) MarshalJSON() ([]byte, error) {
	if f.All {
		return encode("all", "")
	}
	return encode(f.Names, "")
}

// MarshalJSON writes {metric: "<limit"}.
func (t MetricTrigger) MarshalJSON() ([]byte, error) {
	return encode(map[string]string{t.Metric: t.Op + strconv.FormatFloat(t.Value, 'g', -1, 64)}, "")
}

// MarshalJSON writes the word, or {last: length}.
func (w TrainWindow) MarshalJSON() ([]byte, error) {
	if w.Kind == Last {
		return encode(map[string]Duration{Last: w.Last}, "")
	}
	return encode(w.Kind, "")
}

// MarshalJSON writes the word commit, or a map of the one key.
func (t Trigger) MarshalJSON() ([]byte, error) {
	if t.Commit {
		return encode("commit", "")
	}
	type fields Trigger
	return encode(fields(t), "")
}

// MarshalJSON keeps 5.0 apart from 5, which a command in Python tells apart.
func (m Params) MarshalJSON() ([]byte, error) { return encode(exact(map[string]any(m)), "") }

// exact replaces floats by numbers that read back as floats.
func exact(v any) any {
	switch x := v.(type) {
	case float64:
		s := strconv.FormatFloat(x, 'g', -1, 64)
		if !math.IsInf(x, 0) && !math.IsNaN(x) && !strings.ContainsAny(s, ".e") {
			s += ".0"
		}
		return json.Number(s)
	case []any:
		out := make([]any, len(x))
		for i := range x {
			out[i] = exact(x[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(x))
		for k := range x {
			out[k] = exact(x[k])
		}
		return out
	}
	return v
}
