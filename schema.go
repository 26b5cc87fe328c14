package slipway

import "slices"

// Type is the logical type of a column.
type Type string

// The types. Time is an instant in UTC microseconds.
const (
	Bool   Type = "bool"
	Int    Type = "int"
	Float  Type = "float"
	Text   Type = "text"
	Time   Type = "time"
	Date   Type = "date"
	Binary Type = "binary"
)

// Numeric reports whether values of the type are numbers.
func (t Type) Numeric() bool { return t == Int || t == Float || t == Bool }

// Column is one named, typed column.
type Column struct {
	Name       string   `json:"name" yaml:"name"`
	Type       Type     `json:"type" yaml:"type"`
	Nullable   bool     `json:"nullable,omitempty" yaml:"nullable,omitempty"`
	Categories []string `json:"categories,omitempty" yaml:"categories,omitempty"` // the known values of a categorical text column, in the model's order
}

// Schema is an ordered list of columns.
type Schema []Column

// Index finds a column by name, or -1.
func (s Schema) Index(name string) int {
	return slices.IndexFunc(s, func(c Column) bool { return c.Name == name })
}

// Names lists the columns' names in order.
func (s Schema) Names() []string {
	out := make([]string, len(s))
	for i, c := range s {
		out[i] = c.Name
	}
	return out
}

// Task is what a model predicts.
type Task string

// The tasks.
const (
	BinaryTask Task = "binary"     // probability of one of two classes
	Multiclass Task = "multiclass" // probability of each of several classes
	Regression Task = "regression" // a number
)

// Signature is what a model takes and gives: the training input's schema less
// target, key and time.
type Signature struct {
	Task    Task     `json:"task"`
	Input   Schema   `json:"input"`
	Output  Schema   `json:"output"`
	Classes []string `json:"classes,omitempty"` // labels in the order of the outputs
}
