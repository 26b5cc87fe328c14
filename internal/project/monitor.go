package project

// Monitor watches the model in production.
type Monitor struct {
	// Window is the length of time over which requests are gathered for one verdict. Defaults to 7d.
	Window Duration `json:"window"`
	// Drift compares the features of each window with the training rows.
	Drift *Drift `json:"drift,omitempty"`
	// Quality compares predictions with labels that arrive later.
	Quality *Quality `json:"quality,omitempty"`
	// Freshness is the longest time for which a feature may repeat its last value, by feature: a feed that stopped shows here first.
	Freshness map[string]Duration `json:"freshness,omitempty"`
	// Alerts is where alarms are sent.
	Alerts []Alert `json:"alerts,omitempty"`
}

// Drift compares the features of each window with the training rows.
type Drift struct {
	// Features to watch: all, or a list. Defaults to all.
	Features Features `json:"features"`
	// Exclude is features that are not watched, such as a calendar month.
	Exclude Names `json:"exclude,omitempty"`
	// Method is the statistic: auto (by the feature's type), psi, js, ks or chi2. Defaults to auto.
	Method string `json:"method" jsonschema:"enum=auto,enum=psi,enum=js,enum=ks,enum=chi2"`
}

// Features is all features, or some by name.
type Features struct {
	All   bool
	Names []string
}

// Quality compares predictions with labels that arrive later.
type Quality struct {
	// Metric to compute, such as roc_auc or rmse.
	Metric string `json:"metric" jsonschema:"required"`
	// Min is the least value that is not an alarm.
	Min *float64 `json:"min,omitempty"`
	// Max is the greatest value that is not an alarm.
	Max *float64 `json:"max,omitempty"`
	// Labels says when the labels of a window count as complete.
	Labels *Labels `json:"labels,omitempty"`
}

// Labels says when the labels of a window count as complete.
type Labels struct {
	// MaxAge is how long after its prediction a label may still arrive. Defaults to 1d.
	MaxAge Duration `json:"max_age"`
	// MinCoverage is the share of predictions that need a label before a verdict is given, from 0 to 1. Defaults to 0.5.
	MinCoverage float64 `json:"min_coverage" jsonschema:"minimum=0,maximum=1"`
}

// Alert is one place to which alarms are sent. Exactly one field is set.
type Alert struct {
	// Webhook is the secret that holds the address to which alarms are posted as JSON, as $NAME.
	Webhook Secret `json:"webhook,omitempty"`
	// Slack is the secret that holds the address of a Slack incoming webhook, as $NAME.
	Slack Secret `json:"slack,omitempty"`
}

// Secret is the name of a secret, without its $. The server resolves it at the
// moment of use; its value is never in a project.
type Secret string
