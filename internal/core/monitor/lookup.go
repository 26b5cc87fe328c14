package monitor

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
)

// LoggedPrediction is one logged answer, whole.
type LoggedPrediction struct {
	ID        string              `json:"id"`
	Endpoint  string              `json:"endpoint"`
	Release   string              `json:"release"`
	Model     string              `json:"model"` // name@vN
	Role      slipway.VariantRole `json:"role"`
	Key       string              `json:"key,omitempty"`
	Time      time.Time           `json:"time"` // event time
	At        time.Time           `json:"at"`   // machine time of the answer
	Latency   time.Duration       `json:"latency"`
	Failure   string              `json:"failure,omitempty"`
	Input     map[string]any      `json:"input"`
	Output    map[string]any      `json:"output"`
	Label     any                 `json:"label,omitempty"` // the truth, when it is known
	LabelTime time.Time           `json:"label_time,omitzero"`
	// Shadow is what other releases said to the same request, by model.
	Shadow map[string]map[string]any `json:"shadow,omitempty"`

	Row *slipway.Frame `json:"-"` // the input as one row, as it was sent
}

// Prediction finds a logged answer by its id. It fails with NotFound: an answer
// that was given moments ago is there after the next tick.
func (s *Service) Prediction(ctx context.Context, project, id string) (LoggedPrediction, error) {
	at, err := s.whereIs(ctx, project, id)
	if err != nil {
		return LoggedPrediction{}, err
	}
	all, err := s.variants(ctx, at.endpoint)
	if err != nil {
		return LoggedPrediction{}, err
	}
	models := map[string]string{}
	for _, v := range all {
		models[v.Release] = v.Model
	}
	parts, err := s.parts(ctx, at.endpoint, "", at.day)
	if err != nil {
		return LoggedPrediction{}, err
	}
	out := LoggedPrediction{ID: id, Endpoint: at.name, Release: at.release, Model: models[at.release], Key: at.key, Time: at.time, LabelTime: at.labelTime}
	if at.label != "" {
		if err := json.Unmarshal([]byte(at.label), &out.Label); err != nil {
			return out, err
		}
	}
	found := false
	for _, p := range parts {
		f, row, err := s.findRow(ctx, p, id)
		if err != nil {
			return out, err
		}
		switch {
		case f == nil:
		case p.release == at.release:
			found = true
			out.fill(f, row)
		default:
			if out.Shadow == nil {
				out.Shadow = map[string]map[string]any{}
			}
			out.Shadow[models[p.release]] = values(pick(f, outputPrefix, row))
		}
	}
	if !found {
		return out, slipway.Errorf(slipway.Internal, "the row of prediction %s is missing", id)
	}
	return out, nil
}

// findRow looks for an id in a partition, and reads the rest only when it is
// there.
func (s *Service) findRow(ctx context.Context, p stored, id string) (*slipway.Frame, int, error) {
	ids, err := s.load(ctx, p, colID)
	if err != nil {
		return nil, 0, err
	}
	for i, v := range ids.Column(colID).Text {
		if v == id {
			f, err := s.load(ctx, p)
			return f, i, err
		}
	}
	return nil, 0, nil
}

func (p *LoggedPrediction) fill(f *slipway.Frame, row int) {
	p.Role = slipway.VariantRole(f.Column(colRole).Text[row])
	p.At = time.UnixMicro(int64(f.Column(colAt).Float[row])).UTC()
	p.Latency = time.Duration(f.Column(colLatency).Float[row]) * time.Microsecond
	p.Failure = f.Column(colFailure).Text[row]
	p.Row = pick(f, inputPrefix, row)
	p.Input, p.Output = values(p.Row), values(pick(f, outputPrefix, row))
}

// pick is one row of the columns with a prefix, which is taken off.
func pick(f *slipway.Frame, prefix string, row int) *slipway.Frame {
	out := &slipway.Frame{Rows: 1}
	for i := range f.Series {
		s := &f.Series[i]
		name, ok := strings.CutPrefix(s.Name, prefix)
		if !ok {
			continue
		}
		c := newSeries(name, s.Type, 1)
		c.copy(s, row)
		out.Series = append(out.Series, c.done())
	}
	return out
}

// values is one row as JSON knows it.
func values(f *slipway.Frame) map[string]any {
	out := map[string]any{}
	for i := range f.Series {
		s := &f.Series[i]
		switch {
		case s.Missing(0):
			out[s.Name] = nil
		case s.Text != nil:
			out[s.Name] = s.Text[0]
		case s.Type == slipway.Bool:
			out[s.Name] = s.Float[0] != 0
		case s.Type == slipway.Time || s.Type == slipway.Date:
			out[s.Name] = time.UnixMicro(int64(s.Float[0])).UTC()
		default:
			out[s.Name] = s.Float[0]
		}
	}
	return out
}

// Data is what a person wants to see of a prediction, for lineage.
func (p LoggedPrediction) Data() map[string]any {
	out := map[string]any{"time": p.Time, "input": p.Input, "output": p.Output}
	if p.Key != "" {
		out["key"] = p.Key
	}
	if p.Label != nil {
		out["label"], out["label_time"] = p.Label, p.LabelTime
	}
	if p.Failure != "" {
		out["failure"] = p.Failure
	}
	return out
}

// Served counts the predictions of a release, those of a shadow too, and names
// the last that it answered, at most limit.
func (s *Service) Served(ctx context.Context, project, release string, limit int) (count int64, ids []string, err error) {
	endpoints, err := s.endpoints(ctx, project)
	if err != nil {
		return 0, nil, err
	}
	for _, e := range endpoints {
		all, err := s.variants(ctx, e.number)
		if err != nil {
			return 0, nil, err
		}
		for _, v := range all {
			if v.Release != release {
				continue
			}
			count += v.Rows
			more, err := s.lastIDs(ctx, e.number, v, limit-len(ids))
			if err != nil {
				return 0, nil, err
			}
			ids = append(ids, more...)
		}
	}
	return count, ids, nil
}
