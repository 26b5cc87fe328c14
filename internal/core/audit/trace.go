package audit

import (
	"context"
	"slices"

	"github.com/slipway-ml/slipway"
)

// Trace is a piece of the lineage graph around one thing.
type Trace struct {
	Root  slipway.Ref `json:"root"`
	Node  []Node      `json:"node"`  // the root first, then by distance
	Edge  []Edge      `json:"edge"`  // in the direction in which data flows
	Whole bool        `json:"whole"` // false when the limit cut it
}

// Node is one thing in a trace, and what the log says of it.
type Node struct {
	Ref      slipway.Ref     `json:"ref"`
	Distance int             `json:"distance"` // from the root; negative against the flow of data
	Event    []slipway.Event `json:"event,omitempty"`
	Data     map[string]any  `json:"data,omitempty"`  // of a prediction
	Count    int64           `json:"count,omitempty"` // of a release's predictions
}

// Edge says that Target was made from Source.
type Edge struct {
	Source slipway.Ref `json:"source"`
	Target slipway.Ref `json:"target"`
}

// Direction says which way a trace walks.
type Direction string

// The directions of a trace.
const (
	Back    Direction = "back"    // what it was made from: the rows, the code, the people
	Forward Direction = "forward" // what was made from it: models, releases, predictions
	Both    Direction = "both"
)

// traceLimit bounds a trace.
const traceLimit = 500

// Trace walks the lineage of ref. It fails with NotFound when nothing is known
// of it.
func (s *Service) Trace(ctx context.Context, project string, ref slipway.Ref, d Direction) (Trace, error) {
	t := Trace{Root: ref, Whole: true}
	start := Node{Ref: ref}
	if ref.Kind == slipway.KindPrediction {
		if s.o.Predictions == nil {
			return t, slipway.Errorf(slipway.NotFound, "no prediction %s", ref.ID)
		}
		p, err := s.o.Predictions.Prediction(ctx, project, ref.ID)
		if err != nil {
			return t, err
		}
		start.Data = p.Data
		t.Edge = []Edge{{slipway.NewRef(slipway.KindRelease, p.Release), ref}}
	}
	err := s.read(ctx, project, func(g graph) error {
		w := walk{graph: g, trace: &t, seen: map[slipway.Ref]bool{}}
		if err := w.add(start); err != nil {
			return err
		}
		if d != Forward {
			if err := w.from(t.Edge, true); err != nil {
				return err
			}
		}
		if d != Back {
			return w.from(nil, false)
		}
		return nil
	})
	if err != nil {
		return t, err
	}
	if len(t.Node) == 1 && len(t.Node[0].Event) == 0 && t.Node[0].Data == nil {
		return t, slipway.Errorf(slipway.NotFound, "nothing is known of %s in the project %s", ref, project).
			WithHint("write kind:id, such as model:churn@v3, run:1f2e…, dataset:flights@v2 or prediction:…")
	}
	return t, s.countPredictions(ctx, project, &t)
}

// walk is one breadth-first walk.
type walk struct {
	graph graph
	trace *Trace
	seen  map[slipway.Ref]bool
}

func (w *walk) add(n Node) error {
	if w.seen[n.Ref] {
		return nil
	}
	w.seen[n.Ref] = true
	events, err := w.graph.about(n.Ref)
	n.Event = events
	w.trace.Node = append(w.trace.Node, n)
	return err
}

// from walks from the root, up against the flow of data or down with it. first
// holds edges that the graph does not: those of a prediction.
func (w *walk) from(first []Edge, up bool) error {
	level, step := []slipway.Ref{w.trace.Root}, 1
	if up {
		step = -1
	}
	for distance := step; len(level) > 0; distance += step {
		var next []slipway.Ref
		for _, ref := range level {
			found, err := w.graph.neighbours(ref, up)
			if err != nil {
				return err
			}
			for _, e := range first {
				found = append(found, e.Source)
			}
			first = nil
			for _, other := range found {
				if len(w.trace.Node) >= traceLimit {
					w.trace.Whole = false
					return nil
				}
				w.edge(ref, other, up)
				if !w.seen[other] {
					next = append(next, other)
				}
				if err := w.add(Node{Ref: other, Distance: distance}); err != nil {
					return err
				}
			}
		}
		level = next
	}
	return nil
}

func (w *walk) edge(ref, other slipway.Ref, up bool) {
	e := Edge{ref, other}
	if up {
		e = Edge{other, ref}
	}
	if !slices.Contains(w.trace.Edge, e) {
		w.trace.Edge = append(w.trace.Edge, e)
	}
}

// countPredictions says of every release in the trace how often it answered.
func (s *Service) countPredictions(ctx context.Context, project string, t *Trace) error {
	if s.o.Predictions == nil {
		return nil
	}
	for i := range t.Node {
		n := &t.Node[i]
		if n.Ref.Kind != slipway.KindRelease || n.Distance < 0 {
			continue
		}
		count, _, err := s.o.Predictions.Served(ctx, project, n.Ref.ID, 0)
		if err != nil {
			return err
		}
		n.Count = count
	}
	return nil
}
