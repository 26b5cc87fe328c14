// Package webhook notifies by an HTTP POST of JSON in the shape of
// Alertmanager's webhook, which chat bridges and on-call services understand.
package webhook

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/notify"
)

// Notifier posts messages as they are.
type Notifier struct{ client *http.Client }

// New makes a Notifier; nil is a client of its own.
func New(client *http.Client) *Notifier {
	if client == nil {
		client = notify.Client()
	}
	return &Notifier{client}
}

// Send posts m to an http or https address.
func (n *Notifier) Send(ctx context.Context, target string, m notify.Message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return slipway.Errorf(slipway.Invalid, "the alert cannot be written as JSON: %v", err)
	}
	return notify.Post(ctx, n.client, target, body)
}
