package slipway

import (
	"encoding/json"
	"time"
)

// Event is one thing that happened. It is written in the transaction of the
// change that it tells of, never alone: the outbox, the audit log, lineage and
// the live interface all read it.
type Event struct {
	ID      string          `json:"id"`      // unique; consumers are idempotent by it
	Number  int64           `json:"number"`  // position in the sealed log, from 1; 0 until sealed
	Time    time.Time       `json:"time"`    // machine time, UTC microseconds
	Project string          `json:"project"` // "" for the workspace itself
	Actor   string          `json:"actor"`   // the principal that caused it
	Verb    string          `json:"verb"`    // noun.verb in the past tense: "model.registered"
	Subject Ref             `json:"subject"` // what it happened to
	Link    []Link          `json:"link,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"` // what the verb needs said, small
}

// Link is one arrow of lineage that an event draws: Subject was made From, or
// led To, another thing.
type Link struct {
	Relation Relation `json:"relation"`
	Ref      Ref      `json:"ref"`
}

// Relation says how an event's subject stands to another thing.
type Relation string

// From points against the flow of data (the subject was made from it); To
// points along it (it was made from the subject).
const (
	From Relation = "from"
	To   Relation = "to"
)
