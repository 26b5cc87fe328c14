package project

// Deploy is the environments in the order of the file.
type Deploy []DeployEnvironment

// Environment finds an environment by name, or nil.
func (d Deploy) Environment(name string) *DeployEnvironment {
	for i := range d {
		if d[i].Name == name {
			return &d[i]
		}
	}
	return nil
}

// DeployEnvironment is one place in which one version of the model answers,
// such as staging or production. With neither on nor from it is released to by
// hand only.
type DeployEnvironment struct {
	// Name is the key under which the environment stands in deploy.
	Name string `json:"-"`
	// On releases here by itself when something happens: registered, as soon as a version is in the registry.
	On string `json:"on,omitempty" jsonschema:"enum=registered"`
	// From is the environment in which a version must have been released before it comes here.
	From string `json:"from,omitempty"`
	// Rollout is how a new version takes over. Left out, it takes over at once.
	Rollout *Rollout `json:"rollout,omitempty"`
}

// Rollout is how a new version takes over from the one that answers now.
type Rollout struct {
	// Shadow is how long the new version scores every request beside the old one without answering. None when left out.
	Shadow Duration `json:"shadow,omitempty"`
	// Canary is the shares of traffic, in percent, that the new version answers stage by stage, growing and ending with 100. Defaults to [100].
	Canary []int `json:"canary"`
	// Hold is the shortest time in one canary stage. None when left out.
	Hold Duration `json:"hold,omitempty"`
	// MinRequests is the least number of requests that the new version answers in one canary stage. Defaults to 0.
	MinRequests int `json:"min_requests,omitempty" jsonschema:"minimum=0"`
	// Abort is the limits that end the rollout at once and bring the old version back.
	Abort *Abort `json:"abort,omitempty"`
	// Decide is what happens when the evidence decides nothing.
	Decide *Decide `json:"decide,omitempty"`
	// Unit is the input column or the request header (header:NAME) whose value keeps one caller on one version. Each request counts for itself when left out.
	Unit string `json:"unit,omitempty"`
}

// Abort is the limits that end a rollout.
type Abort struct {
	// ErrorRate is the greatest share of failed requests, from 0 to 1.
	ErrorRate *float64 `json:"error_rate,omitempty" jsonschema:"minimum=0,maximum=1"`
	// P99Ms is the greatest 99th percentile of the time for an answer, in milliseconds.
	P99Ms *float64 `json:"p99_ms,omitempty" jsonschema:"exclusiveMinimum=0"`
}

// Decide is what happens when a rollout's evidence decides nothing.
type Decide struct {
	// Max is the longest time for the whole rollout. Defaults to 28d.
	Max Duration `json:"max"`
	// Undecided is what happens then: keep the old version, promote the new one, or rollback, which also marks the new one as refused. Defaults to keep.
	Undecided string `json:"undecided" jsonschema:"enum=keep,enum=promote,enum=rollback"`
}
