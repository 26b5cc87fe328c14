// Package slack notifies a channel of Slack by an incoming webhook
// (https://api.slack.com/messaging/webhooks), which Mattermost and others take
// too.
package slack

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/notify"
)

// Notifier posts messages as text for people.
type Notifier struct{ client *http.Client }

// New makes a Notifier; nil is a client of its own.
func New(client *http.Client) *Notifier {
	if client == nil {
		client = notify.Client()
	}
	return &Notifier{client}
}

// lines bounds how many alerts are told one by one.
const lines = 20

// Send posts m to the address of an incoming webhook.
func (n *Notifier) Send(ctx context.Context, target string, m notify.Message) error {
	body, err := json.Marshal(map[string]string{"text": text(m)})
	if err != nil {
		return slipway.Errorf(slipway.Invalid, "the alert cannot be written as JSON: %v", err)
	}
	return notify.Post(ctx, n.client, target, body)
}

// text is the message in Slack's markup: a title, then a line an alert.
func text(m notify.Message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%s*", escape(m.Title()))
	for i, a := range m.Alerts {
		if i == lines {
			fmt.Fprintf(&b, "\n… and %d more", len(m.Alerts)-lines)
			break
		}
		fmt.Fprintf(&b, "\n• %s", escape(a.Annotations["summary"]))
		if more := a.Annotations["description"]; more != "" {
			fmt.Fprintf(&b, ": %s", escape(more))
		}
	}
	if m.ExternalURL != "" {
		fmt.Fprintf(&b, "\n<%s|Look at it>", m.ExternalURL)
	}
	return b.String()
}

// escape replaces the three characters that mean something to Slack.
var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace
