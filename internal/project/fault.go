package project

// Position is a place in the file, counted from 1.
type Position struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}
