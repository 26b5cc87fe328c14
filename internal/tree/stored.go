package tree

import (
	"encoding/binary"
	"math"
	"strconv"

	"github.com/slipway-ml/slipway"
)

// Stored is an ensemble in Slipway's own form, the "trees" of a file that the
// Python SDK writes (docs/model-format.md). Arrays of a tree's nodes are
// little-endian bytes, in JSON base64.
type Stored struct {
	Outputs     int          `json:"outputs"`
	Base        []float64    `json:"base"`
	Average     bool         `json:"average,omitempty"`
	Round32     bool         `json:"round32,omitempty"` // see Ensemble.Round32
	Link        string       `json:"link"`              // identity, sigmoid, softmax or exp
	Coefficient float64      `json:"coefficient,omitempty"`
	Trees       []StoredTree `json:"tree"`
}

// StoredTree is one tree of n nodes, the root first.
type StoredTree struct {
	Output  int       `json:"output"`
	Feature []byte    `json:"feature"` // n × int32; −1 for a leaf
	Left    []byte    `json:"left"`    // n × int32; where x <= Number goes, or a category of the set
	Right   []byte    `json:"right"`   // n × int32
	Number  []byte    `json:"number"`  // n × float64: threshold, index of a category set, or value of a leaf
	Cover   []byte    `json:"cover"`   // n × float64: weight of the training rows
	Flag    []byte    `json:"flag"`    // n bytes: 1 missing goes left, 2 Number is a set, 4 the set goes right and all else left
	Sets    [][]int32 `json:"sets,omitempty"`
}

const (
	flagLeft = 1 << iota
	flagSet
	flagSetRight
)

// Ensemble checks what was stored and makes it ready. features is how many
// values a row has.
func (s *Stored) Ensemble(features int) (*Ensemble, error) {
	if features < 1 || features > maxFeatures || s.Outputs < 1 || s.Outputs > maxOutputs || len(s.Base) != s.Outputs {
		return nil, slipway.Errorf(slipway.Invalid, "the trees have %d features, %d outputs and %d base values", features, s.Outputs, len(s.Base))
	}
	e := &Ensemble{Source: "sklearn", Objective: s.Link, Features: make([]string, features), Categories: make([][]string, features),
		Outputs: s.Outputs, Base: s.Base, Round32: s.Round32, Plain: true, Average: s.Average, Coefficient: 1}
	for i := range e.Features {
		e.Features[i] = "f" + strconv.Itoa(i)
	}
	switch s.Link {
	case "identity":
	case "sigmoid":
		e.Link = Sigmoid
		if s.Coefficient != 0 {
			e.Coefficient = s.Coefficient
		}
	case "softmax":
		e.Link = Softmax
	case "exp":
		e.Link = Exp
	default:
		return nil, slipway.Errorf(slipway.Invalid, "the link %.40q is not known", s.Link)
	}
	for i := range s.Trees {
		t, err := s.Trees[i].tree()
		if err != nil {
			return nil, slipway.Errorf(slipway.Invalid, "tree %d: %s", i, err.Message)
		}
		e.Trees = append(e.Trees, t)
	}
	if err := e.settle(); err != nil {
		return nil, err
	}
	return e, nil
}

func (s *StoredTree) tree() (Tree, *slipway.Error) {
	n := len(s.Flag)
	t := Tree{Output: s.Output, Nodes: make([]Node, n)}
	if n == 0 || len(s.Feature) != 4*n || len(s.Left) != 4*n || len(s.Right) != 4*n || len(s.Number) != 8*n || len(s.Cover) != 8*n {
		return t, slipway.Errorf(slipway.Invalid, "its arrays are of different lengths, or empty")
	}
	for k, set := range s.Sets {
		for i, c := range set {
			if c < 0 || i > 0 && c <= set[i-1] {
				return t, slipway.Errorf(slipway.Invalid, "category set %d is not ascending", k)
			}
		}
	}
	t.Sets = s.Sets
	word := func(b []byte, i int) int32 { return int32(binary.LittleEndian.Uint32(b[4*i:])) }
	number := func(b []byte, i int) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:])) }
	for i := range n {
		d := &t.Nodes[i]
		d.Cover = number(s.Cover, i)
		if word(s.Feature, i) < 0 {
			d.Value = number(s.Number, i)
			continue
		}
		d.Feature, d.Left, d.Right, d.Missing = word(s.Feature, i), word(s.Left, i), word(s.Right, i), MissingNaN
		if d.Left <= 0 || d.Right <= 0 {
			return t, slipway.Errorf(slipway.Invalid, "split %d has the root for a child", i)
		}
		d.DefaultLeft = s.Flag[i]&flagLeft != 0
		if s.Flag[i]&flagSet == 0 {
			d.Threshold = number(s.Number, i)
			continue
		}
		v := number(s.Number, i)
		if !(v >= 0 && v < float64(len(s.Sets))) {
			return t, slipway.Errorf(slipway.Invalid, "split %d refers to none of its %d category sets", i, len(s.Sets))
		}
		d.Set, d.SetRight = int32(v)+1, s.Flag[i]&flagSetRight != 0
	}
	return t, nil
}
