package project

// Retrain says when and on which rows the pipeline runs again by itself.
type Retrain struct {
	// On is the triggers; any of them starts the pipeline.
	On []Trigger `json:"on" jsonschema:"required"`
	// Cooldown is the shortest time between two retrainings. None when left out.
	Cooldown Duration `json:"cooldown,omitempty"`
	// Window is the rows to train on: expanding (everything so far), {last: 90d}, or fixed (the windows written in the steps' in). Defaults to expanding.
	Window TrainWindow `json:"window"`
	// Start is what training starts from: cold, from nothing. Defaults to cold.
	Start string `json:"start" jsonschema:"enum=cold" later:"warm,online"`
}

// Trigger is one reason to retrain. Exactly one field is set.
type Trigger struct {
	// Schedule is five fields of cron (minute, hour, day, month, weekday) in the project's time zone.
	Schedule string `json:"schedule,omitempty"`
	// Drift fires when enough features drift in enough windows.
	Drift *DriftTrigger `json:"drift,omitempty"`
	// Metric fires when the monitor's metric passes a limit, such as {roc_auc: "<0.62"}.
	Metric *MetricTrigger `json:"metric,omitempty"`
	// Data is a dataset whose new versions fire.
	Data string `json:"data,omitempty"`
	// Commit fires when new code is applied. It is written as the word commit alone.
	Commit bool `json:"commit,omitempty"`
}

// DriftTrigger fires when enough features drift in enough windows.
type DriftTrigger struct {
	// Features is how many must drift in the same window. Defaults to 1.
	Features int `json:"features" jsonschema:"minimum=1"`
	// Windows is in how many windows in a row. Defaults to 1.
	Windows int `json:"windows" jsonschema:"minimum=1"`
}

// MetricTrigger fires when a metric passes a limit.
type MetricTrigger struct {
	Metric string  // name of the metric
	Op     string  // "<", "<=", ">" or ">="
	Value  float64 // the limit
}

// Fires reports whether the value v passes the limit.
func (t MetricTrigger) Fires(v float64) bool {
	switch t.Op {
	case "<":
		return v < t.Value
	case "<=":
		return v <= t.Value
	case ">":
		return v > t.Value
	case ">=":
		return v >= t.Value
	}
	return false
}

// The kinds of training window.
const (
	Expanding = "expanding" // everything so far
	Last      = "last"      // the last length of time
	Fixed     = "fixed"     // the windows written in the steps
)

// TrainWindow is the rows to train on.
type TrainWindow struct {
	Kind string   // Expanding, Last or Fixed
	Last Duration // the length of a Last window
}
