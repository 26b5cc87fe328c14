package serving

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
)

// LoggedExplanation says why a logged prediction came out as it did.
type LoggedExplanation struct {
	Prediction string            `json:"prediction_id"`
	Model      string            `json:"model"`  // name@vN, which answered
	Output     map[string]any    `json:"output"` // what it answers to the row
	Space      string            `json:"space"`  // of base and values: "margin" is log-odds for a binary classifier
	Method     string            `json:"method"`
	Explained  []ExplainedOutput `json:"explained"`
}

// ExplainedOutput is the attribution of one output: base plus the sum of the
// values is the model's output in the explanation's space.
type ExplainedOutput struct {
	Output  string             `json:"output"`
	Base    float64            `json:"base"`
	Feature []ExplainedFeature `json:"feature"` // the strongest first
}

// ExplainedFeature is how much a feature's value moved an output.
type ExplainedFeature struct {
	Name  string  `json:"name"`
	Sent  any     `json:"sent"` // null when it was missing
	Value float64 `json:"value"`
}

// ExplainLogged attributes a logged prediction to its inputs, with the very
// model version that answered it. It fails with NotFound when the prediction or
// its model is not there any more. A model without exact explanations is
// explained by sampling against its training rows.
func (s *Service) ExplainLogged(ctx context.Context, project, id string) (LoggedExplanation, error) {
	out := LoggedExplanation{Prediction: id}
	row, model, err := s.logged(ctx, project, id)
	if err != nil {
		return out, err
	}
	out.Model = model
	err = s.withModel(ctx, project, model, func(m predictor.Model) error {
		x, err := s.attribute(ctx, project, model, m, row, Wish{})
		if err != nil {
			return err
		}
		answer, err := m.Predict(ctx, row)
		if err != nil {
			return err
		}
		out.fill(row, answer, &x)
		return nil
	})
	return out, err
}

func (e *LoggedExplanation) fill(row, answer *slipway.Frame, x *Explanation) {
	e.Space, e.Method, e.Output = x.Space, x.Method, map[string]any{}
	for i := range answer.Series {
		e.Output[answer.Series[i].Name] = sentValue(&answer.Series[i])
	}
	for o, name := range x.Output {
		out := ExplainedOutput{Output: name, Base: x.Base[o]}
		for f, feature := range x.Feature {
			at := ExplainedFeature{Name: feature, Value: x.Value[0][o*len(x.Feature)+f]}
			if s := row.Column(feature); s != nil {
				at.Sent = sentValue(s)
			}
			out.Feature = append(out.Feature, at)
		}
		out.sort()
		e.Explained = append(e.Explained, out)
	}
}

// sort puts the strongest features first.
func (o *ExplainedOutput) sort() {
	slices.SortStableFunc(o.Feature, func(a, b ExplainedFeature) int {
		return cmp.Compare(math.Abs(b.Value), math.Abs(a.Value))
	})
}

// sentValue is the first value of a column for JSON.
func sentValue(s *slipway.Series) any {
	switch {
	case s.Missing(0):
		return nil
	case s.Text != nil:
		return s.Text[0]
	case s.Type == slipway.Time || s.Type == slipway.Date:
		return text(s, 0)
	}
	return s.Float[0]
}

// logged finds a prediction's input row: in this gateway's log, else with
// whoever took the log in.
func (s *Service) logged(ctx context.Context, project, id string) (*slipway.Frame, string, error) {
	raw, err := hex.DecodeString(id)
	if err != nil || len(raw) != len(ID{}) {
		return nil, "", slipway.Errorf(slipway.Invalid, "%.40q is no prediction id", id).WithHint("a reply has it in parameters.prediction_id: 32 hexadecimal characters")
	}
	row, model, err := s.log.find(ctx, project, ID(raw))
	if err != nil || row != nil {
		return row, model, err
	}
	if s.o.Logged == nil {
		return nil, "", slipway.Errorf(slipway.NotFound, "there is no prediction %s", id)
	}
	return s.o.Logged.Prediction(ctx, project, id)
}

// find searches the segments, the newest first.
func (l *log) find(ctx context.Context, project string, id ID) (*slipway.Frame, string, error) {
	list, err := l.list()
	if err != nil {
		return nil, "", err
	}
	l.mu.Lock()
	if l.file != nil {
		list = append(list, Segment{Number: l.number, path: l.path, Bytes: l.size})
	}
	l.mu.Unlock()
	for _, g := range slices.Backward(list) {
		if ctx.Err() != nil {
			return nil, "", ctx.Err()
		}
		if g.Bytes == 0 {
			continue
		}
		row, model, err := g.find(project, id)
		if errors.Is(err, fs.ErrNotExist) { // the open one was sealed, or one was forgotten, meanwhile
			g.path = l.sealed(g.Number)
			if row, model, err = g.find(project, id); errors.Is(err, fs.ErrNotExist) {
				continue
			}
		}
		if row != nil || err != nil {
			return row, model, err
		}
	}
	return nil, "", nil
}

// find looks for a prediction that a variant answered.
func (g Segment) find(project string, id ID) (row *slipway.Frame, model string, err error) {
	c := collector{streams: map[uint64]streamHead{}, open: map[string]*slipway.PredictionBatch{}}
	_, err = scan(g.path, func(payload []byte) error {
		switch payload[0] {
		case kindStream:
			_, err := c.take(payload)
			return err
		case kindPrediction:
			if !bytes.Contains(payload, id[:]) {
				return nil
			}
		default:
			return nil
		}
		p := (&decoder{b: payload[1:]}).prediction()
		i, h := slices.Index(p.id, id), c.streams[p.hash]
		if i < 0 || p.out == nil || h.Project != project || h.Role == slipway.Shadow {
			return nil
		}
		row, model = take(p.in, i), h.Model
		return errStop
	})
	if errors.Is(err, errStop) || errors.Is(err, errTorn) { // the open segment may end in a record that is being written
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("segment %s: %w", filepath.Base(g.path), err)
	}
	return row, model, err
}

// take is row i of f as a frame.
func take(f *slipway.Frame, i int) *slipway.Frame {
	out := &slipway.Frame{Rows: 1}
	for _, s := range f.Series {
		one := slipway.Series{Name: s.Name, Type: s.Type}
		if s.Text != nil {
			one.Text = s.Text[i : i+1]
			if s.Null != nil {
				one.Null = s.Null[i : i+1]
			}
		} else {
			one.Float = s.Float[i : i+1]
		}
		out.Series = append(out.Series, one)
	}
	return out
}

// withModel runs fn with a model version: the resident one, or one loaded for
// this.
func (s *Service) withModel(ctx context.Context, project, model string, fn func(predictor.Model) error) error {
	t := s.acquire()
	defer s.release(t)
	for _, e := range t.list {
		for _, v := range e.variant {
			if e.spec.Project == project && v.spec.Model == model {
				return fn(v.model.model)
			}
		}
	}
	if s.o.Versions == nil {
		return slipway.Errorf(slipway.NotFound, "the model %s is not in memory any more", model)
	}
	content, signature, err := s.o.Versions.Version(ctx, project, model)
	if err != nil {
		return err
	}
	m, err := s.o.Loader.Load(slipway.WithPrincipal(ctx, loader), project, content, &signature)
	if err != nil {
		return err
	}
	defer m.Close()
	return fn(m)
}
