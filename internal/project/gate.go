package project

// Gates decide whether a version is good enough. All of them must pass.
type Gates struct {
	// Data is the rows that Slipway itself scores, with target, key and slice columns: a step's output such as evaluate.test.parquet, with the split in brackets when the file holds several (prepare.features.parquet[test]), or a window of a dataset.
	Data Input `json:"data" jsonschema:"required"`
	// Block is the length of time within which rows are not independent. Intervals and tests resample whole blocks. Defaults to 1d.
	Block Duration `json:"block"`
	// Metrics are limits on metrics over all rows, or against the champion.
	Metrics []MetricGate `json:"metrics,omitempty"`
	// Slices are limits that must hold in every group of rows.
	Slices []SliceGate `json:"slices,omitempty"`
	// Latency is measured on the real server.
	Latency *LatencyGate `json:"latency,omitempty"`
	// MinRows is the least number of rows on which a verdict is given. Defaults to 1.
	MinRows int `json:"min_rows" jsonschema:"minimum=1"`
	// OnFail is what becomes of a version that does not pass: refuse (nobody can release it to production) or register (a waiver, which is recorded, can). Defaults to refuse.
	OnFail string `json:"on_fail" jsonschema:"enum=refuse,enum=register"`
}

// MetricGate is one limit on one metric.
type MetricGate struct {
	// Metric to compute, such as roc_auc, log_loss, ece or rmse.
	Metric string `json:"metric" jsonschema:"required"`
	// Min is the least value; the lower bound of the interval must reach it.
	Min *float64 `json:"min,omitempty"`
	// Max is the greatest value; the upper bound of the interval must not pass it.
	Max *float64 `json:"max,omitempty"`
	// Unless champion lets min and max judge only while no version is in production: later ones are judged by the comparison with it. An absolute limit that a first version must reach would refuse every challenger in a month that is hard for all.
	Unless string `json:"unless,omitempty" jsonschema:"enum=champion"`
	// CI is the level of the confidence interval. Defaults to 0.95.
	CI float64 `json:"ci" jsonschema:"exclusiveMinimum=0.5,exclusiveMaximum=1"`
	// VS is what to compare with: champion, the version in production. Both score the same rows.
	VS string `json:"vs,omitempty" jsonschema:"enum=champion"`
	// NonInferior is the margin by which the version may be worse than the champion at the bound of the interval.
	NonInferior *float64 `json:"noninferior,omitempty" jsonschema:"minimum=0"`
	// MaxDrop is by how much the metric itself may be worse than the champion's, whatever the interval says.
	MaxDrop *float64 `json:"max_drop,omitempty" jsonschema:"minimum=0"`
	// Bins is the number of bins of a calibration error (ece). Defaults to 10 there.
	Bins int `json:"bins,omitempty" jsonschema:"minimum=2,maximum=1000"`
}

// SliceGate is a limit that must hold in every group of rows.
type SliceGate struct {
	// By is the columns whose values make the groups.
	By Names `json:"by" jsonschema:"required"`
	// Metric to compute in every group.
	Metric string `json:"metric" jsonschema:"required"`
	// Min is the least value in any group.
	Min *float64 `json:"min,omitempty"`
	// Max is the greatest value in any group.
	Max *float64 `json:"max,omitempty"`
	// MinRows is the number of rows below which a group is shown and not judged. Defaults to 100.
	MinRows int `json:"min_rows" jsonschema:"minimum=1"`
}

// LatencyGate is a limit on the time that the server takes for one answer.
type LatencyGate struct {
	// P99Ms is the greatest 99th percentile, in milliseconds.
	P99Ms float64 `json:"p99_ms" jsonschema:"required,exclusiveMinimum=0"`
	// RPS is the rate of requests a second at which it is measured. Defaults to 100.
	RPS float64 `json:"rps" jsonschema:"exclusiveMinimum=0"`
	// Repeats is how often the measurement is made; the median counts. Defaults to 3.
	Repeats int `json:"repeats" jsonschema:"minimum=1,maximum=100"`
}
