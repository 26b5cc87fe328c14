// Package predictortest is the contract of predictor.Model as tests. Every
// variant runs it on real models.
package predictortest

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
)

// Case is one model to hold to the contract.
type Case struct {
	Open      func(t *testing.T) predictor.Model // loads the model; the suite closes it
	Rows      *slipway.Frame                     // at least two rows that it answers differently
	Want      *slipway.Frame                     // the library's own answers to Rows
	Tolerance float64                            // largest absolute difference from Want
	Missing   bool                               // missing values are answered, not refused
	Category  string                             // a text column, "" when there is none
	Unseen    Policy                             // what becomes of a value of Category that training never saw
}

// Policy is what a model does with an unseen category.
type Policy int

// The policies.
const (
	Answered  Policy = iota // the row is answered somehow
	AsMissing               // the row is answered as one whose value is missing
	Refused                 // the request is refused with Invalid
)

// Run holds a model to the contract.
func Run(t *testing.T, c Case) {
	m := c.Open(t)
	t.Cleanup(func() { _ = m.Close() })
	t.Run("answers every row as the library does", func(t *testing.T) { c.same(t, predict(t, m, c.Rows), c.Want) })
	t.Run("answers a row alone as among others", func(t *testing.T) { c.alone(t, m) })
	t.Run("answers no rows with no rows", func(t *testing.T) {
		if out := predict(t, m, slice(c.Rows, 0, 0)); out.Rows != 0 {
			t.Fatalf("%d rows for none", out.Rows)
		}
	})
	if len(m.Signature().Input) > 0 {
		t.Run("finds columns by name", func(t *testing.T) { c.order(t, m) })
	}
	t.Run("refuses wrong columns by name", func(t *testing.T) { c.columns(t, m) })
	t.Run("meets missing values", func(t *testing.T) { c.missing(t, m) })
	if c.Category != "" {
		t.Run("meets an unseen category", func(t *testing.T) { c.unseen(t, m) })
	}
	t.Run("answers many at once", func(t *testing.T) { c.concurrent(t, m) })
	t.Run("heeds a cancelled context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := m.Predict(ctx, c.Rows); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v, want context.Canceled", err)
		}
	})
	t.Run("closes while busy", func(t *testing.T) { c.busy(t, m) }) // the last, for it closes m
}

func (c Case) same(t *testing.T, got, want *slipway.Frame) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateNaNs(), cmpopts.EquateApprox(0, c.Tolerance)); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}

func (c Case) alone(t *testing.T, m predictor.Model) {
	for i := range c.Rows.Rows {
		c.same(t, predict(t, m, slice(c.Rows, i, i+1)), slice(c.Want, i, i+1))
	}
}

func (c Case) order(t *testing.T, m predictor.Model) {
	in := clone(c.Rows)
	slices.Reverse(in.Series)
	c.same(t, predict(t, m, in), c.Want)
}

func (c Case) columns(t *testing.T, m predictor.Model) {
	refused := func(name string, in *slipway.Frame) {
		t.Helper()
		_, err := m.Predict(t.Context(), in)
		if !slipway.IsCode(err, slipway.Invalid) || !strings.Contains(slipway.AsError(err).Message, name) {
			t.Errorf("got %v, want Invalid that names %s", err, name)
		}
		if errors.Is(err, predictor.ErrModel) {
			t.Errorf("%v counts against the model", err)
		}
	}
	twice := clone(c.Rows)
	twice.Series = append(twice.Series, twice.Series[0])
	refused(twice.Series[0].Name, twice)

	short := clone(c.Rows)
	short.Series[0] = slice(c.Rows, 0, 1).Series[0]
	refused(short.Series[0].Name, short)

	if len(m.Signature().Input) == 0 {
		return
	}
	less := clone(c.Rows)
	name := less.Series[0].Name
	less.Series = less.Series[1:]
	refused(name, less)

	more := clone(c.Rows)
	extra := more.Series[0]
	extra.Name = "not_a_feature"
	more.Series = append(more.Series, extra)
	refused("not_a_feature", more)

	other := clone(c.Rows)
	other.Series[0].Name = "not_a_feature"
	refused(name, other)

	for i, s := range c.Rows.Series {
		if k := m.Signature().Input.Index(s.Name); !m.Signature().Input[k].Type.Numeric() {
			continue
		}
		text := clone(c.Rows)
		text.Series[i] = slipway.Series{Name: s.Name, Type: slipway.Text, Text: slices.Repeat([]string{"1.5"}, c.Rows.Rows)}
		refused(s.Name, text)
		break
	}
}

