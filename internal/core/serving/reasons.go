package serving

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/kit/filter"
	"github.com/slipway-ml/slipway/internal/kit/trace"
)

// Reasons is how the answers of a request are to be explained.
type Reasons struct {
	Wish
	// When chooses the rows that are explained, by what the model answered and by
	// what was sent: probability > 0.8 AND hour >= 6. "" is all of them.
	When string `json:"when,omitempty"`
}

// ReadReasons reads the parameter explain of a request: true, a filter such as
// "probability > 0.8", or an object of Reasons, which may stand in a text since
// some protocols have no objects. false and null are nil.
func ReadReasons(raw json.RawMessage) (*Reasons, error) {
	var text string
	if json.Unmarshal(raw, &text) == nil && bytes.HasPrefix(raw, []byte{'"'}) {
		raw = json.RawMessage(strings.TrimSpace(text))
		if !strings.HasPrefix(text, "{") && text != "true" && text != "false" {
			return &Reasons{When: text}, nil
		}
	}
	switch string(raw) {
	case "true":
		return &Reasons{}, nil
	case "false", "null":
		return nil, nil
	}
	out := &Reasons{}
	from := json.NewDecoder(bytes.NewReader(raw))
	from.DisallowUnknownFields()
	if err := from.Decode(out); err != nil {
		return nil, slipway.Errorf(slipway.Invalid, "the parameter explain is not understood: %v", err).
			WithHint(`write true, a filter such as "probability > 0.8", or an object such as {"method": "interventional", "background": 50}`)
	}
	if len(out.Rows) > 0 {
		return nil, slipway.Errorf(slipway.Invalid, "the rows to explain are those of the request, and explain has its own")
	}
	return out, out.check()
}

// check refuses what no model can do.
func (w *Wish) check() error {
	switch {
	case w.Method != "" && w.Method != Interventional && w.Method != Permutation && w.Method != Kernel:
		return slipway.Errorf(slipway.Invalid, "the method %.40q is none of %s, %s and %s", w.Method, Interventional, Permutation, Kernel)
	case w.Space != "" && w.Space != predictor.Margin && w.Space != predictor.PredictionSpace:
		return slipway.Errorf(slipway.Invalid, "the space %.40q is neither %s nor %s", w.Space, predictor.Margin, predictor.PredictionSpace)
	case w.Background < 0 || w.Background > predictor.MaxBackground || len(w.BackgroundRows) > predictor.MaxBackground:
		return slipway.Errorf(slipway.Invalid, "the background has up to %d rows", predictor.MaxBackground)
	}
	return nil
}

// explain attributes the answers that v gave to in, as w wishes. rows are those
// that are explained, nil for all; without any the explanation is nil.
func (s *Service) explain(ctx context.Context, v *variant, in, out *slipway.Frame, w *Reasons) (x *Explanation, rows []int, err error) {
	if w == nil {
		w = &Reasons{}
	}
	start := time.Now()
	ctx, end := trace.Begin(ctx, "explain")
	defer func() { end(err) }()
	if w.When != "" {
		if rows, err = chosen(w.When, in, out); err != nil || len(rows) == 0 {
			return nil, nil, err
		}
		in = in.Take(rows)
	}
	found, err := s.attribute(ctx, v.endpoint.spec.Project, v.spec.Model, v.model.model, in, w.Wish)
	if err != nil {
		return nil, nil, err
	}
	v.explained.Add(1)
	v.stage[stageExplain].observe(int64(time.Since(start)))
	return &found, rows, nil
}

// chosen is the rows for which a filter holds. It may name outputs and inputs;
// an output is meant where both have the name.
func chosen(when string, in, out *slipway.Frame) ([]int, error) {
	g := filter.Grammar{Attributes: map[string]filter.Attribute{}, Entities: []filter.Entity{filter.OfAttribute}, Prefer: filter.OfAttribute}
	column := map[string]*slipway.Series{}
	for _, f := range []*slipway.Frame{in, out} {
		for i := range f.Series {
			s := &f.Series[i]
			column[s.Name] = s
			g.Attributes[s.Name] = filter.Attribute{Name: s.Name, Number: s.Text == nil, List: s.Text != nil}
		}
	}
	conditions, err := g.Parse(when)
	if err != nil {
		return nil, err
	}
	rows := []int{}
	for r := range in.Rows {
		holds := true
		for i := range conditions {
			c := &conditions[i]
			one, err := meets(c, column[c.Key], r)
			if err != nil {
				return nil, err
			}
			holds = holds && one
		}
		if holds {
			rows = append(rows, r)
		}
	}
	return rows, nil
}

// meets reports whether value r of s meets a condition; a missing one meets none
// but IS NULL.
func meets(c *filter.Condition, s *slipway.Series, r int) (bool, error) {
	missing := s.Missing(r)
	switch c.Op {
	case "IS NULL":
		return missing, nil
	case "IS NOT NULL":
		return !missing, nil
	}
	order := 0
	switch {
	case s.Text == nil && !missing:
		order = compare(s.Float[r], c.Number)
	case s.Text != nil && len(c.Text) > 0:
		order = strings.Compare(s.Text[r], c.Text[0])
	}
	holds := false
	switch c.Op {
	case "=":
		holds = order == 0
	case "!=":
		holds = order != 0
	case "<":
		holds = order < 0
	case "<=":
		holds = order <= 0
	case ">":
		holds = order > 0
	case ">=":
		holds = order >= 0
	case "IN":
		holds = slices.Contains(c.Text, s.Text[r])
	case "NOT IN":
		holds = !slices.Contains(c.Text, s.Text[r])
	default:
		return false, slipway.Errorf(slipway.Invalid, "the filter of explain compares by = != < <= > >= and IN, not by %s", c.Op)
	}
	return holds && !missing, nil
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// backgrounds keeps the training rows that stood for what is not known: reading
// them costs far more than an explanation, and those of a version never change.
type backgrounds struct {
	mu   sync.Mutex
	rows map[backgroundKey]*slipway.Frame
}

type backgroundKey struct {
	project, model string
	count          int
}

const keptBackgrounds = 16

func (b *backgrounds) get(key backgroundKey, read func() (*slipway.Frame, error)) (*slipway.Frame, error) {
	b.mu.Lock()
	f := b.rows[key]
	b.mu.Unlock()
	if f != nil {
		return f, nil
	}
	f, err := read()
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rows == nil || len(b.rows) >= keptBackgrounds {
		b.rows = map[backgroundKey]*slipway.Frame{}
	}
	b.rows[key] = f
	return f, nil
}
