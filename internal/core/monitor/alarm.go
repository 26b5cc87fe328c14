package monitor

import (
	"encoding/json"
	"iter"
	"maps"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/notify"
)

// kind is what an alarm is about.
type kind string

// The kinds of alarms.
const (
	kindDrift   kind = "drift"   // a feature's distribution left that of the training rows
	kindFeed    kind = "feed"    // a feature brings nothing new
	kindQuality kind = "quality" // a metric is beyond its limit
)

// finding is what was found at an event time of one feature or metric: that an
// alarm shall fire, or shall not. Finding the same again changes nothing.
type finding struct {
	project, endpoint string
	kind              kind
	subject           string // feature or metric
	firing            bool
	at                time.Time
	summary, detail   string
	data              any
}

// Alarm is something that is wrong, or was: it begins, and it ends.
type Alarm struct {
	ID       string          `json:"id"`
	Project  string          `json:"project"`
	Endpoint string          `json:"endpoint"`
	Kind     string          `json:"kind"`    // drift, feed, quality
	Subject  string          `json:"subject"` // feature or metric
	Firing   bool            `json:"firing"`
	Since    time.Time       `json:"since"`          // event time
	Until    time.Time       `json:"until,omitzero"` // event time at which it was over
	Summary  string          `json:"summary"`
	Detail   string          `json:"detail"`
	Data     json.RawMessage `json:"data,omitempty"`
	Created  time.Time       `json:"created"` // machine time
}

// begin and end are the verbs of an alarm's events.
func (k kind) begin() string {
	return map[kind]string{kindDrift: "drift.detected", kindFeed: "feed.stuck", kindQuality: "quality.low"}[k]
}

func (k kind) end() string {
	return map[kind]string{kindDrift: "drift.cleared", kindFeed: "feed.resumed", kindQuality: "quality.restored"}[k]
}

// title is the kind as a person reads it.
func (k kind) title() string {
	return map[kind]string{kindDrift: "drift", kindFeed: "feed stands still", kindQuality: "low quality"}[k]
}

// fingerprint is the same for every alarm about the same thing.
func (a Alarm) fingerprint() string {
	return string(slipway.DigestOf([]byte(a.Project + "\n" + a.Endpoint + "\n" + a.Kind + "\n" + a.Subject)))[:16]
}

// message tells alarms of one endpoint that began or ended together.
func message(id, project, endpoint, receiver, address string, alarms []Alarm) notify.Message {
	group := map[string]string{"project": project, "endpoint": endpoint}
	m := notify.Message{Version: "4", GroupKey: project + "/" + endpoint, Status: notify.Resolved, Receiver: receiver,
		GroupLabels: group, CommonLabels: group, ExternalURL: address, ID: id}
	summary := alarms[0].Summary
	if len(alarms) > 1 {
		summary += " and more"
	}
	m.CommonAnnotations = map[string]string{"summary": summary}
	for _, a := range alarms {
		alert := notify.Alert{Status: notify.Resolved, StartsAt: a.Since, EndsAt: a.Until, URL: address, Fingerprint: a.fingerprint(),
			Labels:      map[string]string{"alertname": kind(a.Kind).title(), "project": project, "endpoint": endpoint, a.label(): a.Subject},
			Annotations: map[string]string{"summary": a.Summary, "description": a.Detail}}
		if a.Firing {
			alert.Status, m.Status = notify.Firing, notify.Firing
		}
		m.Alerts = append(m.Alerts, alert)
	}
	return m
}

func (a Alarm) label() string {
	if a.Kind == string(kindQuality) {
		return "metric"
	}
	return "feature"
}

func keysOf[K comparable, V any](m map[K]V) iter.Seq[K] { return maps.Keys(m) }
