package tracking

import "github.com/slipway-ml/slipway/internal/kit/filter"

// What runs, experiments and logged models are searched by.
type (
	// Field is what a condition or an order looks at.
	Field = filter.Field
	// Entity is the part of a run that a Field belongs to.
	Entity = filter.Entity
	// Condition is one comparison of a filter.
	Condition = filter.Condition
	// Order is one key of an ordering.
	Order = filter.Order
)

// The entities of the search grammar.
const (
	OfMetric    = filter.OfMetric
	OfParam     = filter.OfParam
	OfTag       = filter.OfTag
	OfAttribute = filter.OfAttribute
	OfDataset   = filter.OfDataset
)

var runGrammar = filter.Grammar{
	Attributes: map[string]filter.Attribute{
		"run_id":   {Name: "run_id", List: true},
		"run_name": {Name: "run_name"}, "run name": {Name: "run_name"}, "Run name": {Name: "run_name"}, "Run Name": {Name: "run_name"},
		"user_id": {Name: "user_id"}, "status": {Name: "status"}, "artifact_uri": {Name: "artifact_uri"},
		"start_time": {Name: "start_time", Number: true}, "created": {Name: "start_time", Number: true}, "Created": {Name: "start_time", Number: true},
		"end_time": {Name: "end_time", Number: true},
	},
	Entities: []filter.Entity{OfMetric, OfParam, OfTag, OfAttribute, OfDataset},
	Prefer:   OfAttribute,
}

var experimentGrammar = filter.Grammar{
	Attributes: map[string]filter.Attribute{
		"name": {Name: "name"}, "experiment_id": {Name: "experiment_id", Number: true},
		"creation_time": {Name: "creation_time", Number: true}, "last_update_time": {Name: "last_update_time", Number: true},
	},
	Entities: []filter.Entity{OfTag, OfAttribute},
	Prefer:   OfAttribute,
}

var modelGrammar = filter.Grammar{
	Attributes: map[string]filter.Attribute{
		"name": {Name: "name", List: true}, "model_id": {Name: "model_id", List: true}, "model_type": {Name: "model_type", List: true},
		"status": {Name: "status", List: true}, "source_run_id": {Name: "source_run_id", List: true},
		"creation_timestamp": {Name: "creation_time", Number: true}, "creation_time": {Name: "creation_time", Number: true},
		"last_updated_timestamp": {Name: "last_update_time", Number: true},
	},
	Entities: []filter.Entity{OfMetric, OfParam, OfTag, OfAttribute},
	Prefer:   OfAttribute,
}
