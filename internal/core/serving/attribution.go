package serving

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
)

// Background finds rows that stand for features that are not known.
type Background interface {
	// Learned gives the rows that a model version, name@vN, was trained on. It
	// fails with NotFound where they are not known.
	Learned(ctx context.Context, project, model string) (*slipway.Frame, error)
}

// Ways to attribute, beside the model's own.
const (
	Interventional = "interventional" // exact, against a background
	Permutation    = predictor.MethodPermute
	Kernel         = predictor.MethodKernel
)

// Bounds of one attribution.
const (
	maxAttributed     = 1000
	usualBackground   = 100
	usualGlobal       = 500
	maxSampledGlobal  = 50
	maxAttributedCell = 1 << 22 // numbers of one reply
)

// Wish is how rows are to be attributed.
type Wish struct {
	Rows           []map[string]any `json:"rows" doc:"rows to explain, a value by column"`
	Method         string           `json:"method,omitempty" enum:"interventional,permutation,kernel" doc:"empty: the model's own exact way, or permutation where it has none"`
	Space          string           `json:"space,omitempty" enum:"margin,prediction" doc:"of exact ways; sampling is in the space of predictions"`
	Interactions   bool             `json:"interactions,omitempty" doc:"also attribute to pairs of features: trees, by their own way"`
	Background     int              `json:"background,omitempty" minimum:"0" maximum:"4096" doc:"how many of the version's training rows stand for features that are not known; default 100"`
	BackgroundRows []map[string]any `json:"background_rows,omitempty" doc:"those rows themselves, instead of training rows"`
	Rounds         int              `json:"rounds,omitempty" minimum:"0" maximum:"64" doc:"of sampling: more take longer and err less"`
}

// Attribution says how much each feature moved each output of each row: for row
// r and output o, Base[o] plus the sum of Value[r][o·F …] is the output in Space.
type Attribution struct {
	Model       string      `json:"model"`
	Method      string      `json:"method"`
	Space       string      `json:"space"`
	Background  string      `json:"background,omitempty"` // SHA-256 of the rows that stood for what is not known
	Output      []string    `json:"output"`
	Feature     []string    `json:"feature"`
	Base        []float64   `json:"base"`
	Value       [][]float64 `json:"value"`
	Error       [][]float64 `json:"error,omitempty"`       // standard errors, of sampling
	Interaction [][]float64 `json:"interaction,omitempty"` // a row: outputs × features × features
}

// Attribute explains rows by a model version, name@vN.
func (s *Service) Attribute(ctx context.Context, project, model string, w Wish) (Attribution, error) {
	out := Attribution{Model: model}
	err := s.withModel(ctx, project, model, func(m predictor.Model) error {
		input := m.Signature().Input
		in, err := objects(input, w.Rows)
		if err != nil {
			return err
		}
		if in.Rows == 0 || in.Rows > maxAttributed {
			return slipway.Errorf(slipway.Invalid, "%d rows are to be explained; 1 to %d are", in.Rows, maxAttributed)
		}
		x, err := s.attribute(ctx, project, model, m, in, w)
		if err != nil {
			return err
		}
		out = Attribution{Model: model, Method: x.Method, Space: x.Space, Background: x.Background, Output: x.Output,
			Feature: x.Feature, Base: x.Base, Value: x.Value, Error: x.Error, Interaction: x.Interaction}
		return nil
	})
	return out, err
}

// attribute chooses the way.
func (s *Service) attribute(ctx context.Context, project, model string, m predictor.Model, in *slipway.Frame, w Wish) (predictor.Explanation, error) {
	var none predictor.Explanation
	exact, has := m.(predictor.Attributor)
	if w.Interactions && in.Rows*len(in.Series)*len(in.Series) > maxAttributedCell {
		return none, slipway.Errorf(slipway.Invalid, "the interactions of %d rows and %d columns are too many for one reply", in.Rows, len(in.Series))
	}
	switch {
	case has && w.Method == "" && w.Background == 0 && len(w.BackgroundRows) == 0 && w.Space != predictor.PredictionSpace:
		return exact.Attribute(ctx, in, predictor.Ask{Space: w.Space, Interactions: w.Interactions})
	case has && (w.Method == "" || w.Method == Interventional):
		rows, err := s.background(ctx, project, model, m, w)
		if err != nil {
			return none, err
		}
		return exact.Attribute(ctx, in, predictor.Ask{Background: rows, Space: w.Space, Interactions: w.Interactions})
	case w.Method == Interventional || w.Interactions || w.Space == predictor.Margin:
		return none, slipway.Errorf(slipway.Invalid, "the model %s is explained by sampling only: no interventional values, interactions or margins", model)
	}
	rows, err := s.background(ctx, project, model, m, w)
	if err != nil {
		return none, err
	}
	return predictor.Sample(ctx, m, in, predictor.Sampling{Background: rows, Method: w.Method, Rounds: w.Rounds})
}

