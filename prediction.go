package slipway

import "time"

// PredictionBatch is a run of logged predictions that one variant of one
// endpoint made, column by column; all slices have the same length.
type PredictionBatch struct {
	Project  string
	Endpoint string
	Release  string
	Role     VariantRole
	Model    string // name@vN
	ID       []string
	Key      []string        // the key columns' values joined by "|"; "" when the caller sent none
	Time     []time.Time     // event time of the row, or the machine's when the caller sent none
	At       []time.Time     // machine time of the answer
	Latency  []time.Duration // from the parsed request to the answer
	Failure  []string        // "" or why the variant failed; outputs are then missing
	Input    *Frame          // the signature's input columns, as sent
	Output   *Frame          // the signature's output columns
}

// Label is the truth about a prediction, learned later. It names the
// prediction by id, or by endpoint and key: then it belongs to the latest
// prediction for that key before the label's time.
type Label struct {
	Prediction string    `json:"prediction_id,omitempty"`
	Endpoint   string    `json:"endpoint,omitempty"`
	Key        string    `json:"key,omitempty"`
	Value      any       `json:"value"` // class or number
	Time       time.Time `json:"time"`  // event time at which the truth became known
}
