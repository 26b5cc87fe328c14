package gate

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math"
	"strconv"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
)

// goldenRows is how many rows a certificate carries with their answers.
const goldenRows = 200

// Tolerances of a replay, relative to the value. A model whose own answers
// differ more between a batch and a single row cannot be told from another.
const (
	exact   = 1e-9
	loosest = 1e-4
)

// golden is rows with the answers that the model gave when it was certified.
type golden struct {
	Tolerance float64      `json:"tolerance"`           // relative, and absolute below 1
	Synthetic bool         `json:"synthetic,omitempty"` // made from the signature, for want of rows
	Input     []goldColumn `json:"input"`
	Output    []goldColumn `json:"output"`
}

// goldColumn is a column with null for missing values: numbers or text.
type goldColumn struct {
	Name   string       `json:"name"`
	Type   slipway.Type `json:"type"`
	Number []*float64   `json:"number,omitempty"`
	Text   []*string    `json:"text,omitempty"`
}

// addGolden picks rows, has the candidate answer them once together and once
// each by itself, and keeps both in content.
func (s *Service) addGolden(ctx context.Context, c *Certificate, t *trial) error {
	if t.candidate.model == nil {
		return nil
	}
	g := golden{Tolerance: exact}
	input := pick(t.rows, t.candidate.model.Signature().Input)
	if input == nil {
		g.Synthetic, input = true, synthesize(t.candidate.model.Signature().Input)
	}
	check := Check{Name: "golden rows", Kind: KindGolden, Verdict: slipway.Pass}
	output, spread, err := ask(ctx, t.candidate.model, input)
	switch {
	case err != nil && !lasting(err):
		return err
	case err != nil && g.Synthetic:
		check.Verdict, check.Reason = Skipped, "there are no rows to ask it about, and it does not answer made-up ones: "+message(err)
		t.add(check)
		c.Check = t.checks
		return nil
	case err != nil:
		check.Verdict, check.Reason = slipway.Refuse, message(err)
	case spread > loosest:
		check.Verdict, check.Reason = slipway.Refuse, "it answers a row differently alone and among others, by "+strconv.FormatFloat(spread, 'g', 3, 64)
	}
	t.add(check)
	c.Check = t.checks
	if check.Verdict != slipway.Pass {
		return nil
	}
	g.Tolerance = max(exact, 10*spread)
	g.Input, g.Output = columns(input), columns(output)
	raw, err := json.Marshal(g)
	if err != nil {
		return err
	}
	c.GoldenRows = input.Rows
	c.Golden, _, err = s.o.Content.Put(ctx, bytes.NewReader(raw))
	return err
}

// ask answers rows together, and says by how much the answers to each row alone
// differ, relatively.
func ask(ctx context.Context, m predictor.Model, input *slipway.Frame) (*slipway.Frame, float64, error) {
	together, err := m.Predict(ctx, input)
	if err != nil {
		return nil, 0, err
	}
	spread := 0.0
	for i := range input.Rows {
		alone, err := m.Predict(ctx, input.Slice(i, i+1))
		if err != nil {
			return nil, 0, err
		}
		_, d := differ(together.Slice(i, i+1), alone)
		spread = max(spread, d)
	}
	return together, spread, nil
}

// differ finds the largest relative difference of two answers and its row. Text
// that is not the same, and a value that only one has, are infinitely far
// apart.
func differ(want, got *slipway.Frame) (row int, far float64) {
	for k := range want.Series {
		w := &want.Series[k]
		g := got.Column(w.Name)
		for i := range want.Rows {
			d := math.Inf(1)
			switch {
			case g == nil || i >= got.Rows:
			case w.Missing(i) || g.Missing(i):
				if w.Missing(i) && g.Missing(i) {
					d = 0
				}
			case w.Text != nil || g.Text != nil:
				if w.Text != nil && g.Text != nil && w.Text[i] == g.Text[i] {
					d = 0
				}
			case w.Float[i] == g.Float[i]:
				d = 0
			default:
				d = math.Abs(w.Float[i]-g.Float[i]) / max(1, math.Abs(w.Float[i]))
			}
			if d > far {
				row, far = i, d
			}
		}
	}
	return row, far
}

