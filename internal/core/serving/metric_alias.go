package serving

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/slipway-ml/slipway/internal/backend/predictor"
)

// Names under which other servers tell the same, so that the dashboards and
// alerts which people have go on working: Triton's (docs/user_guide/metrics.md),
// KServe's Python server and MLServer. Only what is the same is there. Their
// labels of the model come with ours, which tell variants apart.
var (
	tritonLabels = []string{"model", "version", "project", "release", "role"}
	kserveLabels = []string{"model_name", "version", "project", "release", "role"}

	tritonSuccess = prometheus.NewDesc("nv_inference_request_success", "As Triton's: requests that were answered.", tritonLabels, nil)
	tritonFailure = prometheus.NewDesc("nv_inference_request_failure", "As Triton's: requests that failed.", append(tritonLabels, "reason"), nil)
	tritonCount   = prometheus.NewDesc("nv_inference_count", "As Triton's: rows that were answered.", tritonLabels, nil)
	tritonCompute = prometheus.NewDesc("nv_inference_compute_infer_duration_us", "As Triton's: time in the model, in all.", tritonLabels, nil)
	tritonPending = prometheus.NewDesc("nv_inference_pending_request_count", "As Triton's: requests that wait for a worker.", tritonLabels, nil)

	mlserverSuccess = prometheus.NewDesc("model_infer_request_success", "As MLServer's: requests that were answered.", tritonLabels, nil)
	mlserverFailure = prometheus.NewDesc("model_infer_request_failure", "As MLServer's: requests that failed.", tritonLabels, nil)

	kserveStage = [stages]*prometheus.Desc{
		stageParse:   prometheus.NewDesc("request_preprocess_seconds", "As KServe's: time to read requests.", kserveLabels, nil),
		stagePredict: prometheus.NewDesc("request_predict_seconds", "As KServe's: time in the model.", kserveLabels, nil),
		stageExplain: prometheus.NewDesc("request_explain_seconds", "As KServe's: time to explain.", kserveLabels, nil),
		stageWrite:   prometheus.NewDesc("request_postprocess_seconds", "As KServe's: time to write replies.", kserveLabels, nil),
	}
)

func describeAliases(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{tritonSuccess, tritonFailure, tritonCount, tritonCompute, tritonPending, mlserverSuccess, mlserverFailure} {
		to <- d
	}
	for _, d := range kserveStage {
		if d != nil {
			to <- d
		}
	}
}

func collectAliases(to chan<- prometheus.Metric, v *variant) {
	labels := []string{v.endpoint.spec.Name, Version(v.spec.Model), v.endpoint.spec.Project, v.spec.Release, string(v.spec.Role)}
	counter := func(d *prometheus.Desc, n float64, more ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, n, append(labels[:len(labels):len(labels)], more...)...)
	}
	failed, refused := float64(v.failed.Load()), float64(v.refused.Load())
	answered := max(0, float64(v.answered.Load())-failed)
	counter(tritonSuccess, answered)
	counter(mlserverSuccess, answered)
	counter(tritonFailure, failed, "BACKEND")
	counter(tritonFailure, refused, "OTHER")
	counter(mlserverFailure, failed+refused)
	counter(tritonCount, float64(v.rows.Load()))
	counter(tritonCompute, float64(v.stage[stagePredict].sum.Load()/1000))
	if crew, ok := v.model.model.(predictor.Crew); ok {
		to <- prometheus.MustNewConstMetric(tritonPending, prometheus.GaugeValue, float64(crew.Workers().Queue), labels...)
	}
	for i, d := range kserveStage {
		if d != nil {
			to <- v.stage[i].metric(d, 1e-9, 10, 34, labels)
		}
	}
}