// background is what the wish names: its own rows, or training rows.
func (s *Service) background(ctx context.Context, project, model string, m predictor.Model, w Wish) (*slipway.Frame, error) {
	input := m.Signature().Input
	if len(w.BackgroundRows) > 0 {
		return objects(input, w.BackgroundRows)
	}
	count := w.Background
	if count == 0 {
		count = usualBackground
	}
	return s.backgrounds.get(backgroundKey{project, model, count}, func() (*slipway.Frame, error) {
		rows, err := s.learned(ctx, project, model)
		if err != nil {
			return nil, err
		}
		return spread(rows, input, count)
	})
}

func (s *Service) learned(ctx context.Context, project, model string) (*slipway.Frame, error) {
	var rows *slipway.Frame
	err := error(slipway.Errorf(slipway.NotFound, "the rows that %s was trained on are not known", model))
	if s.o.Background != nil {
		rows, err = s.o.Background.Learned(ctx, project, model)
	}
	if slipway.IsCode(err, slipway.NotFound) || err == nil && (rows == nil || rows.Rows == 0) {
		return nil, slipway.Errorf(slipway.NotFound, "the rows that %s was trained on are not known", model).
			WithHint("send background_rows: some rows that are typical of its input")
	}
	return rows, err
}

// spread takes count rows, evenly spaced, and the columns of input.
func spread(rows *slipway.Frame, input slipway.Schema, count int) (*slipway.Frame, error) {
	count = min(count, rows.Rows)
	out := &slipway.Frame{Rows: count}
	for _, c := range input {
		from := rows.Column(c.Name)
		if from == nil {
			return nil, slipway.Errorf(slipway.NotFound, "the training rows have no column %q", c.Name)
		}
		to := slipway.Series{Name: c.Name, Type: from.Type}
		for i := range count {
			at := i * rows.Rows / count
			if from.Text == nil {
				to.Float = append(to.Float, from.Float[at])
				continue
			}
			to.Text, to.Null = append(to.Text, from.Text[at]), append(to.Null, from.Null != nil && from.Null[at])
		}
		out.Series = append(out.Series, to)
	}
	return out, nil
}

// objects makes a frame of rows in JSON: the columns of input, or where a model
// does not say, those of the first row.
func objects(input slipway.Schema, rows []map[string]any) (*slipway.Frame, error) {
	f := &slipway.Frame{Rows: len(rows)}
	known := map[string]bool{}
	for _, c := range input {
		known[c.Name] = true
	}
	if len(input) == 0 && len(rows) > 0 {
		for name := range rows[0] {
			input, known[name] = append(input, slipway.Column{Name: name}), true
		}
		slices.SortFunc(input, func(a, b slipway.Column) int { return cmp.Compare(a.Name, b.Name) })
	}
	for r, row := range rows {
		for name := range row {
			if !known[name] {
				return nil, slipway.Errorf(slipway.Invalid, "row %d: the model does not take column %q", r+1, name)
			}
		}
	}
	for _, c := range input {
		s := slipway.Series{Name: c.Name, Type: c.Type}
		isText := c.Type == slipway.Text
		if c.Type == "" {
			isText = slices.ContainsFunc(rows, func(row map[string]any) bool { _, ok := row[c.Name].(string); return ok })
			s.Type = slipway.Float
		}
		if isText {
			s.Type = slipway.Text
		}
		for r, row := range rows {
			v, there := row[c.Name]
			if !there {
				return nil, slipway.Errorf(slipway.Invalid, "row %d has no column %q", r+1, c.Name)
			}
			if err := put(&s, v, isText); err != nil {
				return nil, slipway.Errorf(slipway.Invalid, "row %d, column %q: %s", r+1, c.Name, err.Message)
			}
		}
		f.Series = append(f.Series, s)
	}
	return f, nil
}

func put(s *slipway.Series, v any, isText bool) *slipway.Error {
	switch v := v.(type) {
	case string:
		if !isText {
			return slipway.Errorf(slipway.Invalid, "it takes a number, not text")
		}
		s.Text, s.Null = append(s.Text, v), append(s.Null, false)
	case nil:
		if isText {
			s.Text, s.Null = append(s.Text, ""), append(s.Null, true)
		} else {
			s.Float = append(s.Float, math.NaN())
		}
	case float64, bool:
		if isText {
			return slipway.Errorf(slipway.Invalid, "it takes text, not %v", v)
		}
		number, isNumber := v.(float64)
		if !isNumber && v.(bool) {
			number = 1
		}
		s.Float = append(s.Float, number)
	default:
		return slipway.Errorf(slipway.Invalid, "a value is neither text nor a number")
	}
	return nil
}
