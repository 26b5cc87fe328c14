// Package notify is how an alert leaves the house. Its variants are webhook (a
// POST of JSON, in the shape that receivers of Prometheus's Alertmanager know),
// slack (an incoming webhook) and log (a line, for those who collect logs);
// notifytest is the suite that all pass.
package notify

import (
	"context"
	"time"
)

// Status says whether something is wrong still.
type Status string

// The states of an alert and of a message, in Alertmanager's words.
const (
	Firing   Status = "firing"
	Resolved Status = "resolved"
)

// Alert is one thing that is wrong, or was. Its JSON is that of an alert in
// Alertmanager's webhook payload.
type Alert struct {
	Status      Status            `json:"status"`
	Labels      map[string]string `json:"labels"`      // what tells it from others: alertname, project, endpoint, feature
	Annotations map[string]string `json:"annotations"` // what a person reads: summary, description
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"` // zero while it fires
	URL         string            `json:"generatorURL"`
	Fingerprint string            `json:"fingerprint"` // the same for the same labels
}

// Message is the alerts of one endpoint that began or ended together. Its JSON
// is version 4 of Alertmanager's webhook payload
// (https://prometheus.io/docs/alerting/latest/configuration/#webhook_config).
type Message struct {
	Version           string            `json:"version"` // "4"
	GroupKey          string            `json:"groupKey"`
	TruncatedAlerts   int               `json:"truncatedAlerts"`
	Status            Status            `json:"status"` // firing when any alert is
	Receiver          string            `json:"receiver"`
	GroupLabels       map[string]string `json:"groupLabels"`
	CommonLabels      map[string]string `json:"commonLabels"`
	CommonAnnotations map[string]string `json:"commonAnnotations"`
	ExternalURL       string            `json:"externalURL"`
	Alerts            []Alert           `json:"alerts"`
	// ID is the same each time the message is tried, so that a receiver can
	// tell a repetition.
	ID string `json:"id"`
}

// Notifier sends messages in one way. It is safe for concurrent use.
type Notifier interface {
	// Send delivers m to a target, whose meaning is the variant's: an address
	// for webhook and slack. It returns when the target has taken the message.
	// It fails with Unavailable when another try may help, and with Invalid when
	// the target does not exist or refuses the message for good. The error never
	// holds the target, which may be a secret.
	Send(ctx context.Context, target string, m Message) error
}

// Title says in one line what a message is about.
func (m Message) Title() string {
	if len(m.Alerts) == 1 {
		return mark(m.Alerts[0].Status) + " " + m.Alerts[0].Annotations["summary"]
	}
	return mark(m.Status) + " " + m.CommonAnnotations["summary"]
}

func mark(s Status) string {
	if s == Resolved {
		return "[resolved]"
	}
	return "[firing]"
}
