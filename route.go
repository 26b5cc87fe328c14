package slipway

import "time"

// Manifest is all that a gateway needs to answer requests: it is numbered and
// signed by the control plane, cached on disk by the gateway, and enough to
// start from when the control plane is away.
type Manifest struct {
	Number    int64      `json:"number"` // grows by one with every change
	Time      time.Time  `json:"time"`
	Endpoint  []Endpoint `json:"endpoint"`
	Signature []byte     `json:"signature,omitempty"` // Ed25519 over the manifest without this field
}

// Endpoint is one name that callers send requests to.
type Endpoint struct {
	Project string    `json:"project"`
	Name    string    `json:"name"`    // the model's name in production, model-staging elsewhere
	Key     []string  `json:"key"`     // columns that callers may send to name the row
	Time    string    `json:"time"`    // column of event time that callers may send
	Unit    string    `json:"unit"`    // column or header that canary assignment hashes; "" hashes the key
	Salt    string    `json:"salt"`    // of the assignment hash; changes with each rollout
	Breaker Breaker   `json:"breaker"` // when to cut a variant off without asking anyone
	Variant []Variant `json:"variant"`
}

// Breaker cuts a variant off when Failures of its last Of requests failed:
// errors, NaN, constant output, deadlines, features out of range.
type Breaker struct {
	Failures int           `json:"failures"`
	Of       int           `json:"of"`
	Deadline time.Duration `json:"deadline"`
}

// VariantRole says what a variant is for.
type VariantRole string

// The roles of a variant.
const (
	Champion   VariantRole = "champion"   // answers whoever is not assigned to a challenger
	Challenger VariantRole = "challenger" // answers Weight of the callers
	Shadow     VariantRole = "shadow"     // scores every request beside the champion; its answer is only logged
)

// Variant is one release behind an endpoint.
type Variant struct {
	Release   string      `json:"release"` // release id
	Role      VariantRole `json:"role"`
	Weight    int         `json:"weight"`  // percent of callers, for a challenger
	Model     string      `json:"model"`   // name@vN
	Content   Digest      `json:"content"` // content.Tree of the model's files
	Signature Signature   `json:"signature"`
	Range     []Range     `json:"range,omitempty"` // of numeric training features, for the breaker
}

// Range is what a numeric feature was in training.
type Range struct {
	Feature string  `json:"feature"`
	Min     float64 `json:"min"`
	Max     float64 `json:"max"`
}
