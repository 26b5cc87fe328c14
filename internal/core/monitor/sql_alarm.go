package monitor

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/project"
)

const alarmColumns = `id, project, endpoint, kind, subject, firing, since, until_time, summary, detail, data, created`

func scanAlarm(r db.Scanner) (a Alarm, err error) {
	err = r.Scan(&a.ID, &a.Project, &a.Endpoint, &a.Kind, &a.Subject, &a.Firing, &a.Since, &a.Until, &a.Summary, &a.Detail, db.JSON(&a.Data), &a.Created)
	return a, err
}

// Alarms lists the alarms of a project ("" endpoint for all), firing ones
// first, then the newest.
func (s *Service) Alarms(ctx context.Context, project, endpoint string, limit int) (out []Alarm, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, scanAlarm, `SELECT `+alarmColumns+` FROM alarm WHERE project = ? AND (endpoint = ? OR ? = '')
			ORDER BY firing DESC, since DESC, kind, subject LIMIT ?`, project, endpoint, endpoint, limit)
		return err
	})
	return out, err
}

// firing lists the alarms of one kind that an endpoint has now.
func (s *Service) firing(ctx context.Context, project, endpoint string, k kind) (out []Alarm, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, scanAlarm, `SELECT `+alarmColumns+` FROM alarm WHERE project = ? AND endpoint = ? AND kind = ? AND firing <> 0 ORDER BY subject`, project, endpoint, string(k))
		return err
	})
	return out, err
}

// targets is where the alarms of each project in found are told.
func (s *Service) targets(ctx context.Context, found []finding) (map[string][]project.Alert, error) {
	out := map[string][]project.Alert{}
	for _, f := range found {
		if _, known := out[f.project]; known {
			continue
		}
		r, err := s.rules(ctx, place{project: f.project})
		if err != nil {
			return nil, err
		}
		out[f.project] = r.alerts
	}
	return out, nil
}

// apply begins and ends alarms, records an event for each that changed, and
// queues the alerts that tell of them: one message an endpoint and target.
func apply(tx *db.Tx, found []finding, targets map[string][]project.Alert) (queued bool, err error) {
	changed := map[place][]Alarm{}
	var order []place
	for _, f := range found {
		a, ok, err := change(tx, f)
		if err != nil {
			return false, err
		}
		if !ok {
			continue
		}
		p := place{f.project, f.endpoint}
		if changed[p] == nil {
			order = append(order, p)
		}
		changed[p] = append(changed[p], a)
	}
	for _, p := range order {
		for _, t := range targets[p.project] {
			if err := enqueue(tx, p, t, changed[p]); err != nil {
				return false, err
			}
			queued = true
		}
	}
	return queued, nil
}

// change begins or ends one alarm. It is false when the finding is no news.
func change(tx *db.Tx, f finding) (Alarm, bool, error) {
	a, err := db.One(tx, scanAlarm, `SELECT `+alarmColumns+` FROM alarm WHERE project = ? AND endpoint = ? AND kind = ? AND subject = ? AND firing <> 0`,
		f.project, f.endpoint, string(f.kind), f.subject)
	fires := err == nil
	if err != nil && !slipway.IsCode(err, slipway.NotFound) {
		return a, false, err
	}
	if fires == f.firing {
		return a, false, nil
	}
	verb := f.kind.begin()
	if f.firing {
		data, err := json.Marshal(f.data)
		if err != nil {
			return a, false, err
		}
		a = Alarm{ID: newID(), Project: f.project, Endpoint: f.endpoint, Kind: string(f.kind), Subject: f.subject, Firing: true,
			Since: f.at, Summary: f.summary, Detail: f.detail, Data: data, Created: tx.Now()}
		_, err = tx.Exec(`INSERT INTO alarm (`+alarmColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			a.ID, a.Project, a.Endpoint, a.Kind, a.Subject, a.Firing, a.Since, a.Until, a.Summary, a.Detail, string(a.Data), a.Created)
		if err != nil {
			return a, false, err
		}
	} else {
		verb = f.kind.end()
		a.Firing, a.Until = false, f.at
		if _, err := tx.Exec(`UPDATE alarm SET firing = 0, until_time = ? WHERE id = ?`, a.Until, a.ID); err != nil {
			return a, false, err
		}
	}
	return a, true, tx.Record(alarmEvent(a, verb))
}

