// Package notifytest is the contract of notify.Notifier.
package notifytest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/notify"
)

// Variant is a notifier under test and the world around it.
type Variant struct {
	Notifier notify.Notifier
	Target   string          // one that takes messages
	Taken    func() []string // what arrived there, a text each
	// Busy is a target that fails for now, Wrong one that refuses for good; ""
	// where the variant knows none such.
	Busy, Wrong string
}

// Message is a message with two alerts, one of them over.
func Message() notify.Message {
	begun := time.Date(2013, 9, 10, 17, 0, 0, 0, time.UTC)
	labels := map[string]string{"alertname": "feed stuck", "project": "flights", "endpoint": "flight-delay"}
	alert := func(feature string, s notify.Status) notify.Alert {
		return notify.Alert{Status: s, StartsAt: begun, Fingerprint: feature,
			Labels:      map[string]string{"alertname": "feed stuck", "project": "flights", "endpoint": "flight-delay", "feature": feature},
			Annotations: map[string]string{"summary": feature + " of flight-delay stands still", "description": "no new value for 11 h <usually 2 h>"}}
	}
	over := alert("temp", notify.Resolved)
	over.EndsAt = begun.Add(time.Hour)
	return notify.Message{Version: "4", GroupKey: "flights/flight-delay", Status: notify.Firing, Receiver: "webhook", GroupLabels: labels, CommonLabels: labels,
		CommonAnnotations: map[string]string{"summary": "2 alerts of flight-delay"}, Alerts: []notify.Alert{alert("humid", notify.Firing), over}, ID: "m1"}
}

// Run puts a variant through the contract.
func Run(t *testing.T, make func(t *testing.T) Variant) {
	t.Run("a message arrives and tells every alert", func(t *testing.T) {
		v := make(t)
		if err := v.Notifier.Send(t.Context(), v.Target, Message()); err != nil {
			t.Fatal(err)
		}
		all := strings.Join(v.Taken(), "\n")
		for _, want := range []string{"humid", "temp", "11 h"} {
			if !strings.Contains(all, want) {
				t.Errorf("%q is not in what arrived:\n%s", want, all)
			}
		}
	})
	t.Run("no target is invalid", func(t *testing.T) {
		v := make(t)
		if err := v.Notifier.Send(t.Context(), "", Message()); !slipway.IsCode(err, slipway.Invalid) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("what may pass is unavailable, what stays is invalid, and neither tells the target", func(t *testing.T) {
		v := make(t)
		for target, code := range map[string]slipway.Code{v.Busy: slipway.Unavailable, v.Wrong: slipway.Invalid} {
			if target == "" {
				continue
			}
			err := v.Notifier.Send(t.Context(), target, Message())
			if !slipway.IsCode(err, code) {
				t.Errorf("got %v, want %s", err, code)
			}
			if err != nil && strings.Contains(err.Error(), target) {
				t.Errorf("the error %q tells the target", err)
			}
		}
	})
	t.Run("an ended context is unavailable", func(t *testing.T) {
		v := make(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := v.Notifier.Send(ctx, v.Target, Message()); !slipway.IsCode(err, slipway.Unavailable) {
			t.Errorf("got %v", err)
		}
		if taken := v.Taken(); len(taken) != 0 {
			t.Errorf("%q arrived", taken)
		}
	})
}