// Replay asks a model that was just loaded for the answers to the golden rows
// of its certificate. It fails with Refused, naming the row that differs most,
// when one is not reproduced; a certificate without golden rows has none to
// fail.
func (s *Service) Replay(ctx context.Context, c Certificate, m predictor.Model) error {
	if c.Golden == "" {
		return nil
	}
	g, err := s.golden(ctx, c.Golden)
	if err != nil {
		return err
	}
	input, want := frame(g.Input), frame(g.Output)
	got, err := m.Predict(ctx, input)
	if err != nil {
		if lasting(err) {
			return slipway.Errorf(slipway.Refused, "%s does not answer its golden rows: %s", c.Model, message(err))
		}
		return err
	}
	if row, far := differ(want, got); far > g.Tolerance {
		return slipway.Errorf(slipway.Refused, "%s does not reproduce its golden rows: row %d should give %s and gives %s", c.Model, row+1, show(want, row), show(got, row)).
			WithHint("these are not the files that the gate judged, or they are loaded with other columns or another version of a library")
	}
	return nil
}

// Reproduce loads a version, name@vN, and replays the golden rows of a
// certificate of it, as a release does before it answers anybody. It fails with
// Refused when the certificate is another version's, when the files are not
// those that were judged, or when an answer differs.
func (s *Service) Reproduce(ctx context.Context, project, model string, certificate slipway.Digest) error {
	c, err := s.read(ctx, certificate)
	if err != nil {
		return err
	}
	v, err := s.o.Models.Find(ctx, project, model)
	if err != nil {
		return err
	}
	if c.Certificate.Model != v.ID() || c.Certificate.Content != v.Content {
		return slipway.Errorf(slipway.Refused, "the certificate %s is of %s with content %s, not of %s with %s", certificate.Short(),
			c.Certificate.Model, c.Certificate.Content.Short(), v.ID(), v.Content.Short())
	}
	t := &trial{service: s, candidate: subject{version: v}}
	defer t.close()
	if err := t.open(ctx, &t.candidate); err != nil {
		if lasting(err) {
			return slipway.Errorf(slipway.Refused, "%s cannot be opened: %s", v.ID(), message(err))
		}
		return err
	}
	return s.Replay(ctx, c.Certificate, t.candidate.model)
}

func (s *Service) golden(ctx context.Context, d slipway.Digest) (g golden, err error) {
	r, err := s.o.Content.Open(ctx, d)
	if err != nil {
		return g, err
	}
	defer r.Close()
	raw, err := io.ReadAll(r)
	if err != nil {
		return g, err
	}
	if err := json.Unmarshal(raw, &g); err != nil {
		return g, slipway.Errorf(slipway.Invalid, "the golden rows cannot be read: %v", err)
	}
	return g, nil
}

func show(f *slipway.Frame, row int) string {
	out := ""
	for i := range f.Series {
		s := &f.Series[i]
		value := "nothing"
		if row < f.Rows && !s.Missing(row) {
			value = s.Label(row)
		}
		if i > 0 {
			out += ", "
		}
		out += s.Name + " " + value
	}
	return out
}

// columns writes a frame in the form that is kept.
func columns(f *slipway.Frame) []goldColumn {
	out := make([]goldColumn, len(f.Series))
	for k := range f.Series {
		s := &f.Series[k]
		c := goldColumn{Name: s.Name, Type: s.Type}
		for i := range f.Rows {
			switch {
			case s.Text == nil && s.Missing(i):
				c.Number = append(c.Number, nil)
			case s.Text == nil:
				c.Number = append(c.Number, &s.Float[i])
			case s.Missing(i):
				c.Text = append(c.Text, nil)
			default:
				c.Text = append(c.Text, &s.Text[i])
			}
		}
		out[k] = c
	}
	return out
}

// frame reads what columns wrote.
func frame(list []goldColumn) *slipway.Frame {
	f := &slipway.Frame{Series: make([]slipway.Series, len(list))}
	for k, c := range list {
		s := slipway.Series{Name: c.Name, Type: c.Type}
		f.Rows = max(len(c.Number), len(c.Text))
		for _, v := range c.Number {
			if v == nil {
				s.Float = append(s.Float, math.NaN())
				continue
			}
			s.Float = append(s.Float, *v)
		}
		for _, v := range c.Text {
			s.Null = append(s.Null, v == nil)
			if v == nil {
				s.Text = append(s.Text, "")
				continue
			}
			s.Text = append(s.Text, *v)
		}
		f.Series[k] = s
	}
	return f
}
