// Package template writes a first project: one of a few that run at once, or
// one around a data file of the user's own. It looks at the file, proposes what
// is to be predicted, when rows happened, what tells them apart, which columns
// are features and which give the answer away, and writes slipway.yaml, a
// contract and small, ordinary Python that its reader can change. Everything it
// decided without knowing is told.
//
// It works in the client alone and needs no server.
package template

import (
	"slices"

	"github.com/slipway-ml/slipway"
)

// Names lists the templates.
var Names = []string{"tabular-classification", "regression", "batch-scoring"}

// Answers are what the user said. A zero field is proposed.
type Answers struct {
	Columns  []string // names of the columns of a file without a header
	Target   string   // the column to predict
	Positive string   // the class of a binary target whose probability is predicted
	Task     slipway.Task
	Time     string // a column, an SQL expression, order:a,b or none
	Key      string // a column, or none
	Timezone string // IANA name; default UTC
}

// None is the answer that there is no time or no key.
const None = "none"

// Plan is a project before it is written. Column names are those of the file.
type Plan struct {
	Project string `json:"project"`
	Dataset string `json:"dataset"`
	// Question is what the model answers, in a sentence.
	Question string `json:"question,omitempty"`
	Path     string `json:"path"` // of the data inside the project
	Rows     int64  `json:"rows"`

	Read   Reading `json:"read,omitzero"`
	Target Target  `json:"target"`
	Time   Time    `json:"time,omitzero"`
	Key    string  `json:"key,omitempty"`
	Split  string  `json:"split"` // how test rows are chosen: time, order or hash

	Feature []Feature `json:"feature"`
	Dropped []Dropped `json:"dropped,omitempty"`
	Slice   []string  `json:"slice,omitempty"` // columns of people's groups, in which the gate judges too
	Group   []Group   `json:"group,omitempty"` // numbers cut into such groups
	Column  []Rule    `json:"column"`          // for the contract
	Assumed []string  `json:"assumed,omitempty"`
	Batch   string    `json:"batch,omitempty"` // the dataset of rows to score
	Train   Training  `json:"train"`
}

// Reading is how a CSV file is written, as far as it is not written plainly.
type Reading struct {
	CSV       bool     `json:"csv,omitempty"`
	Delimiter string   `json:"delimiter,omitempty"`
	Quote     string   `json:"quote,omitempty"`
	Decimal   string   `json:"decimal,omitempty"`
	Encoding  string   `json:"encoding,omitempty"`
	Names     []string `json:"names,omitempty"`  // of the columns, where the header cannot be taken as it is
	Header    bool     `json:"header,omitempty"` // whether the file has one
	Missing   []string `json:"missing,omitempty"`
}

// Target is what is predicted.
type Target struct {
	Column  string       `json:"column"`
	Type    slipway.Type `json:"type"`
	Task    slipway.Task `json:"task"`
	Classes []string     `json:"classes,omitempty"` // as they stand in the file, in the order of their codes
	Shares  []float64    `json:"shares,omitempty"`  // how frequent each class is
	SD      float64      `json:"sd,omitempty"`      // standard deviation of a number
}

// Positive is the class whose probability a binary model predicts.
func (t Target) Positive() string {
	if t.Task != slipway.BinaryTask || len(t.Classes) != 2 {
		return ""
	}
	return t.Classes[1]
}

// Time is when a row happened. Exactly one of Expression and Order is set, or
// none.
type Time struct {
	Expression string   `json:"expression,omitempty"` // SQL, or a column
	Column     string   `json:"column,omitempty"`     // where the prepared rows carry it
	Code       string   `json:"code,omitempty"`       // the same in Python
	Order      []string `json:"order,omitempty"`
	Part       []string `json:"part,omitempty"` // the columns that it is made of
	Zone       string   `json:"zone"`
	From       string   `json:"from,omitempty"` // RFC 3339
	To         string   `json:"to,omitempty"`
	Days       float64  `json:"days,omitempty"`  // between them
	Clock      bool     `json:"clock,omitempty"` // rows differ by less than a day
	Formats    []string `json:"formats,omitempty"`
}

// Kind is how a column is turned into a feature.
type Kind string

// The kinds.
const (
	Numeric     Kind = "numeric"
	Categorical Kind = "categorical"
	Dated       Kind = "date"
)

// Feature is a column that the model sees.
type Feature struct {
	Column  string   `json:"column"`
	Kind    Kind     `json:"kind"`
	Formats []string `json:"formats,omitempty"` // strptime, of a Dated one that is not in ISO 8601
}

// Dropped is a column that the model does not see.
type Dropped struct {
	Column string `json:"column"`
	Why    string `json:"why"`
}

// Group cuts a number into groups of people.
type Group struct {
	Column string    `json:"column"`
	Edges  []float64 `json:"edges"`
}

// Rule is what the contract says of a column.
type Rule struct {
	Name        string       `json:"name"`
	Type        slipway.Type `json:"type"`
	Required    bool         `json:"required,omitempty"`
	NotNegative bool         `json:"not_negative,omitempty"`
	MaxNull     int          `json:"max_null,omitempty"` // percent
	Values      []string     `json:"values,omitempty"`
}

// Training is the params of the step that trains.
type Training struct {
	LearningRate float64 `json:"learning_rate"`
	Leaves       int     `json:"leaves"`
	MinLeafRows  int     `json:"min_leaf_rows"`
	Rounds       int     `json:"rounds"`
}

// trainingFor chooses params that suit the number of rows: few rows bear only
// small trees.
func trainingFor(rows int64, classes int) Training {
	t := Training{LearningRate: 0.05, Leaves: 31, MinLeafRows: 20, Rounds: 200}
	if rows < 3000 {
		t.Leaves, t.Rounds = 15, 100
	}
	if rows < 300 {
		t.Leaves, t.MinLeafRows = 7, 5
	}
	if classes > 2 {
		t.Rounds /= 2 // each round grows a tree for every class
	}
	return t
}

// features lists the columns of one kind.
func (p *Plan) features(k Kind) []Feature {
	return slices.Collect(func(yield func(Feature) bool) {
		for _, f := range p.Feature {
			if f.Kind == k && !yield(f) {
				return
			}
		}
	})
}
