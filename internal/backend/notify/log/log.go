// Package log notifies by a line in a log, for those whose logs are watched.
package log

import (
	"context"
	"log/slog"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/notify"
)

// Notifier writes to a logger. The target of Send names the line's channel.
type Notifier struct{ log *slog.Logger }

// New makes a Notifier; nil is the default logger.
func New(l *slog.Logger) *Notifier {
	if l == nil {
		l = slog.Default()
	}
	return &Notifier{l}
}

// Send writes a line an alert.
func (n *Notifier) Send(ctx context.Context, target string, m notify.Message) error {
	if target == "" {
		return slipway.Errorf(slipway.Invalid, "an alert to a log needs the name of a channel")
	}
	if err := ctx.Err(); err != nil {
		return slipway.Errorf(slipway.Unavailable, "the alert was not written in time")
	}
	for _, a := range m.Alerts {
		level := slog.LevelWarn
		if a.Status == notify.Resolved {
			level = slog.LevelInfo
		}
		n.log.Log(ctx, level, a.Annotations["summary"], "channel", target, "status", string(a.Status), "description", a.Annotations["description"], "labels", a.Labels,
			"starts_at", a.StartsAt, "message", m.ID)
	}
	return nil
}