func (c Case) missing(t *testing.T, m predictor.Model) {
	for i := range c.Rows.Series {
		in := clone(c.Rows)
		blank(&in.Series[i], 0)
		out, err := m.Predict(t.Context(), in)
		if !c.Missing {
			if err != nil && !slipway.IsCode(err, slipway.Invalid) {
				t.Errorf("missing %s: got %v, want an answer or Invalid", in.Series[i].Name, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("missing %s: %v", in.Series[i].Name, err)
		}
		c.same(t, slice(out, 1, out.Rows), slice(c.Want, 1, c.Want.Rows))
	}
}

func (c Case) unseen(t *testing.T, m predictor.Model) {
	in := clone(c.Rows)
	in.Column(c.Category).Text[0] = "never seen in training"
	got, err := m.Predict(t.Context(), in)
	if c.Unseen == Refused {
		if !slipway.IsCode(err, slipway.Invalid) {
			t.Fatalf("got %v, want Invalid", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	want := c.Want
	if c.Unseen == AsMissing {
		gap := clone(c.Rows)
		blank(gap.Column(c.Category), 0)
		want = predict(t, m, gap)
	} else {
		got, want = slice(got, 1, got.Rows), slice(want, 1, want.Rows)
	}
	c.same(t, got, want)
}

func (c Case) concurrent(t *testing.T, m predictor.Model) {
	var calls sync.WaitGroup
	for k := range 8 {
		calls.Go(func() {
			for i := range 20 {
				from := (k + i) % c.Rows.Rows
				out, err := m.Predict(t.Context(), slice(c.Rows, from, c.Rows.Rows))
				if err != nil {
					t.Error(err)
					return
				}
				c.same(t, out, slice(c.Want, from, c.Want.Rows))
			}
		})
	}
	calls.Wait()
}

func (c Case) busy(t *testing.T, m predictor.Model) {
	var calls sync.WaitGroup
	begun := make(chan struct{}, 4)
	for range 4 {
		calls.Go(func() {
			for i := 0; ; i++ {
				out, err := m.Predict(context.Background(), c.Rows)
				if i == 0 {
					begun <- struct{}{}
				}
				if err != nil {
					if !slipway.IsCode(err, slipway.Unavailable) {
						t.Errorf("got %v, want Unavailable", err)
					}
					return
				}
				c.same(t, out, c.Want)
			}
		})
	}
	for range 4 {
		<-begun
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	calls.Wait()
	if err := m.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
	if _, err := m.Predict(context.Background(), c.Rows); !slipway.IsCode(err, slipway.Unavailable) {
		t.Errorf("after Close: got %v, want Unavailable", err)
	}
}

func predict(t *testing.T, m predictor.Model, in *slipway.Frame) *slipway.Frame {
	t.Helper()
	out, err := m.Predict(t.Context(), in)
	if err != nil {
		t.Fatalf("%v (%s)", err, slipway.AsError(err).Hint)
	}
	return out
}

// slice is rows from to to of f.
func slice(f *slipway.Frame, from, to int) *slipway.Frame {
	out := &slipway.Frame{Rows: to - from, Series: slices.Clone(f.Series)}
	for i := range out.Series {
		s := &out.Series[i]
		if s.Float != nil {
			s.Float = s.Float[from:to]
		}
		if s.Text != nil {
			s.Text = s.Text[from:to]
		}
		if s.Null != nil {
			s.Null = s.Null[from:to]
		}
	}
	return out
}

func clone(f *slipway.Frame) *slipway.Frame {
	out := slice(f, 0, f.Rows)
	for i := range out.Series {
		s := &out.Series[i]
		s.Float, s.Text, s.Null = slices.Clone(s.Float), slices.Clone(s.Text), slices.Clone(s.Null)
	}
	return out
}

// blank makes value i missing.
func blank(s *slipway.Series, i int) {
	if s.Text == nil {
		s.Float[i] = math.NaN()
		return
	}
	if s.Null == nil {
		s.Null = make([]bool, len(s.Text))
	}
	s.Null[i], s.Text[i] = true, ""
}
