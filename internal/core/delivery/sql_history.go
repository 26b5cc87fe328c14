package delivery

import (
	"context"
	"time"

	"github.com/slipway-ml/slipway/internal/kit/db"
)

// Reign is a stretch of time in which a release was the champion of its
// environment.
type Reign struct {
	Environment string    `json:"environment"`
	Release     string    `json:"release"`
	Model       string    `json:"model"`
	Begun       time.Time `json:"begun"` // machine time
	Ended       time.Time `json:"ended,omitzero"`
	BegunEvent  time.Time `json:"begun_event"` // event time
	EndedEvent  time.Time `json:"ended_event,omitzero"`
}

// History tells which release was the champion of each environment at a time,
// by the clock on the wall or by event time. The zero time asks for the whole
// history, oldest first.
func (s *Service) History(ctx context.Context, project string, at time.Time, event bool) (out []Reign, err error) {
	where, args := "", []any{project}
	if !at.IsZero() {
		begun, ended := "begun", "ended"
		if event {
			begun, ended = "begun_event", "ended_event"
		}
		where = ` AND w.` + begun + ` <= ? AND (w.` + ended + ` > ? OR w.ended = 0)`
		args = append(args, at, at)
	}
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, func(r db.Scanner) (w Reign, err error) {
			err = r.Scan(&w.Environment, &w.Release, &w.Model, &w.Begun, &w.Ended, &w.BegunEvent, &w.EndedEvent)
			return w, err
		}, `SELECT w.environment, w.release, r.model, w.begun, w.ended, w.begun_event, w.ended_event
			FROM reign w JOIN release r ON r.id = w.release WHERE w.project = ?`+where+` ORDER BY w.begun, w.environment`, args...)
		return err
	})
	return out, err
}
