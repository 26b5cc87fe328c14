package project

import (
	_ "embed"
	"slices"
)

//go:generate go test -run TestReference -update .

//go:embed slipway.schema.json
var schema []byte

// Schema is the JSON Schema (draft 2020-12) of slipway.yaml, with which
// editors complete and check it. It is made from the types of this package;
// docs/reference/slipway.schema.json is the same file. What one value demands
// of another (that an input exists, that steps have no cycle) is beyond it,
// and left to Parse.
func Schema() []byte { return slices.Clone(schema) }