func alarmEvent(a Alarm, verb string) slipway.Event {
	data, _ := json.Marshal(map[string]any{"endpoint": a.Endpoint, "kind": a.Kind, "subject": a.Subject, "since": a.Since,
		"summary": a.Summary, "detail": a.Detail, "evidence": a.Data})
	return slipway.Event{Project: a.Project, Verb: verb, Subject: slipway.NewRef(slipway.KindDrift, a.ID), Data: data}
}

func newID() string {
	id := uuid.New()
	b, _ := id.MarshalBinary()
	const hex = "0123456789abcdef"
	out := make([]byte, 0, 32)
	for _, x := range b {
		out = append(out, hex[x>>4], hex[x&15])
	}
	return string(out)
}

// enqueue adds a message to the outbox.
func enqueue(tx *db.Tx, p place, t project.Alert, alarms []Alarm) error {
	kind, secret := "webhook", t.Webhook
	if t.Slack != "" {
		kind, secret = "slack", t.Slack
	}
	_, err := tx.Exec(`INSERT INTO alert (project, endpoint, kind, secret, body, state, attempts, next, error, created, sent) VALUES (?, ?, ?, ?, ?, 'waiting', 0, 0, '', ?, 0)`,
		p.project, p.endpoint, kind, string(secret), db.JSON(alarms), tx.Now())
	return err
}

// Alert is one message of the outbox and how it fares.
type Alert struct {
	Number   int64     `json:"number"`
	Project  string    `json:"project"`
	Endpoint string    `json:"endpoint"`
	Kind     string    `json:"kind"`   // webhook, slack
	Secret   string    `json:"secret"` // name of the secret that holds the target
	State    string    `json:"state"`  // waiting, sent, failed
	Attempts int       `json:"attempts"`
	Next     time.Time `json:"next,omitzero"`   // machine time of the next attempt; zero is at once
	Error    string    `json:"error,omitempty"` // of the last attempt
	Created  time.Time `json:"created"`
	Sent     time.Time `json:"sent,omitzero"`
	Alarms   []Alarm   `json:"alarms"`
}

const alertColumns = `number, project, endpoint, kind, secret, state, attempts, next, error, created, sent, body`

func scanAlert(r db.Scanner) (a Alert, err error) {
	err = r.Scan(&a.Number, &a.Project, &a.Endpoint, &a.Kind, &a.Secret, &a.State, &a.Attempts, &a.Next, &a.Error, &a.Created, &a.Sent, db.JSON(&a.Alarms))
	return a, err
}

// Alerts lists messages to people, newest first.
func (s *Service) Alerts(ctx context.Context, project string, limit int) (out []Alert, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, scanAlert, `SELECT `+alertColumns+` FROM alert WHERE project = ? ORDER BY number DESC LIMIT ?`, project, limit)
		return err
	})
	return out, err
}

// dueAlerts are those to be tried now, oldest first.
func (s *Service) dueAlerts(ctx context.Context, now time.Time) (out []Alert, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, scanAlert, `SELECT `+alertColumns+` FROM alert WHERE state = 'waiting' AND next <= ? ORDER BY number LIMIT 50`, now)
		return err
	})
	return out, err
}

// settleAlert writes down how an attempt went.
func (s *Service) settleAlert(ctx context.Context, a Alert) error {
	return s.o.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE alert SET state = ?, attempts = ?, next = ?, error = ?, sent = ? WHERE number = ?`,
			a.State, a.Attempts, a.Next, a.Error, a.Sent, a.Number)
		if err != nil || a.State != alertSent || len(a.Alarms) == 0 {
			return err
		}
		data, _ := json.Marshal(map[string]any{"endpoint": a.Endpoint, "target": a.Kind, "secret": a.Secret, "attempts": a.Attempts, "alarms": len(a.Alarms)})
		return tx.Record(slipway.Event{Project: a.Project, Verb: "alert.sent", Subject: slipway.NewRef(slipway.KindDrift, a.Alarms[0].ID), Data: data})
	})
}
