package monitor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/slipway-ml/slipway"
)

// The states of an alert.
const (
	alertWaiting = "waiting"
	alertSent    = "sent"
	alertFailed  = "failed"
)

const (
	firstRetry = 2 * time.Second
	lastRetry  = 30 * time.Minute
	attempts   = 20               // after which an alert is given up: about eight hours
	idle       = 30 * time.Second // between looks at the outbox when nothing rings
	sendTime   = 15 * time.Second
)

// ring wakes the loop that sends alerts.
func (s *Service) ring() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Loop sends alerts until ctx ends. It runs beside the ticks, so that a
// receiver that hangs holds nobody up.
func (s *Service) Loop(ctx context.Context) error {
	for {
		next, err := s.Deliver(ctx)
		if err != nil && ctx.Err() == nil {
			slog.ErrorContext(ctx, "alerts cannot be sent", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.wake:
		case <-s.o.Clock.After(next):
		}
	}
}

// Deliver tries every alert that is due once, and returns in how long to look
// again. An alert is sent at least once: twice when the process ends after the
// receiver took it and before that is written down. Its id is the same then.
func (s *Service) Deliver(ctx context.Context) (time.Duration, error) {
	due, err := s.dueAlerts(ctx, s.o.Clock.Now())
	if err != nil {
		return idle, err
	}
	var errs []error
	next := time.Duration(idle)
	for _, a := range due {
		s.send(ctx, &a)
		if ctx.Err() != nil {
			return idle, ctx.Err()
		}
		errs = append(errs, s.settleAlert(ctx, a))
		if a.State == alertWaiting {
			next = min(next, a.Next.Sub(s.o.Clock.Now()))
		}
	}
	return max(next, time.Second), errors.Join(errs...)
}

// send makes one attempt and notes how it went.
func (s *Service) send(ctx context.Context, a *Alert) {
	a.Attempts++
	err := s.attempt(ctx, *a)
	now := s.o.Clock.Now()
	switch {
	case err == nil:
		a.State, a.Sent, a.Error = alertSent, now, ""
	case slipway.IsCode(err, slipway.Unavailable) && a.Attempts < attempts:
		a.Error, a.Next = slipway.AsError(err).Message, now.Add(backoff(a.Attempts))
	default:
		a.State, a.Error = alertFailed, slipway.AsError(err).Message
	}
}

// backoff doubles from two seconds to half an hour, give or take a fifth.
func backoff(attempt int) time.Duration {
	d := min(firstRetry<<min(attempt-1, 20), lastRetry)
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}

func (s *Service) attempt(ctx context.Context, a Alert) error {
	n := s.o.Notify[a.Kind]
	if n == nil {
		return slipway.Errorf(slipway.Invalid, "this server sends no alerts by %s", a.Kind)
	}
	if s.o.Secret == nil {
		return slipway.Errorf(slipway.Invalid, "this server knows no secrets, and $%s holds the target", a.Secret)
	}
	target, err := s.o.Secret(a.Secret)
	if err != nil {
		return err
	}
	if target == "" {
		return slipway.Errorf(slipway.Unavailable, "the secret $%s is not set", a.Secret)
	}
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	id := fmt.Sprintf("%s-%d", a.Project, a.Number)
	return n.Send(ctx, target, message(id, a.Project, a.Endpoint, a.Kind, s.o.Address, a.Alarms))
}
