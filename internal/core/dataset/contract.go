package dataset

import (
	"cmp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/slipway-ml/slipway"
)

// Contract is what every new version must meet: the part of an Open Data
// Contract Standard document (ODCS v3.1, bitol.io) that says so. Parts about
// people, prices and servers are left alone.
type Contract struct {
	APIVersion string   `yaml:"apiVersion"`
	Kind       string   `yaml:"kind"`
	Name       string   `yaml:"name"`
	Version    string   `yaml:"version"`
	Schema     []object `yaml:"schema"`
	object     object   // the one that describes the dataset
}

// object is a table of a contract.
type object struct {
	Name       string     `yaml:"name"`
	Properties []property `yaml:"properties"`
	Quality    []rule     `yaml:"quality"`
}

// property is a column of a contract.
type property struct {
	Name               string  `yaml:"name"`
	LogicalType        string  `yaml:"logicalType"`
	Required           bool    `yaml:"required"`
	Unique             bool    `yaml:"unique"`
	PrimaryKey         bool    `yaml:"primaryKey"`
	PrimaryKeyPosition int     `yaml:"primaryKeyPosition"`
	Options            options `yaml:"logicalTypeOptions"`
	Quality            []rule  `yaml:"quality"`
}

// options bound the values of a column. exclusiveMinimum and exclusiveMaximum
// are the bound itself (v3.1), or true beside minimum and maximum (v3.0).
type options struct {
	Minimum          any    `yaml:"minimum"`
	Maximum          any    `yaml:"maximum"`
	ExclusiveMinimum any    `yaml:"exclusiveMinimum"`
	ExclusiveMaximum any    `yaml:"exclusiveMaximum"`
	Pattern          string `yaml:"pattern"`
	MinLength        *int64 `yaml:"minLength"`
	MaxLength        *int64 `yaml:"maxLength"`
	MultipleOf       any    `yaml:"multipleOf"`
}

// rule is one entry under quality.
type rule struct {
	Name           string    `yaml:"name"`
	Description    string    `yaml:"description"`
	Type           string    `yaml:"type"` // library (the default), sql, custom, text
	Metric         string    `yaml:"metric"`
	Rule           string    `yaml:"rule"` // metric's name in v3.0
	Query          string    `yaml:"query"`
	Engine         string    `yaml:"engine"`
	Implementation any       `yaml:"implementation"`
	Arguments      arguments `yaml:"arguments"`
	Unit           string    `yaml:"unit"` // rows or percent
	Severity       string    `yaml:"severity"`

	MustBe                 *float64  `yaml:"mustBe"`
	MustNotBe              *float64  `yaml:"mustNotBe"`
	MustBeGreaterThan      *float64  `yaml:"mustBeGreaterThan"`
	MustBeGreaterOrEqualTo *float64  `yaml:"mustBeGreaterOrEqualTo"`
	MustBeLessThan         *float64  `yaml:"mustBeLessThan"`
	MustBeLessOrEqualTo    *float64  `yaml:"mustBeLessOrEqualTo"`
	MustBeBetween          []float64 `yaml:"mustBeBetween"`
	MustNotBeBetween       []float64 `yaml:"mustNotBeBetween"`
}

type arguments struct {
	ValidValues   []any    `yaml:"validValues"`
	MissingValues []any    `yaml:"missingValues"`
	Pattern       string   `yaml:"pattern"`
	Properties    []string `yaml:"properties"`
}

// maxContract is how long a contract may be, in bytes.
const maxContract = 4 << 20

// ParseContract reads the contract of a dataset. It fails with Invalid, naming
// line and column where the YAML is wrong.
func ParseContract(source []byte, dataset string) (*Contract, error) {
	if len(source) > maxContract {
		return nil, slipway.Errorf(slipway.Invalid, "the contract is longer than %d MB", maxContract>>20)
	}
	c := &Contract{}
	if err := yaml.Unmarshal(source, c); err != nil {
		return nil, slipway.Errorf(slipway.Invalid, "the contract of %s cannot be read: %s", dataset, strings.TrimSpace(yaml.FormatError(err, false, false)))
	}
	if c.Kind != "" && c.Kind != "DataContract" {
		return nil, slipway.Errorf(slipway.Invalid, "the contract of %s has the kind %q, not DataContract", dataset, c.Kind)
	}
	if c.APIVersion != "" && !strings.HasPrefix(c.APIVersion, "v3.") {
		return nil, slipway.Errorf(slipway.Invalid, "the contract of %s follows ODCS %s; v3 can be read", dataset, c.APIVersion)
	}
	if len(c.Schema) == 0 {
		return nil, slipway.Errorf(slipway.Invalid, "the contract of %s has no schema", dataset).WithHint("slipway data contract infer %s proposes one", dataset)
	}
	at := slices.IndexFunc(c.Schema, func(o object) bool { return o.Name == dataset })
	if at < 0 && len(c.Schema) > 1 {
		return nil, slipway.Errorf(slipway.Invalid, "no table in the contract's schema is called %s", dataset)
	}
	c.object = c.Schema[max(at, 0)]
	seen := map[string]bool{}
	for _, p := range c.object.Properties {
		if p.Name == "" || seen[p.Name] {
			return nil, slipway.Errorf(slipway.Invalid, "the contract of %s has the property %q twice, or one without a name", dataset, p.Name)
		}
		seen[p.Name] = true
		if _, ok := logicalTypes[p.LogicalType]; !ok {
			return nil, slipway.Errorf(slipway.Invalid, "the contract of %s: %q is not a logicalType of %s", dataset, p.LogicalType, p.Name).
				WithHint("string, number, integer, boolean, date or timestamp")
		}
	}
	_, err := c.compile(nil)
	return c, err
}

// logicalTypes are ODCS's, with ours; lists and structs are read as JSON text.
var logicalTypes = map[string]slipway.Type{
	"": "", "string": slipway.Text, "number": slipway.Float, "integer": slipway.Int, "boolean": slipway.Bool,
	"date": slipway.Date, "timestamp": slipway.Time, "time": slipway.Text, "array": slipway.Text, "object": slipway.Text,
}

// types are the columns that are to be read as something else than they look
// like.
func (c *Contract) types() slipway.Schema {
	var out slipway.Schema
	for _, p := range c.object.Properties {
		if t := logicalTypes[p.LogicalType]; t == slipway.Text {
			out = append(out, slipway.Column{Name: p.Name, Type: t})
		}
	}
	return out
}

// key is the columns of the primary key, in its order.
func (c *Contract) key() []string {
	var parts []property
	for _, p := range c.object.Properties {
		if p.PrimaryKey {
			parts = append(parts, p)
		}
	}
	slices.SortStableFunc(parts, func(a, b property) int { return cmp.Compare(a.PrimaryKeyPosition, b.PrimaryKeyPosition) })
	out := make([]string, len(parts))
	for i, p := range parts {
		out[i] = p.Name
	}
	return out
}
