package serving

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/slipway-ml/slipway/internal/backend/predictor"
)

// metrics gives Prometheus what the records counted. The hot path knows
// nothing of it.
type metrics struct{ s *Service }

var (
	variantLabels = []string{"project", "endpoint", "release", "model", "role"}

	requestsTotal = prometheus.NewDesc("slipway_inference_requests_total", "Requests, by what became of them: ok, failed (by the variant), refused (the request was wrong).", append(variantLabels, "outcome"), nil)
	duration      = prometheus.NewDesc("slipway_inference_duration_seconds", "Time that requests took, by stage.", append(variantLabels, "stage"), nil)
	batchSize     = prometheus.NewDesc("slipway_inference_batch_size", "Rows a request.", variantLabels, nil)
	inFlight      = prometheus.NewDesc("slipway_inference_in_flight", "Requests that are being answered.", nil, nil)
	breakerOpen   = prometheus.NewDesc("slipway_inference_breaker_open", "1 while the variant is cut off.", variantLabels, nil)
	logAcked      = prometheus.NewDesc("slipway_prediction_log_acked_total", "Predictions that were logged before they were answered.", nil, nil)
	logShed       = prometheus.NewDesc("slipway_prediction_log_shed_total", "Predictions that were refused because the log could not be written.", nil, nil)
	workers       = prometheus.NewDesc("slipway_inference_workers", "Processes of a Python model that can answer.", variantLabels, nil)
	waiting       = prometheus.NewDesc("slipway_inference_queue", "Requests that wait for a process of a Python model.", variantLabels, nil)
	workerStarts  = prometheus.NewDesc("slipway_inference_worker_starts_total", "Processes that were started for a request after a rest.", variantLabels, nil)
	workerStart   = prometheus.NewDesc("slipway_inference_worker_start_seconds", "How long the last of these starts took.", variantLabels, nil)
	modelInfo     = prometheus.NewDesc("slipway_model_info", "1 for every model version in memory.", append(variantLabels, "content"), nil)
)

// Collector gives the metrics to any registry.
func (s *Service) Collector() prometheus.Collector { return metrics{s} }

// Metrics serves them in the Prometheus text format.
func (s *Service) Metrics() http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(metrics{s})
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

func (m metrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{requestsTotal, duration, batchSize, inFlight, breakerOpen, logAcked, logShed, workers, waiting, workerStarts, workerStart, modelInfo} {
		to <- d
	}
	describeAliases(to)
}

func (m metrics) Collect(to chan<- prometheus.Metric) {
	to <- prometheus.MustNewConstMetric(inFlight, prometheus.GaugeValue, float64(m.s.inflight.Load()))
	to <- prometheus.MustNewConstMetric(logAcked, prometheus.CounterValue, float64(m.s.log.acked.Load()))
	to <- prometheus.MustNewConstMetric(logShed, prometheus.CounterValue, float64(m.s.log.shed.Load()))
	t := m.s.acquire()
	defer m.s.release(t)
	for _, e := range t.list {
		for _, v := range e.variant {
			m.variant(to, v)
		}
	}
}

func (m metrics) variant(to chan<- prometheus.Metric, v *variant) {
	labels := []string{v.endpoint.spec.Project, v.endpoint.spec.Name, v.spec.Release, v.spec.Model, string(v.spec.Role)}
	with := func(more string) []string { return append(labels[:len(labels):len(labels)], more) }
	failed := v.failed.Load()
	for outcome, n := range map[string]int64{"ok": max(0, v.answered.Load()-failed), "failed": failed, "refused": v.refused.Load()} {
		to <- prometheus.MustNewConstMetric(requestsTotal, prometheus.CounterValue, float64(n), with(outcome)...)
	}
	open := 0.0
	if v.breaker.open.Load() {
		open = 1
	}
	to <- prometheus.MustNewConstMetric(breakerOpen, prometheus.GaugeValue, open, labels...)
	to <- prometheus.MustNewConstMetric(modelInfo, prometheus.GaugeValue, 1, with(string(v.spec.Content))...)
	if crew, ok := v.model.model.(predictor.Crew); ok {
		w := crew.Workers()
		to <- prometheus.MustNewConstMetric(workers, prometheus.GaugeValue, float64(w.Alive), labels...)
		to <- prometheus.MustNewConstMetric(waiting, prometheus.GaugeValue, float64(w.Queue), labels...)
		to <- prometheus.MustNewConstMetric(workerStarts, prometheus.CounterValue, float64(w.Starts), labels...)
		to <- prometheus.MustNewConstMetric(workerStart, prometheus.GaugeValue, w.Start.Seconds(), labels...)
	}
	for i := range v.stage {
		to <- v.stage[i].metric(duration, 1e-9, 10, 34, with(stageNames[i]))
	}
	to <- v.batch.metric(batchSize, 1, 0, 16, labels)
	collectAliases(to, v)
}

// metric is h with a bucket for each octave from 2^low to 2^high, scaled.
func (h *histogram) metric(d *prometheus.Desc, scale float64, low, high int, labels []string) prometheus.Metric {
	buckets := make(map[float64]uint64, high-low)
	total := uint64(0)
	for octave := range 64 {
		if octave >= low && octave <= high {
			buckets[float64(uint64(1)<<octave)*scale] = total
		}
		for quarter := range 4 {
			total += uint64(h.count[octave*4+quarter].Load())
		}
	}
	return prometheus.MustNewConstHistogram(d, total, float64(h.sum.Load())*scale, buckets, labels...)
}
